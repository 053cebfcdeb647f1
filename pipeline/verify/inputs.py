"""Compare the checksums that a report and dvc.lock state with the files that are present."""

import hashlib
import json
import re
from pathlib import Path

from pipeline.committed import PAGE, Committed, read_text
from pipeline.plan.params import PARAMS, Params, parse_params
from pipeline.verify.model import Check, judged
from sparsessp.errors import SparseSSPError
from sparsessp.schema import Z_PROFILE, linear_regression
from sparsessp.support.files import sha256
from sparsessp.support.yaml_files import parse_yaml

LOCK = Path("dvc.lock")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


def check_settings(result: Committed, runs: list[str]) -> list[Check]:
    """Compare the settings and the seeds with those that the page states, and the runs with the planned ones."""
    params, stated = result.params, result.checksums().get(PARAMS.name)
    if stated is None:
        return [Check("differs", str(params), f"{PAGE} does not state a checksum of the settings")]
    differences = []
    if (found := sha256(params)) != stated:
        differences.append(f"sha256 {found[:12]}…, {PAGE} states {stated[:12]}…")
    try:
        settings = parse_params(read_text(params), str(params))
    except SparseSSPError as error:
        checks = judged(str(params), differences, "checksum as stated")
        return [*checks, Check("note", str(params), f"not valid settings for this code: {error}")]
    return judged(str(params), differences + _plan_differences(result, settings, runs), f"as stated by {PAGE}")


def _plan_differences(result: Committed, settings: Params, runs: list[str]) -> list[str]:
    planned = {*settings.experiments, *map(linear_regression, settings.ratios), Z_PROFILE}
    differences = [f"scores.csv has the run {name}, which is not planned" for name in runs if name not in planned]
    seeds = ", ".join(map(str, settings.seeds))
    if (stated := result.facts().get("seeds", seeds)) != seeds:
        differences.append(f"seeds {seeds}, {PAGE} states {stated}")
    return differences


def check_figures(result: Committed) -> list[Check]:
    """Check that every picture of the page is present."""
    names = sorted({name for name in _PICTURE.findall(result.page) if "://" not in name})
    missing = [f"{name} is missing" for name in names if not (result.report / name).is_file()]
    return judged(f"pictures of {PAGE}", missing, f"{len(names)} files")


def check_lock(lock: Path, root: Path) -> list[Check]:
    """Compare the code, inputs and outputs of the stages code and report with dvc.lock; absent files are skipped."""
    try:
        stages = parse_yaml(read_text(lock), str(lock))["stages"]
        entries = [item for name in ("code", "report") for kind in ("deps", "outs") for item in stages[name][kind]]
        expected = {item["path"]: item["md5"] for item in entries}
    except (KeyError, TypeError):
        raise SparseSSPError(f"{lock}: stages code and report with their files are missing") from None
    present = [name for name in expected if (root / name).exists()]
    differences = [f"{name} has another checksum" for name in present if md5(root / name) != expected[name]]
    # The report is committed, except for its timings; artifacts are not.
    committed = [name for name in expected if name.startswith("reports/") and not name.startswith("reports/timings")]
    differences += [f"{name} is missing" for name in committed if name not in present]
    return judged(str(lock), differences, f"{len(present)} of {len(expected)} files and folders are present and equal")


def md5(path: Path) -> str:
    """Return the checksum of a file or folder as DVC computes it."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = [
        {"md5": md5(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    ]
    listing = json.dumps(sorted(files, key=lambda item: item["relpath"]), sort_keys=True)
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir"
