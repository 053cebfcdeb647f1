"""The voxel size of a dataset."""

from pathlib import Path

import numpy as np

from sparsessp.data.samples import read_manifest
from sparsessp.data.volumes import read_volume
from sparsessp.schema import VOXEL_COLUMNS


def voxel_um(volumes: Path) -> tuple[float, float, float]:
    """Return the median voxel size (z, y, x) of the prepared volumes in micrometres.

    It is read from the manifest, or from the volumes if the manifest does not list voxel sizes.

    Raises:
        SparseSSPError: As for `read_manifest`; or a volume cannot be read.
    """
    manifest = read_manifest(volumes)
    if manifest.columns.isin(VOXEL_COLUMNS).sum() == len(VOXEL_COLUMNS):
        sizes = manifest[list(VOXEL_COLUMNS)].to_numpy()
    else:
        sizes = np.array([read_volume(volumes / path).voxel_um for path in manifest["path"]])
    z, y, x = np.median(sizes, axis=0)
    return float(z), float(y), float(x)
