"""Group normalisation and (leaky) ReLU as one operation.

The input is read once for its statistics and once to apply them. The backward pass recomputes the sign before the
activation from the input, so that the input is the only feature that is kept. Where the input is used again, as by the
shortcut of a residual block, the backward pass adds the gradient of that use in the same kernel.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.fused.choice import FusedOperation, Path, channels_last, difference, path
from sparsessp.networks.fused.launch import FORMATS, TYPES, blocks, power_of_two, tile_of

_TILE = 4096  # elements of a block of voxels and channels
_SUMS = 512  # elements of a block of programs and channels of a group
_PROGRAMS = 1024  # of the sums, over all samples: enough for any GPU, and few enough to sum their results quickly


def norm_act(norm: nn.Module, x_BC: Tensor, code: Any = None, slope: float = 0.0) -> Tensor:
    """Normalise and apply a leaky ReLU.

    Args:
        norm: Normalisation (x, code) -> normalised x. It can be fused if it is a group normalisation with
            `num_groups` and `eps` and has `scale_and_shift(code)`, which returns both as (C,) or (B, C).
        x_BC: Features in 2D or 3D.
        code: Task code of the batch.
        slope: Slope of the activation below zero; 0: ReLU.
    """
    return norm_act_and_input(norm, x_BC, code, slope)[0]


def norm_act_and_input(norm: nn.Module, x_BC: Tensor, code: Any = None, slope: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the result of `norm_act` and its input, for other uses of it, whose gradient is added at once."""

    def plain() -> tuple[Tensor, Tensor]:
        y_BC = norm(x_BC, code)
        return channels_last(F.leaky_relu(y_BC, slope) if slope else F.relu(y_BC)), x_BC

    fits = hasattr(norm, "scale_and_shift") and x_BC.dtype in TYPES and x_BC.shape[2:].numel() > 1
    if path(x_BC) < Path.FUSED or not fits:
        return plain()

    def fused() -> tuple[Tensor, Tensor]:
        scale, shift = (values.float() for values in norm.scale_and_shift(code))
        return NormAct.apply(channels_last(x_BC), scale, shift, norm.num_groups, norm.eps, slope)

    return _OPERATION(x_BC.device, fused, plain)


def reference(x_BC: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float, slope: float) -> Tensor:
    """Compute the operation in plain torch; arguments as in `NormAct`."""
    y_BC = F.group_norm(x_BC, groups, eps=eps)
    scale, shift = (v.reshape(-1, x_BC.shape[1], *[1] * (x_BC.dim() - 2)) for v in (scale, shift))
    return F.leaky_relu(y_BC * scale + shift, slope)


