"""Prepared volumes: reading and writing OME-TIFF, z-scoring and sparse sampling.

Shapes: C channels, D planes, H rows, W columns. A prepared volume is an uncompressed float32
OME-TIFF, so that it can be memory-mapped and opens in Fiji and napari with its voxel size.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from sparsessp.data.tiff_pages import open_pages
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import atomic_write, raise_system_error

TRANSMITTED_LIGHT = "transmitted_light"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/sparsessp/sparsessp")
_NOTES = "sparsessp"


@dataclass(frozen=True)
class Volume:
    """The contents of one OME-TIFF.

    Attributes:
        voxels: float32 array (C, D, H, W), all channels of the same field of view.
        channels: Names of the channels.
        voxel_um: Voxel size (z, y, x) in micrometres.
        notes: Statistics and provenance stored in the file, such as raw mean and standard deviation.
    """

    voxels: np.ndarray
    channels: tuple[str, ...]
    voxel_um: tuple[float, float, float]
    notes: dict[str, str] = field(default_factory=dict)

    def channel(self, name: str) -> np.ndarray:
        """Return channel `name` as an array (D, H, W)."""
        if name not in self.channels:
            raise SparseSSPError(f"channel {name!r} is missing; the volume has: {', '.join(self.channels)}")
        return self.voxels[self.channels.index(name)]


@dataclass(frozen=True)
class StoredStack:
    """A stack in a file that is open only while voxels are read.

    A memory map keeps a file descriptor, and a training uses more volumes than a process may have descriptors, so
    each access maps the file anew. Whatever it returns keeps the file open: copy it, or let go of it soon. Any
    attribute of an array that is not defined here, such as `mean`, is that of a new memory map.

    Attributes:
        path: Uncompressed file.
        offset: Position of the first voxel in bytes.
        shape: Shape of the stack.
        dtype: Type of the voxels.
        version: Size and modification time of the file when it was first opened.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    version: tuple[int, int]

    def open(self) -> np.memmap:
        """Map the stack into memory.

        Raises:
            SparseSSPError: The file has been deleted or changed since it was first opened.
        """
        try:
            if _version(self.path) == self.version:
                return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        except (FileNotFoundError, ValueError):  # ValueError: cut short
            pass
        except OSError as error:
            error.filename = str(self.path)
            raise
        raise SparseSSPError(f"{self.path}: the file has been deleted or changed since it was first opened")

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.open()[index]

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.open())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.open(), dtype) if copy else np.asarray(self.open(), dtype)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # protocols that arrays implement and this class does not
            raise AttributeError(name)
        return getattr(self.open(), name)


Stack = np.ndarray | StoredStack


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def open_channel(path: Path, name: str) -> StoredStack:
    """Return channel `name` (D, H, W) of the volume at `path`, without keeping the file open.

    Raises:
        SparseSSPError: As for `read_volume`; or the channel is missing.
    """
    version = _version(path) if path.is_file() else (0, 0)
    volume = read_volume(path)
    stack = volume.channel(name)
    offset = volume.voxels.offset + volume.channels.index(name) * stack.nbytes
    return StoredStack(path, offset, stack.shape, stack.dtype, version)


def write_volume(path: Path, volume: Volume) -> None:
    """Write `volume` as OME-TIFF atomically; equal volumes give equal bytes."""
    voxels = np.ascontiguousarray(volume.voxels, dtype=np.float32)
    z, y, x = volume.voxel_um
    metadata = {
        "axes": "CZYX",
        "Name": path.name.split(".")[0],
        "UUID": f"urn:uuid:{uuid.uuid5(_NAMESPACE, path.name)}",  # the default of tifffile is random
        "Channel": {"Name": list(volume.channels)},
        "MapAnnotation": {"Namespace": _NOTES, **volume.notes},
    }
    for axis, size in (("X", x), ("Y", y), ("Z", z)):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    with atomic_write(path) as partial:
        tifffile.imwrite(partial, voxels, ome=True, photometric="minisblack", metadata=metadata)


