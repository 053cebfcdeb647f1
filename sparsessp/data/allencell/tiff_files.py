"""Reading TIFF stacks whose axes are named: OME-TIFF, ImageJ hyperstacks and those of tifffile."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from sparsessp.data.allencell.recording import Recording, check_axes, check_size, plane_error
from sparsessp.data.tiff_pages import UnusablePage, block_bytes, find_page, is_block, is_described, open_pages
from sparsessp.data.voxel_size import Edges, edge_um
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error

_UNCALIBRATED = ("", "pixel", "pixels")  # ImageJ's words
_FINEST_PRINT_UM = 10.0  # 2540 dots per inch
_RESOLUTION_UNITS = {2: "inch", 3: "cm"}


def read_tiff(path: Path, channels: Sequence[int], source: str) -> Recording:
    """Read some channels of a TIFF stack; see `images.read_image`."""
    try:
        with open_pages(path) as file:
            return Recording(_read_voxels(file, channels, source), _edges(file, source))
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # a broken file makes tifffile raise anything
        raise_system_error(error, path)
        raise SparseSSPError(f"{source}: not a readable TIFF file ({error})") from None


def _read_voxels(file: tifffile.TiffFile, channels: Sequence[int], source: str) -> np.ndarray:
    series = file.series[0]
    if not is_described(file, series):
        raise SparseSSPError(
            f"{source}: the metadata do not describe the {len(file.pages)} planes in the file; is it cut short?"
        )
    # Unnamed axes are not guessed: a file cut short has lost their names, and planes with them.
    if set(series.axes) - set("TCZYX") or not series.axes.endswith("YX"):
        hint = "; the OME metadata describe no plane of this file" if file.ome_metadata else ""
        raise SparseSSPError(
            f"{source}: the axes are {series.axes}, shape {series.shape}; allowed: ZYX, CZYX or ZCYX, "
            f"named in OME or ImageJ metadata{hint}"
        )
    lengths = dict(zip(series.axes, series.shape, strict=True))
    sizes = {"C": 1, "Z": 1, **lengths, "S": len(file.series)}
    check_axes(source, sizes, channels)
    if series.dtype != np.uint16:
        raise SparseSSPError(f"{source}: the pixels are {series.dtype}; allowed: uint16")
    check_size(source, series.shape)
    if is_block(file, series):
        return _read_block(file, series, channels, source)
    voxels = np.empty((len(channels), *(sizes[axis] for axis in "ZYX")), np.uint16)
    leading = [axis for axis in series.axes if axis not in "YX"]
    for channel, stack in zip(channels, voxels, strict=True):
        for number, plane in enumerate(stack):
            at = {"C": channel, "Z": number}
            index = np.ravel_multi_index([at.get(axis, 0) for axis in leading], [lengths[axis] for axis in leading])
            try:
                plane[...] = find_page(file, series, int(index)).asarray()
            except UnusablePage as why:
                raise plane_error(source, number, channel, str(why)) from None
    return voxels


def _read_block(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, channels: Sequence[int], source: str
) -> np.ndarray:
    """Read a series whose planes follow each other in the file, described by a single directory.

    Raises:
        SparseSSPError: Planes are missing.
    """
    held = block_bytes(file, series)
    if held < series.nbytes:
        position = np.unravel_index(held // series.keyframe.nbytes, series.shape[:-2])
        at = dict(zip(series.axes[:-2], position, strict=True))
        why = f"the shape {series.shape} takes {series.nbytes} bytes, but the file holds {held}"
        raise plane_error(source, int(at.get("Z", 0)), int(at.get("C", 0)), f"is missing: {why}")
    stack = series.asarray().transpose([series.axes.index(axis) for axis in "TCZYX" if axis in series.axes])
    return stack.reshape(-1, *stack.shape[-3:])[list(channels)]


def _edges(file: tifffile.TiffFile, source: str) -> Edges:
    """Return the voxel size in OME metadata, otherwise in ImageJ's, otherwise in the tags for the resolution."""
    if file.ome_metadata:
        edges = _ome_edges(file.ome_metadata, source)
        if edges != (None, None, None):
            return edges
    metadata = file.imagej_metadata or {}
    unit = str(metadata.get("unit", "")).strip()
    y, x = (_per_pixel(file, name) for name in ("YResolution", "XResolution"))
    if unit in _UNCALIBRATED:
        unit = _RESOLUTION_UNITS.get(int(file.pages.first.tags.valueof("ResolutionUnit", 2)), "")
        finest = [edge_um(size, unit, "resolution", source) for size in (y, x) if size and unit]
        # Many programs write a resolution for printing or the screen, which says nothing about the sample.
        if not finest or max(finest) > _FINEST_PRINT_UM:
            return None, None, None
    spacing = metadata.get("spacing")
    z = abs(spacing) if isinstance(spacing, int | float) else spacing  # negative in stacks from the top down
    return (
        edge_um(z, str(metadata.get("zunit", unit)), "spacing", source),
        edge_um(y, str(metadata.get("yunit", unit)), "YResolution", source),
        edge_um(x, unit, "XResolution", source),
    )


def _per_pixel(file: tifffile.TiffFile, name: str) -> float | None:
    """Return the units of length per pixel by a resolution tag; None without one, or for the placeholder 1 / 1."""
    pixels, length = file.pages.first.tags.valueof(name, (1, 1))
    return None if pixels == length or not pixels else length / pixels


def _ome_edges(metadata: str, source: str) -> Edges:
    """Return the voxel size in OME metadata; micrometres where no unit is given."""
    pixels = ElementTree.fromstring(metadata).find(".//{*}Pixels")
    if pixels is None:
        return None, None, None
    names = [f"PhysicalSize{axis}" for axis in "ZYX"]
    z, y, x = (edge_um(pixels.get(name), pixels.get(f"{name}Unit", "µm"), name, source) for name in names)
    return z, y, x
