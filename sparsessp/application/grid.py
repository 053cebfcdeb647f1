"""From the grid of a recorded stack to the model's grid, and back.

Shapes: D planes, H rows and W columns as recorded; d, h and w on the grid of the model's view.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sparsessp.application.card import ModelCard
from sparsessp.errors import SparseSSPError

SPACING_TOLERANCE = 0.05  # of the distance between planes
PIXEL_TOLERANCE = 0.02  # of a pixel; within it, rows and columns are not resampled
_LARGEST_ZOOM = 16
_COARSE = 1.5  # times the model's pixel; beyond it, detail that the model was trained on is missing


@dataclass(frozen=True)
class Fit:
    """How a recorded stack is brought to the model's grid.

    Attributes:
        step: Every `step`-th recorded plane is used.
        used: Number of planes used, d.
        planes: Planes of the prediction on the dense grid.
        recorded: Rows and columns as recorded (H, W).
        rows_columns: Rows and columns on the model's grid (h, w).
        voxel_um: Voxel size (z, y, x) of the prediction on the recorded rows and columns, in micrometres.
        notes: What a user should know about this fit, one line each.
    """

    step: int
    used: int
    planes: int
    recorded: tuple[int, int]
    rows_columns: tuple[int, int]
    voxel_um: tuple[float, float, float]
    notes: tuple[str, ...]


def fit_stack(
    card: ModelCard, shape: Sequence[int], spacing_um: Sequence[float], source: str, force: bool = False
) -> Fit:
    """Fit a stack to a model.

    Args:
        card: The model's card.
        shape: Planes, rows and columns of the stack.
        spacing_um: Distance between its planes, rows and columns in micrometres.
        source: Name of the stack in errors.
        force: Accept a distance between planes that the model was not trained for.

    Raises:
        SparseSSPError: The stack has one plane, its spacing is not positive, or the model was not trained for it.
    """
    if card.voxel_um is None:
        raise SparseSSPError(
            "the model file does not record its voxel size; package it: python -m pipeline.package NAME"
        )
    planes, height, width = shape
    if planes < 2:
        raise SparseSSPError(f"{source}: a single plane; the model needs a stack of at least 2 planes")
    if len(spacing_um) != 3 or not all(np.isfinite(edge) and edge > 0 for edge in spacing_um):
        raise SparseSSPError(f"{source}: spacing {tuple(spacing_um)} µm; expected z, y, x, each above 0")
    step, notes = _step(card, spacing_um[0], source, force)
    used, ratio = -(-planes // step), card.network.ratio
    dense = min(used * ratio, -(-planes * ratio // step))
    rows_columns = tuple(
        _points(n, edge / target, source)
        for n, edge, target in zip((height, width), spacing_um[1:], card.voxel_um[1:], strict=True)
    )
    block = card.network.depth // ratio
    if used < block:
        notes.append(f"{used} planes are fewer than the model's window of {block}; the last plane is repeated")
    coarse = max(edge / target for edge, target in zip(spacing_um[1:], card.voxel_um[1:], strict=True))
    if coarse > _COARSE:
        notes.append(f"its pixels are {coarse:.1f} times as large as the model's; expect less detail")
    voxel = (spacing_um[0] * step / ratio, float(spacing_um[1]), float(spacing_um[2]))
    return Fit(step, used, dense, (height, width), (rows_columns[0], rows_columns[1]), voxel, tuple(notes))


def _step(card: ModelCard, spacing: float, source: str, force: bool) -> tuple[int, list[str]]:
    """Return which recorded planes to use, every `step`-th, and notes about it."""
    trained = card.spacing_um
    assert trained is not None  # checked by the caller
    step = min(
        (candidate for candidate in (int(trained / spacing), int(trained / spacing) + 1) if candidate),
        key=lambda candidate: abs(spacing * candidate / trained - 1),
    )
    found = spacing * step
    notes = [f"one plane in {step} is used; these are {found:.4g} µm apart"] if step > 1 else []
    if abs(found / trained - 1) > SPACING_TOLERANCE:
        allowed = f"{trained:.4g} µm, or a whole fraction of it"
        if not force:
            raise SparseSSPError(
                f"{source}: its planes are {spacing:.4g} µm apart; the model was trained for {allowed}, of which "
                f"{trained / step:.4g} µm is nearest: record at that spacing, use another model, or give force "
                "(--force) to predict as if it were"
            )
        notes.append(f"forced: planes {found:.4g} µm apart are treated as {trained:.4g} µm apart")
    return step, notes


def _points(n: int, zoom: float, source: str) -> int:
    """Return how many rows or columns `n` become."""
    if not 1 / _LARGEST_ZOOM <= zoom <= _LARGEST_ZOOM:
        raise SparseSSPError(
            f"{source}: its pixels are {zoom:.3g} times as large as the model's; allowed: {1 / _LARGEST_ZOOM:g} to "
            f"{_LARGEST_ZOOM}; check the voxel size, which is in micrometres"
        )
    points = n if abs(zoom - 1) <= PIXEL_TOLERANCE else round(n * zoom)
    if points < 2:
        raise SparseSSPError(
            f"{source}: {n} rows or columns become {points} on the model's grid; at least 2 are needed"
        )
    return points


def model_view(planes_HW: Iterable[np.ndarray], fit: Fit, source: str) -> np.ndarray:
    """Return the normalised view (d, h, w) of the planes that the fit uses, float32.

    As in training: z-scored over all recorded voxels, then zoomed by a cubic spline that keeps corners in place.

    Args:
        planes_HW: The planes used, in order, of any real type.
        fit: How the stack is fitted.
        source: Name of the stack in errors.

    Raises:
        SparseSSPError: A voxel is NaN or infinite, or all voxels are equal.
    """
    view = np.empty((fit.used, *fit.recorded), np.float32)
    for number, plane in enumerate(planes_HW):
        view[number] = plane
        if not np.isfinite(view[number]).all():
            bad = int(view[number].size - np.isfinite(view[number]).sum())
            raise SparseSSPError(
                f"{source}: plane {number * fit.step} has NaN or infinite pixels, {bad} in all; replace them, for "
                "example by the median of the stack"
            )
    mean = float(view.mean(dtype=np.float64))
    std = float(np.sqrt(np.mean([np.square(plane - mean, dtype=np.float64).mean() for plane in view])))
    if not std > 1e-7 * max(1.0, abs(mean)):
        raise SparseSSPError(f"{source}: every voxel is {mean:g}; is this the transmitted-light channel?")
    view -= np.float32(mean)
    view /= np.float32(std)
    return view if fit.rows_columns == fit.recorded else _zoomed(view, fit.rows_columns, order=3)


def recorded_plane(plane_hw: np.ndarray, fit: Fit) -> np.ndarray:
    """Return one predicted plane on the recorded rows and columns (H, W), by linear interpolation."""
    return plane_hw if fit.rows_columns == fit.recorded else _zoomed(plane_hw[None], fit.recorded, order=1)[0]


def _zoomed(stack: np.ndarray, rows_columns: tuple[int, int], order: int) -> np.ndarray:
    """Return a stack with its planes resampled to this many rows and columns."""
    result = np.empty((len(stack), *rows_columns), np.float32)
    zoom = [new / old for new, old in zip(rows_columns, stack.shape[1:], strict=True)]
    for plane, zoomed in zip(stack, result, strict=True):
        ndimage.zoom(plane, zoom, output=zoomed, order=order, mode="nearest")
    return result
