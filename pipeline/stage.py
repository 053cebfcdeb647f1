"""Where the stages keep their files, below the folder of dvc.yaml."""

import os
from pathlib import Path

ARTIFACTS = Path("artifacts")
CODE = ARTIFACTS / "code"
VOLUMES = ARTIFACTS / "volumes"
SPLIT = ARTIFACTS / "split.csv"
RUNS = ARTIFACTS / "runs"
RESULTS = ARTIFACTS / "results"
PROFILE = ARTIFACTS / "profile" / "table6.csv"
REPORTS = Path("reports")


def scratch() -> Path:
    """Folder for what must outlive a killed stage, since DVC deletes a stage's outputs before it runs."""
    return Path(os.environ.get("SPARSESSP_SCRATCH", ".scratch"))


def views(ratio: int) -> Path:
    """Folder of the sparse views at this ratio."""
    return ARTIFACTS / "views" / f"r{ratio}"


def baseline(ratio: int) -> str:
    """Name under which the linear baseline's scores are kept."""
    return f"linear-r{ratio}"
