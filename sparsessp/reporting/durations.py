"""How long the trainings took, on what, and the circumstances of a report: other numbers every time."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sparsessp.errors import SparseSSPError
from sparsessp.reporting.markdown import DASH, markdown
from sparsessp.reporting.style import METHODS, TOPOLOGIES

FACTS = ("machine", "device", "threads", "torch", "precision")
_COLUMNS = ("seconds", "finished", *FACTS)


@dataclass(frozen=True)
class Circumstances:
    """What is true of one machine at one time.

    Attributes:
        facts: Name -> text in Markdown, such as the git revision.
        durations: Folder with `<name>.json` of each training, as the train stage writes it.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    durations: Path | None = None


def read_durations(folder: Path | None, experiments: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """How long each declared training took, as far as it is known.

    Returns:
        One row per training, by its name: `method`, `topology`, `seconds`, `finished` (UTC) and `FACTS`.

    Raises:
        SparseSSPError: A file is not what the train stage writes.
    """
    lines = {}
    for name, experiment in experiments.items():
        path = folder / f"{name}.json" if folder else None
        if path is None or not path.exists():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            line = {column: found[column] for column in _COLUMNS} | {"seconds": float(found["seconds"])}
        except (ValueError, TypeError, KeyError) as error:
            raise SparseSSPError(
                f"{path}: not a training's duration ({error!r}); expected {', '.join(_COLUMNS)}"
            ) from None
        lines[name] = {"method": experiment["method"], "topology": experiment["topology"], **line}
    return pd.DataFrame.from_dict(lines, orient="index", columns=["method", "topology", *_COLUMNS])


def circumstances(facts: Mapping[str, str], durations: pd.DataFrame, declared: int) -> str:
    """Table of where, when and with what; `declared` trainings were to be done."""
    lines = [["trainings", f"{len(durations)} of {declared}, {hours(durations['seconds'].sum())} in all"]]
    if len(durations):
        lines.append(["finished", f"from {durations['finished'].min()} to {durations['finished'].max()}"])
    for machine, rows in durations.groupby("machine", sort=False):
        said = [f"device {_each(rows['device'])}", f"{_each(rows['threads'])} CPU threads"]
        said += [f"torch {_each(rows['torch'])}", _each(rows["precision"])]
        lines.append(["trained on", f"{machine}: {', '.join(said)}"])
    return markdown(["Where and when", ""], [*lines, *([name, text] for name, text in facts.items())], 2)


def training_times(durations: pd.DataFrame) -> str:
    """Table of the time of a training by method (rows) and topology (columns), mean over its runs."""
    if durations.empty:
        return "No training has left its duration here."
    lines = []
    for method, rows in durations.groupby("method"):
        by_topology = rows.groupby("topology")["seconds"].mean()
        cells = [f"{by_topology[key]:,.0f}" if key in by_topology else DASH for key in TOPOLOGIES]
        lines.append([METHODS.get(method, (method,))[0], str(len(rows)), *cells, hours(rows["seconds"].sum())])
    return markdown(["Method", "Trainings", *(name for name, _ in TOPOLOGIES.values()), "All"], lines, 1)


def hours(seconds: float) -> str:
    """A time for people: `43 s`, `12 min`, `3 h 05 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _each(values: Iterable[Any]) -> str:
    return " and ".join(dict.fromkeys(map(str, values)))
