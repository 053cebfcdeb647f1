"""Stage code: list, for each stage, the source files it runs and their checksums.

A stage depends on its list, not on dozens of files: a change to one of them re-runs exactly the
stages that import it, dvc.yaml stays short and dvc.lock small, which DVC rewrites after every stage.

Example:
  python -m pipeline.stages.code
"""

import argparse
import ast
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.stage import CODE, main
from sparsessp.support.files import sha256, write_text

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("check", "fetch", "split", "resample", "baseline", "train", "evaluate", "profile", "report")
# Methods and backbones are loaded by name; each run depends on its own besides this list.
METHODS = Path("sparsessp/networks/methods")
BACKBONES = Path("sparsessp/networks/backbones")
_BY_NAME = dict.fromkeys(("train", "evaluate", "profile"), (METHODS, BACKBONES))


def imports(source: Path) -> set[Path]:
    """Return the project's files that `source` imports, relative to the project."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / source).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            # Importing a.b.c runs a/__init__.py and a/b/__init__.py too.
            found |= {Path(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)}
            found.add(Path(*parts).with_suffix(".py"))
    return {path for path in found if (ROOT / path).is_file()}


def closure(sources: Iterable[Path]) -> set[Path]:
    """Return these files and all that they import, directly or not."""
    seen: set[Path] = set()
    waiting = set(sources)
    while waiting:
        source = waiting.pop()
        seen.add(source)
        waiting |= imports(source) - seen
    return seen


def sources(stage: str) -> list[Path]:
    """Return the files that a stage runs, whatever its arguments, sorted."""
    package = Path("pipeline")
    # Running a.b.c runs a/__init__.py and a/b/__init__.py too.
    roots = {package / "__init__.py", package / "stages/__init__.py", package / f"stages/{stage}.py"}
    named = {path.relative_to(ROOT) for folder in _BY_NAME.get(stage, ()) for path in (ROOT / folder).glob("[!_]*.py")}
    return sorted(closure(roots | named) - named)


def run(arguments: Sequence[str]) -> None:
    """Write one list per stage."""
    argparse.ArgumentParser("python -m pipeline.stages.code", description=__doc__).parse_args(arguments)
    for stage in STAGES:
        lines = [f"{sha256(ROOT / path)}  {path.as_posix()}\n" for path in sources(stage)]
        write_text(CODE / f"{stage}.txt", "".join(lines))


if __name__ == "__main__":
    main(run, sys.argv[1:])
