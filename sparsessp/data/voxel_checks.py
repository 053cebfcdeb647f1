"""Checks of voxels, made once per file and not once per process."""

from pathlib import Path

import numpy as np

from sparsessp.data.volumes import Stack
from sparsessp.errors import SparseSSPError


def check_voxels(stack: Stack, source: str) -> None:
    """Check that a stack is not empty, finite and not constant.

    Raises:
        SparseSSPError: It is empty, not finite or constant; the message names `source`.
    """
    if stack.size == 0:
        raise SparseSSPError(f"{source}: the stack is empty, its shape is {stack.shape}")
    low, high = float(stack.min()), float(stack.max())
    if not np.isfinite([low, high]).all():
        raise SparseSSPError(f"{source}: some voxels are NaN or infinite; all must be finite")
    if low == high:
        raise SparseSSPError(f"{source}: every voxel is {low:g}; a constant stack cannot be learned from")


class VoxelChecks:
    """Checks that are not repeated while a file keeps its size, modification time and inode, as DVC compares files.

    A record lists the channels that passed, a line for each. Several processes may use it at a time: each appends its
    lines, and a line that is lost only repeats a check.
    """

    def __init__(self, record: Path | None) -> None:
        """Read the record, if there is one.

        Args:
            record: Text file, written by `save`; None checks everything.
        """
        self._record, self._new = record, []
        passed = record is not None and record.is_file()
        self._passed = set(record.read_text(encoding="utf-8", errors="replace").splitlines()) if passed else set()

    def check(self, stack: Stack, path: Path, channel: str) -> None:
        """Check the voxels of one channel of a file, unless it passed before.

        Raises:
            SparseSSPError: As for `check_voxels`.
        """
        status = path.stat()
        line = f"{status.st_size} {status.st_mtime_ns} {status.st_ino} {channel} {path.resolve()}"
        if line not in self._passed:
            check_voxels(stack, f"{path}, channel {channel}")
            self._new.append(line)

    def save(self) -> None:
        """Add the channels that have passed since then to the record."""
        if self._record is not None and self._new:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            with self._record.open("a", encoding="utf-8") as stream:
                stream.writelines(f"{line}\n" for line in self._new)
