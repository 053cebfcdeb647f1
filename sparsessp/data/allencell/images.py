"""Microscope images as recorded: some channels of a CZI file, or of a TIFF stack in its place.

Shapes: C channels, D planes, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from sparsessp.errors import SparseSSPError

LARGEST_BYTES = 16 * 10**9  # of all channels in the memory; a field of view of the collection has half a GB
_UM_PER = {"nm": 1e-3, "µm": 1.0, "mm": 1e3, "m": 1e6}


@dataclass(frozen=True)
class Recording:
    """What was read of an image.

    Attributes:
        voxels: uint16 array (C, D, H, W), the channels in the order they were asked for.
        voxel_um: Size (z, y, x) of a voxel in micrometres, or None if the file does not say.
    """

    voxels: np.ndarray
    voxel_um: tuple[float, float, float] | None


def read_image(path: Path, channels: Sequence[int], source: str) -> Recording:
    """Read some channels of one image: a CZI file, an OME-TIFF or a plain TIFF.

    The kind of file is told by its first bytes. A CZI file is read plane by plane, so that the memory
    holds no more than the channels asked for; of a TIFF stack it holds all channels for a moment.

    Args:
        path: The file.
        channels: Numbers of the channels, counted from 0.
        source: What to call the image in an error.

    Raises:
        SparseSSPError: The file is missing, broken or of another kind; it has several scenes or time
            points, one plane, other pixels than 16-bit grey, no such channel, or planes that are
            missing; or CZI support is not installed.
    """
    if not path.is_file():
        raise SparseSSPError(f"{source}: the image file is missing")
    with path.open("rb") as file:
        magic = file.read(10)
    if magic == b"ZISRAWFILE":
        return _read_czi(path, channels, source)
    if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff(path, channels, source)
    raise SparseSSPError(f"{source}: the file starts with {magic!r}; allowed: CZI, OME-TIFF, TIFF")


def _read_czi(path: Path, channels: Sequence[int], source: str) -> Recording:
    try:
        from pylibCZIrw import czi
    except ImportError:
        raise SparseSSPError(f"{source}: reading CZI files needs pylibCZIrw: pip install pylibCZIrw") from None
    try:
        with czi.open_czi(str(path)) as file:
            # A mosaic's origin may be anywhere; the pyramid's coarser levels may reach beyond its edge.
            field = file.total_bounding_rectangle_no_pyramid
            sizes = {axis: end for axis, (_, end) in file.total_bounding_box.items() if axis not in "XY"}
            sizes["S"] = len(file.scenes_bounding_rectangle)
            _check(source, sizes, channels)
            shape = (len(channels), sizes["Z"], field.h, field.w)
            _check_size(source, shape)
            voxels = np.empty(shape, np.uint16)
            for channel, stack in zip(channels, voxels, strict=True):
                kind = file.get_channel_pixel_type(channel)
                if kind != "Gray16":
                    raise SparseSSPError(f"{source}: channel {channel} has pixels {kind}; allowed: Gray16")
                for number, plane in enumerate(stack):
                    at = {"C": channel, "Z": number}
                    _check_tiles(file, at, source)
                    plane[...] = file.read(field, at)[..., 0]
            return Recording(voxels, _czi_voxel(file.raw_metadata))
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # a broken file makes libCZI and its wrapper raise anything
        raise SparseSSPError(f"{source}: not a readable CZI file ({error})") from None


def _check_tiles(file: Any, at: dict[str, int], source: str) -> None:
    """Refuse a plane without a single tile: it would read as black."""
    tiles = []
    file.enumerate_subblocks_subset(lambda _, tile: tiles.append(tile) or True, at, only_layer0=True)
    if not tiles:
        raise SparseSSPError(f"{source}: plane {at['Z']} of channel {at['C']} is missing")


def _czi_voxel(metadata: str) -> tuple[float, float, float] | None:
    """Voxel size in the scaling items of a CZI file, which are in metres."""
    items = ElementTree.fromstring(metadata).iterfind(".//Scaling/Items/Distance")
    edges = {item.get("Id"): item.findtext("Value") for item in items}
    return _voxel([(edges.get(axis), "m") for axis in "ZYX"])


def _read_tiff(path: Path, channels: Sequence[int], source: str) -> Recording:
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            # Unnamed axes are not guessed: a file cut short has lost their names, and planes with them.
            if set(series.axes) - set("TCZYX"):
                raise SparseSSPError(
                    f"{source}: the axes are {series.axes}, shape {series.shape}; allowed: ZYX, CZYX or ZCYX, "
                    "named in OME or ImageJ metadata"
                )
            lengths = dict(zip(series.axes, series.shape, strict=True))
            sizes = {"C": 1, "Z": 1, **lengths, "S": len(file.series)}
            _check(source, sizes, channels)
            if series.dtype != np.uint16:
                raise SparseSSPError(f"{source}: the pixels are {series.dtype}; allowed: uint16")
            _check_size(source, series.shape)
            stack = series.asarray().transpose([series.axes.index(axis) for axis in "CZYX" if axis in lengths])
            stack = stack.reshape([sizes[axis] for axis in "CZYX"])
            return Recording(stack[list(channels)], _ome_voxel(file.ome_metadata))
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # a broken file makes tifffile raise anything
        raise SparseSSPError(f"{source}: not a readable TIFF file ({error})") from None


def _ome_voxel(metadata: str | None) -> tuple[float, float, float] | None:
    """Voxel size in OME metadata; micrometres where no unit is given."""
    pixels = ElementTree.fromstring(metadata).find(".//{*}Pixels") if metadata else None
    if pixels is None:
        return None
    names = [f"PhysicalSize{axis}" for axis in "ZYX"]
    return _voxel([(pixels.get(name), pixels.get(f"{name}Unit", "µm")) for name in names])


def _voxel(edges: Sequence[tuple[str | None, str]]) -> tuple[float, float, float] | None:
    """Edges (z, y, x) in micrometres from texts and units; None unless all are there and above 0."""
    if any(text is None or unit not in _UM_PER or not float(text) > 0 for text, unit in edges):
        return None
    z, y, x = (float(text) * _UM_PER[unit] for text, unit in edges if text)
    return z, y, x


def _check_size(source: str, shape: Sequence[int]) -> None:
    """Refuse an image that claims to be larger than any is, before memory is taken for it."""
    size = 2 * prod(shape)
    if size > LARGEST_BYTES:
        raise SparseSSPError(f"{source}: the shape {tuple(shape)} is {size} bytes; allowed: at most {LARGEST_BYTES}")


def _check(source: str, sizes: Mapping[str, int], channels: Sequence[int]) -> None:
    """Refuse an image that is no single stack, or has no such channels."""
    for axis, size in sizes.items():
        if axis in "CZYX":
            continue
        if size > 1:
            raise SparseSSPError(f"{source}: has {size} along the axis {axis}; allowed: 1 scene (S), 1 time point (T)")
    if sizes["Z"] < 2:
        raise SparseSSPError(f"{source}: has {sizes['Z']} plane; allowed: 2 or more")
    for channel in channels:
        if not 0 <= channel < sizes["C"]:
            raise SparseSSPError(f"{source}: channel {channel} is out of range; allowed: 0 to {sizes['C'] - 1}")
