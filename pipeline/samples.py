"""The samples of a stage."""

from pipeline.paths import SPLIT, VOLUMES, VOXEL_CHECKS, views
from sparsessp.data.samples import Sample, load_samples


def stage_samples(ratio: int, part: str) -> list[Sample]:
    """Open the samples of one part of the split at one ratio; voxels are checked once per file."""
    return load_samples(VOLUMES, views(ratio), SPLIT, part, VOXEL_CHECKS)
