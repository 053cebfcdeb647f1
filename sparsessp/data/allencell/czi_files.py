"""Reading CZI files, the format of ZEISS microscopes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from sparsessp.data.allencell.czi_directory import incomplete_tiles
from sparsessp.data.allencell.recording import Recording, absent, check_axes, check_size
from sparsessp.data.allencell.voxel_size import Edges, edge_um
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error


def read_czi(path: Path, channels: Sequence[int], source: str) -> Recording:
    """Read some channels plane by plane, so that memory holds only these; see `images.read_image`."""
    try:
        from pylibCZIrw import czi
    except ImportError:
        raise SparseSSPError(f"{source}: reading CZI files needs pylibCZIrw: pip install pylibCZIrw") from None
    try:
        with czi.open_czi(str(path)) as file:
            return Recording(_read_voxels(file, path, channels, source), _edges(file.raw_metadata, source))
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # a broken file makes libCZI and its wrapper raise anything
        raise_system_error(error, path)
        raise SparseSSPError(f"{source}: not a readable CZI file ({error})") from None


def _read_voxels(file: Any, path: Path, channels: Sequence[int], source: str) -> np.ndarray:
    # The origin of a mosaic may be anywhere; coarser levels of the pyramid may reach beyond its edge.
    field = file.total_bounding_rectangle_no_pyramid
    tiles = _tiles(file)
    first = {axis: min(at.get(axis, 0) for at, _ in tiles) for axis in "CZ"}
    sizes = {axis: end - start for axis, (start, end) in file.total_bounding_box.items() if axis not in "XY"}
    sizes["S"] = len(file.scenes_bounding_rectangle)
    check_axes(source, sizes, channels)
    shape = (len(channels), sizes["Z"], field.h, field.w)
    check_size(source, shape)
    short = {(at.get("C", 0) - first["C"], at.get("Z", 0) - first["Z"]) for at in incomplete_tiles(path)}
    by_plane: dict[tuple[int, int], list[Any]] = {}
    for at, tile in tiles:
        by_plane.setdefault((at.get("C", 0) - first["C"], at.get("Z", 0) - first["Z"]), []).append(tile)
    voxels = np.empty(shape, np.uint16)
    for channel, stack in zip(channels, voxels, strict=True):
        for number, plane in enumerate(stack):
            _check_tiles(by_plane.get((channel, number), []), field, number, channel, source)
            if (channel, number) in short:
                raise absent(source, number, channel, "a tile has fewer bytes than its pixels need")
            at = {"C": channel + first["C"], "Z": number + first["Z"]}
            plane[...] = file.read(field, at, pixel_type="Gray16")[..., 0]
    return voxels


def _tiles(file: Any) -> list[tuple[dict[str, int], Any]]:
    """Return coordinates and header of each tile in full resolution."""
    tiles: list[tuple[dict[str, int], Any]] = []
    file.enumerate_subblocks_subset(
        lambda _, tile: tiles.append((tile.coordinate.to_dict(), tile)) or True, only_layer0=True
    )
    return tiles


def _check_tiles(tiles: Sequence[Any], field: Any, plane: int, channel: int, source: str) -> None:
    """Check that the tiles of a plane have 16-bit pixels and cover the field of view of the image.

    Raises:
        SparseSSPError: They do not; what they do not cover would be read as black.
    """
    if not tiles:
        raise absent(source, plane, channel, "it has no tile")
    covered = np.zeros((field.h, field.w), bool)
    for tile in tiles:
        kind = tile.pixelType.name
        if kind != "Gray16":
            raise SparseSSPError(f"{source}: channel {channel} has pixels {kind}; allowed: Gray16")
        box = tile.logicalRect
        top, left = box.y - field.y, box.x - field.x
        covered[max(top, 0) : max(top + box.h, 0), max(left, 0) : max(left + box.w, 0)] = True
    if not covered.all():
        lacking = covered.size - np.count_nonzero(covered)
        raise SparseSSPError(
            f"{source}: plane {plane} of channel {channel} is incomplete: its tiles leave {lacking} of {covered.size} "
            f"pixels of the field of view empty; a tile is missing, or planes or channels are shifted"
        )


def _edges(metadata: str, source: str) -> Edges:
    """Return the voxel size in the scaling items of a CZI file, which are in metres."""
    items = ElementTree.fromstring(metadata).iterfind(".//Scaling/Items/Distance")
    sizes = {item.get("Id"): item.findtext("Value") or None for item in items}
    z, y, x = (edge_um(sizes.get(axis), "m", f"Scaling {axis}", source) for axis in "ZYX")
    return z, y, x
