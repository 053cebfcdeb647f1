"""Files of a run other than its scores: error by plane, training history, network, example volumes.

A missing file gives None or an empty result; a malformed file is an error.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sparsessp.data.examples import read_examples
from sparsessp.data.samples import read_table
from sparsessp.errors import SparseSSPError
from sparsessp.schema import (
    EXAMPLES_FILE,
    HISTORY_COLUMNS,
    HISTORY_FILE,
    NETWORK_FILE,
    PLANE_COLUMNS,
    PLANES_FILE,
    WINDOW_SAMPLING_COLUMNS,
    WINDOW_SAMPLING_FILE,
    linear_regression,
)


@dataclass(frozen=True)
class Evidence:
    """Files of the planned runs.

    Attributes:
        results: Folder with `<name>/` of each run, written by evaluation.
        runs: Folder with `<name>/` of each run, written by training.
        names: Planned runs, in order.
        structures: Test volume -> its structure, in order.
    """

    results: Path
    runs: Path
    names: tuple[str, ...]
    structures: dict[str, str]
    _stacks: dict[str, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)

    def planes(self, name: str) -> pd.DataFrame | None:
        """Return the squared error and the target's variation by plane of each test volume."""
        return self._table(self.results / name / PLANES_FILE, name, PLANE_COLUMNS)

    def history(self, name: str) -> pd.DataFrame | None:
        """Return the training and validation error at each validation."""
        return self._table(self.runs / name / HISTORY_FILE, name, HISTORY_COLUMNS)

    def network(self, name: str) -> dict[str, Any] | None:
        """Return settings, parameters, GMACs and shapes, from `costs.counted.describe`.

        Raises:
            SparseSSPError: The file is malformed.
        """
        path = self.runs / name / NETWORK_FILE
        if name not in self.names or not path.exists():
            return None
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            missing = [key for key in ("settings", "parameters", "gmacs", "patch", "shapes") if key not in facts]
        except (ValueError, TypeError) as error:
            raise SparseSSPError(f"{path}: not a description of a network ({error})") from None
        if missing:
            raise SparseSSPError(f"{path}: key {missing[0]!r} is missing")
        return facts

    def predictions(self, name: str) -> dict[str, np.ndarray]:
        """Return structure -> prediction (D, H, W) of its example volume; empty if the run has none."""
        found = self._read(name) if name in self.names else {}
        return {self.structures[volume]: stack for volume, stack in found.items() if volume in self.structures}

    def examples(self, ratio: int, kind: str) -> dict[str, np.ndarray]:
        """Return structure -> example volume.

        Args:
            ratio: Sparsity ratio.
            kind: `view`, the sparse transmitted light (d, H, W), or `target`, the fluorescence (D, H, W).
        """
        found = self._read(linear_regression(ratio))
        wanted = {name.removesuffix(f".{kind}"): stack for name, stack in found.items() if name.endswith(f".{kind}")}
        return {self.structures[volume]: stack for volume, stack in wanted.items() if volume in self.structures}

    def example_volumes(self, ratio: int) -> dict[str, str]:
        """Return structure -> name of its example volume."""
        names = {name.rsplit(".", 1)[0] for name in self._read(linear_regression(ratio))}
        return {self.structures[volume]: volume for volume in sorted(names) if volume in self.structures}

    def window_sampling(self, name: str) -> pd.DataFrame | None:
        """Return the R2 of each test volume with the released code's sampling, and the number of planes it read."""
        return self._table(self.results / name / WINDOW_SAMPLING_FILE, name, WINDOW_SAMPLING_COLUMNS)

    def _read(self, name: str) -> dict[str, np.ndarray]:
        if name not in self._stacks:
            self._stacks[name] = read_examples(self.results / name / EXAMPLES_FILE)
        return self._stacks[name]

    def _table(self, path: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
        return read_table(path, columns) if name in self.names and path.exists() else None
