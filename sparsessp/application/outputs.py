"""Predictions written plane by plane, as OME-TIFF or OME-Zarr 0.5."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from sparsessp.data.images.ome_zarr import library
from sparsessp.support.files import atomic_write

FORMATS = {"tiff": ".ome.tiff", "zarr": ".ome.zarr"}
DTYPES = ("float32", "uint16", "uint8")
_BIGTIFF_BYTES = 4 * 10**9  # beyond it, offsets need 64 bits
_CHUNK = 512  # rows and columns of an OME-Zarr chunk


@dataclass(frozen=True)
class Output:
    """What is written.

    Attributes:
        shape: Frames, channels, planes, rows and columns.
        dtype: One of `DTYPES`.
        channels: Names of the channels.
        voxel_um: Voxel size (z, y, x) in micrometres.
        limits: Smallest and largest value of each channel, for display.
        notes: Provenance, stored in the file.
    """

    shape: tuple[int, int, int, int, int]
    dtype: str
    channels: tuple[str, ...]
    voxel_um: tuple[float, float, float]
    limits: tuple[tuple[float, float], ...]
    notes: Mapping[str, str]


def write(path: Path, kind: str, output: Output, planes: Iterator[np.ndarray]) -> None:
    """Write a file or folder atomically from its planes in the order frames, channels, planes."""
    if kind == "tiff":
        _write_tiff(path, output, planes)
    else:
        _write_zarr(path, output, planes)


def remove(path: Path) -> None:
    """Delete an output of either format."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_tiff(path: Path, output: Output, planes: Iterator[np.ndarray]) -> None:
    z, y, x = output.voxel_um
    metadata: dict[str, Any] = {
        "axes": "TCZYX",
        "Channel": {"Name": list(output.channels)},
        "MapAnnotation": {"Namespace": "sparsessp", **output.notes},
    }
    for axis, size in (("X", x), ("Y", y), ("Z", z)):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    dtype = np.dtype(output.dtype)
    with atomic_write(path) as partial:
        tifffile.imwrite(
            partial,
            planes,
            shape=output.shape,
            dtype=dtype,
            ome=True,
            bigtiff=int(np.prod(output.shape)) * dtype.itemsize > _BIGTIFF_BYTES,
            photometric="minisblack",
            metadata=metadata,
        )


def _write_zarr(path: Path, output: Output, planes: Iterator[np.ndarray]) -> None:
    zarr = library(path)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        group = zarr.open_group(partial, mode="w", zarr_format=3)
        chunks = (1, 1, 1, *(min(n, _CHUNK) for n in output.shape[3:]))
        array = group.create_array(
            "0", shape=output.shape, dtype=output.dtype, chunks=chunks, dimension_names=list("tczyx")
        )
        for place, plane in zip(np.ndindex(output.shape[:3]), planes, strict=True):
            array[place] = plane
        group.attrs.update(_ome(path, output))
        remove(path)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _ome(path: Path, output: Output) -> dict[str, Any]:
    """Return the attributes of the group: OME-Zarr 0.5 and our notes."""
    space = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = {"type": "scale", "scale": [1.0, 1.0, *output.voxel_um]}
    image = {
        "name": path.name.removesuffix(FORMATS["zarr"]),
        "axes": [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *space],
        "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
    }
    channels = [
        {"label": name, "active": True, "color": "FFFFFF", "window": dict(min=low, max=high, start=low, end=high)}
        for name, (low, high) in zip(output.channels, output.limits, strict=True)
    ]
    return {
        "ome": {"version": "0.5", "multiscales": [image], "omero": {"channels": channels}},
        "sparsessp": dict(output.notes),
    }
