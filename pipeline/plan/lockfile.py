"""The entries of dvc.lock that a plan needs: DVC rewrites the file after every stage, which takes longer than many do.

Entries of trainings that are no longer planned are therefore removed. Their results stay in DVC's cache: a plan that
names them again takes them from there.
"""

from collections.abc import Iterable
from pathlib import Path

from sparsessp.support.files import write_text

LOCKFILE = Path("dvc.lock")


def forget_unplanned(path: Path, items: Iterable[object]) -> None:
    """Remove the entries of stages STAGE@ITEM whose item is not among these; all other lines stay as they are."""
    if not path.exists():
        return
    planned, kept = set(map(str, items)), True
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith("   "):  # an entry begins, or a section
            _, repeated, item = line.strip().removesuffix(":").strip("'\"").partition("@")
            kept = not repeated or item in planned
        if kept:
            lines.append(line)
    text = "".join(lines)
    if text != path.read_text(encoding="utf-8"):
        write_text(path, text)
