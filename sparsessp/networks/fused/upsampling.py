"""Linear upsampling and the sum of a skip as one operation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparsessp.networks.fused.choice import FusedOperation, Path, channels_last, difference, path
from sparsessp.networks.fused.launch import FORMATS, TYPES, blocks, empty, tile_of

_MODES = {4: "bilinear", 5: "trilinear"}
_TILE = 1024  # elements of a block, of which a thread gathers up to eight at a time


def upsample(x_BC: Tensor, size: Sequence[int], skip_BC: Tensor | None = None) -> Tensor:
    """Upsample linearly to a size and add a skip of that size, if given.

    Args:
        x_BC: Features in 2D or 3D.
        size: Spatial size of the result.
        skip_BC: Features of the result's shape.
    """
    size = tuple(size)

    def plain() -> Tensor:
        return channels_last(reference(x_BC, size, skip_BC))

    # A voxel reaches at most four outputs per axis only if the size at most doubles.
    fits = all(small <= large <= 2 * small for small, large in zip(x_BC.shape[2:], size, strict=True))
    fits &= x_BC.dtype in TYPES and (skip_BC is None or skip_BC.dtype == x_BC.dtype)
    if path(x_BC) < Path.FUSED or not fits:
        return plain()
    skip = None if skip_BC is None else channels_last(skip_BC)
    return _OPERATION(x_BC.device, lambda: Upsample.apply(channels_last(x_BC), skip, size), plain)


def reference(x_BC: Tensor, size: tuple[int, ...], skip_BC: Tensor | None) -> Tensor:
    """Compute the operation in plain torch."""
    up_BC = F.interpolate(x_BC, size=size, mode=_MODES[x_BC.dim()], align_corners=False)
    return up_BC if skip_BC is None else up_BC + skip_BC


class Upsample(torch.autograd.Function):
    """Linear upsampling of channels-last features, and the sum of a skip."""

    @staticmethod
    def forward(ctx: Any, x_BC: Tensor, skip_BC: Tensor | None, size: tuple[int, ...]) -> Tensor:
        """Return features of the type of `x_BC`."""
        from sparsessp.networks.fused import kernels

        b, c = x_BC.shape[:2]
        ctx.size, ctx.shape, ctx.skip = size, x_BC.shape, skip_BC is not None
        small, large = _three(x_BC.shape[2:]), _three(size)
        y_BC = empty(x_BC, (b, c, *size))
        tile = tile_of(c, _TILE)
        taps = [1 if n == full else 2 for n, full in zip(small, large, strict=True)]
        grid = (blocks(y_BC.shape[2:].numel(), tile), b)
        with torch.cuda.device_of(x_BC):
            kernels.upsample[grid](
                x_BC, x_BC if skip_BC is None else skip_BC, y_BC, *small, *large, *taps, SKIP=ctx.skip, **tile
            )
        return y_BC

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of features and skip."""
        (dy_BC,) = gradients
        try:
            dx_BC = _gradient(dy_BC, ctx.shape, ctx.size)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            _OPERATION.give_up(error)
            with torch.enable_grad():
                x_BC = dy_BC.new_zeros(ctx.shape, requires_grad=True)
                (dx_BC,) = torch.autograd.grad(reference(x_BC, ctx.size, None), x_BC, dy_BC)
        return dx_BC, dy_BC if ctx.skip else None, None


def _gradient(dy_BC: Tensor, shape: torch.Size, size: tuple[int, ...]) -> Tensor:
    from sparsessp.networks.fused import kernels

    dy_BC = dy_BC.contiguous(memory_format=FORMATS[dy_BC.dim()])
    dx_BC = empty(dy_BC, shape)
    small, large = _three(shape[2:]), _three(size)
    tile = tile_of(shape[1], _TILE)
    taps = [1 if n == full else 4 for n, full in zip(small, large, strict=True)]
    grid = (blocks(dx_BC.shape[2:].numel(), tile), shape[0])
    with torch.cuda.device_of(dy_BC):
        kernels.upsample_gradient[grid](dy_BC, dx_BC, *small, *large, *taps, **tile)
    return dx_BC


def _three(size: Sequence[int]) -> tuple[int, ...]:
    """Return planes, rows and columns; 2D features have one plane."""
    return (*[1] * (3 - len(size)), *size)


def _largest_error(device: torch.device) -> float:
    generator = torch.Generator().manual_seed(0)
    x_BC, skip_BC = (torch.randn(2, 3, *size, generator=generator).to(device) for size in ((2, 3, 4), (3, 6, 7)))
    leaves = [part.contiguous(memory_format=torch.channels_last_3d) for part in (x_BC, skip_BC)]
    return difference(lambda x, s: Upsample.apply(x, s, (3, 6, 7)), lambda x, s: reference(x, (3, 6, 7), s), *leaves)


_OPERATION = FusedOperation("upsampling", _largest_error)
