"""The paper's claims and their verdicts."""

import pandas as pd

from sparsessp.reporting.claims import RULE
from sparsessp.reporting.document.model import (
    WHOLE,
    Emphasis,
    Inline,
    Interval,
    Number,
    PaperNumber,
    Row,
    Strong,
    Table,
    Words,
    is_missing,
    number_column,
    text_column,
)
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.formats import NO_RESULT, SCORE, VERDICTS, symbol


def table(results: Results) -> Table:
    """Return the table for the page."""
    columns = (
        *map(text_column, ("Claim", "Source", "Verdict")),
        *map(number_column, ("Effect", "95 % interval", Emphasis("Paper"), "Comparisons", "Seeds", "p (Holm)")),
    )
    lines = tuple(Row(_cells(row)) for _, row in results.claims.iterrows())
    caption = _caption(results)
    return Table(columns, lines, "claims", "The paper's claims", caption, blocks=True)


def _cells(row: pd.Series) -> tuple:
    decided = row["verdict"] in ("supported", "contradicted")
    note = row["note"] if isinstance(row["note"], str) else ""
    independent = "" if is_missing(row["independent"]) else f"{row['independent']} independent"
    unit = "" if row["unit"] == "R2" else symbol(row["unit"])
    return (
        Words(row["claim"]),
        Words(row["source"]),
        Words(Strong(row["verdict"]) if decided else row["verdict"], note, VERDICTS[row["verdict"]]),
        Number(row["effect"], SCORE, note=unit),
        Interval(row["low"], row["high"], SCORE),
        PaperNumber(row["paper_effect"], SCORE),
        Words(f"{row['comparisons']} of {row['possible']}", independent),
        Number(float("nan") if is_missing(row["seeds"]) else row["seeds"], WHOLE),
        Number(row["p_holm"], SCORE),
    )


def _caption(results: Results) -> Inline:
    labels = results.labels
    unlike = ["simulated images"] if labels.simulated else []
    unlike += ["a small fraction of the paper's training"] if labels.scale != "paper" else []
    caveat = ""
    if unlike:
        caveat = f"Verdicts apply to these networks only: {' and '.join(unlike)} cannot confirm or refute the paper. "
    return (
        f"({labels.setting}; {labels.test} test volumes). Effect: mean over the comparisons that were run, in R² "
        "unless stated otherwise; positive if the claim holds. ",
        Emphasis("Paper:"),
        " the same effect in the paper's scores. Claims about topologies depend on the number of epochs: "
        f"{labels.epochs_by_topology}. {caveat}{RULE}{NO_RESULT}",
    )
