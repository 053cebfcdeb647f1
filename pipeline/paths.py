"""Paths of the stages' files, relative to the folder of dvc.yaml."""

import os
from pathlib import Path

ARTIFACTS = Path("artifacts")
CHECKED = ARTIFACTS / "checked"
CODE = ARTIFACTS / "code"
VOLUMES = ARTIFACTS / "volumes"
SPLIT = ARTIFACTS / "split.csv"
RUNS = ARTIFACTS / "runs"
RESULTS = ARTIFACTS / "results"
DURATIONS = ARTIFACTS / "durations"
PROFILE = ARTIFACTS / "profile" / "table6.csv"
REPORTS = Path("reports")
# Not outputs of a stage, so DVC does not touch them.
FAILURES = ARTIFACTS / "failures"
LOCKS = ARTIFACTS / "locks"


def views(ratio: int) -> Path:
    """Return the folder of the sparse views at this ratio."""
    return ARTIFACTS / "views" / f"r{ratio}"


def scratch() -> Path:
    """Return the folder for files that must survive a kill; DVC deletes the outputs of a stage before it runs."""
    return Path(os.environ.get("SPARSESSP_SCRATCH", ".scratch"))
