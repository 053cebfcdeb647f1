"""Reading TIFF stacks whose axes are named: OME-TIFF, ImageJ hyperstacks and those of tifffile."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from sparsessp.data.allencell.recording import Recording, absent, check_axes, check_size
from sparsessp.data.allencell.voxel_size import Edges, edge_um
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error

_UNCALIBRATED = ("", "pixel", "pixels")  # ImageJ's words
_FINEST_PRINT_UM = 10.0  # 2540 dots per inch
_RESOLUTION_UNITS = {2: "inch", 3: "cm"}


def read_tiff(path: Path, channels: Sequence[int], source: str) -> Recording:
    """Read some channels of a TIFF stack; see `images.read_image`."""
    try:
        with tifffile.TiffFile(path) as file:
            return Recording(_read_voxels(file, channels, source), _edges(file, source))
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # a broken file makes tifffile raise anything
        raise_system_error(error, path)
        raise SparseSSPError(f"{source}: not a readable TIFF file ({error})") from None


def _read_voxels(file: tifffile.TiffFile, channels: Sequence[int], source: str) -> np.ndarray:
    series = file.series[0]
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
    if series.dataoffset is not None and (series.is_truncated or len(file.pages) < len(series)):
        return _read_block(file, series, channels, source)
    voxels = np.empty((len(channels), *(sizes[axis] for axis in "ZYX")), np.uint16)
    for channel, stack in zip(channels, voxels, strict=True):
        for number, plane in enumerate(stack):
            page = _page(file, series, number, channel, source)
            plane[...] = page.asarray()
    return voxels


def _page(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, plane: int, channel: int, source: str
) -> tifffile.TiffPage:
    """Return the page with a plane.

    Metadata may promise planes that were not written, or that are in another file of a set. tifffile reads both
    as zeros.

    Raises:
        SparseSSPError: The file does not hold the image data of the plane, or they have another shape or type.
    """
    at = {"C": channel, "Z": plane}
    leading = [(axis, size) for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YX"]
    index = np.ravel_multi_index([at.get(axis, 0) for axis, _ in leading], [size for _, size in leading])
    try:
        page = series[int(index)]
    except IndexError:
        page = None
    if page is None:
        why = "the metadata list it, but the file does not hold it; is this one file of a set, or cut short?"
        raise absent(source, plane, channel, why)
    if page.parent is not file:
        if page.parent.filehandle.path != file.filehandle.path:
            raise absent(source, plane, channel, f"it is in another file of a set, {page.parent.filename}")
        page = file.pages[page.index]
    # Not as a frame, which is read by the layout of the first page.
    page = page.aspage()
    if why := _fault(page, file.filehandle.size):
        raise absent(source, plane, channel, why)
    if (page.shape, page.dtype) != (series.shape[-2:], series.dtype):
        raise SparseSSPError(
            f"{source}: plane {plane} of channel {channel} has shape {page.shape} and type {page.dtype}; "
            f"allowed: {series.shape[-2:]} and {series.dtype}, as the first plane"
        )
    return page


def _fault(page: tifffile.TiffPage, file_bytes: int) -> str | None:
    """Return why the image data of a page are incomplete, or None."""
    starts, sizes = page.dataoffsets, page.databytecounts
    if not starts or any(start <= 0 or size <= 0 for start, size in zip(starts, sizes, strict=False)):
        return "a strip or tile has no data"
    if any(start + size > file_bytes for start, size in zip(starts, sizes, strict=False)):
        return "a strip or tile ends beyond the end of the file"
    if page.compression == 1 and sum(sizes) < page.size * page.bitspersample // 8:
        return f"its strips or tiles have {sum(sizes)} bytes in total, too few for its pixels"
    if page.compression != 1 and min(len(starts), len(sizes)) < prod(page.chunked):
        return f"{min(len(starts), len(sizes))} of its {prod(page.chunked)} strips or tiles are listed"
    return None


def _read_block(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, channels: Sequence[int], source: str
) -> np.ndarray:
    """Read a series whose planes follow each other in the file, described by a single directory.

    Raises:
        SparseSSPError: The file, or another directory, begins before the last plane ends.
    """
    start = series.dataoffset
    held = min([file.filehandle.size, *(page.offset for page in file.pages if page.offset > start)]) - start
    if held < series.nbytes:
        plane = max(held, 0) // series.keyframe.nbytes
        axes = series.axes[:-2]
        at = dict(zip(axes, np.unravel_index(plane, series.shape[:-2]), strict=True))
        why = f"the shape {series.shape} takes {series.nbytes} bytes, but the file holds {max(held, 0)}"
        raise absent(source, int(at.get("Z", 0)), int(at.get("C", 0)), why)
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