def read_volume(path: Path) -> Volume:
    """Memory-map the OME-TIFF at `path`.

    Raises:
        SparseSSPError: The file is missing, truncated, or not an OME-TIFF as `write_volume` writes it.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the volume is missing")
    try:
        with open_pages(path) as tiff:
            if tiff.ome_metadata is None:
                raise SparseSSPError(f"{path}: no OME metadata; expected an OME-TIFF with axes CZYX")
            series = tiff.series[0]
            # Axes of length 1 may be missing.
            if series.axes not in ("CZYX", "ZYX", "CYX", "YX"):
                raise SparseSSPError(f"{path}: the axes are {series.axes}; expected CZYX")
            if series.dtype != np.float32:
                raise SparseSSPError(f"{path}: the voxels are {series.dtype}; expected float32, z-scored")
            if series.dataoffset is None:
                raise SparseSSPError(f"{path}: not an uncompressed OME-TIFF whose planes follow each other")
            dtype = series.dtype.newbyteorder(tiff.byteorder)
            voxels = np.memmap(path, dtype, "r", series.dataoffset, series.shape)
            ome = tifffile.xml2dict(tiff.ome_metadata)["OME"]
        pixels = ome["Image"]["Pixels"]
        channels = pixels["Channel"] if isinstance(pixels["Channel"], list) else [pixels["Channel"]]
        items = ome["StructuredAnnotations"]["MapAnnotation"]["Value"]
        items = items["M"] if items else []
        return Volume(
            voxels.reshape(len(channels), pixels["SizeZ"], pixels["SizeY"], pixels["SizeX"]),
            tuple(str(channel["Name"]) for channel in channels),
            tuple(float(pixels[f"PhysicalSize{axis}"]) for axis in "ZYX"),
            {item["K"]: str(item["value"]) for item in (items if isinstance(items, list) else [items])},
        )
    except KeyError as error:
        raise SparseSSPError(
            f"{path}: the OME metadata lack {error}; expected named channels, voxel size and notes"
        ) from None
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # tifffile raises all kinds of errors on a broken file
        raise_system_error(error, path)
        raise SparseSSPError(f"{path}: not a readable uncompressed OME-TIFF ({error})") from error


def zscore(stack: np.ndarray, source: str) -> tuple[np.ndarray, float, float]:
    """Normalise `stack` to mean 0 and standard deviation 1 over all its voxels (section 4.1).

    Args:
        stack: Array of any shape and real type; statistics are computed in float64.
        source: Name of the stack in errors.

    Returns:
        The float32 stack, and the mean and standard deviation before normalisation.

    Raises:
        SparseSSPError: The stack is empty, holds NaN or infinity, or is constant.
    """
    values = np.asarray(stack, dtype=np.float64)
    if values.size == 0:
        raise SparseSSPError(f"{source}: the stack is empty, its shape is {values.shape}")
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise SparseSSPError(f"{source}: {bad} of {values.size} voxels are NaN or infinite; all must be finite")
    mean, std = float(values.mean()), float(values.std())
    if std <= 1e-12 * max(1.0, abs(mean)):
        raise SparseSSPError(f"{source}: every voxel is {mean:g}; a constant stack cannot be z-scored")
    return ((values - mean) / std).astype(np.float32), mean, std


def sparse_view(stack: np.ndarray, ratio: int, phase: int = 0) -> np.ndarray:
    """Return the planes phase, phase + ratio, ... that a sparse acquisition would image (section 3.1).

    Args:
        stack: Dense transmitted-light stack (D, H, W).
        ratio: Sparsity ratio r.
        phase: First imaged plane, below `ratio`.

    Returns:
        The sparse view (ceil((D - phase) / r), H, W).
    """
    if not 0 <= phase < ratio:
        raise SparseSSPError(f"phase {phase} is out of range for ratio {ratio}; allowed: 0 to {ratio - 1}")
    return stack[phase::ratio]
