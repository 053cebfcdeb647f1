"""Trained weights of other people's networks, read without running code that lies in them."""

from pathlib import Path

import torch
from torch import Tensor

from sparsessp.errors import SparseSSPError

_FILE = "model.safetensors"
_INSTALL = "install the extra: pip install 'sparsessp[backbones]'"


def read_weights(source: str) -> dict[str, Tensor]:
    """Read weights by name, onto the CPU.

    Args:
        source: A file (`.safetensors`, or one of torch with nothing but tensors), a folder with
            `model.safetensors`, or a name on the Hugging Face hub.

    Raises:
        SparseSSPError: There is no such thing, or it is no file of weights.
    """
    path = Path(source)
    if path.is_dir():
        path = path / _FILE
    elif not path.is_file():
        path = _from_hub(source)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise missing_extra(error) from None
    except Exception as error:  # of broken files torch and safetensors raise half a dozen kinds
        raise no_weights(source, error) from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise SparseSSPError(f"weights {source!r}: {path} holds other things than tensors by name")
    return content


def split_revision(source: str) -> tuple[str, str | None]:
    """Return the name of ORGANISATION/NAME@REVISION and its revision, None if the name carries none."""
    name, _, revision = source.partition("@")
    return name, revision or None


def _from_hub(source: str) -> Path:
    name, revision = split_revision(source)
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise SparseSSPError(f"weights {name!r}: there is no such file or folder; for the hub, {_INSTALL}") from None
    try:
        return Path(hf_hub_download(name, _FILE, revision=revision))
    except Exception as error:  # network, names and rights: what the hub's client raises is its own affair
        raise no_weights(name, error) from None


def missing_extra(error: ImportError) -> SparseSSPError:
    """Say which extra is missing."""
    return SparseSSPError(f"{error.name or error} is not installed, which this backbone needs; {_INSTALL}")


def no_weights(source: str, error: Exception) -> SparseSSPError:
    """Say what may be named."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return SparseSSPError(
        f"weights {source!r} cannot be read ({reason}); allowed: a local file or folder, or a name on the hub where "
        "there is network"
    )
