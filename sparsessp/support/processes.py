"""Processes that end with the one that started them, and never two that do the same work."""

import fcntl
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil

_PAUSE = 0.2  # s, between two looks at the parents
_GRACE = 1.0  # s, in which the workers of a process that is gone end too
_SHELLS = {"sh", "dash", "bash", "zsh", "fish", "ksh", "ash", "busybox"}


def end_with_parent() -> None:
    """End this process, whatever it is doing, as soon as its parent is gone: killed, it can tell nobody.

    A shell between the two, started to run this one command, counts for its own parent.
    """
    worker_of = multiprocessing.parent_process()
    parents = _parents()

    def wait() -> None:
        if worker_of is not None:
            worker_of.join()
        while worker_of is None and _parents() == parents:
            time.sleep(_PAUSE)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def orphaned() -> bool:
    """Return whether the process that started this one, itself or through a shell, is gone.

    The process that adopts an orphan belongs to another process group.
    """
    try:
        return os.getpgid(_parents()[-1]) != os.getpgid(0)
    except OSError:
        return True


def _parents() -> tuple[int, ...]:
    parent = os.getppid()
    try:
        process = psutil.Process(parent)
        return (parent, process.ppid()) if process.name() in _SHELLS else (parent,)
    except psutil.NoSuchProcess:
        return (parent,)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Wait until no other process is in this block with the same `path`, a file that is made; a kill frees it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process, which holds {path}", flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
            time.sleep(_GRACE)
        yield
