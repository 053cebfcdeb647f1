"""TGNet: DoDNet with task-guided residual blocks and task-guided attention on the skips.

After Wu, Pang and Sowmya (ISBI 2022). Only the idea is public: the equations of the two task-guided parts are
this project's own (docs/methods.md#tgnet).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.blocks import Site, per_channel, plain_conv
from sparsessp.networks.dynamic_head import DynamicHead
from sparsessp.networks.fused.gate import average_and_input, gated
from sparsessp.networks.method import Method, OneHot

# Initial bias of both gates: sigmoid(2) = 0.88, so that training starts close to the unconditioned network.
_OPEN = 2.0


class TaskGuidedGate(nn.Module):
    """Channel attention computed from the pooled feature and the task."""

    def __init__(self, channels: int, tasks: int):
        super().__init__()
        self.reduce = nn.Linear(channels + tasks, channels // 4)
        self.expand = nn.Linear(channels // 4, channels)
        nn.init.constant_(self.expand.bias, _OPEN)

    def forward(self, h_BC: Tensor, code_BT: Tensor) -> Tensor:
        """Return `h_BC` with weighted channels."""
        image_BC, h_BC = average_and_input(h_BC)
        guide = torch.cat([image_BC, code_BT.to(h_BC.dtype)], dim=1)
        return gated(h_BC, torch.sigmoid(self.expand(F.relu(self.reduce(guide)))))


class TaskGuidedAttention(nn.Module):
    """Spatial attention on a skip, computed from the skip, the upsampled decoder feature and the task."""

    def __init__(self, n: int, channels: int, tasks: int):
        super().__init__()
        self.skip = plain_conv(n, channels, channels // 2, 1)
        self.up = plain_conv(n, channels, channels // 2, 1)
        self.task = nn.Linear(tasks, channels // 2)
        self.weigh = plain_conv(n, channels // 2, 1, 1, bias=True)
        nn.init.constant_(self.weigh.bias, _OPEN)

    def forward(self, skip_BC: Tensor, up_BC: Tensor, code_BT: Tensor) -> Tensor:
        """Return `skip_BC` with weighted voxels."""
        h_BC = self.skip(skip_BC) + self.up(up_BC)
        h_BC = F.relu(h_BC + per_channel(self.task(code_BT), h_BC))
        return skip_BC * torch.sigmoid(self.weigh(h_BC))


class TGNet(Method):
    """Gates in every residual block, attention on the four skips and a dynamic head."""

    def code(self) -> nn.Module:
        """One-hot task code."""
        return OneHot(self.tasks)

    def gate(self, site: Site, channels: int) -> nn.Module:
        """Task-guided channel attention in every residual block."""
        return TaskGuidedGate(channels, self.tasks)

    def skip(self, n: int, level: int, channels: int) -> nn.Module | None:
        """Task-guided attention on the four skips; none on the bottleneck."""
        return TaskGuidedAttention(n, channels, self.tasks) if level < 5 else None

    def head(self, n: int, ci: int, co: int, bottleneck: int) -> nn.Module:
        """Dynamic head."""
        return DynamicHead(self.settings.groups, n, ci, co, bottleneck, self.tasks)
