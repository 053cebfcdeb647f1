"""OME-Zarr images, versions 0.4 and 0.5; needs the extra `zarr`."""

from pathlib import Path
from typing import Any

import numpy as np

from sparsessp.data.images.image import Image, chosen_scene, in_um
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error

_MARKS = ("zarr.json", ".zgroup", ".zattrs")


class ZarrImage(Image):
    """The full resolution of one OME-Zarr image."""

    array: Any
    axes: str

    def plane(self, frame: int, channel: int, plane: int) -> np.ndarray:
        """Return one plane."""
        at = {"T": frame, "C": channel, "Z": plane}
        return np.asarray(self.array[tuple(at[axis] for axis in self.axes[:-2])])


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group."""
    return path.is_dir() and any((path / mark).is_file() for mark in _MARKS)


def library(path: Path) -> Any:
    """Return the package zarr.

    Raises:
        SparseSSPError: It is not installed.
    """
    try:
        import zarr
    except ImportError:
        raise SparseSSPError(f"{path}: OME-Zarr needs an extra: pip install 'sparsessp[zarr]'") from None
    return zarr


def open_zarr(path: Path, scene: int | None) -> Image:
    """Open an OME-Zarr image, or one of the numbered images in a group of several.

    Raises:
        SparseSSPError: The group does not hold an image, or the extra is not installed.
    """
    zarr = library(path)
    try:
        group = zarr.open_group(path, mode="r")
        numbered = sorted((name for name in group.group_keys() if name.isdigit()), key=int)
        if "multiscales" in _attributes(group):
            numbered = []
        elif not numbered:
            raise SparseSSPError(f"{path}: no OME-Zarr image (multiscales) in this group; name the image's own folder")
        number = chosen_scene(path, max(len(numbered), 1), scene)
        if numbered:
            group = group[numbered[number]]
        image = _image(path, group)
        image.scenes = max(len(numbered), 1)
        return image
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # a broken group makes zarr raise anything
        raise_system_error(error, path)
        raise SparseSSPError(f"{path}: not a readable OME-Zarr image ({error})") from None


def _attributes(group: Any) -> dict[str, Any]:
    """Return the OME attributes; version 0.5 keeps them under `ome`."""
    attributes = dict(group.attrs)
    return attributes.get("ome", attributes)


def _image(path: Path, group: Any) -> ZarrImage:
    attributes = _attributes(group)
    scales = attributes["multiscales"][0]
    array = group[scales["datasets"][0]["path"]]
    axes = "".join(axis["name"].upper() for axis in scales["axes"])
    if set(axes) - set("TCZYX") or axes[-2:] != "YX":
        raise SparseSSPError(f"{path}: the axes are {axes}; allowed: some of TCZYX, the last two YX")
    if array.dtype.kind not in "uif":
        raise SparseSSPError(f"{path}: pixels of type {array.dtype}; allowed: integers and floats")
    sizes = dict(zip(axes, array.shape, strict=True))
    count = sizes.get("C", 1)
    names = [str(channel.get("label", "")) for channel in attributes.get("omero", {}).get("channels", [])]
    image = ZarrImage(
        path,
        tuple(names) if len(names) == count else ("",) * count,
        *(sizes.get(axis, 1) for axis in "TZYX"),
        _spacing(scales, axes),
    )
    image.array, image.axes = array, axes
    return image


def _spacing(scales: dict[str, Any], axes: str) -> tuple[float | None, float | None, float | None]:
    steps = [1.0] * len(axes)
    for transforms in (scales["datasets"][0].get("coordinateTransformations"), scales.get("coordinateTransformations")):
        for transform in transforms or []:
            if transform["type"] == "scale":
                steps = [a * b for a, b in zip(steps, transform["scale"], strict=True)]
    units = {axis["name"].upper(): axis.get("unit", "") for axis in scales["axes"]}
    edges = dict(zip(axes, steps, strict=True))
    z, y, x = (in_um(edges.get(axis), units.get(axis, "")) for axis in "ZYX")
    return z, y, x
