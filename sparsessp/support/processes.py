"""Processes that end with their parent and without delay, and locks between processes."""

import fcntl
import gc
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import psutil

_PAUSE = 0.2  # s between two checks of the parent
_GRACE = 1.0  # s until the workers of a dead process have ended
_SHELLS = {"sh", "dash", "bash", "zsh", "fish", "ksh", "ash", "busybox"}


def keep_imported_objects() -> None:
    """Exclude all objects that exist now from garbage collection, also from that at exit, and turn collection on.

    After the imports of torch these are hundreds of thousands, which live until the end anyway; visiting them takes
    half a second of a short process. Not repeated at exit: Triton would report objects that are not collected as leaks.
    """
    gc.freeze()
    gc.enable()


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect no garbage in this block; for imports of large libraries, whose objects are no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def end_with_parent() -> None:
    """End this process as soon as its parent is gone, even if the parent was killed.

    A shell that was started only to run this command is skipped: its parent counts.
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
    """Hold an exclusive lock between processes on the file `path`, which is created if missing; a kill releases it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that holds the lock {path}", flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
            time.sleep(_GRACE)
        yield


@contextmanager
def exclusive_folder(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes on the folder `path`, which may be removed while it is held.

    The folder is created if missing, and removed at the end if it is empty; a kill releases it.
    """
    handle = _locked_folder(path)
    try:
        yield
    finally:
        with suppress(OSError):  # removed already, or not empty
            if _is_at(handle, path):
                path.rmdir()
        os.close(handle)


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock of `exclusive_folder` on a folder, or the folder is gone."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _locked_folder(path: Path) -> int:
    """Return a handle that locks the folder which now has this path."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # removed by its holder just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that works in {path}", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, path):
            return handle
        os.close(handle)  # its holder removed it


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open folder still has this path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
