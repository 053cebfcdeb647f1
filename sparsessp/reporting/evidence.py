"""What lies beside a run's scores for the figures: error by plane, training history, network, example volumes.

A run without a file has none to show; a file that is broken is an error.
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
from sparsessp.reporting.scores import linear

PLANES = ("volume", "plane", "squared_error", "variation")
HISTORY = ("structure", "iteration", "epoch", "training_mse", "validation_mse")
WINDOW_SAMPLING = ("planes", "imaged", "read", "r2", "r2_window_sampling")


@dataclass(frozen=True)
class Evidence:
    """Files of the declared runs.

    Attributes:
        results: Folder with `<name>/` of each run.
        names: Declared runs, in order.
        structures: Test volume -> its structure, in order.
    """

    results: Path
    names: tuple[str, ...]
    structures: dict[str, str]
    _stacks: dict[str, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)

    def planes(self, name: str) -> pd.DataFrame | None:
        """Squared error and variation of the target by plane of each test volume."""
        return self._table(name, "planes.csv", PLANES)

    def history(self, name: str) -> pd.DataFrame | None:
        """Training and validation error at each validation."""
        return self._table(name, "history.csv", HISTORY)

    def network(self, name: str) -> dict[str, Any] | None:
        """Settings, parameters, GMACs and shapes, as `resources.describe` gives them.

        Raises:
            SparseSSPError: The file is no such JSON.
        """
        path = self.results / name / "network.json"
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
        """Structure -> prediction (D, H, W) of its example volume; nothing for a run that keeps none."""
        found = self._read(name) if name in self.names else {}
        return {self.structures[volume]: stack for volume, stack in found.items() if volume in self.structures}

    def examples(self, ratio: int, kind: str) -> dict[str, np.ndarray]:
        """Structure -> example volume.

        Args:
            ratio: Sparsity ratio.
            kind: `view`, the sparse transmitted light (d, H, W), or `target`, the fluorescence (D, H, W).
        """
        found = self._read(linear(ratio))
        wanted = {name.removesuffix(f".{kind}"): stack for name, stack in found.items() if name.endswith(f".{kind}")}
        return {self.structures[volume]: stack for volume, stack in wanted.items() if volume in self.structures}

    def example_volumes(self, ratio: int) -> dict[str, str]:
        """Structure -> name of its example volume."""
        names = {name.rsplit(".", 1)[0] for name in self._read(linear(ratio))}
        return {self.structures[volume]: volume for volume in sorted(names) if volume in self.structures}

    def window_sampling(self, name: str) -> pd.DataFrame | None:
        """R2 of each test volume with the released code's sampling, and how many planes it read."""
        return self._table(name, "window_sampling.csv", WINDOW_SAMPLING)

    def _read(self, name: str) -> dict[str, np.ndarray]:
        if name not in self._stacks:
            self._stacks[name] = read_examples(self.results / name / "examples.npz")
        return self._stacks[name]

    def _table(self, name: str, file: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
        path = self.results / name / file
        return read_table(path, columns) if name in self.names and path.exists() else None
