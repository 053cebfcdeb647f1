"""What the released code's sampling would have scored (docs/methods.md#sparse-view): for comparison only.

It drops planes inside each window. A last window that is moved back to fit starts between two imaged planes and reads
others, so that the network sees planes which a microscope that takes every r-th would not have. Nothing else uses this.
"""

from collections.abc import Callable

import numpy as np

from sparsessp.data.samples import Sample
from sparsessp.data.windows import window_starts
from sparsessp.learning.inference import blend, padded
from sparsessp.networks.network import MultiNetwork, Network


def places(planes: int, depth: int, overlap: float) -> list[int]:
    """First planes of the windows in z, on the dense grid."""
    return window_starts(max(planes, depth), depth, overlap)


def planes_read(planes: int, depth: int, ratio: int, overlap: float) -> int:
    """How many planes of the volume the windows read, whether the microscope took them or not."""
    return len(
        {z for first in places(planes, depth, overlap) for z in range(first, first + depth, ratio) if z < planes}
    )


def window_sampled(
    network: Network | MultiNetwork, dense: Callable[[Sample], np.ndarray], window: int, overlap: float
) -> Callable[[Sample], np.ndarray]:
    """Return a predictor for `evaluate` that samples inside each window.

    Args:
        network: As in `inference.predict`.
        dense: From a sample to its dense transmitted light (D, H, W), z-scored.
        window: Rows and columns of a window.
        overlap: Of neighbouring windows, as a fraction of a window.
    """
    depth, r = network.settings.depth, network.settings.ratio

    def predictor(sample: Sample) -> np.ndarray:
        planes, height, width = sample.target_DHW.shape
        sizes = (max(planes, depth), max(height, window), max(width, window))
        light = padded(dense(sample), sizes)
        grid = [places(planes, depth, overlap), *(window_starts(n, window, overlap) for n in sizes[1:])]
        result = blend(network, lambda z, y, x: light[z : z + depth : r, y, x], grid, window, [sample.task])
        return result[0, :planes, :height, :width]

    return predictor
