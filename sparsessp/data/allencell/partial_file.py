"""The part of a file that has been downloaded, and what is known of the whole, kept for the next run."""

import json
import os
from pathlib import Path

from sparsessp.data.allencell.http_answers import Version
from sparsessp.support.files import write_text


class PartialFile:
    """The downloaded part of `target`, in `.NAME.part` next to it; `.NAME.part.json` says to which version it belongs.

    Attributes:
        path: File with the bytes downloaded so far.
        version: Version of the file that they belong to.
        size: Size of the whole file in bytes, or None if it is unknown.
        doubtful: Whether the bytes may belong to several versions: some are from an earlier run, or were requested
            without a strong ETag.
    """

    def __init__(self, target: Path):
        self.path = target.with_name(f".{target.name}.part")
        self._state = target.with_name(f".{target.name}.part.json")
        self.version, self.size, self._known = Version(), None, False
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            self.version, self.size = Version(state["etag"], state.get("modified")), state["size"]
            self._known = True
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            pass  # none, or not written by this version of the program
        self.doubtful = self.resumable > 0

    @property
    def bytes(self) -> int:
        """Number of bytes downloaded so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def resumable(self) -> int:
        """Number of bytes that the next run can use."""
        return self.bytes if self._known else 0

    def discard(self) -> None:
        """Delete the bytes and what is known of them."""
        self.version, self.size, self._known = Version(), None, False
        # In this order: a state must never be next to the bytes of another file.
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def begin(self, version: Version, size: int | None, resumable: bool) -> None:
        """Start from zero.

        Args:
            version: Version of the file.
            size: Size of the whole file in bytes, or None if it is unknown.
            resumable: Whether the bytes can be used after a lost connection.
        """
        self.discard()
        self.version, self._known, self.doubtful = version, resumable, False
        self.record_size(size)

    def record_size(self, size: int | None) -> None:
        """Record the size of the whole file."""
        self.size = size
        if self._known:
            state = {"etag": self.version.etag, "modified": self.version.modified, "size": size}
            write_text(self._state, json.dumps(state))

    def finish(self, target: Path) -> None:
        """Move the complete file to `target`."""
        os.replace(self.path, target)
        self._state.unlink(missing_ok=True)
