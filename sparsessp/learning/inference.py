"""Prediction of whole volumes by a Gaussian sliding window on the sparse grid (section 4.1).

All windows, including the last, start at an imaged plane, so that no window reads a plane that was not imaged. Volumes
may be smaller than a window.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.config import NetworkSettings
from sparsessp.data.windows import imaged_starts, window_starts
from sparsessp.networks.network import MultiNetwork, Network, merge_kernels
from sparsessp.support.device import autocast

# Voxels per batch of windows: on a CPU one window of the paper, which is as fast as several; on CUDA eight, as many as
# in a training batch, so that prediction fits in memory if training did. Networks in 2D, whose features take a fraction
# of the memory, get more there, because they wait for kernels to be launched.
_VOXELS_AT_ONCE = {"cpu": 2**19, "cuda": 2**22}
_MORE_IN_2D = 8


def gaussian(size: int) -> np.ndarray:
    """Return the weights along one axis: a Gaussian around the middle with sigma = size / 8 and maximum 1.

    Beyond four sigma the paper's weights, a blurred pulse, are zero. The smallest positive weight is used there, so
    that every voxel has a weight.
    """
    sigma = size / 8
    distance = np.minimum(np.abs(np.arange(size) - size // 2), int(4 * sigma + 0.5))
    return np.exp(-0.5 * (distance / sigma) ** 2)


def predict(
    network: Network | MultiNetwork,
    view_dHW: np.ndarray | Tensor,
    planes: int,
    task: int | Sequence[int],
    window: int,
    overlap: float = 0.5,
) -> np.ndarray:
    """Predict one or several structures of a whole volume; arguments and result as in `predict_tensor`."""
    return predict_tensor(network, view_dHW, planes, task, window, overlap).cpu().numpy()


def predict_tensor(
    network: Network | MultiNetwork,
    view_dHW: np.ndarray | Tensor,
    planes: int,
    task: int | Sequence[int],
    window: int,
    overlap: float = 0.5,
) -> Tensor:
    """Predict one or several structures of a whole volume.

    Several structures are predicted in one pass: the unconditioned first parts of the network run once per window.

    Args:
        network: Network in any mode, on any device; its settings determine the precision.
        view_dHW: Imaged planes, z-scored, where plane j represents planes j r to j r + r - 1.
        planes: Planes D of the prediction.
        task: Index of the structure, or several indices.
        window: Rows and columns of a window; its planes are the network's depth.
        overlap: Overlap of neighbouring windows, as a fraction of a window.

    Returns:
        (D, H, W) float32, z-scored like the targets; (T, D, H, W) for several tasks. On the network's device, or on the
        CPU if it would take more than half of the free memory there.
    """
    settings = network.settings
    r, depth = settings.ratio, settings.depth
    height, width = view_dHW.shape[1:]
    # Pad to whole blocks of r planes and to at least one window; the excess is cropped from the result.
    sizes = (max(-(-planes // r), depth // r), max(height, window), max(width, window))
    view = padded(view_dHW, sizes).to(next(network.parameters()).device)
    cut = (depth // r, window, window)
    grid = [[r * j for j in imaged_starts(planes, depth, r, overlap)]]
    grid += [window_starts(n, window, overlap) for n in sizes[1:]]
    tasks = [task] if isinstance(task, int) else list(task)
    result = blend(network, lambda z, y, x: view[z // r :, y, x][: cut[0]], grid, window, tasks)
    result = result[:, :planes, :height, :width]
    return result[0] if isinstance(task, int) else result


def padded(stack: np.ndarray | Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the stack, padded at the end of each axis to `sizes` by repeating its edges."""
    if isinstance(stack, Tensor):
        missing = [size - have for size, have in zip(sizes, stack.shape, strict=True)]
        return F.pad(stack[None, None], [n for m in reversed(missing) for n in (0, m)], mode="replicate")[0, 0]
    padding = [(0, size - have) for size, have in zip(sizes, stack.shape, strict=True)]
    return torch.from_numpy(np.pad(np.asarray(stack, np.float32), padding, mode="edge"))


