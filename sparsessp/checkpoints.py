"""Model files, and the full state from which a training run goes on.

Both are read with torch's restricted loader, which runs no code.
"""

import pickle
from pathlib import Path
from typing import Any

import torch

from sparsessp.config import NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.files import whole
from sparsessp.networks.network import MultiNetwork, Network, build
from sparsessp.structures import KEYS


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all; equal content gives equal bytes."""
    with whole(path) as partial, partial.open("wb") as stream:
        torch.save(content, stream)


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, onto the CPU.

    Raises:
        SparseSSPError: The file is missing or no file of ours.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the file is missing")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise SparseSSPError(f"{path}: not a readable checkpoint ({error})") from error


def save_model(path: Path, network: Network | MultiNetwork, notes: dict[str, Any]) -> None:
    """Write a trained network with all that is needed to use it: settings, structures, notes."""
    content = {
        "network": network.settings.model_dump(),
        "structures": list(KEYS),
        "weights": network.state_dict(),
        **notes,
    }
    save(path, content)


def load_model(path: Path) -> Network | MultiNetwork:
    """Rebuild the network that `save_model` wrote, in evaluation mode on the CPU.

    Raises:
        SparseSSPError: The file is missing, broken, or was made for other structures.
    """
    content = load(path)
    if content.get("structures") != list(KEYS):
        raise SparseSSPError(f"{path}: made for structures {content.get('structures')}; expected {list(KEYS)}")
    network = build(NetworkSettings.load(content["network"], str(path)))
    network.load_state_dict(content["weights"])
    return network.eval()
