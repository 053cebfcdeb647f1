"""CondNet: a constant channel that holds a number of the task, at every decoder convolution.

After Dmitriev and Kaufman (CVPR 2019). The channel is appended after normalisation and activation,
so that it never enters a group's statistics.
"""

import torch
from torch import Tensor, nn

from sparsessp.networks.blocks import Code, Site, plain_conv
from sparsessp.networks.method import Method


class Lookup(nn.Module):
    """Fixed table from task to a number, evenly spaced in (-1, 1): (2t + 1) / T - 1."""

    def __init__(self, tasks: int):
        super().__init__()
        self.tasks = tasks

    def forward(self, task_B: Tensor) -> Code:
        """Return one number per sample, (B,)."""
        return (2 * task_B.float() + 1) / self.tasks - 1


class ConditionedConv(nn.Module):
    """Kernel-3 convolution of the features and one constant map."""

    def __init__(self, n: int, ci: int, co: int, stride: int):
        super().__init__()
        self.conv = plain_conv(n, ci + 1, co, 3, stride)

    def forward(self, x_BC: Tensor, number_B: Tensor) -> Tensor:
        """Convolve `x_BC` with its constant map appended."""
        shape = (x_BC.shape[0], 1, *x_BC.shape[2:])
        map_B1 = number_B.to(x_BC.dtype).reshape(-1, *([1] * (x_BC.dim() - 1))).expand(shape)
        return self.conv(torch.cat([x_BC, map_B1], dim=1))


class Conditioning(Method):
    """Constant maps in the decoder, where its authors found them best."""

    first_conditioned = "decoder"

    def code(self) -> nn.Module:
        """One number per task."""
        return Lookup(self.tasks)

    def conv(self, site: Site, ci: int, co: int, stride: int) -> nn.Module:
        """Append the map in the decoder only."""
        if site.part == "encoder":
            return super().conv(site, ci, co, stride)
        return ConditionedConv(site.n, ci, co, stride)
