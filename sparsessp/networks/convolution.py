"""Convolutions with computed kernels, and a faster backward pass for them on CPUs.

Shapes are those of `blocks`; a kernel is (O, I, K ...). All convolutions have "same" padding and no bias.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import grad as gradients

from sparsessp.networks.fused.choice import Path, path
from sparsessp.networks.fused.launch import empty

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
_CONVOLVE = {2: F.conv2d, 3: F.conv3d}
_IMAGE_GRADIENT = {2: gradients.conv2d_input, 3: gradients.conv3d_input}
_KERNEL_GRADIENT = {2: gradients.conv2d_weight, 3: gradients.conv3d_weight}

# Largest output, in voxels, for which the kernel gradient is computed as one matrix product. For larger outputs the
# product is slower (docs/speed.md#what-was-tried).
_SMALL = 64

_every_tap = False


@contextmanager
def every_tap() -> Iterator[None]:
    """Compute with every tap of a kernel in this block, also with those that never reach the image.

    Operations are counted so, as in the paper.
    """
    global _every_tap
    before, _every_tap = _every_tap, True
    try:
        yield
    finally:
        _every_tap = before


def convolve(x_BC: Tensor, kernel_OI: Tensor, stride: int = 1) -> Tensor:
    """Convolve an image with a computed kernel.

    Args:
        x_BC: Image, in 2D or 3D.
        kernel_OI: Kernel.
        stride: Stride on each axis.
    """
    if max(kernel_OI.shape[2:]) == 1:
        x_BC, stride = subsample(x_BC, stride), 1
    if x_BC.device.type == "cpu" and torch.is_grad_enabled():
        return _CpuConvolution.apply(x_BC, kernel_OI, stride)
    # An exported network takes images of any size.
    if not (_every_tap or torch.compiler.is_exporting()):
        kernel_OI = crop_to_reachable_taps(kernel_OI, x_BC.shape[2:])
    return _convolved(x_BC, _laid_out(kernel_OI), stride)


def convolve_per_sample(x_BC: Tensor, kernels_OI: Sequence[Tensor], stride: int = 1) -> Tensor:
    """Convolve each sample with a different kernel.

    On two CPU cores a grouped convolution is 2 to 5 times faster than a loop over the samples for kernels of 3, and up
    to 3 times slower for kernels of 5.
    """
    by = convolve_one_by_one if kernels_OI[0].shape[-1] > 3 else convolve_grouped
    return by(x_BC, kernels_OI, stride)


def convolve_one_by_one(x_BC: Tensor, kernels_OI: Sequence[Tensor], stride: int = 1) -> Tensor:
    """Convolve each sample with a different kernel, in a loop."""
    return torch.cat([convolve(x, kernel, stride) for x, kernel in zip(x_BC.split(1), kernels_OI, strict=True)])


def convolve_grouped(x_BC: Tensor, kernels_OI: Sequence[Tensor], stride: int = 1) -> Tensor:
    """Convolve each sample with a different kernel, as one convolution whose groups are the samples."""
    samples, channels = x_BC.shape[:2]
    y_1C = _CONVOLVE[x_BC.dim() - 2](
        x_BC.reshape(1, samples * channels, *x_BC.shape[2:]),
        torch.cat(list(kernels_OI)),
        stride=stride,
        padding=kernels_OI[0].shape[-1] // 2,
        groups=samples,
    )
    return y_1C.unflatten(1, (samples, -1)).squeeze(0)


def subsample(x_BC: Tensor, stride: int) -> Tensor:
    """Keep every `stride`-th voxel of each axis, the input of a strided 1x1 convolution.

    It replaces the stride of the convolution itself: on several CPU threads, torch 2.13's backward pass of a strided
    1x1 convolution with few channels-last channels writes out of bounds, which crashes the process.
    """
    if stride == 1:
        return x_BC
    return every(x_BC, stride) if path(x_BC) == Path.PLAIN else _Subsample.apply(x_BC, stride)


def every(x_BC: Tensor, stride: int) -> Tensor:
    """Return a view of every `stride`-th voxel of each axis."""
    return x_BC[(..., *[slice(None, None, stride)] * (x_BC.dim() - 2))]


class _Subsample(torch.autograd.Function):
    """Every `stride`-th voxel, with a channels-last gradient; that of a view is contiguous, filled axis by axis."""

    @staticmethod
    def forward(ctx: Any, x_BC: Tensor, stride: int) -> Tensor:
        ctx.shape, ctx.stride = x_BC.shape, stride
        return every(x_BC, stride).contiguous(memory_format=CHANNELS_LAST[x_BC.dim() - 2])

    @staticmethod
    def backward(ctx: Any, *y_gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy_BC,) = y_gradients
        dx_BC = empty(dy_BC, ctx.shape).zero_()
        every(dx_BC, ctx.stride).copy_(dy_BC)
        return dx_BC, None


def crop_to_reachable_taps(kernel_OI: Tensor, size: Sequence[int]) -> Tensor:
    """Crop the outer taps of a kernel that reach only the zero padding of an image of this size.

    On 1 x 2 x 2 voxels, a kernel of 5 keeps 9 of its 125 taps, and a training step of a RepMode convolution with 256
    channels takes a tenth of the time.

    Args:
        kernel_OI: Kernel.
        size: Spatial size of the image.

    Returns:
        A view of the kernel.
    """
    for axis, n in enumerate(size, start=2):
        middle = kernel_OI.shape[axis] // 2
        reach = min(middle, n - 1)
        kernel_OI = kernel_OI.narrow(axis, middle - reach, 2 * reach + 1)
    return kernel_OI


def _padding(shape: Sequence[int]) -> list[int]:
    return [taps // 2 for taps in shape[2:]]


def _laid_out(kernel_OI: Tensor) -> Tensor:
    return kernel_OI.contiguous(memory_format=CHANNELS_LAST[kernel_OI.dim() - 2])


def _convolved(x_BC: Tensor, kernel_OI: Tensor, stride: int) -> Tensor:
    return _CONVOLVE[x_BC.dim() - 2](x_BC, kernel_OI, stride=stride, padding=_padding(kernel_OI.shape))


class _CpuConvolution(torch.autograd.Function):
    """Convolution on a CPU that computes the kernel gradient as one matrix product if the output is small."""

    @staticmethod
    def forward(ctx: Any, x_BC: Tensor, full_OI: Tensor, stride: int) -> Tensor:
        kernel_OI = _laid_out(crop_to_reachable_taps(full_OI, x_BC.shape[2:]))
        ctx.stride, ctx.shape = stride, full_OI.shape
        ctx.save_for_backward(x_BC, kernel_OI)
        return _convolved(x_BC, kernel_OI, stride)

    @staticmethod
    def backward(ctx: Any, *y_gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy_BC,) = y_gradients
        x_BC, kernel_OI = ctx.saved_tensors
        n, where = x_BC.dim() - 2, (ctx.stride, _padding(kernel_OI.shape))
        dx_BC = dfull_OI = None
        if ctx.needs_input_grad[0]:
            dx_BC = _IMAGE_GRADIENT[n](x_BC.shape, kernel_OI, dy_BC, *where)
        if ctx.needs_input_grad[1]:
            small = math.prod(dy_BC.shape[2:]) <= _SMALL
            gradient = _kernel_product if small else _KERNEL_GRADIENT[n]
            dfull_OI = dkernel_OI = gradient(x_BC, kernel_OI.shape, dy_BC, *where)
            if dkernel_OI.shape != ctx.shape:
                dfull_OI = dkernel_OI.new_zeros(ctx.shape)
                crop_to_reachable_taps(dfull_OI, x_BC.shape[2:]).copy_(dkernel_OI)
        return dx_BC, dfull_OI, None


def _kernel_product(x_BC: Tensor, shape: torch.Size, dy_BC: Tensor, stride: int, padding: Sequence[int]) -> Tensor:
    """Return the kernel gradient as a product of two matrices: outputs x voxels and voxels x (taps, inputs)."""
    channels, taps = shape[1], shape[2:]
    around = [0, 0, *(n for n in reversed(padding) for _ in range(2))]
    x_BxC = F.pad(x_BC.movedim(1, -1), around).contiguous()
    first, *along, last = x_BxC.stride()
    # The neighbourhoods of all output voxels: a view of the padded image, which the reshape copies.
    size = (len(x_BC), *dy_BC.shape[2:], *taps, channels)
    near_BxKC = x_BxC.as_strided(size, (first, *(step * stride for step in along), *along, last))
    dy_OV = dy_BC.movedim(1, -1).reshape(-1, shape[0]).T
    return (dy_OV @ near_BxKC.reshape(dy_OV.shape[1], -1)).view(shape[0], *taps, channels).movedim(-1, 1)
