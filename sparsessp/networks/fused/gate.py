"""Channel attention: the average of each channel, and its product with a weight per channel.

In plain torch, the gradient of the weights takes a product as large as the features, and that of the average is
written before it is added.
"""

from typing import Any

import torch
from torch import Tensor

from sparsessp.networks.fused.choice import FusedOperation, Path, channels_last, difference, path
from sparsessp.networks.fused.launch import FORMATS, TYPES
from sparsessp.networks.fused.norm import channel_sums


def average_and_input(x_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Return the average of each channel, (B, C), and the input for other uses, whose gradient is added at once."""
    if path(x_BC) == Path.PLAIN:
        return x_BC.flatten(2).mean(2), x_BC
    return _Average.apply(x_BC)


def gated(x_BC: Tensor, weight_BC: Tensor) -> Tensor:
    """Multiply each channel of 2D or 3D features by its weight, (B, C)."""

    def plain() -> Tensor:
        return reference(x_BC, weight_BC)

    if path(x_BC) < Path.FUSED or x_BC.dtype not in TYPES:
        return plain()
    return _OPERATION(x_BC.device, lambda: Gated.apply(channels_last(x_BC), weight_BC), plain)


def reference(x_BC: Tensor, weight_BC: Tensor) -> Tensor:
    """Compute the product in plain torch."""
    return x_BC * _spread(weight_BC, x_BC)


def _spread(value_BC: Tensor, like: Tensor) -> Tensor:
    return value_BC.reshape(*value_BC.shape, *[1] * (like.dim() - 2))


class _Average(torch.autograd.Function):
    """Average of each channel of channels-last features, and the features."""

    @staticmethod
    def forward(ctx: Any, x_BC: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.shape = x_BC.shape
        return x_BC.movedim(1, -1).flatten(1, -2).mean(1), x_BC

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Tensor | None:
        daverage_BC, dx_BC = gradients
        if daverage_BC is None:
            return dx_BC
        spread = (daverage_BC / ctx.shape[2:].numel()).reshape(*ctx.shape[:2], *[1] * len(ctx.shape[2:]))
        return spread.expand(ctx.shape) if dx_BC is None else dx_BC + spread


class Gated(torch.autograd.Function):
    """Product of channels-last features and a weight per sample and channel."""

    @staticmethod
    def forward(ctx: Any, x_BC: Tensor, weight_BC: Tensor) -> Tensor:
        """Return features of the type of `x_BC`."""
        ctx.save_for_backward(x_BC, weight_BC)
        return x_BC * _spread(weight_BC.to(x_BC.dtype), x_BC)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of features and weights."""
        (dy_BC,) = gradients
        x_BC, weight_BC = ctx.saved_tensors
        dy_BC = dy_BC.contiguous(memory_format=FORMATS[dy_BC.dim()])
        try:
            dweight_BC = channel_sums(x_BC, dy_BC)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            _OPERATION.give_up(error)
            dweight_BC = (x_BC * dy_BC).flatten(2).sum(2)
        return dy_BC * _spread(weight_BC.to(dy_BC.dtype), dy_BC), dweight_BC.to(weight_BC.dtype)


def _largest_error(device: torch.device) -> float:
    generator = torch.Generator().manual_seed(0)
    x_BC = torch.randn(2, 6, 5, 7, generator=generator).to(device).contiguous(memory_format=torch.channels_last)
    return difference(Gated.apply, reference, x_BC, torch.randn(2, 6, generator=generator).to(device))


_OPERATION = FusedOperation("channel attention", _largest_error)