class NormAct(torch.autograd.Function):
    """Group normalisation of channels-last features with scale and shift, float32, (C,) or (B, C), and leaky ReLU."""

    @staticmethod
    def forward(
        ctx: Any, x_BC: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float, slope: float
    ) -> tuple[Tensor, Tensor]:
        """Return features of the type of `x_BC`, and `x_BC` for other uses."""
        from sparsessp.networks.fused import kernels

        scale, shift = scale.contiguous(), shift.contiguous()
        (b, c), v = x_BC.shape[:2], x_BC.shape[2:].numel()
        tile, group, programs = _sizes(b, c, v, groups)
        sums = x_BC.new_empty(b, programs, 2, c, dtype=torch.float32)
        stats = x_BC.new_empty(3, b, c, dtype=torch.float32)
        y_BC = torch.empty_like(x_BC)
        strides = [c if values.dim() == 2 else 0 for values in (scale, shift)]
        with torch.cuda.device_of(x_BC):
            kernels.norm_sums[(programs, b)](x_BC, sums, v, **tile)
            kernels.norm_statistics[(b, groups)](x_BC, sums, scale, stats, v, programs, strides[0], eps, **group)
            kernels.norm_apply[(blocks(v, tile), b)](x_BC, stats, shift, y_BC, v, b, strides[1], slope, **tile)
        ctx.save_for_backward(x_BC, scale, shift, stats)
        ctx.sizes = groups, eps, slope
        ctx.set_materialize_grads(False)
        return y_BC, x_BC

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of features, scale and shift."""
        x_BC, scale, shift, stats = ctx.saved_tensors
        groups, eps, slope = ctx.sizes
        dy_BC, other_BC = gradients
        if dy_BC is None:
            return other_BC, None, None, None, None, None
        try:
            found = _gradients(x_BC, scale, shift, stats, dy_BC, other_BC, groups, slope)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            _OPERATION.give_up(error)
            with torch.enable_grad():
                leaves = [leaf.detach().requires_grad_() for leaf in (x_BC, scale, shift)]
                found = torch.autograd.grad(reference(*leaves, groups, eps, slope).to(dy_BC.dtype), leaves, dy_BC)
            if other_BC is not None:
                found = (found[0] + other_BC, *found[1:])
        return (*found, None, None, None)


def _gradients(
    x_BC: Tensor,
    scale: Tensor,
    shift: Tensor,
    stats: Tensor,
    dy_BC: Tensor,
    other_BC: Tensor | None,
    groups: int,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    from sparsessp.networks.fused import kernels

    layout = FORMATS[x_BC.dim()]
    dy_BC = dy_BC.contiguous(memory_format=layout)
    added = x_BC if other_BC is None else other_BC.contiguous(memory_format=layout)
    (b, c), v = x_BC.shape[:2], x_BC.shape[2:].numel()
    tile, group, programs = _sizes(b, c, v, groups)
    sums = x_BC.new_empty(b, programs, 2, c, dtype=torch.float32)
    found = x_BC.new_empty(4, b, c, dtype=torch.float32)
    dx_BC = torch.empty_like(x_BC)
    strides = [c if values.dim() == 2 else 0 for values in (scale, shift)]
    inputs, sizes = (x_BC, dy_BC, stats, shift), (v, b, strides[1], slope)
    with torch.cuda.device_of(x_BC):
        kernels.norm_gradient_sums[(programs, b)](*inputs, sums, *sizes, **tile)
        kernels.norm_gradient_statistics[(b, groups)](sums, stats, scale, found, v, programs, strides[0], **group)
        kernels.norm_gradient_apply[(blocks(v, tile), b)](
            *inputs, found, added, dx_BC, *sizes, OTHER=other_BC is not None, **tile
        )
    dscale, dshift = (
        part if values.dim() == 2 else part.sum(0) for part, values in ((found[0], scale), (found[1], shift))
    )
    return dx_BC, dscale, dshift


def channel_sums(x_BC: Tensor, y_BC: Tensor) -> Tensor:
    """Return the sum over voxels of x * y per sample and channel of channels-last features, (B, C) float32.

    The kernel is that of the gradient of a norm, with a mean of 0 and an activation that changes nothing.
    """
    from sparsessp.networks.fused import kernels

    (b, c), v = x_BC.shape[:2], x_BC.shape[2:].numel()
    tile, _, programs = _sizes(b, c, v, c)
    zeros = x_BC.new_zeros(3, b, c, dtype=torch.float32)  # mean and scale; its first row is the shift, too
    sums = x_BC.new_empty(b, programs, 2, c, dtype=torch.float32)
    with torch.cuda.device_of(x_BC):
        kernels.norm_gradient_sums[(programs, b)](x_BC, y_BC, zeros, zeros, sums, v, b, 0, 1.0, **tile)
    return sums[:, :, 1].sum(1)


def _sizes(b: int, c: int, v: int, groups: int) -> tuple[dict[str, int], dict[str, int], int]:
    """Return the block sizes of voxel kernels and of group kernels, and the programs per sample of the sums."""
    tile = tile_of(c, _TILE)
    programs = min(blocks(v, tile), max(1, _PROGRAMS // b))
    padded = power_of_two(c // groups)
    return tile, {"C": c, "PER": c // groups, "BPER": padded, "BP": max(1, _SUMS // padded)}, programs


def _largest_error(device: torch.device) -> float:
    generator = torch.Generator().manual_seed(0)
    x_BC = torch.randn(2, 6, 5, 7, generator=generator).to(device).contiguous(memory_format=torch.channels_last) + 3
    affine = (torch.randn(2, 6, generator=generator).to(device) for _ in range(2))
    sizes = (3, 1e-5, 0.01)

    def fused(*leaves: Tensor) -> Tensor:
        y_BC, same_BC = NormAct.apply(*leaves, *sizes)
        return y_BC + 0.5 * same_BC

    return difference(fused, lambda x_BC, *rest: reference(x_BC, *rest, *sizes) + 0.5 * x_BC, x_BC, *affine)


_OPERATION = FusedOperation("group normalisation", _largest_error)
