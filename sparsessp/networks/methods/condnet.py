"""CondNet: a constant channel with a value for the task at every decoder convolution.

After Dmitriev and Kaufman (CVPR 2019). The channel is appended after normalisation and activation, so that it
does not enter the statistics of a group (docs/methods.md#condnet).
"""

import torch
from torch import Tensor, nn

from sparsessp.networks.blocks import Code, Site, plain_conv
from sparsessp.networks.fused.choice import Path, path
from sparsessp.networks.method import Method


class TaskValue(nn.Module):
    """Value of a task, evenly spaced in (-1, 1): (2 t + 1) / T - 1."""

    def __init__(self, tasks: int):
        super().__init__()
        self.tasks = tasks

    def forward(self, task_B: Tensor) -> Code:
        """Return one value per sample, (B,)."""
        return (2 * task_B.float() + 1) / self.tasks - 1


class ConditionedConv(nn.Module):
    """Convolution with kernel 3 of the features and a constant channel."""

    def __init__(self, n: int, ci: int, co: int, stride: int):
        super().__init__()
        self.conv = plain_conv(n, ci + 1, co, 3, stride)

    def forward(self, x_BC: Tensor, value_B: Tensor) -> Tensor:
        """Append the constant channel and convolve."""
        shape = (x_BC.shape[0], 1, *x_BC.shape[2:])
        constant_B1 = value_B.to(x_BC.dtype).reshape(-1, *([1] * (x_BC.dim() - 1))).expand(shape)
        if path(x_BC) == Path.PLAIN:
            return self.conv(torch.cat([x_BC, constant_B1], dim=1))
        # `cat` along axis 1 would make channels-last features contiguous.
        return self.conv(torch.cat([part.movedim(1, -1) for part in (x_BC, constant_B1)], dim=-1).movedim(-1, 1))


class CondNet(Method):
    """Constant channels in the decoder, where the authors report the best results."""

    first_conditioned = "decoder"

    def code(self) -> nn.Module:
        """One value per task."""
        return TaskValue(self.tasks)

    def conv(self, site: Site, ci: int, co: int, stride: int) -> nn.Module:
        """Convolution with the constant channel in the decoder, an ordinary one in the encoder."""
        if site.part == "encoder":
            return super().conv(site, ci, co, stride)
        return ConditionedConv(site.n, ci, co, stride)
