"""Run the pipeline with several experiments at a time.

DVC runs the stages up to resample. Workers, which import torch once, run each training and evaluation that is not up to
date. DVC records the results and runs the remaining stages. The result equals that of plain `dvc repro`, which has
nothing to do afterwards.

If an experiment fails, the others continue: the report names it, and the exit status is 1. After Ctrl-C or a kill, run
the command again: finished experiments are kept, and trainings resume from their last validation.

Examples:
  python -m pipeline.run_plan                 a worker for each core
  python -m pipeline.run_plan --workers 1     plain `dvc repro`, one stage after another
  python -m pipeline.run_plan --gpus 0,1 --workers 4                  two workers on each of two GPUs
  python -m pipeline.run_plan --gpus 0,1,2,3 --gpus-per-run 2         two workers, each with two GPUs for one training
  python -m pipeline.run_plan --provider cluster.yaml --workers 16    at most 16 jobs of a cluster at a time
  python -m pipeline.run_plan --simulate 1,8,64,512                   how long the plan takes on so many GPUs
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import states
from pipeline.commands import command
from pipeline.paths import LOCKS, REPORTS
from pipeline.plan.params import Params, read_params
from pipeline.ranks import RANKS, wanted_ranks
from pipeline.run_plan.jobs import BIN, Job, Outcome, log
from pipeline.run_plan.progress import Progress, duration
from pipeline.run_plan.recording import Pipeline
from pipeline.run_plan.worker import costs, work
from sparsessp.errors import SparseSSPError
from sparsessp.schema import Z_PROFILE, linear_regression
from sparsessp.support.command_line import main
from sparsessp.support.processes import exclusive_lock

if TYPE_CHECKING:
    from parsl.config import Config

_PAUSE = 1.0  # s, between two looks at the running jobs


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def repro(*arguments: str) -> bool:
    """Run `dvc repro`; returns whether it succeeded. The DVC of a runner that was killed may still hold the lock."""
    return subprocess.run(["dvc", "--wait-for-lock", "repro", *arguments]).returncode == 0


def chains(params: Params) -> dict[str, tuple[str, ...]]:
    """Return the stages that a worker runs one after the other, by name of the experiment or reference."""
    found: dict[str, tuple[str, ...]] = {name: (f"train@{name}", f"evaluate@{name}") for name in params.experiments}
    found |= {linear_regression(ratio): (f"linear_regression@{ratio}",) for ratio in params.ratios}
    return {**found, Z_PROFILE: ("z_profile",)}


def run_jobs(
    jobs: Sequence[Job], experiments: Sequence[str], config: Config, count: int, pipeline: Pipeline
) -> dict[str, str]:
    """Run jobs in workers, the longest first, and keep the results of each as it finishes.

    Args:
        jobs: What to run.
        experiments: Names of the jobs that are trainings.
        config: Parsl's configuration of the workers.
        count: Number of workers.
        pipeline: Keeps the results.

    Returns:
        Why jobs failed, by name.
    """
    from pipeline.run_plan.engine import lost, workers

    failed: dict[str, str] = {}
    with workers(config) as pool:
        estimated = pool.result(pool.submit(costs, experiments))
        estimated |= {job.name: 0.0 for job in jobs if job.name not in estimated}
        progress = Progress(estimated, count)
        order = sorted(jobs, key=lambda job: -estimated[job.name])
        waiting = {pool.submit(work, job): job.name for job in order}
        while waiting:
            pool.check()
            for future in wait(waiting, _PAUSE, FIRST_COMPLETED).done:
                name = waiting.pop(future)
                error = future.exception()
                outcome = future.result() if error is None else Outcome((), lost(error), 0.0)
                reason = outcome.reason
                for stage in outcome.done:
                    if (changed := pipeline.keep(stage)) is not None:
                        reason = f"{changed} changed while the plan ran, so the result was not recorded; run it again"
                        break
                outcome = Outcome(outcome.done, reason, outcome.seconds)
                progress.finished(name, outcome)
                if reason is not None:
                    failed[name] = reason
            progress.running()
    return failed


@contextmanager
def _interruptible() -> Iterator[None]:
    """Treat a request to terminate as Ctrl-C, which a shell's background job would ignore."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def headline() -> str:
    """Return the first lines of the report: the data, the main scores and what is missing."""
    lines = (REPORTS / "README.md").read_text(encoding="utf-8").replace("**", "").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("Results")), 0)
    end = next((i for i, line in enumerate(lines) if line.startswith("|")), len(lines))
    return "\n".join(lines[start:end]).strip()


