"""Sampling of the released code (docs/methods.md#sparse-view), for comparison only.

It samples planes inside each window. The last window is moved back to fit, so it can start between two imaged planes;
the network then sees planes that a microscope would not have taken at this ratio.
"""

from collections.abc import Callable

import numpy as np

from sparsessp.data.samples import Sample
from sparsessp.data.windows import window_starts
from sparsessp.learning.inference import blend, padded
from sparsessp.networks.network import MultiNetwork, Network


def places(planes: int, depth: int, overlap: float) -> list[int]:
    """Return the first planes of the windows on the dense grid."""
    return window_starts(max(planes, depth), depth, overlap)


def planes_read(planes: int, depth: int, ratio: int, overlap: float) -> int:
    """Return the number of planes of the volume that the windows read, imaged or not."""
    return len(
        {z for first in places(planes, depth, overlap) for z in range(first, first + depth, ratio) if z < planes}
    )


def window_sampled(
    network: Network | MultiNetwork, dense: Callable[[Sample], np.ndarray], window: int, overlap: float
) -> Callable[[Sample], np.ndarray]:
    """Return a predictor for `evaluate` that samples inside each window.

    Args:
        network: As in `inference.predict`.
        dense: Function from a sample to its dense transmitted light (D, H, W), z-scored.
        window: Rows and columns of a window.
        overlap: Overlap of neighbouring windows, as a fraction of a window.
    """
    depth, r = network.settings.depth, network.settings.ratio

    def predictor(sample: Sample) -> np.ndarray:
        planes, height, width = sample.target_DHW.shape
        sizes = (max(planes, depth), max(height, window), max(width, window))
        light = padded(dense(sample), sizes)
        grid = [places(planes, depth, overlap), *(window_starts(n, window, overlap) for n in sizes[1:])]
        result = blend(network, lambda z, y, x: light[z : z + depth : r, y, x], grid, window, [sample.task])
        return result[0, :planes, :height, :width].cpu().numpy()

    return predictor
