"""Folders with the states of unfinished trainings, in the scratch folder."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.paths import scratch
from sparsessp.support.processes import is_held

_DIGITS = 16


def folder(name: str, checksum: str) -> Path:
    """Return the folder of a run with this name and this checksum of all that its result depends on."""
    return scratch() / f"{name}-{checksum[:_DIGITS]}"


def folders(name: str = "*") -> list[Path]:
    """Return the folders of all states: of one run, with any code, data and settings, or of every run."""
    return sorted(path for path in scratch().glob(f"{name}-{'[0-9a-f]' * _DIGITS}") if path.is_dir())


def last_saved(name: str) -> float:
    """Return when the newest state of a run was saved, in seconds since 1970; 0 if there is none."""
    times = [_time(path) for found in folders(name) for path in found.glob("*.pt")]
    return max(times, default=0.0)


def unused(found: Sequence[Path]) -> str | None:
    """Return a notice that names the folders among these in which no process works; None if there are none."""
    left = [path for path in found if not is_held(path)]
    if not left:
        return None
    size = sum(path.stat().st_size for state in left for path in state.rglob("*") if path.is_file())
    return "\n".join(
        [
            f"States of {len(left)} unfinished trainings take {size / 1e6:.1f} MB. A training with the same code, data "
            "and settings resumes from its state; delete the folders that you do not need:",
            *(f"  {path}" for path in left),
        ]
    )


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # replaced just now
        return 0.0
