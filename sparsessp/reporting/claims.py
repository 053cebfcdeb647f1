"""The paper's claims, each put to the test on the scores: effect, interval, the paper's effect, verdict.

Every effect is the mean over comparisons of runs, and is positive where the claim is right. The paper's effect
is the same formula on its printed numbers, over the comparisons that were run here, or over all if none was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sparsessp.paper.published import ALL, PublishedRow, printed_ratios, published, rows
from sparsessp.reporting.bootstrap import Bootstrap, holm, interval, p_value
from sparsessp.reporting.labels import Labels

LEVEL = 0.05
FEWEST = 5  # independent volumes below which an interval means nothing
KEPT = 0.9  # share of the dense R2 that counts as "a minor decay"; the paper names no number
SLENDER = "actomyosin_bundle"  # section 4.4.1 names it as the slender structure
STURDY = ("nucleolus", "microtubule", "nuclear_envelope")  # and these as those that keep their quality
COLUMNS = (
    *("claim", "source", "unit", "effect", "low", "high", "paper_effect", "comparisons", "possible"),
    *("volumes", "seeds", "p", "p_holm", "verdict", "note"),
)
RULE = (
    "Intervals are percentiles of a paired bootstrap over independent test volumes, and over seeds where a setting "
    "was trained more than once; each at 95 %, by itself. A verdict needs a two-sided p below "
    f"{LEVEL} after Holm's adjustment over all claims that were run, so that the chance of any wrong verdict among "
    f"them stays below {100 * LEVEL:.0f} %; a claim to be best is tested as many times as it has rivals, and its "
    "interval is widened alike. With one seed, interval and verdict speak of these trained networks only, not of what "
    "another training would give."
)


class Cell(NamedTuple):
    """One number of the paper's tables: a row, a ratio, and all volumes or those of a structure."""

    row: PublishedRow
    ratio: int
    group: str = ALL

    @property
    def setting(self) -> str:
        """Our setting of it."""
        return self.row.experiment(self.ratio)


@dataclass(frozen=True)
class Comparison:
    """One effect: of a few numbers, which are arrays of resampled means or the paper's floats."""

    cells: tuple[Cell, ...]
    effect: Callable[..., Any]

    @property
    def settings(self) -> set[str]:
        """Our settings that it needs."""
        return {cell.setting for cell in self.cells}


@dataclass(frozen=True)
class Claim:
    """What the paper says.

    Attributes:
        statement: In words; the effect is positive where it is right.
        source: Table or section of the paper.
        comparisons: From the ratios that were run to the comparisons that bear on it.
        unit: Of the effect.
        against_best: Take the worst comparison, not their mean: the claim is to beat every rival.
    """

    statement: str
    source: str
    comparisons: Callable[[Sequence[int]], list[Comparison]]
    unit: str = "R2"
    against_best: bool = False


def _difference(better: Any, worse: Any) -> Any:
    return better - worse


def _pairs(table: int, better: Mapping[str, str], worse: Mapping[str, str], same: Sequence[str]) -> list[Comparison]:
    """Rows of a table that differ in what `better` and `worse` say and agree in `same`, at each printed ratio."""

    def fits(row: PublishedRow, wanted: Mapping[str, str]) -> bool:
        return all(getattr(row, key) == value for key, value in wanted.items())

    return [
        Comparison((Cell(one, ratio), Cell(other, ratio)), _difference)
        for one, other in permutations(rows(table), 2)
        if fits(one, better) and fits(other, worse) and all(getattr(one, key) == getattr(other, key) for key in same)
        for ratio in printed_ratios(one)
    ]


def _interpolations(worse: str) -> list[Comparison]:
    return _pairs(1, {"interpolation": "pre"}, {"interpolation": worse}, ("approach", "topology"))


def _projections() -> list[Comparison]:
    return _pairs(2, {"projection": "3D"}, {"projection": "2D"}, ("topology",))


def _hybrids(worse: str) -> list[Comparison]:
    return [pair for hybrid in HYBRIDS for pair in _pairs(3, {"topology": hybrid}, {"topology": worse}, ("approach",))]


