"""Run the pipeline with several experiments at a time, each by its own `dvc repro` with one torch thread.

The result equals that of plain `dvc repro`, which has nothing to do afterwards. A failed experiment does not stop the
others: the report names it, and the exit status is 1. After Ctrl-C, run it again: finished stages are kept, and
trainings resume from their last validation.

Examples:
  python -m pipeline.run_plan                 as many experiments at a time as there are cores
  python -m pipeline.run_plan --workers 1     plain `dvc repro`, one stage after another
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.commands import command
from pipeline.paths import ARTIFACTS, REPORTS
from pipeline.plan.params import Params, read_params
from pipeline.running import failure
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import main

LOGS = ARTIFACTS / "logs"
_PAUSE = 0.2  # s, between two looks at the running experiments
_GRACE = 10.0  # s, for them to end after Ctrl-C
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def repro(*arguments: str) -> int:
    """Run `dvc repro` and return its exit status."""
    return subprocess.run(["dvc", "repro", *arguments]).returncode


def stages(name: str) -> tuple[str, str]:
    """Return the stages of an experiment, in order."""
    return f"train@{name}", f"evaluate@{name}"


def outdated(experiments: Sequence[str]) -> list[str]:
    """Return the experiments that have something to run, as `dvc status` finds them."""
    wanted = [stage for name in experiments for stage in stages(name)]
    found = subprocess.run(["dvc", "status", "--json", *wanted], capture_output=True, text=True)
    if found.returncode:
        raise SparseSSPError(f"dvc status failed:\n{found.stderr.strip()}")
    return [name for name in experiments if any(f'"{stage}"' in found.stdout for stage in stages(name))]


def run_experiments(experiments: Sequence[str], workers: int) -> dict[str, str]:
    """Run the stages of each experiment, several experiments at a time.

    Args:
        experiments: Names, in the order in which they are started.
        workers: Experiments at a time.

    Returns:
        Why experiments failed, by name.

    Raises:
        KeyboardInterrupt: After the running experiments have ended.
    """
    waiting, running, failed, start = list(experiments), {}, {}, time.monotonic()
    with _interruptible(running):
        while waiting or running:
            while waiting and len(running) < workers:
                name = waiting.pop(0)
                running[name] = _start(name)
            time.sleep(_PAUSE)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                if running.pop(name).returncode:
                    failed[name] = (failure(*stages(name)) or f"see {_log(name)}").strip()
                done = len(experiments) - len(waiting) - len(running)
                passed = time.monotonic() - start
                left = passed / done * (len(experiments) - done)
                outcome = f"failed: {failed[name]}" if name in failed else "done"
                at = f"{passed:.0f} s, about {left:.0f} s left"
                print(f"[{done}/{len(experiments)}] {name} {outcome} ({at})", flush=True)
    return failed


def _log(name: str) -> Path:
    return LOGS / f"{name}.txt"


def _start(name: str) -> subprocess.Popen[bytes]:
    """Start the stages of an experiment in a process group of their own, which Ctrl-C in a terminal does not reach."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with _log(name).open("wb") as log:
        return subprocess.Popen(
            ["dvc", "--wait-for-lock", "repro", "--single-item", *stages(name)],
            env={**os.environ, **_ONE_THREAD},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


@contextmanager
def _interruptible(running: Mapping[str, subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass Ctrl-C or a request to terminate on to the running experiments, and wait until they have ended."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # one is enough
        for number in (signal.SIGINT, signal.SIGKILL):
            for process in running.values():
                if process.poll() is None:
                    os.killpg(process.pid, number)
            until = time.monotonic() + _GRACE
            while time.monotonic() < until and any(process.poll() is None for process in running.values()):
                time.sleep(_PAUSE)
        for number, handler in before.items():
            signal.signal(number, handler)


def headline() -> str:
    """Return the first lines of the report: the data, the main scores and what is missing."""
    lines = (REPORTS / "README.md").read_text(encoding="utf-8").replace("**", "").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("Results")), 0)
    end = next((i for i, line in enumerate(lines) if line.startswith("|")), len(lines))
    return "\n".join(lines[start:end]).strip()


def run_plan(params: Params, workers: int) -> bool:
    """Run every stage; returns whether all succeeded. The report is written in any case, if there is data."""
    if workers == 1:
        return repro("--keep-going") == 0 or (repro("--single-item", "report") and False)
    if repro("split", *(f"resample@{ratio}" for ratio in params.ratios)):
        return False
    experiments = outdated(list(params.experiments))
    print(f"{len(experiments)} of {len(params.experiments)} experiments to run, {workers} at a time", flush=True)
    failed = run_experiments(experiments, workers)
    if not failed:
        return repro("--keep-going") == 0 or (repro("--single-item", "report") and False)
    # Plain `dvc repro` would run what failed once more.
    rest = [*(f"linear_regression@{ratio}" for ratio in params.ratios), "z_profile", "profile"]
    repro("--keep-going", *rest)
    repro("--single-item", "report")
    print("\n".join([f"{len(failed)} experiments failed:", *(f"  {name}, see {_log(name)}" for name in failed)]))
    return False


def run(arguments: Sequence[str]) -> None:
    """Run the plan, then say where its results are."""
    parser = command("run_plan", __doc__)
    parser.add_argument("--workers", type=int, default=cores(), help="experiments at a time (default %(default)s)")
    workers = parser.parse_args(arguments).workers
    if workers < 1:
        raise SparseSSPError(f"--workers = {workers}; allowed: 1 or more")
    complete = run_plan(read_params(), workers)
    if (REPORTS / "README.md").is_file():
        print(f"\n{headline()}\n\nOpen {REPORTS}/index.html in a browser, or read {REPORTS}/README.md.")
    if not complete:
        sys.exit(1)


if __name__ == "__main__":
    main(run, sys.argv[1:])
