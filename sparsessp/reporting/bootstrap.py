"""Bootstrap of mean R2 over test volumes, and over seeds where a setting was trained more than once.

All settings are resampled together, so that differences between them are paired. Volumes that share a
field of view or a plate are drawn together.
"""

from collections.abc import Mapping
from functools import cache, cached_property

import numpy as np
import pandas as pd

from sparsessp.paper.published import ALL
from sparsessp.reporting.scores import setting

DRAWS = 10_000
_SEED = 20240929


class Bootstrap:
    """Mean R2 of settings, as observed and in each of `DRAWS` resamples.

    A resample of n units varies too little, by the factor sqrt((n - 1) / n), which matters when n is small;
    the weights are spread by its inverse.

    Args:
        scores: One row per run and volume, from `load_scores`.
        clusters: Volume -> what it is drawn together with; volumes without one stand alone.
    """

    def __init__(self, scores: pd.DataFrame, clusters: Mapping[str, str] | None = None):
        self._r2 = scores.pivot(index="experiment", columns="volume", values="r2")
        self._runs: dict[str, list[str]] = {}
        for experiment in scores["experiment"].unique():
            self._runs.setdefault(setting(experiment), []).append(experiment)
        volumes = scores.drop_duplicates("volume").set_index("volume")["structure"].reindex(self._r2.columns)
        self._structures = volumes.to_numpy()
        self._clusters, names = pd.factorize(
            np.array([str((clusters or {}).get(name, name)) for name in volumes.index])
        )
        self._count = len(names)
        self._means: dict[tuple[str, str], np.ndarray] = {}

    @property
    def settings(self) -> set[str]:
        """Settings that have scores."""
        return set(self._runs)

    def seeds(self, name: str) -> int:
        """Number of trainings of a setting."""
        return len(self._runs[name])

    def clusters(self, group: str = ALL) -> int:
        """Number of independent test volumes, of a structure or of all."""
        return len(np.unique(self._clusters[self._chosen(group)]))

    def mean(self, name: str, group: str = ALL) -> np.ndarray:
        """Mean R2 over the volumes of a group: (1 + DRAWS,), as observed, then resampled; nan where undefined.

        Args:
            name: A setting.
            group: A structure, or all.
        """
        if (name, group) not in self._means:
            chosen = self._chosen(group)
            weights = self._weights[:, chosen]
            sums = weights.sum(axis=1, keepdims=True)
            runs = self._r2.loc[self._runs[name]].to_numpy()[:, chosen]
            with np.errstate(invalid="ignore", divide="ignore"):
                means = np.where(sums > 0, weights @ runs.T / sums, np.nan)
            self._means[name, group] = (means * _spread_weights(len(runs), name)).sum(axis=1) / len(runs)
        return self._means[name, group]

    def _chosen(self, group: str) -> np.ndarray:
        return np.full(len(self._structures), True) if group == ALL else self._structures == group

    @cached_property
    def _weights(self) -> np.ndarray:
        return _spread_weights(self._count, "volumes")[:, self._clusters]


@cache
def _spread_weights(count: int, name: str) -> np.ndarray:
    """How often each of `count` units is drawn: (1 + DRAWS, count), first once each, then resampled and spread."""
    weights = np.ones((1 + DRAWS, count))
    if count > 1:
        rng = np.random.default_rng([_SEED, *name.encode()])
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)
        weights[1:] += (drawn - 1) * np.sqrt(count / (count - 1))
    return weights


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of resampled effects."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(draws: np.ndarray) -> float:
    """Two-sided: twice the share of resampled effects on the rarer side of zero, never below 2 / DRAWS."""
    rarer = min((draws <= 0).sum(), (draws >= 0).sum())
    return float(min(1.0, 2 * (1 + rarer) / (1 + len(draws))))


def holm(values: np.ndarray) -> np.ndarray:
    """Holm's adjustment: p-values for which the chance of any false finding among them stays below the level."""
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted
