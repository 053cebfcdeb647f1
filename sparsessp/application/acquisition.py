"""Which sparsity ratio to record at: expected R2 per structure at each ratio, from the scores of a report."""

import re

import numpy as np
import pandas as pd

from sparsessp.config import RATIOS
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.bootstrap import interval

COLUMNS = ("structure", "ratio", "volumes", "r2", "low", "high", "share", "exposures_saved")
_DRAWS = 2000


def expected_scores(r2: pd.DataFrame, network: str) -> pd.DataFrame:
    """Summarise the scores of one network at each sparsity ratio.

    Args:
        r2: R2 by volume and structure (index) and run (columns), from `reporting.compare.read_volumes`.
        network: Name of the runs without their ratio, such as `tgnet-3to2d-prefix`.

    Returns:
        One row per structure and ratio, columns `COLUMNS`: mean R2 with the 95% interval over test volumes, its share
        of the mean R2 of the dense stack (NaN where there is none above 0), and the share of exposures saved.

    Raises:
        SparseSSPError: The report has no run of this network.
    """
    runs = {ratio: f"{network}-r{ratio}" for ratio in RATIOS if f"{network}-r{ratio}" in r2.columns}
    if not runs:
        known = sorted({re.sub(r"-r\d$", "", name) for name in r2.columns if re.search(r"-r\d$", name)})
        raise SparseSSPError(f"network {network!r} is not in the report; allowed: {', '.join(known)}")
    rows = []
    for structure, scores in r2.groupby(level="structure", sort=False):
        means = {ratio: scores[run].mean() for ratio, run in runs.items()}
        dense = means.get(1, np.nan)
        for ratio, run in runs.items():
            values = scores[run].dropna().to_numpy()
            share = means[ratio] / dense if dense > 0 else np.nan
            rows.append((structure, ratio, len(values), means[ratio], *_interval(values), share, 1 - 1 / ratio))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def largest_ratio(scores: pd.DataFrame, keep: float) -> dict[str, int | None]:
    """Return, for each structure, the largest ratio that keeps this share of the dense R2; None if that is unknown."""
    groups = scores.groupby("structure", sort=False)
    kept = {str(key): rows.loc[rows["share"] >= keep, "ratio"] for key, rows in groups}
    return {key: None if ratios.empty else int(ratios.max()) for key, ratios in kept.items()}


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Return the bootstrap interval of the mean over volumes; NaN for fewer than two."""
    if len(values) < 2:
        return np.nan, np.nan
    draws = np.random.default_rng(0).choice(values, (_DRAWS, len(values))).mean(axis=1)
    return interval(draws)
