"""Where the stages keep their files, below the folder of dvc.yaml, and how each of them is run."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sparsessp.support import command_line
from sparsessp.support.files import write_text
from sparsessp.support.processes import end_with_parent, exclusive_lock, orphaned

ARTIFACTS = Path("artifacts")
CODE = ARTIFACTS / "code"
VOLUMES = ARTIFACTS / "volumes"
SPLIT = ARTIFACTS / "split.csv"
RUNS = ARTIFACTS / "runs"
RESULTS = ARTIFACTS / "results"
DURATIONS = ARTIFACTS / "durations"
PROFILE = ARTIFACTS / "profile" / "table6.csv"
REPORTS = Path("reports")
# No outputs: what DVC does not know.
FAILURES = ARTIFACTS / "failures"
LOCKS = ARTIFACTS / "locks"

_UNFINISHED = "it was started and did not end: killed, or still running"


def scratch() -> Path:
    """Folder for what must outlive a killed stage, since DVC deletes a stage's outputs before it runs."""
    return Path(os.environ.get("SPARSESSP_SCRATCH", ".scratch"))


def views(ratio: int) -> Path:
    """Folder of the sparse views at this ratio."""
    return ARTIFACTS / "views" / f"r{ratio}"


def baseline(ratio: int) -> str:
    """Name under which the linear baseline's scores are kept."""
    return f"linear-r{ratio}"


def failure(*stages: str) -> str | None:
    """Return why the first of these stages that failed last time did so, None if none did."""
    for path in (FAILURES / f"{stage}.txt" for stage in stages):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None


def clear_failure(*stages: str) -> None:
    """Forget why these stages failed."""
    for stage in stages:
        (FAILURES / f"{stage}.txt").unlink(missing_ok=True)


def main(run: Callable[[Sequence[str]], None], given: Sequence[str]) -> None:
    """Run a stage's script. Under DVC it ends with DVC, runs once at a time, and leaves why it failed."""
    stage = os.environ.get("DVC_STAGE")
    if not stage:
        command_line.main(run, given)
        return
    if orphaned():
        sys.exit("the DVC that started this stage is gone")
    end_with_parent()

    def noted(given: Sequence[str]) -> None:
        reason = FAILURES / f"{stage}.txt"
        # One that is killed, by the system for want of memory perhaps, cannot write it down any more.
        write_text(reason, _UNFINISHED)
        try:
            run(given)
        except Exception as error:
            with suppress(OSError):  # a full disk, which is the error to tell
                write_text(reason, command_line.explain(error) or f"{type(error).__name__}: {error}")
            raise
        clear_failure(stage)

    with exclusive_lock(LOCKS / stage):
        command_line.main(noted, given)
