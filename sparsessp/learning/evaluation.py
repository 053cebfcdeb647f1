"""Scores of networks and reference predictions on whole test volumes (section 4.1)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from sparsessp.data.samples import Sample
from sparsessp.learning.metrics import Scores, score_planes
from sparsessp.schema import PLANE_COLUMNS, SCORE_COLUMNS


class Evaluation(NamedTuple):
    """Scores of the predictions of all test volumes, and some of the predictions.

    Attributes:
        scores: One row per volume, columns `SCORE_COLUMNS`.
        planes: One row per plane of each volume, columns `PLANE_COLUMNS`, from `metrics.plane_errors`.
        kept: Predictions (D, H, W) of the requested volumes, by volume.
    """

    scores: pd.DataFrame
    planes: pd.DataFrame
    kept: dict[str, np.ndarray]


def evaluate(
    predictor: Callable[[Sample], Any],
    samples: Sequence[Sample],
    label: str,
    keep: Collection[str] = (),
    progress: bool = True,
    scorer: Callable[[Any, Any], tuple[Scores, np.ndarray, np.ndarray]] = score_planes,
) -> Evaluation:
    """Score a predictor on each sample.

    Args:
        predictor: Function from a sample to its prediction (D, H, W); it must not use the target.
        samples: Test volumes.
        label: Label of the progress bar.
        keep: Names of the volumes whose predictions are returned.
        progress: Whether to show a progress bar.
        scorer: Function from a prediction and its target to the result of `metrics.score_planes`; for predictions that
            are tensors, `device_scores.score_tensor`.
    """
    rows, planes, kept = [], [], {}
    for sample in tqdm(samples, f"evaluate {label}", unit="volume", disable=not progress):
        prediction = predictor(sample)
        scores, *errors = scorer(prediction, sample.target_DHW)
        rows.append({"volume": sample.volume, "structure": sample.structure, **asdict(scores)})
        by_plane = enumerate(zip(*errors, strict=True))
        planes += [(sample.volume, plane, *values) for plane, values in by_plane]
        if sample.volume in keep:
            kept[sample.volume] = prediction.cpu().numpy() if hasattr(prediction, "cpu") else prediction
    return Evaluation(
        pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), pd.DataFrame(planes, columns=list(PLANE_COLUMNS)), kept
    )


def linear_regression(train_samples: Sequence[Sample]) -> Callable[[Sample], np.ndarray]:
    """Regress the voxels of each structure on the brightfield voxel at the same position.

    The regression uses the same sparse view as the networks, with nearest-neighbour interpolation in z, and no
    neighbouring voxels.

    Returns:
        A predictor for `evaluate`.
    """
    moments: dict[str, np.ndarray] = {}
    for sample in train_samples:
        x, y = _repeated(sample).ravel(), np.asarray(sample.target_DHW, np.float64).ravel()
        sums = np.array([x.size, x.sum(), y.sum(), (x * x).sum(), (x * y).sum()])
        moments[sample.structure] = moments.get(sample.structure, 0) + sums
    lines = {}
    for structure, (n, sum_x, sum_y, sum_xx, sum_xy) in moments.items():
        slope = (sum_xy - sum_x * sum_y / n) / (sum_xx - sum_x**2 / n)
        lines[structure] = (slope, (sum_y - slope * sum_x) / n)

    def predictor(sample: Sample) -> np.ndarray:
        slope, offset = lines[sample.structure]
        return slope * _repeated(sample) + offset

    return predictor


def z_profile(train_samples: Sequence[Sample]) -> Callable[[Sample], np.ndarray]:
    """Predict the mean of each structure's training targets in the same plane, without using the image.

    Planes are counted from the first plane of a stack. Stacks may differ in depth: the mean of a plane is that of the
    training volumes that have it, and beyond the deepest training volume the last mean is repeated.

    Returns:
        A predictor for `evaluate`.
    """
    profiles: dict[str, list[np.ndarray]] = {}
    for sample in train_samples:
        profiles.setdefault(sample.structure, []).append(sample.target_DHW.mean((1, 2), np.float64))
    means = {}
    for structure, found in profiles.items():
        deepest = max(map(len, found))
        stacked = np.array([np.pad(p, (0, deepest - len(p)), constant_values=np.nan) for p in found])
        means[structure] = np.nanmean(stacked, axis=0)

    def predictor(sample: Sample) -> np.ndarray:
        shape = sample.target_DHW.shape
        profile = means[sample.structure][np.minimum(np.arange(shape[0]), len(means[sample.structure]) - 1)]
        return np.broadcast_to(profile[:, None, None], shape).copy()

    return predictor


def _repeated(sample: Sample) -> np.ndarray:
    """Return the sparse view with each plane repeated over its block, (D, H, W) float64."""
    planes = len(sample.target_DHW)
    repeated = np.repeat(np.asarray(sample.view_dHW, np.float64), sample.ratio, axis=0)
    missing = max(planes - len(repeated), 0)
    return np.pad(repeated, ((0, missing), (0, 0), (0, 0)), mode="edge")[:planes]
