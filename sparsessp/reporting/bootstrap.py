"""Resampling of mean R2: over test volumes, over independent comparisons, and over the seeds of a setting.

There are three sources of variance:

* Test volumes are resampled. All runs use the same draws, so differences between runs are paired.
* The variance of training is part of the spread between independent comparisons (`Bootstrap.across`), even if every
  setting was trained once. This spread also contains true differences between the comparisons.
* With a single comparison, the variance of training is estimated from the spread over seeds (`Bootstrap.means` with
  `seed_freedom`).

The structures are fixed: another test set would have the same number of volumes of each. Therefore each volume's
deviation from the mean of its structure is resampled, which has the variance of a bootstrap stratified by structure.
Volumes of the same plate are drawn together. A plate with several structures cannot be drawn within one structure, so
it is drawn as a whole; the number of volumes of a structure then varies between draws, but because only deviations are
summed, this adds no variance.

The spread of a few units is biased and uncertain. It is corrected for the estimated means (by the factor
sqrt(n / (n - 1)) for n units) and divided by sqrt(chi2 / df), which turns a normal distribution into Student's t. The
sum of two such spreads is slightly too wide rather than too narrow. In the simulation of tests/test_claims.py (1,000
datasets per case), 95 % intervals cover the true value in 95.9 to 97.6 % of the cases when based on the spread between
two to eight comparisons, and in 93.6 to 95.7 % when based on three to five seeds. Resampling 96 volumes alone covers it
in 43, 62 and 77 % for one, four and eight comparisons with one seed; resampling 24 volumes alone in 87 and 92 % for
four and eight.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from sparsessp.paper.published import ALL
from sparsessp.reporting.scores import setting

DRAWS = 10_000
_SEED = 20240929


class Bootstrap:
    """Mean R2 of settings, as observed and resampled.

    Args:
        scores: One row per run and volume, from `load_scores`.
        clusters: Volume -> plate or other unit that is drawn together; a volume without one is its own unit.
        draws: Number of resamples.
    """

    def __init__(self, scores: pd.DataFrame, clusters: Mapping[str, str] | None = None, draws: int = DRAWS):
        r2 = scores.pivot(index="experiment", columns="volume", values="r2")
        self._draws = draws
        runs: dict[str, list[int]] = {}
        for position, experiment in enumerate(r2.index):
            runs.setdefault(setting(experiment), []).append(position)
        self._r2 = {name: r2.to_numpy()[positions] for name, positions in runs.items()}  # (seeds, volumes)
        volumes = scores.drop_duplicates("volume").set_index("volume")["structure"].reindex(r2.columns)
        self._structures, self._keys = pd.factorize(volumes.to_numpy())
        labels = np.array([str((clusters or {}).get(name, name)) for name in volumes.index])
        self._clusters, names = pd.factorize(labels)
        self._count = len(names)
        self._free_shares: dict[str, float] = {}
        self._means: dict[tuple[str, str], np.ndarray] = {}

    @property
    def settings(self) -> set[str]:
        """Return the settings that have scores."""
        return set(self._r2)

    def seeds(self, name: str) -> int:
        """Return the number of trainings of a setting."""
        return len(self._r2[name])

    def clusters(self, group: str = ALL) -> int:
        """Return the number of independent test volumes, of a structure or of all."""
        return len(np.unique(self._clusters[self._chosen(group)]))

    def freedom(self, group: str = ALL) -> float:
        """Return the degrees of freedom over volumes: independent volumes minus those used by the structures' means."""
        return self.clusters(group) * self._free_share(group) if self._chosen(group).any() else 0.0

    def mean(self, name: str, group: str = ALL) -> np.ndarray:
        """Return the mean R2 over seeds and the volumes of a group, with the variance of the volumes.

        Args:
            name: A setting.
            group: A structure, or all.

        Returns:
            (1 + draws,): as observed, then resampled. The draws are nan if no structure has two independent volumes;
            everything is nan for a structure without volumes.
        """
        if not self._chosen(group).any():
            return np.full(1 + self._draws, np.nan)
        if (name, group) not in self._means:
            chosen = self._chosen(group)
            values = self._r2[name].mean(axis=0)[chosen]
            structures = np.unique(self._structures[chosen], return_inverse=True)[1]
            own = (np.bincount(structures, values) / np.bincount(structures))[structures]
            sums = np.bincount(self._clusters[chosen], values - own, minlength=self._count) / chosen.sum()
            share = self._free_share(group)
            spread = self._student(self.freedom(group), group) / np.sqrt(share) if share > 1e-9 else np.nan
            self._means[name, group] = _with_draws(values.mean(), self._deviations @ sums * spread)
        return self._means[name, group]

    def means(self, keys: Sequence[tuple[str, str]], seed_freedom: float | None = None) -> list[np.ndarray]:
        """Return `mean` of several (setting, group), with the variance of training if `seed_freedom` is given.

        Args:
            keys: Settings and groups.
            seed_freedom: Degrees of freedom of the effect that is computed from these means, over seeds.

        Returns:
            One array of shape (1 + draws,) each. The groups of a setting share their draws of seeds.
        """
        found = [self.mean(name, group) for name, group in keys]
        if seed_freedom is None:
            return found
        scale = self._student(seed_freedom, "seeds")
        return [
            volumes + _with_draws(0, self._between_seeds(name, group) * scale)
            for volumes, (name, group) in zip(found, keys, strict=True)
        ]

    def across(self, effects: np.ndarray, units: Sequence[int]) -> np.ndarray:
        """Return the mean of effects, with the variance between independent units.

        Args:
            effects: (comparisons, 1 + draws), each as observed, then with the variance of the volumes.
            units: Index of the unit of each comparison; at least two units.

        Returns:
            (1 + draws,): the mean over comparisons.
        """
        observed = effects[:, 0]
        shares = np.bincount(units) / len(observed)
        sums = np.bincount(units, observed - observed.mean()) / len(observed)
        # For n units of equal size, free is (n - 1) / n, and there are n - 1 degrees of freedom.
        free = 1 - (shares**2).sum()
        between = self._normal(len(sums), "comparisons") @ sums / np.sqrt(free)
        return effects.mean(axis=0) + _with_draws(0, between * self._student(free / (1 - free), "comparisons"))

    def _chosen(self, group: str) -> np.ndarray:
        return np.full(len(self._structures), True) if group == ALL else self._keys[self._structures] == group

    def _free_share(self, group: str) -> float:
        """Return the share of the variance that remains after subtracting the structures' means.

        For n independent volumes of one structure it is (n - 1) / n. In general, with m volumes of a structure in a
        cluster and n in total, it is 1 - sum(m^2 / n) / (number of volumes).
        """
        if group not in self._free_shares:
            chosen = self._chosen(group)
            counts = np.zeros((len(self._keys), self._count))
            np.add.at(counts, (self._structures[chosen], self._clusters[chosen]), 1)
            counts = counts[counts.any(axis=1)]
            taken = (counts**2 / counts.sum(axis=1, keepdims=True)).sum() / chosen.sum()
            self._free_shares[group] = float(1 - taken)
        return self._free_shares[group]

    def _between_seeds(self, name: str, group: str) -> np.ndarray | float:
        """Return normal draws with the variance of the mean over seeds; 0 for one seed."""
        count = self.seeds(name)
        if count == 1:
            return 0.0
        means = self._r2[name][:, self._chosen(group)].mean(axis=1)
        return self._normal(count, name) @ (means - means.mean()) / np.sqrt(count * (count - 1))

    @cached_property
    def _deviations(self) -> np.ndarray:
        """Number of times that each cluster is drawn, minus 1: (draws, clusters)."""
        drawn = self._random("volumes").multinomial(
            self._count, np.full(self._count, 1 / self._count), size=self._draws
        )
        return drawn - 1.0

    def _random(self, name: str) -> np.random.Generator:
        """Return a random generator that depends on the name only, not on earlier draws."""
        return np.random.default_rng([_SEED, *name.encode()])

    def _normal(self, count: int, name: str) -> np.ndarray:
        return self._random(f"normal {name}").standard_normal((self._draws, count))

    def _student(self, freedom: float, name: str) -> np.ndarray:
        """Return factors that turn normal draws into draws of Student's t: (draws,)."""
        return np.sqrt(freedom / self._random(f"student {name}").chisquare(freedom, self._draws))


def _with_draws(observed: float, draws: np.ndarray) -> np.ndarray:
    return np.concatenate([[observed], observed + draws])


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled effects; nan if an effect is undefined."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(draws: np.ndarray) -> float:
    """Return the two-sided p-value: twice the share of effects on the rarer side of zero, at least 2 / (1 + draws).

    It is nan if an effect is undefined.
    """
    if np.isnan(draws).any():
        return float("nan")
    rarer = min((draws <= 0).sum(), (draws >= 0).sum())
    return float(min(1.0, 2 * (1 + rarer) / (1 + len(draws))))


def holm(values: np.ndarray) -> np.ndarray:
    """Return p-values after Holm's adjustment, which limits the probability of any false positive among them."""
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted
