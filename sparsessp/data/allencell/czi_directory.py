"""The directory of a CZI file: tiles whose pixels are incomplete, which libCZI fills with zeros.

Layout as in ZEISS's "CZI (ZISRAW) File Format" specification; all numbers are little-endian.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_DIRECTORY_POSITION = 84  # in the header segment at the start of the file
_SEGMENT_HEADER, _ENTRIES = 32, 128
_UNCOMPRESSED, _BYTES_PER_PIXEL = 0, 2
_ENTRY = struct.Struct("<2siqiiB5xi")  # schema, pixel type, position, part, compression, pyramid, dimensions
_DIMENSION = struct.Struct("<4siifi")  # name, start, size, start coordinate, stored size


def incomplete_tiles(path: Path) -> Iterator[dict[str, int]]:
    """Yield the coordinates of each uncompressed 16-bit tile in full resolution with fewer bytes than pixels need.

    Args:
        path: CZI file that libCZI can open.
    """
    with path.open("rb") as file:
        (position,) = _read(file, _DIRECTORY_POSITION, "<q")
        (count,) = _read(file, position + _SEGMENT_HEADER, "<i")
        file.seek(position + _SEGMENT_HEADER + _ENTRIES)
        entries = [_entry(file) for _ in range(count)]
        for start, compression, pyramid, at, pixels in entries:
            (size,) = _read(file, start + _SEGMENT_HEADER + 8, "<q")
            if compression == _UNCOMPRESSED and not pyramid and size < _BYTES_PER_PIXEL * pixels:
                yield at


def _entry(file: BinaryIO) -> tuple[int, int, int, dict[str, int], int]:
    """Return position, compression, pyramid level, coordinates and stored pixels of a tile."""
    schema, _, start, _, compression, pyramid, count = _ENTRY.unpack(file.read(_ENTRY.size))
    if schema != b"DV":
        raise ValueError(f"the directory has an entry of the unknown kind {schema!r}")
    at, pixels = {}, 1
    for _ in range(count):
        name, first, _, _, stored = _DIMENSION.unpack(file.read(_DIMENSION.size))
        key = name.rstrip(b"\0").decode("ascii")
        at[key] = first
        pixels *= stored if key in ("X", "Y") else 1
    return start, compression, pyramid, at, pixels


def _read(file: BinaryIO, position: int, layout: str) -> tuple[int, ...]:
    file.seek(position)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
