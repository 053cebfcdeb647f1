"""The paper's preparation of a recorded stack (section 4.1): z-score it, then zoom rows and columns.

Shapes: D planes, H rows and W columns as recorded, h rows and w columns after the zoom.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import ndimage, sparse

from sparsessp.data.allencell.catalogue import Preparation
from sparsessp.data.volumes import zscore
from sparsessp.data.voxel_size import Edges
from sparsessp.errors import SparseSSPError

_NEGLIGIBLE = 1e-12  # weights of the spline that change no float32 value


def zoom_factors(
    voxel: Literal["paper", "metadata"],
    preparation: Preparation,
    edges_um: Edges,
    source: str,
) -> tuple[float, float]:
    """Return the zoom factors of rows and columns.

    Args:
        voxel: "paper" zooms every image by the same factor, whatever its voxel size; "metadata" brings
            each image to the same voxel size by its own metadata.
        preparation: Zoom factor and voxel size.
        edges_um: Size (z, y, x) of a voxel by the file's metadata, um; None for each edge that they do not give.
        source: Name of the image in errors.

    Raises:
        SparseSSPError: The file gives no size of rows or columns, and `voxel` is "metadata".
    """
    if voxel == "paper":
        return preparation.zoom, preparation.zoom
    _, y, x = edges_um
    if y is None or x is None:
        raise SparseSSPError(f"{source}: the file gives no voxel size; voxel 'metadata' needs it, 'paper' does not")
    return y / preparation.voxel_um, x / preparation.voxel_um


def prepare(stack_DHW: np.ndarray, zoom_yx: tuple[float, float], source: str) -> tuple[np.ndarray, float, float]:
    """Z-score a stack over all its voxels and zoom its rows and columns by a cubic spline.

    The result equals `scipy.ndimage.zoom(zscore(stack), (1, *zoom_yx), order=3, mode="nearest")`. The zoom
    is linear along each axis, so it is computed plane by plane with one sparse matrix per axis.

    Args:
        stack_DHW: Raw voxels of any real type.
        zoom_yx: Factors on rows and columns.
        source: Name of the stack in errors.

    Returns:
        The float32 stack (D, h, w), and the mean and the standard deviation of the raw voxels.

    Raises:
        SparseSSPError: The stack is empty, not finite or constant.
    """
    mean, std = _moments(stack_DHW)
    if not std > 1e-12 * max(1.0, abs(mean)):
        zscore(stack_DHW, source)  # raises the error
    rows, columns = (_zoom_matrix(n, zoom) for n, zoom in zip(stack_DHW.shape[1:], zoom_yx, strict=True))
    result = np.empty((len(stack_DHW), rows.shape[0], columns.shape[0]), np.float32)
    for plane, zoomed in zip(stack_DHW, result, strict=True):
        zoomed[...] = (columns @ (rows @ ((plane - np.float64(mean)) / std)).T).T
    return result, mean, std


def _moments(stack_DHW: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation over all voxels; nan if there are none or one is not finite."""
    if not stack_DHW.size:
        return np.nan, np.nan
    with np.errstate(invalid="ignore"):
        mean = stack_DHW.mean(dtype=np.float64)
        # By planes, because a float64 copy of the stack is four times as large as the stack.
        variance = np.mean([np.square(plane - mean).mean() for plane in stack_DHW])
    return float(mean), float(np.sqrt(variance))


@lru_cache(maxsize=8)
def _zoom_matrix(n: int, zoom: float) -> sparse.csr_array:
    """Return the zoom of `n` values as a matrix, whose columns are zoomed unit vectors."""
    columns = [ndimage.zoom(unit, zoom, order=3, mode="nearest") for unit in np.eye(n)]
    matrix = np.stack(columns, axis=1)
    return sparse.csr_array(np.where(abs(matrix) > _NEGLIGIBLE, matrix, 0))
