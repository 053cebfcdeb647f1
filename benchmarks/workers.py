"""Compare `python -m pipeline.run_plan --workers N` with plain `dvc repro`, which runs one stage after another.

Example:
  python -m benchmarks.workers --workers 2

Both run the same experiments in clones of the last commit, with data and profile made beforehand. The settings of the
environment, such as OMP_NUM_THREADS, apply to both; by default, torch gives a training of `dvc repro` all cores.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sparsessp.support.command_line import main

# Eight of the 47 runs of the demo: two methods in every topology.
SETTINGS = ("scale=demo", "tables=[3]", "methods=[tgnet,dodnet]")


def timed(folder: Path, *command: str) -> float:
    """Run a command in a clone and return its duration in seconds."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=sys.stderr)
    return time.perf_counter() - start


def compare(folder: Path, workers: int, plan: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of plain `dvc repro` and of the workers."""
    serial, parallel = folder / "serial", folder / "parallel"
    timed(folder, "git", "clone", "--quiet", str(Path.cwd()), str(serial))
    timed(serial, sys.executable, "-m", "pipeline.compose", *plan)
    timed(serial, "dvc", "repro", "split", "resample", "profile")
    shutil.copytree(serial, parallel, symlinks=True)
    return (
        timed(serial, "dvc", "repro"),
        timed(parallel, sys.executable, "-m", "pipeline.run_plan", "--workers", str(workers)),
    )


def run(arguments: Sequence[str]) -> None:
    """Print both durations and their ratio."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.workers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2, help="experiments at a time (default %(default)s)")
    parser.add_argument("settings", nargs="*", default=SETTINGS, help=f"plan (default: {' '.join(SETTINGS)})")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sparsessp-workers-") as folder:
        serial, parallel = compare(Path(folder), options.workers, options.settings)
        print(
            f"dvc repro: {serial:.0f} s; {options.workers} workers: {parallel:.0f} s; ratio {parallel / serial:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main(run, sys.argv[1:])
