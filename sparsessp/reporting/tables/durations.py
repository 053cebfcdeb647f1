"""Durations of the trainings, and the machine that ran them."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from sparsessp.reporting.document.model import (
    WHOLE,
    Block,
    Number,
    Paragraph,
    Row,
    Table,
    Words,
    facts,
    number_column,
    text_column,
)
from sparsessp.reporting.names import TOPOLOGIES, method_name
from sparsessp.reporting.results import Results


def circumstances(results: Results, durations: pd.DataFrame) -> Table:
    """Return when and on which machine the trainings ran."""
    total = f"{len(durations)} of {len(results.experiments)}, {hours(durations['seconds'].sum())} in total"
    lines = [("trainings", total)]
    if len(durations):
        lines.append(("finished", f"from {durations['finished'].min()} to {durations['finished'].max()}"))
    for machine, rows in durations.groupby("machine", sort=False):
        found = [f"device {_each(rows['device'])}", f"{_each(rows['threads'])} CPU threads"]
        found += [f"torch {_each(rows['torch'])}", _each(rows["precision"])]
        lines.append(("trained on", f"{machine}: {', '.join(found)}"))
    return facts("Where and when", [*lines, *results.circumstances.facts.items()])


def training_times(durations: pd.DataFrame, setting: str) -> Block:
    """Return the mean time per training, by method (rows) and topology (columns)."""
    if durations.empty:
        return Paragraph("No training has recorded its duration.")
    lines = []
    for method, rows in durations.groupby("method"):
        by_topology = rows.groupby("topology")["seconds"].mean()
        cells = [Number(by_topology.get(key, float("nan")), WHOLE) for key in TOPOLOGIES]
        total = Words(hours(rows["seconds"].sum()))
        lines.append(Row((Words(method_name(str(method))), Number(len(rows), WHOLE), *cells, total)))
    names = (name for name, _ in TOPOLOGIES.values())
    columns = (text_column("Method"), *map(number_column, ("Trainings", *names, "All")))
    caption = (
        f"({setting}). Mean over the runs of a method and topology, including validation. All: sum over the trainings "
        "of the row. Work repeated after an interruption is counted once. –: no result."
    )
    return Table(columns, tuple(lines), "", "Seconds per training", caption)


def hours(seconds: float) -> str:
    """Return a readable duration: `43 s`, `12 min`, `3 h 05 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _each(values: Iterable[Any]) -> str:
    return " and ".join(dict.fromkeys(map(str, values)))
