"""Durations of trainings and the machines that ran them, which differ between runs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sparsessp.errors import SparseSSPError
from sparsessp.reporting.document.model import Inline
from sparsessp.schema import MACHINE_COLUMNS

_COLUMNS = ("seconds", "finished", *MACHINE_COLUMNS)


@dataclass(frozen=True)
class Circumstances:
    """Machine and time of a report, and durations of its trainings.

    Attributes:
        facts: Name -> text, such as the git revision.
        durations: Folder with `<name>.json` of each training, from the train stage.
    """

    facts: Mapping[str, Inline] = field(default_factory=dict)
    durations: Path | None = None


def read_durations(folder: Path | None, experiments: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the duration of each planned training, if known.

    Returns:
        One row per training, by its name: `method`, `topology`, `seconds`, `finished` (UTC) and `MACHINE_COLUMNS`.

    Raises:
        SparseSSPError: A file does not have the train stage's format.
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
