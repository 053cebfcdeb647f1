"""Prediction of stacks of any size in bounded memory: finished rows leave as soon as no window covers them any more.

The windows, their weights and the result are those of `inference.predict`, up to rounding. Memory holds the padded view
and one row of windows of each structure.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor

from sparsessp.data.windows import imaged_starts, window_starts
from sparsessp.learning.inference import (
    Predictor,
    batches,
    forward,
    gaussian,
    padded,
    summed,
    sums_device,
    task_predictors,
    windows_at_once,
)
from sparsessp.networks.network import MultiNetwork, Network
from sparsessp.support.device import autocast


@dataclass(frozen=True)
class Band:
    """Finished rows of a prediction.

    Attributes:
        first: First row.
        values: (T, D, rows, W) float32.
    """

    first: int
    values: np.ndarray


def predict_bands(
    network: Network | MultiNetwork,
    view_dHW: np.ndarray,
    planes: int,
    tasks: Sequence[int],
    window: int,
    overlap: float = 0.5,
    tta: bool = False,
    finished: Callable[[int], object] = lambda windows: None,
) -> Iterator[Band]:
    """Predict structures of a whole stack and yield the result from the first row to the last.

    Args:
        network: Network on any device.
        view_dHW: Imaged planes, z-scored.
        planes: Planes D of the prediction.
        tasks: Indices of the structures.
        window: Rows and columns of a window.
        overlap: Overlap of neighbouring windows, as a fraction of a window.
        tta: Average the predictions of each window in its eight flips and quarter turns. T is then twice the number
            of tasks: each task's mean, followed by the standard deviation over the eight.
        finished: Called after each batch with its number of windows.

    Yields:
        Bands that cover all rows, in order.
    """
    grid, sizes = _grid(network, planes, view_dHW.shape, window, overlap)
    view = padded(view_dHW, sizes)
    blender = _Blender(network, view, grid, window, task_predictors(network, tasks), len(tasks) * (1 + tta), tta)
    height, width = view_dHW.shape[1:]
    for row, following in pairwise([*grid[1], sizes[1]]):
        blender.add_row(row, finished)
        rows = blender.take(row, following)[:, :planes, : height - row, :width]
        if rows.shape[2]:
            yield Band(row, rows)


def count_windows(
    network: Network | MultiNetwork, planes: int, shape: tuple[int, int, int], window: int, overlap: float
) -> int:
    """Return how many windows `predict_bands` computes for a view of this shape."""
    grid, _ = _grid(network, planes, shape, window, overlap)
    return int(np.prod([len(axis) for axis in grid]))


def _grid(
    network: Network | MultiNetwork, planes: int, shape: Sequence[int], window: int, overlap: float
) -> tuple[list[list[int]], tuple[int, int, int]]:
    """Return first planes, rows and columns of the windows, and the size of the padded view."""
    depth, r = network.settings.depth, network.settings.ratio
    sizes = (max(-(-planes // r), depth // r), max(shape[1], window), max(shape[2], window))
    grid = [[r * j for j in imaged_starts(planes, depth, r, overlap)]]
    return grid + [window_starts(n, window, overlap) for n in sizes[1:]], sizes


class _Blender:
    """Sum of the weighted windows that cover the rows in progress, on a GPU if it fits."""

    def __init__(
        self,
        network: Network | MultiNetwork,
        view: Tensor,
        grid: Sequence[Sequence[int]],
        window: int,
        predictors: list[Predictor],
        outputs: int,
        tta: bool,
    ):
        self.network, self.view, self.grid = network, view, grid
        self.predictors = [_turned(predictor) for predictor in predictors] if tta else predictors
        self.cut = (network.settings.depth, window, window)
        self.device = next(network.parameters()).device
        shape = (outputs, grid[0][-1] + self.cut[0], window, grid[2][-1] + window)
        self.place = sums_device(self.device, shape)
        self.weights = [torch.from_numpy(gaussian(n)).float() for n in self.cut]
        self.total = torch.zeros(shape, device=self.place)
        self.row_weight = torch.zeros(window)

    def add_row(self, row: int, finished: Callable[[int], object]) -> None:
        """Predict the windows that start at this row; `total` starts at this row, too."""
        (depth, window, _), settings = self.cut, self.network.settings
        weight = (self.weights[0][:, None, None] * self.weights[1][:, None] * self.weights[2]).to(self.place)
        r, at_once = settings.ratio, windows_at_once(settings, window, self.device)
        # Not a generator: one that entered these contexts would leave them entered between its yields.
        with torch.inference_mode(), autocast(settings, self.device):
            for chosen in batches(list(product(self.grid[0], self.grid[2])), at_once):
                views = [self.view[z // r : (z + depth) // r, row : row + window, x : x + window] for z, x in chosen]
                results = forward(self.predictors, torch.stack(views).to(self.device), self.place)
                for sums, patches in zip(self.total, results, strict=True):
                    for (z, x), patch in zip(chosen, patches, strict=True):
                        sums[z : z + depth, :, x : x + window] += weight * patch
                finished(len(chosen))
        self.row_weight += self.weights[1]

    def take(self, row: int, following: int) -> np.ndarray:
        """Return the mean of the rows before `following`, and let `total` start there."""
        count = following - row
        result = self.total[:, :, :count].clone()
        for axis, places, weight in ((1, self.grid[0], self.weights[0]), (3, self.grid[2], self.weights[2])):
            result /= summed(places, weight).to(self.place).reshape(-1, *[1] * (3 - axis))
        result /= self.row_weight[:count, None].to(self.place)
        for sums in (self.total.movedim(2, 0), self.row_weight):
            kept = len(sums) - count
            sums[:kept] = sums[count:].clone()
            sums[kept:] = 0
        return result.cpu().numpy()


def _turned(predictor: Predictor) -> Predictor:
    """Return a predictor that yields mean and standard deviation over the eight flips and quarter turns of a window."""

    def predict(view_B1DHW: Tensor) -> Iterable[Tensor]:
        results = []
        for turns, flip in product(range(4), (False, True)):
            turned = torch.rot90(view_B1DHW, turns, (-2, -1))
            predicted = predictor(turned.flip(-1) if flip else turned)
            results.append([torch.rot90(y.flip(-1) if flip else y, -turns, (-2, -1)).float() for y in predicted])
        for task in zip(*results, strict=True):
            stacked = torch.stack(task)
            yield stacked.mean(0)
            yield stacked.std(0, correction=0)

    return predict
