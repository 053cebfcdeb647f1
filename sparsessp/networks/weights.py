"""Published weights of other networks, read without running code from the file."""

from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error

_FILE = "model.safetensors"
_INSTALL = "install the extra: pip install 'sparsessp[backbones]'"


def read_weights(source: str) -> dict[str, Tensor]:
    """Read weights by name, onto the CPU.

    Args:
        source: A file (`.safetensors`, or a torch file that holds tensors only), a folder with
            `model.safetensors`, or a name on the Hugging Face hub.

    Raises:
        SparseSSPError: The source does not exist or is not a file of weights.
        OSError: The file cannot be opened, for example because too many files are open.
    """
    path = Path(source)
    if path.is_dir():
        path = path / _FILE
    elif not path.is_file():
        path = _from_hub(source)
    try:
        path.open("rb").close()  # safetensors says "no such file" if no descriptor is left
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise missing_extra(error) from None
    except Exception as error:  # torch and safetensors raise many types for broken files
        raise_unreadable(source, error)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise SparseSSPError(f"weights {source!r}: {path} is not a dictionary of tensors")
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
        raise SparseSSPError(f"weights {name!r}: no such file or folder; to use the hub, {_INSTALL}") from None
    try:
        return Path(hf_hub_download(name, _FILE, revision=revision))
    except Exception as error:  # the hub's client raises many types for network, names and access
        raise_unreadable(name, error)


def missing_extra(error: ImportError) -> SparseSSPError:
    """Return the error for a missing optional package."""
    return SparseSSPError(f"this backbone needs {error.name or error}, which is not installed; {_INSTALL}")


def raise_unreadable(source: str, error: Exception) -> NoReturn:
    """Raise the error for weights that cannot be read, given the error of the library that tried.

    Raises:
        SparseSSPError: Always, unless the operating system is the cause.
        OSError: A cause that is no fault of the file, for example too many open files.
    """
    raise_system_error(error, Path(source))
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise SparseSSPError(
        f"weights {source!r} cannot be read ({reason}); allowed: a local file or folder, or, with a "
        "network connection, a name on the hub"
    ) from None
