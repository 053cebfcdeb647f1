"""Provenance of a report: its inputs, and the machine, time and versions of the run."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.paths import SPLIT, VOLUMES
from pipeline.plan.data import FolderSource
from pipeline.plan.params import PARAMS, Params
from sparsessp.reporting.document.model import DASH, Code, Inline
from sparsessp.schema import MANIFEST
from sparsessp.support.files import sha256

PINS = Path("requirements.lock")
# Packages whose version may change a score, and DVC, which runs the pipeline.
PACKAGES = ("torch", "numpy", "scipy", "transformers", "tifffile", "pandas", "dvc")
# Not counted as uncommitted changes: files that a run writes, and settings, whose checksum the report states.
_OWN = (":!reports", ":!dvc.lock", f":!{PARAMS}", ":!pipeline/conf/choice.yaml")


def inputs(params: Params) -> dict[str, Inline]:
    """Return what determines the results: checksums, seeds and pinned versions."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", PINS.read_text(encoding="utf-8"), re.MULTILINE))
    files = {
        f"settings, {PARAMS}": PARAMS,
        f"volumes, {MANIFEST} with the checksum of each": VOLUMES / MANIFEST,
        f"split of the volumes, {SPLIT.name}": SPLIT,
        f"packages, {PINS}": PINS,
    }
    if isinstance(params.data.source, FolderSource):
        files[f"list of the images, {params.data.csv}"] = Path(params.data.source.csv)
    if params.pretrained_run:
        files[f"weights at the start, {params.pretrained_run}"] = Path(params.pretrained_run)
    return {
        **{name: ("sha256 ", Code(sha256(path))) for name, path in files.items()},
        "pinned versions": ", ".join(f"{name} {pins[name]}" for name in PACKAGES if name in pins),
        "seeds": ", ".join(map(str, params.seeds)),
        "everything else": (Code("dvc.lock"), " has the checksum of every input and output, including source files"),
    }


def circumstances() -> dict[str, Inline]:
    """Return where and when the report was written."""
    return {
        "git revision": revision(),
        "report written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "system": f"{platform.system()} {platform.machine()}, {_cores()} CPU cores, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {found}" for name, found in _installed().items()),
    }


def revision() -> Inline:
    """Return the current commit and whether tracked files differ from it, or a dash without git."""
    found = _head()
    return DASH if found is None else (Code(found[0]), ", with uncommitted changes" if found[1] else "")


def commit() -> str | None:
    """Return the same as plain text, or None without git."""
    found = _head()
    return None if found is None else f"{found[0]}{', with uncommitted changes' if found[1] else ''}"


def _head() -> tuple[str, bool] | None:
    try:
        head = _git("rev-parse", "HEAD")
        return head, bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", *_OWN))
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _installed() -> Mapping[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # such as transformers, an optional dependency
    return found
