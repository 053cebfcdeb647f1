"""The voxel size of a dataset."""

from pathlib import Path

from sparsessp.data.samples import read_table
from sparsessp.schema import MANIFEST, VOXEL_COLUMNS


def voxel_um(volumes: Path) -> tuple[float, float, float]:
    """Return the median voxel size (z, y, x) of the prepared volumes in micrometres.

    Raises:
        SparseSSPError: The manifest is missing or does not list voxel sizes.
    """
    z, y, x = read_table(volumes / MANIFEST, VOXEL_COLUMNS)[list(VOXEL_COLUMNS)].median()
    return float(z), float(y), float(x)
