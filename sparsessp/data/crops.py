"""Random patches and flips (section 4.1), each a pure function of (seed, epoch, position).

Crops follow the sparse grid: the imaged planes of a crop are where they are in every inference
window, flipped or not, so that the network never sees another alignment of view and target.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from sparsessp.data.samples import Sample
from sparsessp.data.windows import imaged_starts

T = TypeVar("T")


@dataclass(frozen=True)
class Patch:
    """Shape of a crop on the target grid, and the axes that may be flipped.

    Attributes:
        depth: Planes, a multiple of the ratio.
        rows: Rows and columns.
        flip: Subset of "zyx".
        overlap: Overlap of the inference windows in z at which crops start; None: they start at any imaged plane.
    """

    depth: int
    rows: int
    flip: str
    overlap: float | None = None


@dataclass(frozen=True)
class Place:
    """Position of one crop, and which of its axes z, y, x are flipped.

    Attributes:
        view: First imaged plane, row and column.
        target: First plane, row and column.
        flips: Of z, y and x.
    """

    view: tuple[int, int, int]
    target: tuple[int, int, int]
    flips: tuple[bool, bool, bool]


def place(sample: Sample, patch: Patch, rng: np.random.Generator) -> Place:
    """Draw the position of one random crop."""
    flip_z, flip_y, flip_x = (bool(rng.integers(2)) and axis in patch.flip for axis in "zyx")
    height, width = sample.target_DHW.shape[1:]
    y = int(rng.integers(max(height - patch.rows, 0) + 1))
    x = int(rng.integers(max(width - patch.rows, 0) + 1))
    j, z, flip_z = _place_z(sample, patch, flip_z, rng)
    return Place((j, y, x), (z, y, x), (flip_z, flip_y, flip_x))


def _place_z(sample: Sample, patch: Patch, flip: bool, rng: np.random.Generator) -> tuple[int, int, bool]:
    """First imaged plane (in the view), first target plane, and whether z is flipped after all.

    The imaged plane leads its block of r planes by `phase`. A stack flipped about its middle would
    have it trail instead; shifting the target by r - 1 - 2 phase planes corrects this. If the volume
    has no room for the shift, the crop is not flipped.
    """
    r, planes, depth = sample.ratio, len(sample.target_DHW), patch.depth
    shift = r - 1 - 2 * sample.phase if flip else 0
    last = max(len(sample.view_dHW) - depth // r, 0)
    allowed = range(last + 1)
    if patch.overlap is not None:
        allowed = [j for j in imaged_starts(planes, depth, r, patch.overlap) if j <= last]
    fits = [j for j in allowed if 0 <= j * r - shift and j * r - shift + depth <= planes]
    if flip and not fits:
        return _place_z(sample, patch, False, rng)
    j = int(rng.choice(fits)) if fits else 0
    return j, j * r - shift, flip


def cut(stack: np.ndarray, start: tuple[int, ...], size: tuple[int, ...], flips: tuple[bool, ...]) -> np.ndarray:
    """Cut a box of `size` at `start` and flip it; where the stack ends before it, its edge is repeated."""
    box = np.asarray(stack[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))])
    missing = [(0, n - have) for n, have in zip(size, box.shape, strict=True)]
    if any(after for _, after in missing):
        box = np.pad(box, missing, mode="edge")
    return np.flip(box, tuple(axis for axis, flip in enumerate(flips) if flip))


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


class Pool:
    """Stacks of all samples in one tensor on a device; the boxes of a batch are one gather.

    Args:
        shapes: Planes, rows and columns of each stack.
        device: Device of the tensor.
        dtype: Type of the voxels; boxes are always float32.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], device: torch.device, dtype: torch.dtype = torch.float32):
        shape_N3 = torch.tensor(shapes)
        ends = shape_N3.prod(dim=1).cumsum(0)  # int64: all stacks together may have more than 2**31 voxels
        self.ends = [0, *ends.tolist()]
        self.voxels = torch.empty(self.ends[-1], dtype=dtype, device=device)
        self.shape_N3 = shape_N3.to(device)
        self.offset_N = torch.tensor(self.ends[:-1], device=device)

    def fill(self, stacks: Iterable[np.ndarray]) -> Self:
        """Copy stacks into the tensor, one at a time, and return the pool."""
        for number, stack in enumerate(stacks):
            self.put(number, stack)
        return self

    def put(self, number: int, stack: np.ndarray) -> None:
        """Copy one stack into its place."""
        flat = torch.from_numpy(np.array(stack, dtype=np.float32)).flatten()
        self.voxels[self.ends[number] : self.ends[number + 1]].copy_(flat)

    def boxes(self, chosen_B: Tensor, start_B3: Tensor, size: tuple[int, int, int], flip_B3: Tensor) -> Tensor:
        """Cut and flip a box of `size` from each chosen stack, as `cut` does; (B, *size) float32."""
        shape_B3 = self.shape_N3[chosen_B]
        index = self.offset_N[chosen_B].reshape(-1, 1, 1, 1)
        for axis, count in enumerate(size):
            steps = torch.arange(count, device=self.voxels.device)
            step_BN = torch.where(flip_B3[:, axis, None], count - 1 - steps, steps)
            place_BN = torch.minimum(start_B3[:, axis, None] + step_BN, shape_B3[:, axis, None] - 1)
            place_BN = place_BN * shape_B3[:, axis + 1 :].prod(dim=1, keepdim=True)
            index = index + place_BN.reshape(-1, *(count if i == axis else 1 for i in range(3)))
        return self.voxels[index].float()


