"""Downloading one large file from the first of several sources that has it, resumed and verified.

Bytes are kept next to the target as `.NAME.part` together with the version of the file that they belong to, so
that the next attempt, or the next run, requests only the rest. The rest is requested on the condition that the file has
not changed: by its strong ETag, otherwise by its date. Where the server gives neither, only the checksum of the
whole file shows whether the parts belong together.
"""

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from sparsessp.data.allencell.http_answers import Version, content_range, length, retry_after, version
from sparsessp.data.allencell.partial_file import PartialFile
from sparsessp.data.allencell.sources import local_path
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import SHORTAGES, raise_system_error

_CHUNK = 1 << 16
_LONGEST_WAIT = 600.0  # s; a server that asks for more is asked again after this
_TRANSIENT = {408, 425, 429}  # timeout, too early, too many requests; and all 5xx
# Without this, a server may send an archive compressed once more, whose size and checksum are those of another file.
_HEADERS = {"Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Patience:
    """How often and how long a source is tried.

    Attributes:
        attempts: Consecutive requests without new bytes after which the next source is tried.
        pause: Seconds before the second of them; doubled before each further one.
        timeout: Seconds to wait for a connection, and for the next bytes.
    """

    attempts: int = 6
    pause: float = 2.0
    timeout: tuple[float, float] = (15.0, 60.0)


PATIENCE = Patience()


@dataclass(frozen=True)
class Pin:
    """The checksum that a file must have.

    Attributes:
        sha256: SHA-256 checksum in hex.
        origin: Where the checksum is from, and what to do if the file has changed for a good reason; for errors.
        bytes: Size, if known; a source with another size is refused before its file is downloaded.
    """

    sha256: str
    origin: str
    bytes: int | None = None


@dataclass(frozen=True)
class Fetched:
    """A complete and verified file.

    Attributes:
        path: Path of the file.
        sha256: SHA-256 checksum in hex.
        bytes: Size.
        downloaded: Whether it is a copy at the target; False for a file of the user, used in place.
        source: Source of the file; None for a copy that was already at the target.
    """

    path: Path
    sha256: str
    bytes: int
    downloaded: bool
    source: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Remote:
    """What a source says about a file before it is downloaded.

    Attributes:
        size: Size in bytes, or None if the source does not give it.
        resumable: Whether a download can be continued after a lost connection.
    """

    size: int | None
    resumable: bool


class _Useless(Exception):
    """The source cannot give the file."""


class _Again(Exception):
    """The source may give the file after `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


def fetch(
    sources: Sequence[str],
    target: Path,
    pin: Pin | None = None,
    patience: Patience = PATIENCE,
    progress: bool = True,
    position: int = 0,
) -> Fetched:
    """Get one file from the first source that has it.

    A local source is verified and used in place. Others are downloaded to `target`, which appears only when it is
    complete. An existing `target` is used again without a request, unless its checksum is wrong.

    Args:
        sources: URLs (http, https, file) or paths of the same file, in the order in which they are tried.
        target: Path of a downloaded copy; its name is the name of the file in messages.
        pin: Expected checksum; without one, any file of the announced size is accepted.
        patience: Retries and timeouts.
        progress: Show a progress bar, and a line for each retry.
        position: Line of the progress bar, for parallel downloads.

    Raises:
        SparseSSPError: No source has the file, or it cannot be read or written. The message names the file and what
            each source answered; for a wrong file, both checksums and what to do.
        OSError: Too many files are open, or memory is exhausted.
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
        kept = PartialFile(target).resumable
    except OSError as error:
        raise_system_error(error, target, SHORTAGES)
        raise SparseSSPError(f"{error.filename or target}: cannot be read or written ({error.strerror})") from error
    explained = "; ".join(reasons) or "no source is given"
    hint = f"; {kept} bytes are kept; the next run resumes from there" if kept else ""
    raise SparseSSPError(f"{target.name}: no source has the file: {explained}{hint}")


def stored(target: Path) -> int:
    """Return how many bytes of `target` are already on the disk, as a complete file or a part of it."""
    return target.stat().st_size if target.is_file() else PartialFile(target).resumable


def remote_size(sources: Sequence[str], patience: Patience = PATIENCE) -> int | None:
    """Return the size in bytes that the first source to give one gives, or None if none does."""
    return probe(sources, patience=patience).size


def probe(sources: Sequence[str], pin: Pin | None = None, patience: Patience = PATIENCE) -> Remote:
    """Ask the sources in order for the size of a file, until one gives it.

    Args:
        sources: As for `fetch`.
        pin: As for `fetch`.
        patience: Timeouts.
    """
    answered = None
    with requests.Session() as session:
        for source in sources:
            local = local_path(source)
            if local is not None:
                if local.is_file():
                    return Remote(local.stat().st_size, True)
                continue
            try:
                remote = _probe(session, source, pin, patience.timeout)
            except requests.RequestException as error:
                raise_system_error(error, among=SHORTAGES)
                continue  # the download itself will report the error
            if remote is not None and remote.size is not None:
                return remote
            answered = answered or remote
    return answered or Remote(None, True)


def _probe(session: requests.Session, url: str, pin: Pin | None, timeout: tuple[float, float]) -> Remote | None:
    """Request the headers, then the first byte unless they say all; None if neither is answered."""
    size = None
    with session.head(url, headers=_HEADERS, timeout=timeout, allow_redirects=True) as answer:
        if answer.status_code == 200:
            size = length(answer.headers)
            parts = answer.headers.get("Accept-Ranges", "").strip().lower()
            if size is not None and parts in ("bytes", "none"):
                return Remote(size, parts == "bytes" and _identified(version(answer.headers), pin))
    # Some servers refuse HEAD, or leave out the size or whether they send parts of files.
    with session.get(url, headers=_HEADERS | {"Range": "bytes=0-0"}, timeout=timeout, stream=True) as answer:
        if answer.status_code == 206:
            return Remote(content_range(answer.headers)[1] or size, _identified(version(answer.headers), pin))
        if answer.ok:
            return Remote(length(answer.headers) or size, False)
    return None if size is None else Remote(size, False)


def _identified(found: Version, pin: Pin | None) -> bool:
    """Return whether parts of a file from different answers can be checked to belong together."""
    return bool(found.if_range or found.etag or pin)


def require_disk(folder: Path, needed: int, purpose: str) -> str:
    """Check that there is room for `needed` more bytes in `folder`, which may not exist yet.

    Returns:
        A line with the space needed and the free space.

    Raises:
        SparseSSPError: There is too little space.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    line = f"{purpose}: needs {needed / 1e9:.2f} GB in {folder}, {free / 1e9:.2f} GB are free"
    if needed > free:
        raise SparseSSPError(f"{line}; make room, or choose another disk or fewer structures")
    return line


class _Say:
    """Messages about one file: a progress bar, and a line for each retry."""

    def __init__(self, name: str, progress: bool, position: int):
        self._name, self._progress, self._position = name, progress, position

    def bar(self, total: int | None, done: int = 0, doing: str = "") -> tqdm:
        """Return a progress bar of bytes that disappears when it is closed."""
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
    """Compute the checksum of a file and compare it with the expected one."""
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
    """Download `target` from one URL, unless it already exists."""
    if target.is_file():
        try:
            return _verify(target, pin, say, downloaded=True)
        except _Useless as reason:
            say.line(f"{target} is replaced: {reason}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part, fresh = PartialFile(target), False
    with requests.Session() as session:
        while True:
            _pull(session, url, part, pin, patience, say)
            try:
                found = _verify(part.path, pin, say, downloaded=True)
                break
            except _Useless as reason:
                part.discard()
                if fresh or not part.doubtful:
                    raise
                say.line(f"starts again from zero: {reason}")
                fresh = True
    part.finish(target)
    return replace(found, path=target, source=url)


def _pull(
    session: requests.Session, url: str, part: PartialFile, pin: Pin | None, patience: Patience, say: _Say
) -> None:
    """Request the missing bytes until all have arrived, or too many consecutive requests brought no new ones."""
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
            say.line(f"{reason}; trying again in {wait:.0f} s")
            time.sleep(wait)


def _request(
    session: requests.Session, url: str, part: PartialFile, pin: Pin | None, timeout: tuple[float, float], say: _Say
) -> None:
    """Request the missing bytes once, and append what arrives."""
    if part.bytes and part.bytes == part.size:
        return  # an earlier run ended before it could verify them
    headers = dict(_HEADERS)
    if part.resumable and _identified(part.version, pin):
        headers["Range"] = f"bytes={part.bytes}-"
        if part.version.if_range:
            headers["If-Range"] = part.version.if_range
    try:
        with session.get(url, headers=headers, timeout=timeout, stream=True) as answer:
            if not _accept(answer, part, pin, lambda: _probe(session, url, pin, timeout)):
                return
            with part.path.open("ab") as file, say.bar(part.size, part.bytes) as bar:
                # read1 returns what has arrived, so that a lost connection costs none of it.
                while chunk := answer.raw.read1(_CHUNK, decode_content=False):
                    file.write(chunk)
                    bar.update(len(chunk))
    except requests.RequestException as error:
        raise_system_error(error, among=SHORTAGES)
        raise _Again(f"no answer ({error})") from None
    except HTTPError as error:  # of the body, which urllib3 reads; some versions accept a short one
        if part.size is None:
            raise _Again(f"the file breaks off after {part.bytes} bytes, of unknown size ({error})") from None
    if part.size is not None and part.bytes < part.size:
        raise _Again(f"the file breaks off after {part.bytes} of {part.size} bytes")


def _accept(answer: requests.Response, part: PartialFile, pin: Pin | None, ask: Callable[[], Remote | None]) -> bool:
    """Check the headers of an answer, and prepare the partial file for its body.

    Args:
        answer: Answer whose body has not been read.
        part: Bytes downloaded so far.
        pin: Expected checksum.
        ask: Asks the server for the size, if the answer does not give it.

    Returns:
        Whether a body with new bytes follows; False if all bytes have already been downloaded.
    """
    status = f"HTTP {answer.status_code} {answer.reason}"
    if answer.status_code in _TRANSIENT or answer.status_code >= 500:
        raise _Again(status, retry_after(answer.headers))
    first, total = content_range(answer.headers)
    if answer.status_code == 416:
        if part.bytes and part.size is None and total == part.bytes:
            part.record_size(total)
            return False
        part.discard()
        raise _Again(f"{status}: the file has changed")
    if answer.status_code not in (200, 206):
        raise _Useless(status)
    found = version(answer.headers)
    if answer.status_code == 206:
        same = part.version.if_range or pin or (found.etag is not None and found.etag == part.version.etag)
        if first != part.bytes or None not in (total, part.size) and total != part.size:
            same = False
        if not same or found.contradicts(part.version):
            part.discard()
            raise _Again("the file has changed since the last attempt")
        part.doubtful |= not part.version.strong
        if part.size is None:
            part.record_size(total)
        return True
    size = length(answer.headers)
    if pin is not None and None not in (size, pin.bytes) and size != pin.bytes:
        raise _Useless(f"the file has {size} bytes, expected are {pin.bytes} ({pin.origin})")
    if size is None and pin is not None:
        size = pin.bytes
    if size is None and "chunked" not in answer.headers.get("Transfer-Encoding", "").lower():
        # The end of the connection would be the end of the file, even when it is lost.
        size = (ask() or Remote(None, False)).size
    part.begin(found, size, resumable=_identified(found, pin))
    return True
