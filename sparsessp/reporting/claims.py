"""Tests of the paper's claims on the scores: effect, interval, the paper's effect, verdict.

An effect is the mean over comparisons of runs and is positive if the claim holds. The paper's effect is the same
formula applied to its printed scores, over the comparisons that were run here, or over all if none was run.

Training a network again gives a different score. The test of a claim depends on what is known of this variance:

* `FEW` or more independent comparisons: the spread between them is used. Comparisons that share a network, at any
  ratio, are not independent and count as one. The claim must then hold across comparisons, not only on average.
* Fewer, but each network trained with `SEEDS` seeds: the spread over seeds is used. The verdict applies to these
  networks only.
* Two, with fewer seeds: the spread of the two is used, which is so uncertain that a verdict is rare.
* One, with fewer seeds: no interval and no verdict. A claim to be the best is always one comparison with each rival.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sparsessp.paper.published import published
from sparsessp.reporting.bootstrap import DRAWS, Bootstrap, holm, interval, p_value
from sparsessp.reporting.paper_claims import CLAIMS, HYBRIDS, Claim, Comparison

LEVEL = 0.05
FEWEST = 5  # minimum number of independent volumes of an interval, and of its degrees of freedom plus one
FEW = 3  # minimum number of independent comparisons to use their spread, whatever the number of seeds
SEEDS = 3  # minimum number of seeds to use the spread over seeds
_NUMBERS = ("no", "one", "two", "three", "four", "five")


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


COLUMNS = (
    *("claim", "source", "unit", "effect", "low", "high", "paper_effect", "comparisons", "possible", "independent"),
    *("volumes", "seeds", "p", "p_holm", "verdict", "note"),
)
RULE = (
    "Each interval allows for the variance of the test volumes and of training. Test volumes are resampled by a paired "
    "bootstrap, stratified by structure; volumes of one plate are drawn together. The variance of training is "
    "estimated from the spread between independent comparisons, which includes it even with one seed. Comparisons that "
    "share a network, at any ratio, count as one; the fewer there are, the wider is the interval (Student's t). With "
    f"fewer than {_number(FEW)} independent comparisons, the spread over seeds is used if every network has at least "
    f"{_number(SEEDS)} seeds; the verdict then applies to these networks only. A claim that rests on one comparison, "
    "such as a claim to be the best with each of its rivals, gets no interval and no verdict with fewer than "
    f"{_number(SEEDS)} seeds. A verdict requires a two-sided p below {LEVEL} after Holm's adjustment over all tested "
    f"claims, which keeps the probability of any wrong verdict below {100 * LEVEL:.0f} %. A claim to be the best is "
    "tested once per rival, and its interval is widened accordingly. All other intervals cover 95 % each."
)


def claims(
    scores: pd.DataFrame,
    costs: pd.DataFrame,
    ratios: Sequence[int],
    clusters: Mapping[str, str] | None = None,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """Test all claims.

    Args:
        scores: One row per run and volume, from `load_scores`.
        costs: Table 6, from `resources.table6`.
        ratios: Planned sparsity ratios.
        clusters: Volume -> unit that the bootstrap draws together, such as its plate.
        draws: Number of resamples.

    Returns:
        One row per claim, columns `COLUMNS`; nan if a claim was not run or the paper prints no scores.
    """
    resampled = Bootstrap(scores, clusters, draws)
    frame = pd.DataFrame([_test(claim, ratios, resampled) for claim in CLAIMS], columns=list(COLUMNS))
    run = frame["p"].notna()
    frame.loc[run, "p_holm"] = holm(frame.loc[run, "p"].to_numpy())
    frame.loc[run, "verdict"] = [_verdict(row.effect, row.p_holm) for row in frame[run].itertuples()]
    counted = pd.DataFrame([_cost(costs)], columns=list(COLUMNS))
    return pd.concat([frame, counted], ignore_index=True).astype(
        dict.fromkeys(("independent", "volumes", "seeds"), "Int64")
    )


def _verdict(effect: float, p: float) -> str:
    if p >= LEVEL:
        return "undecided"
    return "supported" if effect > 0 else "contradicted"


def _test(claim: Claim, ratios: Sequence[int], resampled: Bootstrap) -> dict[str, Any]:
    every = claim.comparisons(ratios)
    run = [item for item in every if item.settings <= resampled.settings and len(item.settings) > 1]
    line = {
        "claim": claim.statement,
        "source": claim.source,
        "unit": claim.unit,
        "paper_effect": _printed(claim, run or every),
        "comparisons": len(run),
        "possible": len(every),
        "verdict": "not run",
    }
    if not run:
        return line if every else line | {"note": "the paper prints no numbers, and the plan has no such run"}
    entries = [entry for item in run for entry in item.entries]
    independent = 1 if claim.against_best else len(set(_units(run)))
    line |= {
        "independent": independent,
        "volumes": min(resampled.clusters(entry.group) for entry in entries),
        "seeds": min(resampled.seeds(entry.setting) for entry in entries),
        "verdict": "undecided",
    }
    if not line["volumes"]:
        return line | {"note": "a structure that the claim names has no test volume"}
    chance = Chance.of(independent, line["seeds"])
    found = _resample(claim, run, chance, resampled)
    if np.isnan(found.effect[0]):
        return line | {"note": "undefined: a share of an R² that is not positive"}
    line["effect"] = float(found.effect[0])
    freedom = min(resampled.freedom(entry.group) for entry in entries)
    if note := _no_interval(line, freedom, chance, found.effect[1:]):
        return line | {"note": note}
    return line | _judge(claim, found, rivals=len(run) if claim.against_best else 1)


def _judge(claim: Claim, found: "Resampled", rivals: int) -> dict[str, Any]:
    """Return the interval and p. For a claim to be the best, the worst of `rivals` comparisons was selected."""
    draws = found.effect[1:][~np.isnan(found.effect[1:])]
    low, high = interval(draws, 1 - LEVEL / rivals)
    p = min(1.0, rivals * p_value(draws))
    if claim.condition is not None:
        if found.condition[0] <= 0:
            return {"low": low, "high": high, "note": claim.condition.otherwise}
        p = max(p, p_value(found.condition[1:]))  # both must hold
    return {"low": low, "high": high, "p": p}


class Chance(Enum):
    """Source of the estimated variance of training."""

    COMPARISONS = "spread between independent comparisons"
    SEEDS = "spread over seeds"
    UNKNOWN = "nothing"

    @classmethod
    def of(cls, independent: int, seeds: int) -> "Chance":
        """Return the source for a number of independent comparisons and of seeds per setting."""
        if independent < FEW and seeds >= SEEDS:
            return cls.SEEDS
        return cls.COMPARISONS if independent > 1 else cls.UNKNOWN


class Resampled(NamedTuple):
    """Effect and condition of a claim, (1 + draws,): as observed, then resampled. The condition may be None."""

    effect: np.ndarray
    condition: np.ndarray | None


def _resample(claim: Claim, run: Sequence[Comparison], chance: Chance, resampled: Bootstrap) -> Resampled:
    numbers = list(dict.fromkeys((entry.setting, entry.group) for item in run for entry in item.entries))
    means = dict(zip(numbers, resampled.means(numbers), strict=True))
    if claim.against_best:
        run = [min(run, key=lambda item: _effect([item], means)[0])]
    if chance is Chance.SEEDS:
        freedom = _seed_freedom(run, means, resampled)
        means = dict(zip(numbers, resampled.means(numbers, freedom), strict=True))
    effect = _effect(run, means)
    if chance is Chance.COMPARISONS:
        each = np.array([item.effect(*_values(item, means)) for item in run])
        effect = resampled.across(each, _units(run))
    condition = None if claim.condition is None else claim.condition.effect(*_values(run[0], means))
    return Resampled(effect, condition)


def _effect(run: Sequence[Comparison], means: Mapping[tuple[str, str], np.ndarray]) -> np.ndarray:
    """Return the mean effect over comparisons."""
    return np.mean([item.effect(*_values(item, means)) for item in run], axis=0)


def _seed_freedom(
    run: Sequence[Comparison], means: Mapping[tuple[str, str], np.ndarray], resampled: Bootstrap, step: float = 1e-4
) -> float:
    """Return Satterthwaite's degrees of freedom over seeds, assuming equal variance of all settings."""
    observed = {number: values[:1] for number, values in means.items()}
    weights, inverse = [], []
    for name in sorted(set().union(*(item.settings for item in run))):
        moved = {number: values + step * (number[0] == name) for number, values in observed.items()}
        weights.append(((_effect(run, moved) - _effect(run, observed))[0] / step) ** 2 / resampled.seeds(name))
        inverse.append(1 / (resampled.seeds(name) - 1))
    return float(np.sum(weights) ** 2 / np.dot(np.square(weights), inverse))


