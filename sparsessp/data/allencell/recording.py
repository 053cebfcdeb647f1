"""What is read from a microscope image, and checks that all file formats share.

Shapes: C channels, D planes, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from sparsessp.data.voxel_size import Edges
from sparsessp.errors import SparseSSPError

LARGEST_BYTES = 16 * 10**9  # of all channels in memory; a field of view of the collection has half a GB


@dataclass(frozen=True)
class Recording:
    """Some channels of an image as recorded.

    Attributes:
        voxels: uint16 array (C, D, H, W), the channels in the order in which they were requested.
        edges_um: Size (z, y, x) of a voxel in micrometres, None for each edge that the file does not give.
    """

    voxels: np.ndarray
    edges_um: Edges = (None, None, None)

    @property
    def voxel_um(self) -> tuple[float, float, float] | None:
        """Size (z, y, x) of a voxel in micrometres, or None unless the file gives all edges."""
        z, y, x = self.edges_um
        return None if z is None or y is None or x is None else (z, y, x)


def check_axes(source: str, sizes: Mapping[str, int], channels: Sequence[int]) -> None:
    """Check that an image is a single stack and has the requested channels.

    Raises:
        SparseSSPError: It has several scenes or time points, a single plane, or too few channels.
    """
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


def check_size(source: str, shape: Sequence[int]) -> None:
    """Check the size that an image claims to have, before memory is allocated for it.

    Raises:
        SparseSSPError: It is larger than any image of the collection.
    """
    size = 2 * prod(shape)
    if size > LARGEST_BYTES:
        raise SparseSSPError(f"{source}: the shape {tuple(shape)} is {size} bytes; allowed: at most {LARGEST_BYTES}")


def plane_error(source: str, plane: int, channel: int, fault: str) -> SparseSSPError:
    """Return the error for a plane whose image data are missing or incomplete: readers would fill it with zeros."""
    return SparseSSPError(f"{source}: plane {plane} of channel {channel} {fault}")
