"""Random patches and flips (section 4.1), each a pure function of (seed, epoch, position).

Crops follow the sparse grid: the imaged planes of a crop stand where they stand in every inference
window, flipped or not, so that the network never meets another alignment of view and target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sparsessp.dataset import Sample


@dataclass(frozen=True)
class Patch:
    """Shape of a crop on the target grid, and the axes that may be flipped.

    Attributes:
        depth: Planes, a multiple of the ratio.
        rows: Rows and columns.
        flip: Subset of "zyx".
    """

    depth: int
    rows: int
    flip: str


def crop(sample: Sample, patch: Patch, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut one random patch.

    Volumes smaller than the patch are padded by repeating their edge.

    Returns:
        View (depth / ratio, rows, rows) and target (depth, rows, rows).
    """
    flips = {axis: bool(rng.integers(2)) and axis in patch.flip for axis in "zyx"}
    height, width = sample.target_DHW.shape[1:]
    y = int(rng.integers(max(height - patch.rows, 0) + 1))
    x = int(rng.integers(max(width - patch.rows, 0) + 1))
    j, z, flips["z"] = _place_z(sample, patch.depth, flips["z"], rng)
    view = _cut(sample.view_dHW, (j, y, x), (patch.depth // sample.ratio, patch.rows, patch.rows))
    target = _cut(sample.target_DHW, (z, y, x), (patch.depth, patch.rows, patch.rows))
    axes = tuple(i for i, axis in enumerate("zyx") if flips[axis])
    return np.flip(view, axes), np.flip(target, axes)


def _place_z(sample: Sample, depth: int, flip: bool, rng: np.random.Generator) -> tuple[int, int, bool]:
    """First imaged plane (in the view), first target plane, and whether z is flipped after all.

    The imaged plane leads its block of r planes by `phase`. A stack flipped about its middle would
    have it trail instead; shifting the target by r - 1 - 2 phase planes puts it back. Where the
    volume has no room for the shift, the crop stays unflipped.
    """
    r, planes = sample.ratio, len(sample.target_DHW)
    shift = r - 1 - 2 * sample.phase if flip else 0
    last = max(len(sample.view_dHW) - depth // r, 0)
    fits = [j for j in range(last + 1) if 0 <= j * r - shift and j * r - shift + depth <= planes]
    if flip and not fits:
        return _place_z(sample, depth, False, rng)
    j = int(rng.choice(fits)) if fits else 0
    return j, j * r - shift, flip


def _cut(stack: np.ndarray, start: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Cut a box, padding by the edge where the stack ends before it."""
    box = np.asarray(stack[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))])
    missing = [(0, n - have) for n, have in zip(size, box.shape, strict=True)]
    return np.pad(box, missing, mode="edge") if any(after for _, after in missing) else box


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def batch(samples: Sequence[Sample], patch: Patch, seed: int, step: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Make the batch of one optimiser step.

    Every epoch visits each sample once, in an order of its own; batches run on over its end.

    Args:
        samples: Training samples.
        patch: Shape of a crop.
        seed: Of orders, places and flips.
        step: Steps done before this one.
        size: Crops in the batch.

    Returns:
        Views (B, 1, d, H, W), targets (B, 1, D, H, W) and tasks (B,), on the CPU.
    """
    views, targets, tasks = [], [], []
    for index in range(step * size, (step + 1) * size):
        epoch, position = divmod(index, len(samples))
        sample = samples[_order(seed, epoch, len(samples))[position]]
        view, target = crop(sample, patch, np.random.default_rng([seed, epoch, position]))
        views.append(torch.from_numpy(view.copy())[None])
        targets.append(torch.from_numpy(target.copy())[None])
        tasks.append(sample.task)
    return torch.stack(views), torch.stack(targets), torch.tensor(tasks)