class _Clock:
    """How long each part took."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.parts: list[str] = []

    def part(self, name: str) -> None:
        now = time.monotonic()
        self.parts.append(f"{name} {duration(now - self._last)}")
        self._last = now


def run_plan(params: Params, config: Config, count: int, clock: _Clock) -> bool:
    """Run every stage; returns whether all succeeded. The report is written in any case, if there is data."""
    if not repro("split", *(f"resample@{ratio}" for ratio in params.ratios)):
        return False
    pipeline = Pipeline()
    planned = chains(params)
    jobs = pipeline.unfinished(planned)
    clock.part("data")
    experiments = [job.name for job in jobs if job.name in params.experiments]
    print(
        f"{len(experiments)} of {len(params.experiments)} experiments to run, "
        f"{len(jobs) - len(experiments)} of {len(planned) - len(params.experiments)} references, {count} at a time",
        flush=True,
    )
    failed = run_jobs(jobs, experiments, config, count, pipeline) if jobs else {}
    pipeline.record()
    clock.part("experiments")
    # Plain `dvc repro` would run what failed once more.
    complete = repro() if not failed else repro("--single-item", "profile") and False
    if not complete:
        repro("--single-item", "report")
    clock.part("profile and report")
    if failed:
        print(
            "\n".join([f"{len(failed)} failed:", *(f"  {name}: {why} ({log(name)})" for name, why in failed.items())])
        )
    return complete


def _counts(text: str) -> tuple[int, ...]:
    """Parse positive numbers that are separated by commas."""
    parts = text.split(",")
    if not all(part.isdigit() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: numbers from 1, separated by commas, such as 1,8,64")
    return tuple(map(int, parts))


def _count(text: str) -> int:
    """Parse a number from 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: numbers from 1")
    return int(text)


def _gpus(text: str) -> tuple[str, ...]:
    """Parse numbers of GPUs that are separated by commas."""
    parts = tuple(text.split(","))
    if not all(part.isdigit() for part in parts) or len(set(parts)) < len(parts):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: different numbers of GPUs, such as 0,1")
    return parts


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = command("run_plan", __doc__)
    parser.add_argument("--workers", type=int, help="experiments at a time (default: as many as cores, or GPUs, allow)")
    parser.add_argument("--gpus", type=_gpus, default=(), help="GPUs to use, such as 0,1; workers are spread over them")
    parser.add_argument(
        "--gpus-per-run",
        type=_count,
        metavar="N",
        help=f"processes that share each training, with a GPU each, or a core (default: {RANKS}, or 1)",
    )
    parser.add_argument("--provider", type=Path, metavar="FILE", help="YAML file of a cluster (docs/cluster.md)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="print the order of jobs and the script of a worker")
    instead.add_argument("--print-script", action="store_true", help="print one sbatch array that runs all jobs")
    instead.add_argument("--simulate", type=_counts, metavar="N,N", help="print how long N GPUs would take")
    options = parser.parse_args(arguments)
    if options.gpus and options.provider:
        parser.error("--gpus is for this machine; with --provider, the scheduler assigns GPUs")
    if options.gpus_per_run is not None:
        os.environ[RANKS] = str(options.gpus_per_run)  # of the train stage, here and in every worker
    if len(options.gpus) % wanted_ranks():
        raise SparseSSPError(
            f"--gpus = {','.join(options.gpus)}: not divisible into groups of {wanted_ranks()} GPUs per run"
        )
    if options.workers is None:
        options.workers = max(1, (len(options.gpus) or cores()) // wanted_ranks())
    if options.workers < 1:
        raise SparseSSPError(f"--workers = {options.workers}; allowed: 1 or more")
    return options


def _config(options: argparse.Namespace) -> Config:
    """Return the configuration of Parsl."""
    try:
        from pipeline.run_plan import cluster, engine
    except ModuleNotFoundError as error:
        raise SparseSSPError(
            f"{error.name} is not installed; several workers need it: pip install -e '.[cluster]', or use --workers 1"
        ) from None
    if options.provider:
        return engine.on_cluster(options.workers, cluster.read_cluster(options.provider))
    return engine.local(options.workers, options.gpus)


def _preview(options: argparse.Namespace, params: Params) -> str | None:
    """Return what to print instead of running, if that was asked for."""
    if not (options.dry_run or options.print_script or options.simulate):
        return None
    from pipeline.run_plan import cluster, preview

    chosen = cluster.read_cluster(options.provider) if options.provider else None
    if options.dry_run:
        return preview.dry_run(params, chains(params), chosen)
    if options.print_script:
        return preview.print_script(params, chains(params), chosen)
    return preview.simulation(params, options.simulate)


def run(arguments: Sequence[str]) -> None:
    """Run the plan, then say where its results are."""
    options = _options(arguments)
    params = read_params()
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    if (text := _preview(options, params)) is not None:
        print(text)
        return
    plain = options.workers == 1 and not options.gpus and not options.provider
    config = None if plain else _config(options)
    clock = _Clock()
    with _interruptible(), exclusive_lock(LOCKS / "run_plan"):
        if config is None:
            complete = repro("--keep-going") or (repro("--single-item", "report") and False)
            clock.part("all stages")
        else:
            complete = run_plan(params, config, options.workers, clock)
    if (REPORTS / "README.md").is_file():
        print(f"\n{headline()}\n\nOpen {REPORTS}/index.html in a browser, or read {REPORTS}/README.md.")
    print(f"Time: {', '.join(clock.parts)}.")
    if notice := states.unused(states.folders()):
        print(notice)
    if not complete:
        sys.exit(1)


if __name__ == "__main__":
    main(run, sys.argv[1:])
