"""Reading CZI files, the format of ZEISS microscopes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from sparsessp.data.allencell.recording import Recording, check_axes, check_size, plane_error
from sparsessp.data.czi_tiles import Tiles, czi_library
from sparsessp.data.voxel_size import Edges, edge_um
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error


def read_czi(path: Path, channels: Sequence[int], source: str) -> Recording:
    """Read some channels plane by plane, so that memory holds only these; see `images.read_image`."""
    czi = czi_library(source)
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
    sizes = {axis: end - start for axis, (start, end) in file.total_bounding_box.items() if axis not in "XY"}
    sizes["S"] = len(file.scenes_bounding_rectangle)
    check_axes(source, sizes, channels)
    shape = (len(channels), sizes["Z"], field.h, field.w)
    check_size(source, shape)
    tiles = Tiles(file, path)
    voxels = np.empty(shape, np.uint16)
    for channel, stack in zip(channels, voxels, strict=True):
        for number, plane in enumerate(stack):
            if kinds := tiles.pixel_types(0, channel, number) - {"Gray16"}:
                raise SparseSSPError(f"{source}: channel {channel} has pixels {', '.join(kinds)}; allowed: Gray16")
            if fault := tiles.fault(field, 0, channel, number):
                raise plane_error(source, number, channel, fault)
            plane[...] = file.read(field, tiles.at(0, channel, number), pixel_type="Gray16")[..., 0]
    return voxels


def _edges(metadata: str, source: str) -> Edges:
    """Return the voxel size in the scaling items of a CZI file, which are in metres."""
    items = ElementTree.fromstring(metadata).iterfind(".//Scaling/Items/Distance")
    sizes = {item.get("Id"): item.findtext("Value") or None for item in items}
    z, y, x = (edge_um(sizes.get(axis), "m", f"Scaling {axis}", source) for axis in "ZYX")
    return z, y, x
