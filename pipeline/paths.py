"""Where the stages keep their files, below the folder of dvc.yaml."""

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
# Not outputs of any stage, so DVC leaves them alone.
FAILURES = ARTIFACTS / "failures"
LOCKS = ARTIFACTS / "locks"


def views(ratio: int) -> Path:
    """Folder of the sparse views at this ratio."""
    return ARTIFACTS / "views" / f"r{ratio}"


def scratch() -> Path:
    """Folder for what must survive a killed stage; DVC deletes a stage's outputs before it runs."""
    return Path(os.environ.get("SPARSESSP_SCRATCH", ".scratch"))
