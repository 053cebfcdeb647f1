"""Scores of trained networks and of the linear baseline on whole test volumes (section 4.1)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from tqdm import tqdm

from sparsessp.dataset import Sample
from sparsessp.metrics import METRICS, score

COLUMNS = ("volume", "structure", *METRICS)


def evaluate(
    predictor: Callable[[Sample], np.ndarray], samples: Sequence[Sample], label: str, progress: bool = True
) -> pd.DataFrame:
    """Score a predictor on each sample.

    Args:
        predictor: From a sample to its prediction (D, H, W); sees the view, must not see the target.
        samples: Test volumes.
        label: Of the progress bar.
        progress: Whether to show it.

    Returns:
        One row per volume, columns `COLUMNS`.
    """
    rows = []
    for sample in tqdm(samples, f"evaluate {label}", unit="volume", disable=not progress):
        scores = asdict(score(predictor(sample), sample.target_DHW))
        rows.append({"volume": sample.volume, "structure": sample.structure, **scores})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def summary(scores: pd.DataFrame) -> dict:
    """Summarise scores per structure and over all.

    Returns:
        `all`: mean over test volumes, the paper's "All"; `all_structures`: mean of the structures'
        means; `structures`: mean of each; `volumes`: their number.
    """
    per_structure = scores.groupby("structure", sort=False)[list(METRICS)].mean()
    return {
        "volumes": len(scores),
        "all": scores[list(METRICS)].mean().to_dict(),
        "all_structures": per_structure.mean().to_dict(),
        "structures": per_structure.to_dict("index"),
    }


def linear_baseline(train_samples: Sequence[Sample]) -> Callable[[Sample], np.ndarray]:
    """Fit each structure's voxels by a line on the brightfield voxel at the same place.

    The least any network must beat: it sees the same sparse view, nearest neighbour in z, and no
    neighbourhood.

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


def _repeated(sample: Sample) -> np.ndarray:
    """The sparse view with each plane repeated over its block, (D, H, W) float64."""
    planes = len(sample.target_DHW)
    repeated = np.repeat(np.asarray(sample.view_dHW, np.float64), sample.ratio, axis=0)
    missing = max(planes - len(repeated), 0)
    return np.pad(repeated, ((0, missing), (0, 0), (0, 0)), mode="edge")[:planes]
