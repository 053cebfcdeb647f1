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
SCRATCH = Path(".scratch")
VOXEL_CHECKS = ARTIFACTS / "voxel_checks.txt"


def views(ratio: int) -> Path:
    """Return the folder of the sparse views at this ratio."""
    return ARTIFACTS / "views" / f"r{ratio}"


def scratch() -> Path:
    """Return the folder for files that must survive a kill; DVC deletes the outputs of a stage before it runs.

    An experiment that DVC runs in a temporary folder uses that of the workspace, which DVC names in DVC_ROOT.
    """
    if folder := os.environ.get("SPARSESSP_SCRATCH"):
        return Path(folder)
    workspace = Path(os.environ.get("DVC_ROOT", "."))
    return SCRATCH if workspace.resolve() == Path.cwd() else workspace / SCRATCH
