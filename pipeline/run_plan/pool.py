"""Parsl's worker pool with one worker, made to end when the worker ends, and with the runner.

Parsl's pool starts another worker instead. But a worker that waits for a job holds the lock of the pool's queue; if it
is killed then, the next one waits for this lock for ever. Parsl notices a lost pool and starts another.

The shell script of a pool starts it with `python -m pipeline.run_plan.pool OPTIONS`.
"""

import fcntl
import itertools
import multiprocessing
import os
import runpy
import shutil
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import IO

import psutil

# Environment variables from the runner:
HEAD = "RUN_PLAN_HEAD"  # its process, if it is on this machine
GPUS = "RUN_PLAN_GPUS"  # groups of GPUs to share, such as 0,1:2,3
SLOTS = "RUN_PLAN_GPU_SLOTS"  # folder of the locks that share them
LOST = 3  # exit status after the end of the worker or the runner
_PAUSE = 0.5  # s between two checks


def _end_with_worker() -> None:
    """End this process as soon as one of its children has ended."""
    children: set[multiprocessing.process.BaseProcess] = set()
    while True:
        children |= set(multiprocessing.active_children())
        if not children:
            time.sleep(_PAUSE)
        elif wait([child.sentinel for child in children], _PAUSE):
            os._exit(LOST)


def _end_with(process: psutil.Process) -> None:
    """End this process as soon as another one is gone."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(_PAUSE)
    os._exit(LOST)


def claim_gpu(gpus: Sequence[str], folder: Path) -> str:
    """Return the GPU, or group of GPUs, that the fewest workers use; it counts as used until this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        slot = (folder / str(number)).open("a")
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            slot.close()
            continue
        _claimed.append(slot)
        return gpus[number % len(gpus)]
    raise AssertionError


_claimed: list[IO[str]] = []  # open files, whose locks last as long as they are open


def _watch() -> None:
    Thread(target=_end_with_worker, daemon=True).start()
    if HEAD not in os.environ:
        return
    try:
        head = psutil.Process(int(os.environ[HEAD]))
    except psutil.NoSuchProcess:
        sys.exit("the runner is gone")
    Thread(target=_end_with, args=(head,), daemon=True).start()


if __name__ == "__main__":
    _watch()
    if GPUS in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = claim_gpu(os.environ[GPUS].split(":"), Path(os.environ[SLOTS]))
    script = shutil.which("process_worker_pool.py")
    if script is None:
        sys.exit("process_worker_pool.py, a script of Parsl, is not on PATH")
    runpy.run_path(script, run_name="__main__")
