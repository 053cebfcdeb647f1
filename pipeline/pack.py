"""Pack the results of all finished runs, without models and images, into one small file.

It holds params.yaml, dvc.lock, the report, and of each run its scores, history, duration and example predictions.
Unpacked in a clone of the same revision, it is enough to write the report again.

Examples:
  python -m pipeline.pack results.tar.xz
  tar -xf results.tar.xz && python -m pipeline.stages.report
"""

import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.commands import command
from pipeline.paths import DURATIONS, FAILURES, PROFILE, REPORTS, RESULTS, RUNS, SPLIT, VOLUMES
from pipeline.plan.params import PARAMS
from sparsessp.errors import SparseSSPError
from sparsessp.schema import MANIFEST, MODEL_FILE
from sparsessp.support.command_line import main
from sparsessp.support.files import atomic_write

_FILES = (PARAMS, Path("dvc.lock"), SPLIT, VOLUMES / MANIFEST)
_FOLDERS = (RUNS, RESULTS, DURATIONS, PROFILE.parent, FAILURES, REPORTS)


def contents() -> Iterator[Path]:
    """Yield the files to pack, sorted by name."""
    found = {path for path in _FILES if path.is_file()}
    for folder in _FOLDERS:
        found |= {path for path in folder.rglob("*") if path.is_file() and path.name != MODEL_FILE}
    yield from sorted(found)


def pack(target: Path) -> int:
    """Write the file and return the number of runs in it; equal results give equal bytes.

    Raises:
        SparseSSPError: No run was evaluated yet.
    """
    if not RESULTS.is_dir() or not any(RESULTS.iterdir()):
        raise SparseSSPError(
            f"{RESULTS} has no results to pack; run `python -m pipeline.run_plan` or `dvc repro` first"
        )
    with atomic_write(target) as partial, tarfile.open(partial, "w:xz") as archive:
        for path in contents():
            entry = archive.gettarinfo(path)
            entry.mtime, entry.mode, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0o644, 0, 0, "", ""
            # Files in DVC's cache may be links to each other; each is packed with its content.
            entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
            with path.open("rb") as stream:
                archive.addfile(entry, stream)
    return len(list(RUNS.iterdir())) if RUNS.is_dir() else 0


def run(arguments: Sequence[str]) -> None:
    """Pack the results of this checkout."""
    parser = command("pack", __doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="file to write, such as results.tar.xz")
    target = parser.parse_args(arguments).file
    count = pack(target)
    print(f"{target}: {count} runs, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(run, sys.argv[1:])
