"""Scores of a prediction (section 4.1): pure functions of z-scored voxels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsessp.errors import SparseSSPError
from sparsessp.schema import METRICS


@dataclass(frozen=True)
class Scores:
    """Scores of one volume.

    Attributes:
        mse: Mean squared error.
        mae: Mean absolute error.
        r2: Coefficient of determination; negative if the prediction is worse than the mean of the target.
        pearson: Pearson correlation of prediction and target; zero for a constant prediction.
        r2_affine: R2 after the best scale and offset for this volume, which equals the squared correlation. It does
            not depend on brightness and contrast.
    """

    mse: float
    mae: float
    r2: float
    pearson: float
    r2_affine: float


def score(prediction: np.ndarray, target: np.ndarray) -> Scores:
    """Compare a prediction with its target over all voxels, plane by plane in float64.

    Args:
        prediction: (D, H, W).
        target: (D, H, W).

    Raises:
        SparseSSPError: The shapes differ, or the target is constant (R2 is undefined).
    """
    check_shapes(prediction, target)
    means = [float(np.mean(volume, dtype=np.float64)) for volume in (prediction, target)]
    squared = absolute = 0.0
    moments = np.zeros(3)  # sums of x * x, y * y and x * y about the means of prediction x and target y
    for predicted_HW, target_HW in zip(prediction, target, strict=True):
        x, y = predicted_HW.astype(np.float64).ravel(), target_HW.astype(np.float64).ravel()
        error = x - y
        squared += float(error @ error)
        absolute += float(np.abs(error).sum())
        x -= means[0]
        y -= means[1]
        moments += x @ x, y @ y, x @ y
    spread, variation, product = (float(moment) for moment in moments)
    if float(np.min(target)) == float(np.max(target)):
        raise SparseSSPError(f"the target is constant ({target.flat[0]:g}); R2 is undefined")
    pearson = product / np.sqrt(spread * variation) if np.min(prediction) < np.max(prediction) else 0.0
    return Scores(
        squared / target.size, absolute / target.size, 1 - squared / variation, float(pearson), float(pearson**2)
    )


def plane_errors(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean squared error of each plane, and the target's mean squared deviation from the volume's mean.

    For any set of planes, 1 - sum of errors / sum of variations is their R2; for all planes, the R2 of the volume.

    Args:
        prediction: (D, H, W).
        target: (D, H, W).

    Returns:
        Error (D,) and variation (D,), float64.

    Raises:
        SparseSSPError: The shapes differ.
    """
    check_shapes(prediction, target)
    mean = np.mean(target, dtype=np.float64)
    pairs = list(zip(prediction, target, strict=True))
    error = [np.square(x.astype(np.float64) - y).mean() for x, y in pairs]
    return np.array(error), np.array([np.square(y - mean).mean() for _, y in pairs])


def score_planes(prediction: np.ndarray, target: np.ndarray) -> tuple[Scores, np.ndarray, np.ndarray]:
    """Return the result of `score`, and the two of `plane_errors`."""
    return score(prediction, target), *plane_errors(prediction, target)


def check_shapes(prediction: Any, target: Any) -> None:
    """Raise an error unless two arrays or tensors have the same shape."""
    if prediction.shape != target.shape:
        raise SparseSSPError(f"prediction has shape {tuple(prediction.shape)}, its target {tuple(target.shape)}")


def delta_imp(score: float, base: float, metric: str) -> float:
    """Return the relative improvement over the baseline in percent, positive if better (section 4.4, Table 7)."""
    if metric not in METRICS:
        raise SparseSSPError(f"metric {metric!r} is unknown; allowed: {', '.join(METRICS)}")
    gain = score - base if metric == "r2" else base - score
    return 100 * gain / base