def _values(item: Comparison, means: Mapping[tuple[str, str], np.ndarray]) -> list[np.ndarray]:
    return [means[entry.setting, entry.group] for entry in item.entries]


def _units(comparisons: Sequence[Comparison]) -> list[int]:
    """Return the unit of each comparison; comparisons that share a network, even indirectly, are one unit."""
    units: list[set[str]] = []
    for item in comparisons:
        joined = [unit for unit in units if unit & item.networks]
        units = [unit for unit in units if unit not in joined] + [item.networks.union(*joined)]
    return [next(i for i, unit in enumerate(units) if unit & item.networks) for item in comparisons]


def _no_interval(line: Mapping[str, Any], freedom: float, chance: Chance, draws: np.ndarray) -> str:
    """Return why an effect has no interval, or an empty string."""
    if line["volumes"] < FEWEST:
        return f"fewer than {FEWEST} independent test volumes: no interval"
    if freedom < FEWEST - 1:
        return "too few independent test volumes of each structure: no interval"
    if chance is Chance.UNKNOWN:
        return f"{_number(line['seeds'])} seed{'s' if line['seeds'] > 1 else ''}: no verdict"
    if np.isnan(draws).mean() > LEVEL / 10:
        return "undefined in too many resamples: no interval"
    return ""


def _printed(claim: Claim, comparisons: Sequence[Comparison]) -> float:
    """Return the same effect in the paper's scores."""
    effects = [
        float(item.effect(*(published(entry.row, entry.ratio, "R2", entry.group) for entry in item.entries)))
        for item in comparisons
    ]
    if not effects:
        return float("nan")
    return min(effects) if claim.against_best else float(np.mean(effects))


def _cost(costs: pd.DataFrame) -> dict[str, Any]:
    """Return the claim that hybrids need fewer MACs than 3D; these are counted, so there is no interval."""
    hybrids = costs[costs["topology"].isin(HYBRIDS)]
    saved, paper = (1 - hybrids[f"{name}_over_3d"] for name in ("gmacs", "gmacs_paper"))
    found = saved.dropna()
    line = {
        "claim": "Hybrid topologies need fewer multiply-accumulates than 3D",
        "source": "Table 6",
        "unit": "share of MACs",
        "effect": found.mean(),
        "paper_effect": paper[saved.notna()].mean() if len(found) else paper.mean(),
        "comparisons": len(found),
        "possible": len(hybrids),
        "verdict": "not run",
        "note": "counted at the paper's size, so without an interval",
    }
    if len(found):
        line["verdict"] = "supported" if (found > 0).all() else "contradicted" if (found < 0).all() else "undecided"
    return line
