"""Model files, and training states from which a run resumes.

Both are zip archives written by torch, with their SHA-256 checksum as the comment of the archive: torch can still open
them, and every changed byte is detected. They are read with torch's restricted loader, which runs no code.
"""

import hashlib
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sparsessp.config import NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.networks.network import MultiNetwork, Network, build
from sparsessp.support.files import atomic_write

_SUM_LENGTH = struct.pack("<H", 64)  # of the comment; the last field of a zip archive before the comment itself
_NO_COMMENT = struct.pack("<H", 0)
_CHUNK = 1 << 20
MODEL_FORMAT = 1  # raised when a released version can no longer read the files of the one before


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values atomically; equal content gives equal bytes.

    Raises:
        OSError: The file cannot be written; the old file is unchanged.
    """
    with atomic_write(path) as partial:
        try:
            with partial.open("wb") as stream:
                torch.save(content, stream)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch replaces it with its own message
                raise error.__context__ from None
            raise
        _seal(partial)


def _seal(path: Path) -> None:
    """Append the checksum of an archive as its comment."""
    with path.open("r+b") as stream:
        end = stream.seek(-len(_NO_COMMENT), os.SEEK_END)
        stream.seek(0)
        digest = _sum(stream, end)
        stream.seek(end)
        stream.write(_SUM_LENGTH + digest)


def _sum(stream, count: int) -> bytes:
    """Return the SHA-256 checksum of the next `count` bytes in hex."""
    digest = hashlib.sha256()
    while count > 0 and (chunk := stream.read(min(count, _CHUNK))):
        digest.update(chunk)
        count -= len(chunk)
    return digest.hexdigest().encode()


def _is_intact(path: Path) -> bool:
    """Return whether the checksum at the end of a file is that of the bytes before it."""
    tail = len(_SUM_LENGTH) + 64
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) < tail:
            return False
        end = stream.seek(-tail, os.SEEK_END)
        claimed = stream.read()
        stream.seek(0)
        return claimed == _SUM_LENGTH + _sum(stream, end)


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, onto the CPU.

    Raises:
        SparseSSPError: The file is missing, truncated or changed, or was not written by `save`.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the file is missing")
    if not _is_intact(path):
        raise SparseSSPError(f"{path}: not an intact checkpoint; truncated, changed, or not written by sparsessp")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a crafted file can make the loader raise any exception
        raise SparseSSPError(f"{path}: not a readable checkpoint ({error})") from error
    if not isinstance(content, dict):
        raise SparseSSPError(f"{path}: holds a {type(content).__name__}; expected a dictionary")
    return content


def _previous(path: Path) -> Path:
    return path.with_name(f"previous-{path.name}")


def save_state(path: Path, content: dict[str, Any]) -> None:
    """Write the state of a run, and keep the previous state as `previous-NAME`."""
    fresh = path.with_name(f"next-{path.name}")
    save(fresh, content)
    # A kill between the two renames leaves only the previous state, which is valid.
    if path.exists():
        os.replace(path, _previous(path))
    os.replace(fresh, path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Return the newest intact state, or None; damaged ones are reported on stderr."""
    for file, instead in ((path, f"trying {_previous(path).name}"), (_previous(path), "the run starts again")):
        if not file.exists():
            continue
        try:
            return load(file)
        except SparseSSPError as error:
            print(f"warning: {error}; {instead}", file=sys.stderr, flush=True)
    return None


def save_model(path: Path, network: Network | MultiNetwork, notes: dict[str, Any]) -> None:
    """Write a trained network with everything needed to use it: settings, structures, notes.

    Args:
        path: Model file.
        network: Trained network.
        notes: Plain values for the model card, such as the training settings (`application.card`).
    """
    content = {
        "format": MODEL_FORMAT,
        "network": network.settings.model_dump(exclude={"structures"}),
        "structures": list(network.settings.structures),
        "weights": network.state_dict(),
        **notes,
    }
    save(path, content)


def load_model(path: Path) -> Network | MultiNetwork:
    """Rebuild the network that `save_model` wrote, in evaluation mode on the CPU.

    Raises:
        SparseSSPError: The file is missing or damaged, or is not a model.
    """
    return build_saved(load(path), str(path))


def saved_settings(content: Mapping[str, Any], source: str) -> NetworkSettings:
    """Return the settings of the network in a model file's content; `source` names the file in errors.

    Raises:
        SparseSSPError: The content is not that of a model.
    """
    parts = (content.get("network"), content.get("structures"), content.get("weights"))
    if not all(isinstance(part, kind) for part, kind in zip(parts, (dict, list, dict), strict=True)):
        raise SparseSSPError(f"{source}: holds {', '.join(map(str, content))}; expected network, structures, weights")
    return NetworkSettings.load({**parts[0], "structures": tuple(parts[1])}, source)


def build_saved(content: dict[str, Any], source: str) -> Network | MultiNetwork:
    """Rebuild the network of a model file from the file's content; `source` names the file in errors.

    Raises:
        SparseSSPError: As for `load_model`.
    """
    made = content.get("format", MODEL_FORMAT)
    if made != MODEL_FORMAT:
        raise SparseSSPError(
            f"{source}: model format {made}; this version of sparsessp reads format {MODEL_FORMAT}: install the "
            f"version that wrote the file ({content.get('version', 'unknown')}), or train the model again"
        )
    network = build(saved_settings(content, source))
    try:
        network.load_state_dict(content["weights"])
    except RuntimeError as error:
        raise SparseSSPError(f"{source}: the weights do not fit the network ({error})") from None
    return network.eval()
