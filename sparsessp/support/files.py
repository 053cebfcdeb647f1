"""Atomic, durable writing of files, checksums, and errors of the operating system."""

import errno
import hashlib
import os
import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Numbers of errors that mean that a process or the system has run out of something."""
_NOT_THE_FILE = SHORTAGES | {errno.EACCES, errno.EPERM, errno.EIO}
_ERRNO_TEXT = re.compile(r"(?:errno[ =]|\bos error )(\d+)", re.IGNORECASE)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path next to `path`, and rename it to `path` when the block ends without an error.

    A kill or a power failure at any moment leaves either the old file or the new one. A temporary file
    left by a kill is overwritten by the next attempt.

    Raises:
        OSError: The file cannot be written; the error names `path`, and the old file is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        sync(partial)
        os.replace(partial, path)
        sync(path.parent)
    except OSError as error:
        if error.errno is None:  # raised by numpy after a partial write
            raise OSError(errno.ENOSPC, f"only a part was written, {error}", str(path)) from None
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file's contents, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 checksum of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def raise_system_error(error: BaseException, path: Path | None = None, among: Set[int] = _NOT_THE_FILE) -> None:
    """Raise the error of the operating system that a library wrapped in `error`, if there is one.

    Readers catch all errors that a broken file causes in a library. Too many open files, a missing permission or
    a failing disk must not be reported as a broken file. Libraries raise the cause as it is, or keep only its text.

    Args:
        error: Error of the library.
        path: File that was used, if the cause does not name one.
        among: Numbers of the errors to raise.

    Raises:
        OSError: The cause.
    """
    if isinstance(error, OSError) and error.errno is not None:
        found = {error.errno}
    else:
        text = str(error)
        found = {int(number) for number in _ERRNO_TEXT.findall(text)}
        found |= {number for number in among if f"{os.strerror(number)} ({number})" in text}
    for number in among & found:
        name = getattr(error, "filename", None) or path
        raise OSError(number, os.strerror(number), None if name is None else str(name)) from error
