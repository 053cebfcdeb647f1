"""Scores of a prediction (section 4.1), as pure functions on z-scored voxels."""

from dataclasses import dataclass

import numpy as np

from sparsessp.errors import SparseSSPError

METRICS = ("mse", "mae", "r2")


@dataclass(frozen=True)
class Scores:
    """Scores of one volume.

    Attributes:
        mse: Mean squared error.
        mae: Mean absolute error.
        r2: Coefficient of determination; negative when the mean of the target would do better.
    """

    mse: float
    mae: float
    r2: float


def score(prediction: np.ndarray, target: np.ndarray) -> Scores:
    """Compare a prediction with its target over all voxels, plane by plane in float64.

    Args:
        prediction: (D, H, W).
        target: (D, H, W).

    Raises:
        SparseSSPError: The shapes differ, or the target is constant (R2 is undefined).
    """
    if prediction.shape != target.shape:
        raise SparseSSPError(f"prediction has shape {prediction.shape}, its target {target.shape}")
    squared = absolute = 0.0
    for predicted_HW, target_HW in zip(prediction, target, strict=True):
        error_HW = predicted_HW.astype(np.float64) - target_HW
        squared += float(np.square(error_HW).sum())
        absolute += float(np.abs(error_HW).sum())
    variance = float(np.var(target, dtype=np.float64))
    if variance == 0:
        raise SparseSSPError(f"the target is constant ({target.flat[0]:g}); R2 is undefined")
    mse = squared / target.size
    return Scores(mse, absolute / target.size, 1 - mse / variance)


def delta_imp(score: float, base: float, metric: str) -> float:
    """Relative improvement over the baseline in percent, positive when better (section 4.4, Table 7)."""
    if metric not in METRICS:
        raise SparseSSPError(f"metric {metric!r} is unknown; allowed: {', '.join(METRICS)}")
    gain = score - base if metric == "r2" else base - score
    return 100 * gain / base
