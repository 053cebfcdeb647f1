"""How each stage's script is run: under DVC it ends with DVC, runs one at a time, and leaves a reason if it fails."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from pipeline.paths import ARTIFACTS, CODE, DURATIONS, FAILURES, LOCKS, PROFILE, REPORTS, RESULTS, RUNS, VOLUMES
from sparsessp.errors import SparseSSPError
from sparsessp.support import command_line
from sparsessp.support.files import write_text
from sparsessp.support.processes import end_with_parent, exclusive_lock, keep_imported_objects, orphaned

_UNFINISHED = "started but did not end: killed, or still running"


def failure(*stages: str) -> str | None:
    """Return why the first failed stage among these failed, or None if none did."""
    for path in (FAILURES / f"{stage}.txt" for stage in stages):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None


def clear_failure(*stages: str) -> None:
    """Forget why these stages failed."""
    for stage in stages:
        (FAILURES / f"{stage}.txt").unlink(missing_ok=True)


def refuse_links(_: Sequence[str]) -> None:
    """Stop before any work if DVC would refuse the outputs after it.

    Raises:
        SparseSSPError: A folder of outputs is a symbolic link.
    """
    for folder in (ARTIFACTS, RUNS, RESULTS, VOLUMES.parent / "views", CODE, DURATIONS, PROFILE.parent, REPORTS):
        if folder.is_symlink():
            raise SparseSSPError(
                f"{folder} is a symbolic link, which DVC does not accept for outputs; to keep their content on another "
                "disk, remove the link and move DVC's cache: `dvc cache dir --local FOLDER`"
            )


@contextmanager
def guarded(stage: str) -> Iterator[None]:
    """Run a stage in this block: no other process runs it meanwhile, and if it fails, the reason is kept."""
    reason = FAILURES / f"{stage}.txt"
    with exclusive_lock(LOCKS / stage):
        # A stage that is killed, for example because memory ran out, cannot write its reason afterwards.
        write_text(reason, _UNFINISHED)
        try:
            yield
        except Exception as error:
            with suppress(OSError):  # a full disk: report the first error, not this one
                write_text(reason, command_line.explain(error) or f"{type(error).__name__}: {error}")
            raise
        clear_failure(stage)


def main(run: Callable[[Sequence[str]], None], given: Sequence[str]) -> None:
    """Run a stage's script with these arguments; one started by hand takes no lock and watches no parent."""
    keep_imported_objects()
    np.set_printoptions(legacy=False)  # pandas writes CSV files with it; a user's start-up code may have changed it
    stage = os.environ.get("DVC_STAGE")
    if not stage:
        command_line.main(run, given)
        return
    if orphaned():
        sys.exit("the DVC that started this stage is gone")
    end_with_parent()
    command_line.main(refuse_links, given)

    def noted(given: Sequence[str]) -> None:
        with guarded(stage):
            run(given)

    command_line.main(noted, given)
