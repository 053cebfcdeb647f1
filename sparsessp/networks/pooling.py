"""Average pooling with zero padding, axis by axis: the pools of RepMode's experts.

A box average is separable: sums along three axes take 3 x `box` additions per voxel instead of `box`**3.
Shapes are those of `blocks`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def pooled_by_products(x_BC: Tensor, box: int, stride: int) -> Tensor:
    """Average over boxes of odd size, as one product with a band matrix per axis.

    Faster than torch's pooling of small 3D images on a CPU (docs/speed.md#what-was-tried).
    """
    y_BxC = x_BC.movedim(1, -1)
    for axis in range(1, x_BC.dim() - 1):
        shape = y_BxC.shape
        inputs = torch.arange(shape[axis], device=x_BC.device)
        reached = (inputs - inputs[::stride, None]).abs() <= box // 2
        band = reached.to(y_BxC.dtype) / box
        y_BxC = torch.einsum("on,bnc->boc", band, y_BxC.flatten(0, axis - 1).flatten(2))
        y_BxC = y_BxC.reshape(*shape[:axis], len(band), *shape[axis + 1 :])
    return y_BxC.movedim(-1, 1)


def pooled_by_sums(x_BC: Tensor, box: int, stride: int) -> Tensor:
    """Average over boxes of odd size, as sums along one axis after the other; for GPUs.

    The sums are float32 (float64 for float64 images). Type and channels-last layout of the image are kept.
    """
    return _Sums.apply(x_BC, box, stride)


class _Sums(torch.autograd.Function):
    """Separable sums. The gradient of a voxel is the sum of those of the boxes around it."""

    @staticmethod
    def forward(ctx: Any, x_BC: Tensor, box: int, stride: int) -> Tensor:
        ctx.size, ctx.box, ctx.stride = x_BC.shape[2:], box, stride
        y_BxC = x_BC.movedim(1, -1)
        for axis in range(1, x_BC.dim() - 1):
            y_BxC = _summed(y_BxC, axis, box, stride)
        return (y_BxC / box ** len(ctx.size)).movedim(-1, 1).to(x_BC.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy_BC,) = gradients
        dx_BxC = dy_BC.movedim(1, -1)
        for axis, size in enumerate(ctx.size, start=1):
            dx_BxC = _summed(_spread(dx_BxC, axis, size, ctx.stride), axis, ctx.box, 1)
        return (dx_BxC / ctx.box ** len(ctx.size)).movedim(-1, 1).to(dy_BC.dtype), None, None


def _summed(x_BxC: Tensor, axis: int, box: int, stride: int) -> Tensor:
    """Sum `box` voxels around every `stride`-th voxel of an axis, with zeros beyond the image."""
    around = [0, 0] * (x_BxC.dim() - 1 - axis) + [box // 2] * 2
    boxes = F.pad(x_BxC, around).unfold(axis, box, stride)
    return boxes.sum(-1, dtype=torch.promote_types(x_BxC.dtype, torch.float32))


def _spread(y_BxC: Tensor, axis: int, size: int, stride: int) -> Tensor:
    """Move the voxels of an axis to every `stride`-th of `size` places, with zeros between them."""
    if stride == 1:
        return y_BxC
    x_BxC = y_BxC.new_zeros([*y_BxC.shape[:axis], size, *y_BxC.shape[axis + 1 :]])
    x_BxC.movedim(axis, 0)[::stride] = y_BxC.movedim(axis, 0)
    return x_BxC
