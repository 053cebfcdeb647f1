"""Where the stages keep their files, below the folder of dvc.yaml."""

from pathlib import Path

ARTIFACTS = Path("artifacts")
CODE = ARTIFACTS / "code"
VOLUMES = ARTIFACTS / "volumes"
SPLIT = ARTIFACTS / "split.csv"
RUNS = ARTIFACTS / "runs"
RESULTS = ARTIFACTS / "results"
REPORTS = Path("reports")


def views(ratio: int) -> Path:
    """Folder of the sparse views at this ratio."""
    return ARTIFACTS / "views" / f"r{ratio}"


def baseline(ratio: int) -> str:
    """Name under which the linear baseline's scores are kept."""
    return f"linear-r{ratio}"
