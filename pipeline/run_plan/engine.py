"""The workers, on Parsl: processes that stay and run one job after another.

Each worker has a pool to itself, see `pipeline.run_plan.pool`, so that a killed worker never blocks another.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost
from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
from parsl.jobs.errors import TooManyJobFailuresError
from parsl.jobs.states import JobState, JobStatus
from parsl.launchers.base import Launcher
from parsl.providers import LocalProvider
from parsl.providers.base import ExecutionProvider

from pipeline import states
from pipeline.paths import LOCKS
from pipeline.ranks import wanted_ranks
from pipeline.run_plan.cluster import Cluster, environment, provider
from pipeline.run_plan.jobs import LOGS, Job
from pipeline.run_plan.pool import GPUS, HEAD, LOST, SLOTS
from sparsessp.errors import SparseSSPError

_RETRIES = 3  # of a job whose worker was lost; see Losses
_HEARTBEAT = 5  # s between two signs of life of a pool
_LOST = 60  # s without one after which a pool counts as lost; on a busy machine, 10 s pass without one
_CHECK = 2  # s between two looks at the pools
_FAILED_STARTS = 3  # of pools in a row, after which the workers are given up
POOL = "python -m pipeline.run_plan.pool"
_LAUNCH = DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", POOL, 1)


class _Cleaning(Launcher):
    """Starts a pool and, once it has run, kills what it left in its process group."""

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int, script_dir: str = "") -> str:
        return f"{command}\ncode=$?\ncase $code in {LOST}|137) kill -KILL 0;; esac\nexit $code"


class Losses:
    """What the loss of a worker costs its job of the retries.

    Nothing, if the training has saved a state since the last loss: a walltime shorter than a training only delays it.
    """

    def __init__(self) -> None:
        self._saved: dict[str, float] = {}

    def __call__(self, _: Exception, task: Mapping[str, Any]) -> int:
        """Return 0 if the job of a task has made progress, else 1."""
        for job in task["args"]:
            if isinstance(job, Job):
                before, self._saved[job.name] = self._saved.get(job.name, 0.0), states.last_saved(job.name)
                progress = self._saved[job.name] > before
                count = (
                    "its training made progress" if progress else f"{task['fail_cost'] + 1} of {_RETRIES + 1} losses"
                )
                print(f"{job.name} lost its worker: {count}", flush=True)
                return 0 if progress else 1
        return 1


def lost(error: BaseException) -> str:
    """Return why a job has no outcome."""
    if isinstance(error, (ManagerLost, WorkerLost)):
        return (
            f"its worker was lost {_RETRIES + 1} times while its training made no progress: killed, out of memory, or "
            "over its walltime"
        )
    return f"no worker could run it ({error})"


class _FailedStarts:
    """Gives the workers up if the last pools failed before they were connected; killed ones do not count."""

    def __init__(self) -> None:
        self._connected: set[str] = set()

    def __call__(self, executor: HighThroughputExecutor, status: Mapping[str, JobStatus]) -> None:
        self._connected |= set(executor.connected_blocks())
        last = [block for block in sorted(status, key=int) if status[block].state == JobState.FAILED][-_FAILED_STARTS:]
        if len(last) == _FAILED_STARTS and not self._connected & set(last):
            said = status[last[-1]].stderr_summary or "no message"
            executor.set_bad_state_and_fail_all(TooManyJobFailuresError(f"workers do not start: {said}"))


def local(workers: int, gpus: Sequence[str] = ()) -> Config:
    """Workers on this machine, with one thread each.

    Args:
        workers: Number of workers.
        gpus: GPUs that they share, in groups for one training each; all of the machine's if empty.
    """
    setup = [environment(threads=1), f"export {HEAD}={os.getpid()}"]
    if gpus:
        groups = [",".join(gpus[first : first + wanted_ranks()]) for first in range(0, len(gpus), wanted_ranks())]
        setup.append(f"export {GPUS}={':'.join(groups)} {SLOTS}={shlex.quote(str(LOCKS / 'gpus'))}")
    made = LocalProvider(
        init_blocks=workers, min_blocks=0, max_blocks=workers, worker_init="\n".join(setup), launcher=_Cleaning()
    )
    return _config(made, address="127.0.0.1")


def on_cluster(workers: int, cluster: Cluster) -> Config:
    """Workers that are jobs of a scheduler."""
    return _config(provider(cluster, workers), address=None)


def _config(provider: ExecutionProvider, address: str | None) -> Config:
    executor = HighThroughputExecutor(
        label="workers",
        address=address,
        launch_cmd=_LAUNCH,
        interchange_launch_cmd=[sys.executable, "-m", "pipeline.run_plan.interchange"],
        max_workers_per_node=1,
        cores_per_worker=1e-6,  # a worker whatever the number of cores
        heartbeat_period=_HEARTBEAT,
        heartbeat_threshold=_LOST,
        block_error_handler=_FailedStarts(),
        encrypted=True,  # else any user of this machine could send jobs
        provider=provider,
    )
    return Config(
        executors=[executor],
        retries=_RETRIES,
        retry_handler=Losses(),
        strategy="simple",
        strategy_period=_CHECK,
        max_idletime=float("inf"),
        run_dir=str(LOGS / "parsl"),
        initialize_logging=False,
    )


class Workers:
    """Processes that call functions."""

    def __init__(self, config: Config):
        shutil.rmtree(LOGS / "parsl", ignore_errors=True)
        self._kernel = parsl.load(config)
        self._interchange = config.executors[0].interchange_proc

    def submit(self, function: Callable, *arguments: object) -> Future:
        """Call a function in one of the workers."""
        return self._kernel.submit(
            function, app_args=arguments, executors="all", cache=False, ignore_for_cache=None, app_kwargs={}
        )

    def check(self) -> None:
        """Make sure that results can still arrive.

        Raises:
            SparseSSPError: The process between this one and the workers has ended.
        """
        if self._interchange.poll() is not None:
            raise SparseSSPError("Parsl's interchange ended or was killed; run the command again, which resumes")

    def result(self, future: Future) -> Any:
        """Wait for the result of a call."""
        while not wait([future], _CHECK).done:
            self.check()
        return future.result()

    def close(self) -> None:
        """Stop the workers."""
        self._kernel.cleanup()


@contextmanager
def workers(config: Config) -> Iterator[Workers]:
    """Start workers; at the end they are stopped."""
    started = Workers(config)
    try:
        yield started
    finally:
        started.close()
