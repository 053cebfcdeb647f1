"""Headers of HTTP responses: size, range and version of the file, and when to try again (RFC 9110)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Version:
    """What identifies one version of a file.

    Attributes:
        etag: Value of ETag. A weak one, W/"...", names versions that may differ in their bytes.
        modified: Value of Last-Modified.
    """

    etag: str | None = None
    modified: str | None = None

    @property
    def if_range(self) -> str | None:
        """Value of If-Range: the server sends the rest of the file only if this still holds; None without one."""
        if self.etag and self.etag.startswith('"'):
            return self.etag
        return self.modified if self.modified and _date(self.modified) else None

    @property
    def strong(self) -> bool:
        """Whether If-Range compares a strong ETag, so that not a single byte can differ."""
        return self.if_range is not None and self.if_range == self.etag

    def contradicts(self, other: "Version") -> bool:
        """Return whether the ETags differ, or, unless both versions have one, the dates."""
        if self.etag and other.etag:
            return self.etag != other.etag
        return bool(self.modified and other.modified) and self.modified != other.modified


def version(headers: Headers) -> Version:
    """Return the version of the file that an answer is about."""
    return Version(headers.get("ETag"), headers.get("Last-Modified"))


def length(headers: Headers) -> int | None:
    """Return the length of the body in bytes, or None if the server does not give it."""
    return _number(headers.get("Content-Length", ""))


def content_range(headers: Headers) -> tuple[int | None, int | None]:
    """Return the first byte of a partial answer and the size of the whole file, None for what is not given."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "").strip(), re.ASCII)
    return (_number(found[1] or ""), _number(found[2])) if found else (None, None)


def retry_after(headers: Headers) -> float:
    """Return the seconds that the server asks to wait, given in seconds or as a date; 0 without a valid value."""
    value = headers.get("Retry-After", "").strip()
    seconds = _number(value)
    if seconds is not None:
        return float(seconds)
    when = _date(value)
    return 0.0 if when is None else max(0.0, (when - datetime.now(UTC)).total_seconds())


def _number(text: str) -> int | None:
    """Return a number written in ASCII digits; None for anything else, such as "²", which `int` refuses."""
    text = text.strip()
    return min(int(text[:30]), 10**18) if re.fullmatch(r"[0-9]+", text) else None


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
