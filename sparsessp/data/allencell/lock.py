"""Checksums of files whose sources publish none: recorded at the first download, verified from then on."""

import threading
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from sparsessp.config import Settings, abbreviate
from sparsessp.data.allencell.catalogue import Checksum
from sparsessp.data.allencell.download import Fetched, Pin
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import write_text
from sparsessp.support.yaml_files import dump_yaml, read_yaml

_HEAD = """\
# Checksums of the archives at their first download; every later download must match.
# To accept a new release of an archive, delete its line. Keep this file under version control.
"""
_WRITING = threading.Lock()  # shared, because two objects may write the same file


class _Entry(Settings):
    sha256: Checksum
    bytes: int = Field(ge=0)


class Lock:
    """The lock file at `path`, one line per file; the lock file may not exist yet."""

    def __init__(self, path: Path):
        self.path = path

    def pin(self, name: str) -> Pin | None:
        """Return the recorded checksum and size of the file `name`, or None.

        Raises:
            SparseSSPError: The lock file is broken.
        """
        entry = self._read().get(name)
        origin = f"{self.path}; to accept a new release, delete the line of {name} there"
        return None if entry is None else Pin(entry.sha256, origin, entry.bytes)

    def record(self, name: str, fetched: Fetched) -> None:
        """Record the checksum of the file `name`; thread-safe.

        Raises:
            SparseSSPError: A different checksum is recorded.
        """
        with _WRITING:
            entries = self._read()
            found = _Entry(sha256=fetched.sha256, bytes=fetched.bytes)
            known = entries.setdefault(name, found)
            if known != found:
                raise SparseSSPError(
                    f"{fetched.path}: the sha256 of {name} is {found.sha256}, recorded is {known.sha256} "
                    f"({self.path}; to accept a new release, delete the line of {name} there)"
                )
            self._write(entries)

    def replace(self, name: str, fetched: Fetched) -> None:
        """Record the checksum of the file `name`, whatever was recorded before; thread-safe."""
        with _WRITING:
            self._write({**self._read(), name: _Entry(sha256=fetched.sha256, bytes=fetched.bytes)})

    def _write(self, entries: Mapping[str, _Entry]) -> None:
        write_text(self.path, _HEAD + dump_yaml({name: entries[name].model_dump() for name in sorted(entries)}))

    def _read(self) -> dict[str, _Entry]:
        values = read_yaml(self.path) if self.path.exists() else None
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise SparseSSPError(
                f"{self.path}: holds {abbreviate(values)}; expected lines NAME: {{bytes: ..., sha256: ...}}"
            )
        entries = {}
        for name, value in values.items():
            if not isinstance(name, str) or not isinstance(value, dict):
                raise SparseSSPError(
                    f"{self.path}: {name} = {abbreviate(value)}; expected a line NAME: {{bytes: ..., sha256: ...}}"
                )
            entries[name] = _Entry.load(value, f"{self.path}: {name}", strict=True)
        return entries
