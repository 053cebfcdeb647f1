"""Bring one large file from the first of several sources that can give it: resumed, verified, whole.

Bytes that have come wait beside the target as `.NAME.part`, with the ETag and the size of the file
they belong to in `.NAME.part.json`, so that the next attempt, or the next run, asks for the rest only.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from sparsessp.data.allencell.sources import local_path
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import write_text

_CHUNK = 1 << 15  # the most that a lost connection takes with it, bytes
_LONGEST_WAIT = 600.0  # s; a server that asks for more is asked again after this
# A tar.gz that the server declares as encoded must come as it is, or its size and sum are another file's.
_HEADERS = {"Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Patience:
    """How long to bear with a source.

    Attributes:
        attempts: Requests in a row that bring nothing new, until the next source is tried.
        pause: Seconds before the second of them; doubled for each one after it.
        timeout: Seconds without an answer, and without a byte, that end an attempt.
    """

    attempts: int = 6
    pause: float = 2.0
    timeout: tuple[float, float] = (15.0, 60.0)


PATIENCE = Patience()


@dataclass(frozen=True)
class Pin:
    """What a file must be.

    Attributes:
        sha256: Its sum, in hex.
        origin: Who says so and what to do if the file has rightly changed, for an error.
        bytes: Its size, if known; a source with another size is then refused before it is read.
    """

    sha256: str
    origin: str
    bytes: int | None = None


@dataclass(frozen=True)
class Fetched:
    """A file that is whole and, if it was pinned, the right one.

    Attributes:
        path: Where it is.
        sha256: Its sum, in hex.
        bytes: Its size.
        downloaded: It is a copy at the target, not a file of the user's own, used where it lies.
        source: Where it came from; None for a copy that was at the target already.
    """

    path: Path
    sha256: str
    bytes: int
    downloaded: bool
    source: str | None = field(default=None, compare=False)


class _Useless(Exception):
    """The source cannot give the file."""


class _Again(Exception):
    """The source may do better after `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


class _Partial:
    """The bytes of a file that have come so far, and what is known of the whole."""

    def __init__(self, target: Path):
        self.path = target.with_name(f".{target.name}.part")
        self._state = target.with_name(f".{target.name}.part.json")
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            self.etag, self.size = state["etag"], state["size"]
        except (FileNotFoundError, ValueError):
            self.etag, self.size = None, None

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def resumable(self) -> int:
        """How many of the bytes the next run can use."""
        return self.bytes if self.etag else 0

    def discard(self) -> None:
        self.etag, self.size = None, None
        # In this order: a state must never stand beside the bytes of another file.
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def begin(self, etag: str | None, size: int | None) -> None:
        """Start from zero. Only a file with a strong ETag and a size can be continued later."""
        self.discard()
        self.size = size
        if size is not None and etag is not None and etag.startswith('"'):
            self.etag = etag
            write_text(self._state, json.dumps({"etag": etag, "size": size}))

    def finish(self, target: Path) -> None:
        os.replace(self.path, target)
        self._state.unlink(missing_ok=True)


def fetch(
    sources: Sequence[str],
    target: Path,
    pin: Pin | None = None,
    patience: Patience = PATIENCE,
    progress: bool = True,
    position: int = 0,
) -> Fetched:
    """Get one file from the first source that has it whole.

    A source on this machine is verified and used where it is. Others are downloaded to `target`,
    which appears in one step, and is used again without asking anybody unless its sum is not the
    pinned one.

    Args:
        sources: URLs (http, https, file) or paths of the same bytes, in the order to try them.
        target: Where a downloaded copy goes; its name stands for the file in messages.
        pin: What the file must be; None accepts any file that is as long as its source says.
        patience: With a source that fails.
        progress: Show a bar with rate and time left, and tell of each retry.
        position: Line of the bar, for downloads side by side.

    Raises:
        SparseSSPError: No source has the file, or the disk does not take it. The message names the
            file, what each source did, and for a wrong file both sums and what to do.
    """
    say = _Say(target.name, progress, position)
    reasons = []
    try:
        for source in sources:
            local = local_path(source)
            try:
                if local is None:
                    return _download(source, target, pin, patience, say)
                return replace(_verify(local, pin, say, downloaded=False), source=source)
            except _Useless as reason:
                reasons.append(f"{source}: {reason}")
        kept = _Partial(target).resumable
    except OSError as error:
        raise SparseSSPError(f"{error.filename or target}: cannot be read or written ({error.strerror})") from error
    explained = "; ".join(reasons) or "none is given"
    hint = f"; {kept} bytes are kept; the next run resumes from there" if kept else ""
    raise SparseSSPError(f"{target.name}: no source gives the file: {explained}{hint}")


def stored(target: Path) -> int:
    """Return how many bytes of `target` are on the disk already, as a whole file or a part of one."""
    return target.stat().st_size if target.is_file() else _Partial(target).resumable


def remote_size(sources: Sequence[str], patience: Patience = PATIENCE) -> int | None:
    """Return the size in bytes that the first source to tell gives, None if none tells."""
    with requests.Session() as session:
        get = partial(session.request, headers=_HEADERS, timeout=patience.timeout, stream=True, allow_redirects=True)
        for source in sources:
            local = local_path(source)
            if local is not None:
                if local.is_file():
                    return local.stat().st_size
                continue
            try:
                with get("HEAD", source) as answer:
                    if answer.status_code == 200 and "Content-Length" in answer.headers:
                        return _length(answer)
                # Some servers refuse HEAD, or send no length with it.
                with get("GET", source, headers={**_HEADERS, "Range": "bytes=0-0"}) as answer:
                    size = _range(answer)[1] if answer.status_code == 206 else _length(answer)
                    if answer.ok and size is not None:
                        return size
            except requests.RequestException:
                continue  # the download itself will say what is wrong
    return None


def require_disk(folder: Path, needed: int, purpose: str) -> str:
    """Check that `needed` more bytes fit into `folder`, which need not exist yet.

    Returns:
        A line that states what is needed and what is free.

    Raises:
        SparseSSPError: They do not fit.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    line = f"{purpose}: needs {needed / 1e9:.2f} GB in {folder}, {free / 1e9:.2f} GB are free"
    if needed > free:
        raise SparseSSPError(f"{line}; make room, or choose another disk or fewer structures")
    return line


class _Say:
    """What the user sees of one file: its bar, and a line for each retry."""

    def __init__(self, name: str, progress: bool, position: int):
        self._name, self._progress, self._position = name, progress, position

    def bar(self, total: int | None, done: int = 0, doing: str = "") -> tqdm:
        """Return a bar of bytes that vanishes when it is closed."""
        return tqdm(
            desc=f"{self._name}{doing}",
            total=total,
            initial=done,
            unit="B",
            unit_scale=True,
            position=self._position,
            leave=False,
            disable=not self._progress,
        )

    def line(self, text: str) -> None:
        if self._progress:
            tqdm.write(f"{self._name}: {text}", file=sys.stderr)


def _verify(path: Path, pin: Pin | None, say: _Say, downloaded: bool) -> Fetched:
    """Sum a file up and compare it with its pin."""
    if not path.is_file():
        raise _Useless("there is no such file")
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file, say.bar(size, doing=", verifying") as bar:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            bar.update(len(chunk))
    found = digest.hexdigest()
    if pin is not None and found != pin.sha256:
        raise _Useless(f"the file's sha256 is {found}, expected is {pin.sha256} ({pin.origin})")
    return Fetched(path, found, size, downloaded)


def _download(url: str, target: Path, pin: Pin | None, patience: Patience, say: _Say) -> Fetched:
    """Get `target` from one URL, or find it there already."""
    if target.is_file():
        try:
            return _verify(target, pin, say, downloaded=True)
        except _Useless as reason:
            say.line(f"{target} is replaced: {reason}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Partial(target)
    resumed = part.resumable > 0
    with requests.Session() as session:
        while True:
            _pull(session, url, part, pin, patience, say)
            try:
                found = _verify(part.path, pin, say, downloaded=True)
                break
            except _Useless as reason:
                part.discard()
                if not resumed:
                    raise
                # The bytes of an earlier attempt may be the bad ones, so this source gets a fresh one.
                say.line(f"starts again from zero: {reason}")
                resumed = False
    part.finish(target)
    return replace(found, path=target, source=url)


def _pull(session: requests.Session, url: str, part: _Partial, pin: Pin | None, patience: Patience, say: _Say) -> None:
    """Ask until all bytes are there, or too many requests in a row have brought no new one."""
    failures, furthest = 0, part.bytes
    while True:
        try:
            return _request(session, url, part, pin, patience.timeout, say)
        except _Again as reason:
            failures = failures + 1 if part.bytes <= furthest else 1
            furthest = max(furthest, part.bytes)
            if failures >= patience.attempts:
                raise _Useless(f"{reason}; tried {failures} times without getting further") from None
            wait = min(max(reason.wait, patience.pause * 2 ** (failures - 1)), _LONGEST_WAIT)
            say.line(f"{reason}; again in {wait:.0f} s")
            time.sleep(wait)


def _request(
    session: requests.Session, url: str, part: _Partial, pin: Pin | None, timeout: tuple[float, float], say: _Say
) -> None:
    """Ask once for the bytes that are missing, and append them."""
    if part.bytes and part.bytes == part.size:
        return  # an earlier run ended before it could verify them
    headers = dict(_HEADERS)
    if part.bytes and part.etag:
        headers |= {"Range": f"bytes={part.bytes}-", "If-Range": part.etag}
    try:
        with session.get(url, headers=headers, timeout=timeout, stream=True) as answer:
            _accept(answer, part, pin)
            with part.path.open("ab") as file, say.bar(part.size, part.bytes) as bar:
                for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                    file.write(chunk)
                    bar.update(len(chunk))
    except requests.RequestException as error:
        raise _Again(f"no answer ({error})") from None
    except HTTPError:  # of the body, which urllib3 reads; in some versions it takes a short one for whole
        if part.size is None:
            raise _Again(f"the file breaks off after {part.bytes} bytes, of an unknown number") from None
    if part.size is not None and part.bytes < part.size:
        raise _Again(f"the file breaks off after {part.bytes} of {part.size} bytes")


def _accept(answer: requests.Response, part: _Partial, pin: Pin | None) -> None:
    """Check the head of an answer, and make the partial file ready for its body."""
    status = f"HTTP {answer.status_code} {answer.reason}"
    if answer.status_code == 429 or answer.status_code >= 500:
        raise _Again(status, _retry_after(answer))
    if answer.status_code == 416:
        part.discard()
        raise _Again(f"{status}: the file has changed")
    if answer.status_code not in (200, 206):
        raise _Useless(status)
    etag = answer.headers.get("ETag")
    if answer.status_code == 206:
        if (*_range(answer), etag) != (part.bytes, part.size, part.etag):
            part.discard()
            raise _Again("the file has changed since the last attempt")
        return
    size = _length(answer)
    if pin is not None and None not in (size, pin.bytes) and size != pin.bytes:
        raise _Useless(f"the file has {size} bytes, expected are {pin.bytes} ({pin.origin})")
    part.begin(etag, size)


def _length(answer: requests.Response) -> int | None:
    value = answer.headers.get("Content-Length", "")
    return int(value) if value.isdigit() else None


def _range(answer: requests.Response) -> tuple[int | None, int | None]:
    """First byte of a partial answer, and size of the whole."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    return (int(found[1]), int(found[2])) if found else (None, None)


def _retry_after(answer: requests.Response) -> float:
    """Seconds that the server asks to wait, 0 if it does not say."""
    value = answer.headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (when - datetime.now(when.tzinfo)).total_seconds())
