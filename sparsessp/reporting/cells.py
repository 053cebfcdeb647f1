"""How names and numbers are printed in the cells of the page's tables."""

import re
from collections.abc import Mapping

import pandas as pd

from sparsessp.paper.published import ALL, DELTA_IMP, STRUCTURE_MEAN
from sparsessp.reporting.markdown import DASH
from sparsessp.reporting.scores import SD
from sparsessp.reporting.tables import decimals, number
from sparsessp.structures import STRUCTURES

GROUP_NAMES = {
    **{structure.key: structure.name for structure in STRUCTURES},
    ALL: "All",
    STRUCTURE_MEAN: "Mean of structures",
    DELTA_IMP: "ΔImp (%)",
}
# A mark beside the word, so that a column of verdicts can be read at a glance.
VERDICTS = {"supported": "✓", "contradicted": "✗", "undecided": "~", "not run": DASH}


def best_of(column: pd.Series, header: str) -> float:
    """The best value as printed, so that ties on paper are ties here; nan unless two compete."""
    values = [round(value, decimals(header)) for value in column.dropna()]
    if len(values) < 2:
        return float("nan")
    larger_is_better = header.startswith(DELTA_IMP) or header.removesuffix("_paper").endswith("R2")
    return max(values) if larger_is_better else min(values)


def pair(values: pd.Series, name: str, best: Mapping[str, float], stacked: bool) -> str:
    """A cell: our score and the paper's, in one line or, where columns are many, in two."""
    ours, paper = (_cell(values[header], header, best[header]) for header in (name, f"{name}_paper"))
    spread = values.get(f"{name}{SD}", float("nan"))
    if not pd.isna(spread):
        ours += f" ± {_cell(spread, name, float('nan'))}"
    return f"{ours}<br><sub>*{paper}*</sub>" if stacked else f"{ours} *({paper})*"


def _cell(value: float, header: str, best: float) -> str:
    places = decimals(header)
    text = score(value, places)
    if not header.startswith(DELTA_IMP):
        # As in the paper, no zero before the point of a score: twelve columns just fit a page.
        text = re.sub(r"^(-?)0\.", r"\1.", text)
    return f"**{text}**" if round(value, places) == best else text


def score(value: float, places: int = 4) -> str:
    """A number at these places, or a dash where there is none."""
    return number(value, places) or DASH


def verdict(name: str) -> str:
    """A verdict with its mark, bold if the claim was decided."""
    return f"{VERDICTS[name]} **{name}**" if name in ("supported", "contradicted") else f"{VERDICTS[name]} {name}"


def symbol(metric: str) -> str:
    """A metric as it is written."""
    return metric.replace("R2", "R²")
