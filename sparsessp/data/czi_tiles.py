"""Tiles of CZI files, which libCZI fills with zeros where they are missing or incomplete.

Layout of the directory as in ZEISS's "CZI (ZISRAW) File Format" specification; all numbers are little-endian.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from sparsessp.errors import SparseSSPError

_AXES = "TCZ"
_DIRECTORY_POSITION = 84  # in the header segment at the start of the file
_SEGMENT_HEADER, _ENTRIES = 32, 128
_UNCOMPRESSED = 0
# By pixel type: Gray8, Gray16, Gray32Float, Bgr24, Bgr48, Bgr96Float.
_BYTES_PER_PIXEL = {0: 1, 1: 2, 2: 4, 3: 3, 4: 6, 8: 12}
_ENTRY = struct.Struct("<2siqiiB5xi")  # schema, pixel type, position, part, compression, pyramid, dimensions
_DIMENSION = struct.Struct("<4siifi")  # name, start, size, start coordinate, stored size


def czi_library(source: str) -> Any:
    """Return the module that reads CZI files; `source` names the file in errors.

    Raises:
        SparseSSPError: It is not installed.
    """
    try:
        from pylibCZIrw import czi
    except ImportError:
        raise SparseSSPError(f"{source}: CZI files need an extra: pip install 'sparsessp[czi]'") from None
    return czi


class Field(NamedTuple):
    """Rectangle of the pixels that are read."""

    x: int
    y: int
    w: int
    h: int


class Tiles:
    """Tiles of an open CZI file in full resolution.

    Attributes:
        first: Smallest index along each of the axes T, C and Z; files may count from any number.
    """

    def __init__(self, file: Any, path: Path, scene: int | None = None):
        """Read the positions of all tiles, or those of one scene."""
        self._tiles: dict[tuple[int, ...], list[Any]] = {}
        found: list[tuple[dict[str, int], Any]] = []
        file.enumerate_subblocks_subset(
            lambda _, tile: found.append((tile.coordinate.to_dict(), tile)) or True, only_layer0=True
        )
        self.first = {axis: min((at.get(axis, 0) for at, _ in found), default=0) for axis in _AXES}
        for at, tile in found:
            if scene is None or at.get("S", scene) == scene:
                self._tiles.setdefault(self._place(at), []).append(tile)
        self._short = {self._place(at) for at in incomplete_tiles(path) if scene is None or at.get("S", scene) == scene}

    def _place(self, at: dict[str, int]) -> tuple[int, ...]:
        return tuple(at.get(axis, 0) - self.first[axis] for axis in _AXES)

    def at(self, frame: int, channel: int, plane: int) -> dict[str, int]:
        """Return the coordinates of a plane in the file, given its indices, counted from 0."""
        return {axis: index + self.first[axis] for axis, index in zip(_AXES, (frame, channel, plane), strict=True)}

    def fault(self, field: Field, frame: int, channel: int, plane: int) -> str | None:
        """Return why the tiles of a plane do not hold all pixels of a field of view, or None.

        The text continues "plane 3 of channel 0 ...". What no tile holds would be read as black.
        """
        place = (frame, channel, plane)
        tiles = self._tiles.get(place, [])
        if not tiles:
            return "is missing: it has no tile"
        covered = np.zeros((field.h, field.w), bool)
        for tile in tiles:
            box = tile.logicalRect
            top, left = box.y - field.y, box.x - field.x
            covered[max(top, 0) : max(top + box.h, 0), max(left, 0) : max(left + box.w, 0)] = True
        if not covered.all():
            empty = covered.size - np.count_nonzero(covered)
            return (
                f"is incomplete: its tiles leave {empty} of {covered.size} pixels of the field of view empty; a tile "
                "is missing, or planes or channels are shifted"
            )
        return "is missing: a tile has fewer bytes than its pixels need" if place in self._short else None

    def pixel_types(self, frame: int, channel: int, plane: int) -> set[str]:
        """Return the pixel types of the tiles of a plane, such as Gray16."""
        return {tile.pixelType.name for tile in self._tiles.get((frame, channel, plane), [])}


def incomplete_tiles(path: Path) -> Iterator[dict[str, int]]:
    """Yield the coordinates of each uncompressed tile in full resolution with fewer bytes than its pixels need.

    Args:
        path: CZI file that libCZI can open.
    """
    with path.open("rb") as file:
        (position,) = _read(file, _DIRECTORY_POSITION, "<q")
        (count,) = _read(file, position + _SEGMENT_HEADER, "<i")
        file.seek(position + _SEGMENT_HEADER + _ENTRIES)
        entries = [_entry(file) for _ in range(count)]
        for start, compression, pyramid, at, needed in entries:
            (size,) = _read(file, start + _SEGMENT_HEADER + 8, "<q")
            if compression == _UNCOMPRESSED and not pyramid and size < needed:
                yield at


def _entry(file: BinaryIO) -> tuple[int, int, int, dict[str, int], int]:
    """Return position, compression, pyramid level, coordinates and bytes of the pixels of a tile."""
    schema, kind, start, _, compression, pyramid, count = _ENTRY.unpack(file.read(_ENTRY.size))
    if schema != b"DV":
        raise ValueError(f"the directory has an entry of the unknown kind {schema!r}")
    at, needed = {}, _BYTES_PER_PIXEL.get(kind, 0)
    for _ in range(count):
        name, first, _, _, stored = _DIMENSION.unpack(file.read(_DIMENSION.size))
        key = name.rstrip(b"\0").decode("ascii")
        at[key] = first
        needed *= stored if key in ("X", "Y") else 1
    return start, compression, pyramid, at, needed


def _read(file: BinaryIO, position: int, layout: str) -> tuple[int, ...]:
    file.seek(position)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
