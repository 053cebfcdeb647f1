"""Hold the environment to requirements.lock, and the lock to what the project needs.

  python tests/audit.py

Every package that the project needs, directly or through another, must be locked, and installed in exactly that
version. Known vulnerabilities are looked up if pip-audit is installed and its database can be reached; if not, the last
line says so.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
TOOLS = {"pip", "setuptools", "wheel"}  # of the environment itself; pip freeze leaves them out
# The wheel of torch decides these, by its own exact pins: none on a CPU, others for each CUDA.
WITH_TORCH = ("nvidia-", "cuda-", "triton")
NOT_LOCKED = {"napari"}  # extras for users that neither pipeline nor tests need


def locked(path=LOCK):
    """Name -> version of each line; a line that pins nothing is a fault."""
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    loose = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[^=*\s]+", line)]
    if loose:
        sys.exit(f"error: {path}: {loose[0]!r} is not NAME==VERSION")
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def declared():
    """The requirements of pyproject.toml with all locked extras, less those that name the project itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    everything = [
        *project["dependencies"],
        *(text for name, texts in project["optional-dependencies"].items() if name not in NOT_LOCKED for text in texts),
    ]
    return [Requirement(text) for text in everything if not text.startswith(project["name"])]


def needed(requirements):
    """What these requirements come to with all that they need in turn, as installed here; and what is missing."""
    found, missing = {}, []
    waiting = [(requirement, "pyproject.toml") for requirement in requirements]
    seen = set()
    while waiting:
        requirement, wanted_by = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in TOOLS or name.startswith(WITH_TORCH) or (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(f"{requirement.name}: needed by {wanted_by}, not installed")
            continue
        found[name] = Version(distribution.version).public
        for text in distribution.requires or ():
            child = Requirement(text)
            extras = {"", *requirement.extras}
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append((child, requirement.name))
    return found, missing


def faults():
    lock = locked()
    have, errors = needed(declared())
    errors += [f"{name}: needed, not in {LOCK.name}" for name in sorted(have.keys() - lock.keys())]
    differ = sorted(name for name in have.keys() & lock.keys() if Version(have[name]) != Version(lock[name]))
    return errors + [f"{name}: {have[name]} is installed, {lock[name]} is locked" for name in differ]


def vulnerabilities():
    """Ask pip-audit; returns its exit status and what there is to say, 0 where it cannot be asked."""
    if not shutil.which("pip-audit"):
        return 0, "known vulnerabilities: not looked up, pip-audit is not installed"
    command = ["pip-audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-r", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode and "ulnerabilit" not in done.stdout + done.stderr:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return 0, f"known vulnerabilities: not looked up, pip-audit failed ({last})"
    return done.returncode, f"known vulnerabilities: {(done.stderr + done.stdout).strip()}"


def main():
    errors = faults()
    for line in errors:
        print(line)
    print(f"{LOCK.name}: {len(locked())} packages, {len(errors)} faults in them or in what is installed")
    status, line = vulnerabilities()
    print(line)
    sys.exit(bool(errors or status))


if __name__ == "__main__":
    main()
