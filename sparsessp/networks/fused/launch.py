"""Memory and block sizes of the Triton kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
TYPES = (torch.float32, torch.bfloat16, torch.float16)


def empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    """Return uninitialised channels-last features of a shape, with the type and device of `like`."""
    return torch.empty(tuple(shape), dtype=like.dtype, device=like.device, memory_format=FORMATS[len(shape)])


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below a number."""
    return 1 << (number - 1).bit_length()


def tile_of(channels: int, elements: int) -> dict[str, int]:
    """Return the number of channels, and the channels and voxels of a block of about so many elements."""
    padded = power_of_two(channels)
    return {"C": channels, "BC": padded, "BV": max(1, elements // padded)}


def blocks(voxels: int, tile: dict[str, int]) -> int:
    """Return how many blocks cover the voxels of a sample."""
    return -(-voxels // tile["BV"])
