"""TIFF files: OME-TIFF, ImageJ hyperstacks, and plain stacks."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from sparsessp.data.images.image import Image, chosen_scene, in_um, plane_error
from sparsessp.data.tiff_pages import UnusablePage, block_bytes, find_page, is_block, is_described, open_pages
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error

_AXES = "TCZYX"


class TiffImage(Image):
    """One series of a TIFF file, kept open."""

    file: tifffile.TiffFile
    series: tifffile.TiffPageSeries
    axes: str
    mapped: np.ndarray | None

    def plane(self, frame: int, channel: int, plane: int) -> np.ndarray:
        """Return one plane."""
        at = {"T": frame, "C": channel, "Z": plane}
        index = tuple(at[axis] for axis in self.axes[:-2])
        if self.mapped is not None:
            return np.asarray(self.mapped[index])
        number = int(np.ravel_multi_index(index, self.series.shape[:-2])) if index else 0
        try:
            return find_page(self.file, self.series, number).asarray()
        except UnusablePage as why:
            raise plane_error(self.path, frame, channel, plane, str(why)) from None
        except Exception as error:  # a broken or unusually compressed page makes tifffile raise anything
            hint = "; pip install imagecodecs" if "imagecodecs" in str(error) else ""
            raise_system_error(error, self.path)
            raise SparseSSPError(f"{self.path}: plane {plane} cannot be read ({error}){hint}") from None

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def open_tiff(path: Path, scene: int | None, axes: str | None) -> Image:
    """Open a TIFF file.

    Args:
        path: The file.
        scene: Index of the series.
        axes: Names of the axes, such as ZCYX, if the file does not name them.

    Raises:
        SparseSSPError: The file is broken, has colour pixels, or its axes are unknown.
    """
    file = None
    try:
        file = open_pages(path)
        number = chosen_scene(path, len(file.series), scene)
        series = file.series[number]
        named = _axes(path, file, series, axes)
        if series.dtype.kind not in "uif":
            raise SparseSSPError(f"{path}: pixels of type {series.dtype}; allowed: integers and floats")
        sizes = dict(zip(named, series.shape, strict=True))
        image = TiffImage(
            path,
            _channels(file, number, sizes.get("C", 1)),
            *(sizes.get(axis, 1) for axis in "TZYX"),
            _spacing(file, number),
            scenes=len(file.series),
        )
        image.file, image.series, image.axes, image.mapped = file, series, named, _mapped(path, file, series)
        return image
    except Exception as error:  # tifffile raises all kinds of errors on a broken file
        if file:
            file.close()
        if isinstance(error, SparseSSPError | MemoryError):
            raise
        raise_system_error(error, path)
        raise SparseSSPError(f"{path}: not a readable TIFF file ({error})") from None


def _axes(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries, given: str | None) -> str:
    """Return the name of each axis, a subset of TCZYX."""
    axes = series.axes
    if "S" in axes:
        raise SparseSSPError(
            f"{path}: a colour image (axes {axes}); the model needs a stack of grey planes: export the grey values"
        )
    if given:
        if len(given) != len(axes) or set(given) - set(_AXES) or len(set(given)) < len(given) or given[-2:] != "YX":
            raise SparseSSPError(
                f"{path}: axes {given!r} do not fit shape {series.shape}; allowed: {len(axes)} of TCZYX, ending in YX"
            )
        return given
    if not is_described(file, series):
        raise SparseSSPError(
            f"{path}: its metadata do not describe the {len(file.pages)} planes in the file; is it cut short? If it is "
            "complete, name its axes with --axes, such as ZYX, in a CSV file with the column axes"
        )
    if set(axes) - set(_AXES):
        unnamed = [axis for axis in axes if axis not in _AXES]
        if len(unnamed) == 1 and "Z" not in axes:
            return axes.replace(unnamed[0], "Z")  # a plain multi-page file
        raise SparseSSPError(
            f"{path}: the file does not name the axes of shape {series.shape}; name them with --axes, such as "
            f"{_AXES[-len(axes) :]}, in a CSV file with the column axes"
        )
    return axes


def _mapped(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> np.ndarray | None:
    """Memory-map a series that a single directory describes; its planes have no pages."""
    if not is_block(file, series):
        return None
    held = block_bytes(file, series)
    if held < series.nbytes:
        raise SparseSSPError(f"{path}: the file is cut short: it holds {held} of {series.nbytes} bytes of voxels")
    dtype = series.dtype.newbyteorder(series.keyframe.parent.byteorder)
    return np.memmap(path, dtype, "r", series.dataoffset, series.shape)


def _pixels(file: tifffile.TiffFile, number: int) -> ElementTree.Element | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    found = ElementTree.fromstring(file.ome_metadata).findall(".//{*}Pixels")
    return found[number] if number < len(found) else None


def _channels(file: tifffile.TiffFile, number: int, count: int) -> tuple[str, ...]:
    names: list[Any] = []
    pixels = _pixels(file, number)
    if pixels is not None:
        names = [channel.get("Name", "") for channel in pixels.findall("{*}Channel")]
    elif file.imagej_metadata:
        names = list(file.imagej_metadata.get("Labels") or [])
    return tuple(str(name) for name in names) if len(names) == count else ("",) * count


def _spacing(file: tifffile.TiffFile, number: int) -> tuple[float | None, float | None, float | None]:
    pixels = _pixels(file, number)
    if pixels is not None:
        z, y, x = (
            in_um(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"
        )
        return z, y, x
    if not file.imagej_metadata:
        return None, None, None
    unit = str(file.imagej_metadata.get("unit", ""))
    tags = file.pages[0].tags
    edges = []
    for name in ("YResolution", "XResolution"):
        per, pixels_in = tags[name].value if name in tags else (0, 0)
        edges.append(in_um(pixels_in / per, unit) if per else None)
    return in_um(file.imagej_metadata.get("spacing"), unit), edges[0], edges[1]