@dataclass(frozen=True)
class Draw:
    """Crops of one batch: the index of each sample, and the position in it."""

    chosen: list[int]
    places: list[Place]


class Crops:
    """The batches of a training run, each a pure function of its step.

    Every epoch visits each sample once, in a new order; a batch may span two epochs. There are no worker processes. On
    a CPU crops are read from the files, which the system caches in memory. On a GPU the volumes are moved there once,
    if they fill at most half of the free memory, and are cut there without waiting; otherwise a thread reads the next
    batches from the files while the GPU computes.

    Args:
        samples: Volumes to cut from.
        patch: Shape of a crop.
        seed: Random seed of orders, positions and flips.
        device: Device of the batches.
        keep: Whether volumes are kept on the device; None: on a GPU, if they fit.
        ahead: Batches that are read in advance; None: two on a GPU.
        share: Function from the size of a batch to the part of it that is cut here; None: all of it.
        dtype: Type of the volumes on the device, to which crops are rounded wherever they are cut.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        patch: Patch,
        seed: int,
        device: torch.device,
        keep: bool | None = None,
        ahead: int | None = None,
        share: Callable[[int], slice] | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.share = share or (lambda size: slice(size))
        self.dtype = dtype
        self.samples, self.patch, self.seed, self.device = samples, patch, seed, device
        ratio = samples[0].ratio
        self.view_size = (patch.depth // ratio, patch.rows, patch.rows)
        self.target_size = (patch.depth, patch.rows, patch.rows)
        self.pools: tuple[Pool, Pool] | None = None
        views, targets = ([getattr(s, name) for s in samples] for name in ("view_dHW", "target_DHW"))
        if keep is None:
            needed = dtype.itemsize * sum(prod(stack.shape) for stack in (*views, *targets))
            keep = device.type == "cuda" and needed <= torch.cuda.mem_get_info(device)[0] / 2
        if keep:
            self.pools = tuple(Pool([s.shape for s in part], device, dtype).fill(part) for part in (views, targets))
        if ahead is None:
            ahead = 2 if device.type == "cuda" and not keep else 0
        self.ahead = Ahead(self._read, ahead) if ahead else None

    def chosen(self, step: int, size: int) -> list[Sample]:
        """Return the samples of the crops of a batch, in its order."""
        return [self.samples[i] for i, _, _ in self._draw(step, size)]

    def _draw(self, step: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Index of the sample, epoch and position in it of each crop of a batch."""
        for index in range(step * size, (step + 1) * size):
            epoch, position = divmod(index, len(self.samples))
            yield int(_order(self.seed, epoch, len(self.samples))[position]), epoch, position

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Make the batch of one optimiser step, or the share of it.

        Args:
            step: Steps done before this one.
            size: Crops in the batch.

        Returns:
            Views (B, 1, d, H, W), targets (B, 1, D, H, W) and tasks (B,), on the device.
        """
        draw = self._places(step, size)
        tasks = [self.samples[i].task for i in draw.chosen]
        if self.pools is None:
            view, target = (self.ahead or self._read)(step, size)
            parts = (view, target, self._pinned(torch.tensor(tasks)))
            view, target, task_B = (part.to(self.device, non_blocking=True) for part in parts)
            view, target = view.float(), target.float()
        else:
            rows = [
                (i, t, *p.view, *p.target, *p.flips) for i, t, p in zip(draw.chosen, tasks, draw.places, strict=True)
            ]
            table = self._pinned(torch.tensor(rows)).to(self.device, non_blocking=True)
            chosen_B, task_B, flip_B3 = table[:, 0], table[:, 1], table[:, 8:].bool()
            view = self.pools[0].boxes(chosen_B, table[:, 2:5], self.view_size, flip_B3)
            target = self.pools[1].boxes(chosen_B, table[:, 5:8], self.target_size, flip_B3)
        return view.unsqueeze(1), target.unsqueeze(1), task_B

    def _places(self, step: int, size: int) -> Draw:
        chosen, places = [], []
        for number, epoch, position in list(self._draw(step, size))[self.share(size)]:
            chosen.append(number)
            rng = np.random.default_rng([self.seed, epoch, position])
            places.append(place(self.samples[number], self.patch, rng))
        return Draw(chosen, places)

    def _read(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Read the crops of a batch from the files, into page-locked memory if they will be copied to a GPU."""
        draw = self._places(step, size)
        samples, flips = [self.samples[i] for i in draw.chosen], [p.flips for p in draw.places]
        view = _cut_all([s.view_dHW for s in samples], [p.view for p in draw.places], self.view_size, flips)
        target = _cut_all([s.target_DHW for s in samples], [p.target for p in draw.places], self.target_size, flips)
        return self._pinned(view.to(self.dtype)), self._pinned(target.to(self.dtype))

    def _pinned(self, part: Tensor) -> Tensor:
        """Copy to page-locked memory, from which a GPU reads without making this thread wait."""
        return part.pin_memory() if self.device.type == "cuda" else part


class Ahead:
    """Calls a function of step and batch size in a thread, for steps that come next."""

    def __init__(self, function: Callable[[int, int], T], steps: int):
        self.function, self.steps = function, steps
        self.thread = ThreadPoolExecutor(1, "crops")
        self.waiting: dict[tuple[int, int], Future[T]] = {}

    def __call__(self, step: int, size: int) -> T:
        """Return the result for this step, computed in advance if the step before was asked for last."""
        wanted = [(k, size) for k in range(step, step + self.steps + 1)]
        for key in [key for key in self.waiting if key not in wanted]:
            self.waiting.pop(key).cancel()
        for key in wanted:
            if key not in self.waiting:
                self.waiting[key] = self.thread.submit(self.function, *key)
        return self.waiting.pop(wanted[0]).result()


def _cut_all(stacks: list[np.ndarray], starts: list, size: tuple[int, int, int], flips: list) -> Tensor:
    boxes = np.empty((len(stacks), *size), np.float32)
    for box, stack, start, flip in zip(boxes, stacks, starts, flips, strict=True):
        box[...] = cut(stack, start, size, flip)  # copied at once, so that one file is open at a time
    return torch.from_numpy(boxes)