HYBRIDS = ("2-to-3D", "3-to-2D")


def _ends(ratios: Sequence[int]) -> tuple[int, int]:
    """Smallest and largest of the paper's ratios that were run, or of all if fewer than two were."""
    printed = sorted({2, 4, 8} & set(ratios))
    return (printed[0], printed[-1]) if len(printed) > 1 else (2, 8)


def _decay(ratios: Sequence[int]) -> list[Comparison]:
    found = []
    for pair in _pairs(3, {"topology": "3-to-2D"}, {"topology": "3D"}, ("approach",)):
        hybrid, dense = (cell.row for cell in pair.cells)
        if pair.cells[0].ratio == 2:  # each network once
            cells = tuple(Cell(row, ratio) for row in (dense, hybrid) for ratio in _ends(ratios))
            found.append(Comparison(cells, lambda a, b, c, d: (a - b) - (c - d)))
    return found


def _best(ratios: Sequence[int]) -> list[Comparison]:
    shared = sorted({2, 4, 8} & set(ratios)) or [2, 4, 8]

    def mean_difference(*values: Any) -> Any:
        half = len(values) // 2
        return sum(a - b for a, b in zip(values[:half], values[half:], strict=True)) / half

    ours = next(row for row in rows(3) if (row.approach, row.topology) == ("TGNet", "3-to-2D"))
    return [
        Comparison(tuple(Cell(row, ratio) for row in (ours, rival) for ratio in shared), mean_difference)
        for rival in rows(3)
        if rival != ours
    ]


def _against_first(table: int) -> list[Comparison]:
    """Tables 4 and 5: every row of a topology against its first, which is the usual schedule or backbone."""
    first = {row.topology: row for row in reversed(rows(table))}
    return [
        Comparison((Cell(row, ratio), Cell(first[row.topology], ratio)), _difference)
        for row in rows(table)
        if row != first[row.topology]
        for ratio in printed_ratios(row)
    ]


def _kept() -> list[Comparison]:
    dense, sparse = rows(7)[0], next(row for row in rows(7) if printed_ratios(row) == [8])
    return [Comparison((Cell(sparse, 8), Cell(dense, 1)), lambda a, b: a - KEPT * b)]


def _slender(ratios: Sequence[int]) -> list[Comparison]:
    first, last = _ends(ratios)
    by_ratio = {printed_ratios(row)[0]: row for row in rows(7) if row.approach == "TGNet"}
    cells = tuple(Cell(by_ratio[ratio], ratio, group) for group in (SLENDER, *STURDY) for ratio in (first, last))

    def share(before: Any, after: Any) -> Any:
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - after / np.where(np.asarray(before) > 0, before, np.nan)

    def effect(*values: Any) -> Any:
        lost = [share(a, b) for a, b in zip(values[::2], values[1::2], strict=True)]
        return lost[0] - sum(lost[1:]) / len(STURDY)

    return [Comparison(cells, effect)]


CLAIMS = (
    Claim("Prefix interpolation beats postfix", "Table 1", lambda _: _interpolations("post")),
    Claim("Prefix interpolation beats none", "Table 1", lambda _: _interpolations("none")),
    Claim("Projection in 3D beats projection in 2D", "Table 2", lambda _: _projections()),
    Claim("Hybrid topologies beat 2D", "Table 3", lambda _: _hybrids("2D")),
    Claim("Hybrid topologies beat 3D", "Table 3", lambda _: _hybrids("3D")),
    Claim("3-to-2D loses less R² than 3D as r grows", "Table 3, Figure 4", _decay),
    Claim("TGNet 3-to-2D is the best network", "Table 3", _best, against_best=True),
    Claim("Longer training helps networks with a 2D encoder", "Table 4", lambda _: _against_first(4)),
    # Printed without numbers, so there is nothing to compare with, and no run of the plan that could.
    Claim("Longer training does not help networks with a 3D encoder", "Section 4.2", lambda _: []),
    Claim("Larger backbones beat ResNet18 in 2D encoders", "Table 5", lambda _: _against_first(5)),
    Claim(f"At r = 8, TGNet 3-to-2D keeps {100 * KEPT:.0f} % of dense Multi-Net's R²", "Table 7", lambda _: _kept()),
    Claim(
        "Slender Actomyosin Bundle loses a larger share of its R² than sturdier structures as r grows",
        "Section 4.4.1, Table 7",
        _slender,
        "share of R2",
    ),
)