def blend(
    network: Network | MultiNetwork,
    view_at: Callable[[int, slice, slice], Tensor],
    grid: Sequence[Sequence[int]],
    window: int,
    tasks: Sequence[int],
    at_once: int | None = None,
) -> Tensor:
    """Predict the windows of a grid and take their Gaussian-weighted mean.

    If GPU memory runs out, the prediction starts again with half as many windows at once.

    Args:
        network: As in `predict`.
        view_at: Function from a window's first plane, rows and columns to its sparse view (d, window, window).
        grid: First planes, rows and columns of the windows; the first window starts at the first voxel.
        window: Rows and columns of a window.
        tasks: Indices of the structures.
        at_once: Windows in one forward pass; None: the default of the device.

    Returns:
        (T, D, H, W) float32, ending with the last windows; on a device as in `predict_tensor`.
    """
    at_once = at_once or windows_at_once(network.settings, window, next(network.parameters()).device)
    try:
        return _blend(network, view_at, grid, window, tasks, at_once)
    except torch.OutOfMemoryError:
        if at_once == 1:
            raise
    torch.cuda.empty_cache()
    return blend(network, view_at, grid, window, tasks, at_once // 2)


def windows_at_once(settings: NetworkSettings, window: int, device: torch.device) -> int:
    """Return the number of windows in one forward pass."""
    voxels = _VOXELS_AT_ONCE[device.type]
    if device.type == "cuda" and settings.dimensions == (2, 2):
        voxels *= _MORE_IN_2D
    return max(1, voxels // (settings.depth * window**2))


def _blend(
    network: Network | MultiNetwork,
    view_at: Callable[[int, slice, slice], Tensor],
    grid: Sequence[Sequence[int]],
    window: int,
    tasks: Sequence[int],
    at_once: int,
) -> Tensor:
    cut = (network.settings.depth, window, window)
    shape = (len(tasks), *(places[-1] + n for places, n in zip(grid, cut, strict=True)))
    device = next(network.parameters()).device
    weights = [torch.from_numpy(gaussian(n)).float() for n in cut]
    predictors = task_predictors(network, tasks)
    whole, slab_shape = fits(device, shape), (*shape[:2], window, shape[3])
    total = torch.zeros(shape, device=device if whole else "cpu")

    # Entered around the loop, because a generator would leave the inner context at its first yield.
    with torch.inference_mode(), autocast(network.settings, device):

        def add(total: Tensor, places: Sequence[Sequence[int]], first_row: int) -> None:
            """Add the weighted windows at these places to sums that start at a row."""
            along_z, along_y, along_x = (weight_N.to(total.device) for weight_N in weights)
            weight = along_z[:, None, None] * along_y[:, None] * along_x
            for chosen in batches(list(product(*places)), at_once):
                boxes = [tuple(slice(k, k + n) for k, n in zip(place, cut, strict=True)) for place in chosen]
                stack = torch.stack([view_at(place[0], *box[1:]) for place, box in zip(chosen, boxes, strict=True)])
                for sums, patches in zip(total, forward(predictors, stack.to(device), total.device), strict=True):
                    for (z, y, x), patch in zip(boxes, patches, strict=True):
                        sums[z, y.start - first_row : y.stop - first_row, x] += weight * patch

        if whole:
            add(total, grid, 0)
        else:
            # One row of windows at a time, so that each voxel leaves the GPU once per row instead of once per window.
            slab = torch.zeros(slab_shape, device=sums_device(device, slab_shape))
            for row in grid[1]:
                add(slab.zero_(), (grid[0], [row], grid[2]), row)
                total[:, :, row : row + window] += slab.cpu()
    # The windows form a grid and their weight is a product over axes, so the sum of weights is a product too.
    for axis, (places, weight_N) in enumerate(zip(grid, weights, strict=True), start=1):
        total /= summed(places, weight_N).to(total.device).reshape(-1, *[1] * (3 - axis))
    return total


def summed(places: Sequence[int], weight_N: Tensor) -> Tensor:
    """Return the sum of the weights of the windows along one axis."""
    result = torch.zeros(places[-1] + len(weight_N))
    for first in places:
        result[first : first + len(weight_N)] += weight_N
    return result


def fits(device: torch.device, shape: Sequence[int]) -> bool:
    """Return whether sums of this shape take at most half of the free memory of a GPU; on a CPU they always fit."""
    return device.type == "cpu" or 4 * prod(shape) <= torch.cuda.mem_get_info(device)[0] / 2


def sums_device(device: torch.device, shape: Sequence[int]) -> torch.device:
    """Return where to sum windows to this shape: on the device if they fit, else on the CPU."""
    return device if fits(device, shape) else torch.device("cpu")


def batches(places: list[tuple[int, ...]], size: int) -> Iterator[list[tuple[int, ...]]]:
    """Yield the places in groups of `size`."""
    for first in range(0, len(places), size):
        yield places[first : first + size]


Predictor = Callable[[Tensor], Iterable[Tensor]]


@torch.inference_mode()
def task_predictors(network: Network | MultiNetwork, tasks: Sequence[int]) -> list[Predictor]:
    """Return functions that predict all tasks of a batch: one for all tasks if they share work, else one per task."""
    if len(tasks) > 1 and isinstance(network, Network) and network.first_conditioned != "encoder":
        return [partial(network.forward_tasks, tasks=tasks)]
    return [
        partial(_one, merge_kernels(network, task) if isinstance(network, Network) else network, task) for task in tasks
    ]


def _one(network: nn.Module, task: int, view_B1DHW: Tensor) -> list[Tensor]:
    return [network(view_B1DHW, torch.full((len(view_B1DHW),), task, device=view_B1DHW.device))]


def forward(predictors: Sequence[Predictor], view_BDHW: Tensor, place: torch.device | str = "cpu") -> Iterator[Tensor]:
    """Yield the predictions of a batch of windows by task, each (B, D, H, W) float32 on the device `place`."""
    for predictor in predictors:
        for prediction_B1DHW in predictor(view_BDHW[:, None]):
            yield prediction_B1DHW[:, 0].float().to(place)
