"""Prediction of whole volumes by a Gaussian sliding window on the sparse grid (section 4.1).

Windows are placed in units of imaged planes, the last one included, so that no window can ask for
a plane that was not imaged. Any volume is possible, one shorter than a window too.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from sparsessp.networks.network import MultiNetwork, Network

_WINDOWS_AT_ONCE = 8


def starts(length: int, window: int, step: int) -> list[int]:
    """Starts of the windows that cover `length`; the last one ends at its end."""
    return [*range(0, length - window, step), max(length - window, 0)]


def gaussian(size: int) -> np.ndarray:
    """Weights of one axis: a unit pulse in the middle, blurred by size / 8, highest value 1.

    Where the blur has died out the smallest weight left is taken, so that no voxel goes unseen.
    """
    pulse = np.zeros(size)
    pulse[size // 2] = 1
    weight = gaussian_filter1d(pulse, size / 8, mode="constant")
    weight /= weight.max()
    return np.maximum(weight, weight[weight > 0].min())


def window_weight(shape: tuple[int, int, int]) -> Tensor:
    """Weight of each voxel of a window (D, H, W), highest in the middle, float32, never 0."""
    z, y, x = (gaussian(size) for size in shape)
    weight = z[:, None, None] * y[:, None] * x
    smallest = np.finfo(np.float32).tiny
    return torch.from_numpy(np.maximum(weight, smallest).astype(np.float32))


def predict(
    network: Network | MultiNetwork,
    view_dHW: np.ndarray,
    planes: int,
    task: int,
    window: int,
    overlap: float = 0.5,
) -> np.ndarray:
    """Predict one structure of a whole volume.

    Args:
        network: In any mode, on any device; bfloat16 autocast on CUDA, float32 on a CPU.
        view_dHW: Imaged planes, z-scored, plane j standing for planes j r to j r + r - 1.
        planes: Planes D of the prediction.
        task: Index of the structure.
        window: Rows and columns of a window; its planes are the network's depth.
        overlap: Of neighbouring windows, as a fraction of a window.

    Returns:
        (D, H, W) float32, z-scored like the targets.
    """
    settings = network.settings
    r, depth = settings.ratio, settings.depth
    height, width = view_dHW.shape[1:]
    # Pad to whole blocks of r planes and to one window at least; the blocks beyond D are cut off again.
    sizes = (max(-(-planes // r), depth // r), max(height, window), max(width, window))
    padding = [(0, size - have) for size, have in zip(sizes, view_dHW.shape, strict=True)]
    view = torch.from_numpy(np.pad(np.asarray(view_dHW, np.float32), padding, mode="edge"))
    cut = (depth // r, window, window)
    places = list(product(*(starts(n, w, max(1, int(w * (1 - overlap)))) for n, w in zip(sizes, cut, strict=True))))
    device = next(network.parameters()).device
    weight = window_weight((depth, window, window))
    total = torch.zeros(sizes[0] * r, *sizes[1:])
    weights = torch.zeros_like(total)
    for chosen in _batches(places, _WINDOWS_AT_ONCE):
        stack = torch.stack([view[j : j + cut[0], y : y + window, x : x + window] for j, y, x in chosen])
        for (j, y, x), patch in zip(chosen, _forward(network, stack.to(device), task), strict=True):
            box = (slice(j * r, j * r + depth), slice(y, y + window), slice(x, x + window))
            total[box] += weight * patch
            weights[box] += weight
    return (total / weights)[:planes, :height, :width].numpy()


def _batches(places: list[tuple[int, ...]], size: int) -> Iterator[list[tuple[int, ...]]]:
    for first in range(0, len(places), size):
        yield places[first : first + size]


@torch.inference_mode()
def _forward(network: Network | MultiNetwork, view_BDHW: Tensor, task: int) -> Tensor:
    """Predictions of a batch of windows, (B, D, H, W) float32 on the CPU."""
    task_B = torch.full((len(view_BDHW),), task, device=view_BDHW.device)
    with torch.autocast(view_BDHW.device.type, torch.bfloat16, enabled=view_BDHW.is_cuda):
        return network(view_BDHW[:, None], task_B)[:, 0].float().cpu()
