"""The workers, on Parsl: processes that stay and run one job after another."""

import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

from pipeline.run_plan.jobs import BIN, LOGS
from pipeline.sources import ROOT

_RETRIES = 3  # of a job whose worker is killed. Not reliable: the pool was seen to hang after SIGKILL of a worker.
_HEARTBEAT = 2  # s; a killed worker is noticed after at most so long
_LOST = 30  # s without a heartbeat after which a pool of workers counts as lost
_CHECK = 5  # s between two looks at the pools


def _setup(threads: int) -> str:
    """Shell commands before a pool starts: the environment of its workers."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return "\n".join(
        [
            f"cd '{ROOT}'",
            f"export PATH='{BIN}':\"$PATH\" PYTHONPATH='{ROOT}'",
            *(f"export {name}={threads}" for name in names),
            "export TQDM_MININTERVAL=2",
        ]
    )


def local(workers: int) -> Config:
    """Workers on this machine, with one thread each."""
    executor = HighThroughputExecutor(
        label="workers",
        address="127.0.0.1",
        interchange_launch_cmd=[sys.executable, "-m", "pipeline.run_plan.interchange"],
        max_workers_per_node=workers,
        cores_per_worker=1e-6,  # as many workers as asked for, whatever the number of cores
        heartbeat_period=_HEARTBEAT,
        heartbeat_threshold=_LOST,
        encrypted=True,  # else any user of this machine could send jobs
        provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1, worker_init=_setup(threads=1)),
    )
    return Config(
        executors=[executor],
        retries=_RETRIES,
        strategy="simple",
        strategy_period=_CHECK,
        run_dir=str(LOGS / "parsl"),
        initialize_logging=False,
    )


@contextmanager
def workers(config: Config) -> Iterator[Callable[..., Future]]:
    """Start workers; gives a function that calls a function in one of them. At the end they are stopped."""
    shutil.rmtree(LOGS / "parsl", ignore_errors=True)
    kernel = parsl.load(config)

    def submit(function: Callable, *arguments: object) -> Future:
        return kernel.submit(
            function, app_args=arguments, executors="all", cache=False, ignore_for_cache=None, app_kwargs={}
        )

    try:
        yield submit
    finally:
        kernel.cleanup()
