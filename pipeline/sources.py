"""The source files of each stage, found from its imports."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
METHODS_FOLDER = Path("sparsessp/networks/methods")
BACKBONES_FOLDER = Path("sparsessp/networks/backbones")
# These stages load methods and backbones by name: training and evaluation those of one experiment, stage profile those
# of Table 6, which dvc.yaml lists.
PER_EXPERIMENT = ("train", "evaluate")
_BY_NAME = dict.fromkeys((*PER_EXPERIMENT, "profile"), (METHODS_FOLDER, BACKBONES_FOLDER))
_STAGES = Path("pipeline/stages")


def stages() -> list[str]:
    """Return the names of the stages, each a script in pipeline/stages."""
    return sorted(path.stem for path in (ROOT / _STAGES).glob("[!_]*.py"))


@cache
def imports(source: Path) -> frozenset[Path]:
    """Return the project's files that `source` imports, relative to the project."""
    found = set()
    for node in _statements(ast.parse((ROOT / source).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            # Importing a.b.c also runs a/__init__.py and a/b/__init__.py.
            found |= {Path(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)}
            found.add(Path(*parts).with_suffix(".py"))
    return frozenset(path for path in found if (ROOT / path).is_file())


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements below a node, without visiting expressions, which are ten times as many."""
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, field, ()):
            yield child
            yield from _statements(child)


def closure(sources: Iterable[Path]) -> set[Path]:
    """Return these files and everything that they import, directly or indirectly."""
    seen: set[Path] = set()
    waiting = set(sources)
    while waiting:
        source = waiting.pop()
        seen.add(source)
        waiting |= imports(source) - seen
    return seen


def sources(stage: str, method: str | None = None, backbone: str | None = None) -> list[Path]:
    """Return the source files of a stage, sorted.

    Args:
        stage: Name of the stage.
        method: Method whose file is one of them; None: none.
        backbone: Backbone whose file is one of them; None: none.
    """
    chosen = {
        folder / f"{name}.py" for folder, name in ((METHODS_FOLDER, method), (BACKBONES_FOLDER, backbone)) if name
    }
    return sorted(_loaded(stage) | chosen)


@cache
def _loaded(stage: str) -> frozenset[Path]:
    """Return the source files of a stage without methods and backbones, but with what these import."""
    # Running a.b.c also runs a/__init__.py and a/b/__init__.py.
    roots = {Path("pipeline/__init__.py"), _STAGES / "__init__.py", _STAGES / f"{stage}.py"}
    named = {path.relative_to(ROOT) for folder in _BY_NAME.get(stage, ()) for path in (ROOT / folder).glob("[!_]*.py")}
    return frozenset(closure(roots | named) - named)