def caption(labels: Labels) -> str:
    """What a reader of the claims must know."""
    here = f"{labels.setting}; {labels.test} test volumes"
    other = []
    if labels.simulated:
        other.append("images of a simulation")
    if labels.scale != "paper":
        other.append("a small fraction of the paper's training")
    caveat = (
        f"Verdicts are on these networks: {' and '.join(other)} can neither confirm nor refute the paper. "
        if other
        else ""
    )
    return (
        f"**The paper's claims** ({here}). Effect: mean over the comparisons that were run, in R² unless said, "
        "positive where the claim is right, with its 95 % interval; *the paper's* is the same in its printed numbers. "
        f"{caveat}{RULE}"
    )


def claims(
    scores: pd.DataFrame, costs: pd.DataFrame, ratios: Sequence[int], clusters: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Test every claim.

    Args:
        scores: One row per run and volume, from `load_scores`.
        costs: Table 6, from `costs.table6`.
        ratios: Declared sparsity ratios.
        clusters: Volume -> what it is drawn together with in the bootstrap, such as its plate.

    Returns:
        One row per claim, columns `COLUMNS`; nan where a claim was not run, or nothing is printed.
    """
    resampled = Bootstrap(scores, clusters)
    frame = pd.DataFrame([_test(claim, ratios, resampled) for claim in CLAIMS], columns=list(COLUMNS))
    run = frame["p"].notna()
    frame.loc[run, "p_holm"] = holm(frame.loc[run, "p"].to_numpy())
    frame.loc[run, "verdict"] = [_verdict(row.effect, row.p_holm) for row in frame[run].itertuples()]
    counted = pd.DataFrame([_cost(costs)], columns=list(COLUMNS))
    return pd.concat([frame, counted], ignore_index=True).astype({"volumes": "Int64", "seeds": "Int64"})


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
    cells = [cell for item in run for cell in item.cells]
    volumes = min(resampled.clusters(cell.group) for cell in cells)
    line |= {"volumes": volumes, "seeds": min(resampled.seeds(cell.setting) for cell in cells), "verdict": "undecided"}
    effects = np.array(
        [item.effect(*(resampled.mean(cell.setting, cell.group) for cell in item.cells)) for item in run]
    )
    # The rival of a claim to be best is chosen by looking, so it is judged as one of as many tests.
    rivals = len(run) if claim.against_best else 1
    effect = effects[effects[:, 0].argmin()] if claim.against_best else effects.mean(axis=0)
    observed, draws = effect[0], effect[1:]
    if np.isnan(observed):
        return line | {"note": "a share of an R² that is not above zero is undefined"}
    line["effect"] = float(observed)
    if volumes < FEWEST:
        return line | {"note": f"fewer than {FEWEST} independent test volumes: no interval"}
    if np.isnan(draws).mean() > LEVEL / 10:
        return line | {"note": "undefined in too many resamples: no interval"}
    draws = draws[~np.isnan(draws)]
    low, high = interval(draws, 1 - LEVEL / rivals)
    return line | {"low": low, "high": high, "p": min(1.0, rivals * p_value(draws))}


def _printed(claim: Claim, comparisons: Sequence[Comparison]) -> float:
    """The same effect in the paper's numbers."""
    effects = [
        float(item.effect(*(published(cell.row, cell.ratio, "R2", cell.group) for cell in item.cells)))
        for item in comparisons
    ]
    if not effects:
        return float("nan")
    return min(effects) if claim.against_best else float(np.mean(effects))


def _cost(costs: pd.DataFrame) -> dict[str, Any]:
    """Hybrids need fewer multiply-accumulates than 3D: counted, so there is no interval."""
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
