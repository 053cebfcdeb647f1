"""Keeper of dvc.lock: puts it back when DVC was killed in the middle of writing it.

DVC writes dvc.lock in place, after each stage; killed in that moment, it leaves half a file, which it then refuses to
read. So each stage copies dvc.lock, which nobody writes while the stage runs, and starts a keeper, which outlives
both and acts when DVC is gone. What the copy lacks, the last stage's entry, DVC finds again in its cache.

Example:
  python -m pipeline.keeper              look at once, and mend
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_PAUSE = 0.1  # s, between two looks
_PATIENCE = 10.0  # s, for another DVC that holds its lock


def start(root: Path, locks: Path, dvc: int) -> None:
    """Copy dvc.lock below `root`, and keep it until the process `dvc` is gone; one keeper is enough for each."""
    with _held(root, "lock") as free:
        text = _read(root / "dvc.lock")
        if free and _entries(text) is not None and text != _read(_copy(root)):
            _replace(_copy(root), text)
    # Out of the process group and the tree of DVC, so that what kills them spares it.
    subprocess.run(
        [sys.executable, "-m", "pipeline.keeper", str(locks / f"keeper-{dvc}"), str(dvc)],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def mend(root: Path, since_copy: bool = False) -> list[str]:
    """Put dvc.lock back if it is not whole, and remove DVC's note of who reads what if it is torn or all are dead.

    Args:
        root: Folder of dvc.yaml.
        since_copy: Nobody but DVC has changed dvc.lock since it was copied; then a stage that it lacks was cut off too.

    Returns:
        What was done, a line each.
    """
    done = []
    with _held(root, "rwlock.lock") as free:
        rwlock = _tmp(root) / "rwlock"
        if free and rwlock.is_file() and _claimed_in_vain(_read(rwlock)):
            rwlock.unlink()
            done.append(f"removed {rwlock}, in which no living process claims a file")
    with _held(root, "lock") as free:
        have, kept = _entries(_read(root / "dvc.lock")), _entries(_read(_copy(root)))
        if free and kept is not None and (have is None or (since_copy and not kept <= have)):
            _replace(root / "dvc.lock", _read(_copy(root)))
            done.append("put dvc.lock back, which was cut short")
    return done


def _tmp(root: Path) -> Path:
    return root / ".dvc" / "tmp"


def _copy(root: Path) -> Path:
    return _tmp(root) / "dvc.lock.kept"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _claimed_in_vain(text: str) -> bool:
    """Whether a note of DVC's is torn, or names dead processes only: a new one may come to have the number of one."""
    try:
        note = json.loads(text)
        readers = [info["pid"] for infos in note.get("read", {}).values() for info in infos]
        writers = [info["pid"] for info in note.get("write", {}).values()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return True
    return bool(readers or writers) and not any(map(_alive, {*readers, *writers}))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _entries(text: str) -> set[str] | None:
    """Names of the stages in the text of a dvc.lock, None if it is cut short."""
    from ruamel.yaml import YAML, YAMLError  # not needed while the keeper waits

    try:
        stages = YAML(typ="safe").load(text)["stages"]
        if not text.endswith("\n") or not all(out["md5"] for entry in stages.values() for out in entry["outs"]):
            return None
    except (YAMLError, KeyError, TypeError, AttributeError):
        return None
    return set(stages)


@contextmanager
def _held(root: Path, name: str) -> Iterator[bool]:
    """Hold one of DVC's own locks, which it holds whenever it writes; gives whether it could be had in time."""
    with (_tmp(root) / name).open("a") as stream:
        until = time.monotonic() + _PATIENCE
        while not (free := _lock(stream)) and time.monotonic() < until:
            time.sleep(_PAUSE)
        yield free


def _lock(stream: TextIO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(pid: int) -> None:
    """Return when a process is gone, at once where the system tells of it."""
    try:
        import select

        select.select([os.pidfd_open(pid)], [], [])
    except AttributeError:  # not Linux
        while _alive(pid):
            time.sleep(_PAUSE)
    except ProcessLookupError:
        return


def _keep(mark: Path, pid: int) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    with mark.open("a") as stream:
        if _lock(stream):
            _wait(pid)
            mend(Path.cwd(), since_copy=True)
            mark.unlink(missing_ok=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _keep(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        print("\n".join(mend(Path.cwd())) or "nothing to mend")
