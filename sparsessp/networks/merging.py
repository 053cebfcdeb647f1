"""Merging of RepMode's experts for several tasks in the type of the features, for GPUs.

The experts are added to the largest one where they overlap with it, so that no zero-padded expert is written. Shapes: G
kernels, E experts, O and I channels, K taps per axis.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def merge_experts(gates_GEO: Tensor, convs: Sequence[Tensor], pools: Sequence[Tensor], dtype: torch.dtype) -> list:
    """Return G kernels (O, I, K ...): sums of experts, weighted by their gates, in channels-last layout.

    Args:
        gates_GEO: Weight of each expert and output channel, first for `convs`, then for `pools`.
        convs: Kernels from the largest, K, down to 1 in steps of 2.
        pools: Kernels of size 1 that precede average pooling over 3, 5 ... up to K.
        dtype: Type of the kernels.
    """
    return list(_Merge.apply(gates_GEO, dtype, len(convs), *convs, *pools))


def _centre(kernels: Tensor, size: int) -> Tensor:
    """Return the middle `size` taps on each axis of kernels (..., O, K ..., I) that start with two other axes."""
    margin = (kernels.shape[2] - size) // 2
    return kernels[(slice(None), slice(None), *[slice(margin, kernels.shape[2] - margin)] * (kernels.dim() - 3))]


class _Merge(torch.autograd.Function):
    """The weighted sum; kernels and experts have their input channels last."""

    @staticmethod
    def forward(ctx: Any, gates_GEO: Tensor, dtype: torch.dtype, convs: int, *experts: Tensor) -> tuple[Tensor, ...]:
        n = experts[0].dim() - 2
        rounded = [expert.movedim(1, -1).to(dtype).contiguous() for expert in experts]
        pool_sizes = range(3, 3 + 2 * (len(experts) - convs), 2)
        ctx.convs, ctx.sizes = convs, [*(expert.shape[-1] for expert in experts[:convs]), *pool_sizes]
        ctx.save_for_backward(gates_GEO, *rounded)
        gates = gates_GEO.to(dtype)
        kernels = _weight(gates, 0, n) * rounded[0]
        for e, (expert, size) in enumerate(zip(rounded, ctx.sizes, strict=True)):
            if e:
                part = _centre(kernels, size)
                part.addcmul_(_weight(gates, e, n), expert[None], value=1.0 if e < convs else size**-n)
        return tuple(kernel.movedim(-1, 1) for kernel in kernels.unbind())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gates_GEO, *experts = ctx.saved_tensors
        n = experts[0].dim() - 2
        dkernels = torch.stack([gradient.movedim(1, -1) for gradient in gradients])
        gates_OEG = gates_GEO.permute(2, 1, 0).to(dkernels.dtype)
        dgates, dexperts = [], []
        for e, (expert, size) in enumerate(zip(experts, ctx.sizes, strict=True)):
            part = _centre(dkernels, size)
            if e >= ctx.convs:
                part = part.sum(tuple(range(2, 2 + n)), keepdim=True) * size**-n
            part_OGN = part.flatten(2).transpose(0, 1)
            dexpert_O1N = torch.bmm(gates_OEG[:, e : e + 1], part_OGN)
            dgates.append(torch.bmm(part_OGN, expert.flatten(1).unsqueeze(2)).squeeze(2).T)
            dexperts.append(dexpert_O1N.view_as(expert).movedim(-1, 1).to(gates_GEO.dtype))
        return torch.stack(dgates, dim=1).to(gates_GEO.dtype), None, None, *dexperts


def _weight(gates_GEO: Tensor, e: int, n: int) -> Tensor:
    """Return the gate of one expert so that it broadcasts over kernels (G, O, K ..., I)."""
    return gates_GEO[:, e].reshape(*gates_GEO.shape[::2], *[1] * (n + 1))
