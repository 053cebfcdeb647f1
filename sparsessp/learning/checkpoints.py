"""Model files, and the full state from which a training run goes on.

Both are zip archives as torch writes them, with their SHA-256 sum as the archive's comment, so that
torch opens them as any other and we notice every changed byte. They are read with torch's restricted
loader, which runs no code.
"""

import hashlib
import os
import struct
import sys
from pathlib import Path
from typing import Any

import torch

from sparsessp.config import NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.networks.network import MultiNetwork, Network, build
from sparsessp.structures import KEYS
from sparsessp.support.files import atomic_write

_SUM_LENGTH = struct.pack("<H", 64)  # of the comment: the last field of a zip archive, before the comment itself
_NO_COMMENT = struct.pack("<H", 0)
_CHUNK = 1 << 20


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values atomically; equal content gives equal bytes.

    Raises:
        OSError: The disk does not take them; the old file is still there.
    """
    with atomic_write(path) as partial:
        try:
            with partial.open("wb") as stream:
                torch.save(content, stream)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # which torch hides behind a message of its own
                raise error.__context__ from None
            raise
        _seal(partial)


def _seal(path: Path) -> None:
    """Add the sum of an archive to it, as its comment."""
    with path.open("r+b") as stream:
        end = stream.seek(-len(_NO_COMMENT), os.SEEK_END)
        stream.seek(0)
        digest = _sum(stream, end)
        stream.seek(end)
        stream.write(_SUM_LENGTH + digest)


def _sum(stream, count: int) -> bytes:
    """SHA-256 sum of the next `count` bytes, in hex."""
    digest = hashlib.sha256()
    while count > 0 and (chunk := stream.read(min(count, _CHUNK))):
        digest.update(chunk)
        count -= len(chunk)
    return digest.hexdigest().encode()


def _is_whole(path: Path) -> bool:
    """Whether the sum at the end of a file is that of what stands before it."""
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
        SparseSSPError: The file is missing, cut short, changed, or no file of ours.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the file is missing")
    if not _is_whole(path):
        raise SparseSSPError(f"{path}: not a whole checkpoint; it is cut short or changed, or not written by sparsessp")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a crafted file makes the loader raise anything
        raise SparseSSPError(f"{path}: not a readable checkpoint ({error})") from error
    if not isinstance(content, dict):
        raise SparseSSPError(f"{path}: holds a {type(content).__name__}; expected a dictionary")
    return content


def _previous(path: Path) -> Path:
    return path.with_name(f"previous-{path.name}")


def save_state(path: Path, content: dict[str, Any]) -> None:
    """Write the state of a run; the one before it is kept beside it, as `previous-NAME`."""
    fresh = path.with_name(f"next-{path.name}")
    save(fresh, content)
    # A kill between the two leaves the previous state alone, which is a good one.
    if path.exists():
        os.replace(path, _previous(path))
    os.replace(fresh, path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Read the newest state that is whole, None if there is none; each one passed over is named on stderr."""
    for file, instead in ((path, f"{_previous(path).name} is tried"), (_previous(path), "the run starts afresh")):
        if not file.exists():
            continue
        try:
            return load(file)
        except SparseSSPError as error:
            print(f"warning: {error}; {instead}", file=sys.stderr, flush=True)
    return None


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
        SparseSSPError: The file is missing or broken, holds no model, or was made for other structures.
    """
    content = load(path)
    if content.get("structures") != list(KEYS):
        raise SparseSSPError(f"{path}: made for structures {content.get('structures')}; expected {list(KEYS)}")
    if not isinstance(content.get("network"), dict) or not isinstance(content.get("weights"), dict):
        raise SparseSSPError(f"{path}: holds {', '.join(map(str, content))}; expected network, structures, weights")
    network = build(NetworkSettings.load(content["network"], str(path)))
    try:
        network.load_state_dict(content["weights"])
    except RuntimeError as error:
        raise SparseSSPError(f"{path}: the weights do not fit the network ({error})") from None
    return network.eval()
