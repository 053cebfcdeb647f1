"""Starting a training from the weights of a model file (fine-tuning)."""

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from sparsessp.config import NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints
from sparsessp.support.files import sha256

# Settings that do not change what the weights mean.
_FREE = frozenset({"seed", "budget_percent", "weights", "precision"})


class Start(NamedTuple):
    """Weights to start from.

    Attributes:
        weights: Weights by name.
        origin: Where they are from: `application.card.Origin`, as plain values.
    """

    weights: dict[str, Tensor]
    origin: dict[str, Any]


def read_settings(path: Path) -> NetworkSettings:
    """Return the settings of the network in a model file.

    Raises:
        SparseSSPError: The file is missing or damaged, or is not a model.
    """
    return checkpoints.saved_settings(checkpoints.load(path), str(path))


def differences(saved: NetworkSettings, run: NetworkSettings) -> list[str]:
    """Return which settings of two networks differ, in words; weights can be exchanged if there are none."""
    return [
        f"{key} is {_text(getattr(saved, key))} in the file and {_text(getattr(run, key))} in the run"
        for key in NetworkSettings.model_fields
        if key not in _FREE and getattr(saved, key) != getattr(run, key)
    ]


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def read_start(path: Path, run: NetworkSettings) -> Start:
    """Read the weights of a model file for a run with the same network.

    Raises:
        SparseSSPError: The file is missing or damaged, is not a model, or its network is another one; the message
            names what differs.
    """
    content = checkpoints.load(path)
    saved = checkpoints.build_saved(content, str(path))  # checks that the weights fit the settings
    if differing := differences(saved.settings, run):
        raise SparseSSPError(f"pretrained_run = {path}: {'; '.join(differing)}; they must be equal")
    known = {key: content[key] for key in ("trained", "data", "version") if content.get(key) is not None}
    return Start(content["weights"], {"file": path.name, "sha256": sha256(path), "name": saved.settings.name, **known})
