"""Formats of names and numbers in tables and CSV files."""

from collections.abc import Mapping

import pandas as pd

from sparsessp.paper.published import ALL, DELTA_IMP, STRUCTURE_MEAN
from sparsessp.reporting.document.model import DASH, Format, Number
from sparsessp.reporting.scores import SD
from sparsessp.structures import name_of

_MEANS = {ALL: "All", STRUCTURE_MEAN: "Mean of structures", DELTA_IMP: "ΔImp (%)"}
# Symbols before the words, so that a column of verdicts can be read at a glance.
VERDICTS = {"supported": "✓", "contradicted": "✗", "undecided": "~", "not run": DASH}
SCORE = Format(4)
PAPER_SCORE = Format(4, bare=True)  # as the paper prints scores: twelve columns just fit a page
PERCENT = Format(2)
NO_RESULT = f" {DASH}: no result."


def group_name(group: str) -> str:
    """Return the name of a structure, or of a mean over structures or volumes."""
    return _MEANS.get(group) or name_of(group)


def symbol(metric: str) -> str:
    """Return the symbol of a metric."""
    return metric.replace("R2", "R²")


def decimals(header: str) -> int:
    """Return the decimals of a column or group: two for percentages, four for scores, as in the paper."""
    return 2 if header.startswith(DELTA_IMP) else 4


def csv_text(frame: pd.DataFrame) -> str:
    """Return the frame as CSV, the same bytes for the same results; missing values are empty."""
    texts = frame.copy()
    for header in frame.select_dtypes("float").columns:
        places = decimals(header)
        texts[header] = ["" if pd.isna(value) else f"{value:z.{places}f}" for value in frame[header]]
    return texts.to_csv(index=False, lineterminator="\n")


def best_of(column: pd.Series, header: str) -> float:
    """Return the best value after rounding, so that ties in print are ties; nan with fewer than two values."""
    values = [round(value, decimals(header)) for value in column.dropna()]
    if len(values) < 2:
        return float("nan")
    larger_is_better = header.startswith(DELTA_IMP) or header.removesuffix("_paper").endswith("R2")
    return max(values) if larger_is_better else min(values)


def compared(values: pd.Series, name: str, best: Mapping[str, float]) -> Number:
    """Return the table cell with our score and the paper's, if the frame has it.

    Args:
        values: Row of a frame with the columns `name` and perhaps `name_paper`.
        name: Column of our score.
        best: Best value of each column.
    """
    places = decimals(name)
    compares = f"{name}_paper" in values
    ours, paper = values[name], values[f"{name}_paper"] if compares else float("nan")
    return Number(
        ours,
        PERCENT if places == 2 else PAPER_SCORE,
        paper=paper,
        compared=compares,
        spread=values.get(f"{name}{SD}", float("nan")),
        best=round(ours, places) == best[name],
        paper_best=compares and round(paper, places) == best[f"{name}_paper"],
    )
