"""DoDNet: a task controller that writes the weights of a dynamic head (Fig. 3).

After Zhang et al. (CVPR 2021). Encoder and decoder are shared and unconditioned.
"""

from torch import nn

from sparsessp.networks.dynamic_head import DynamicHead, OneHot
from sparsessp.networks.method import Method


class Conditioning(Method):
    """Only the head is conditioned."""

    first_conditioned = "head"

    def code(self) -> nn.Module:
        """One-hot."""
        return OneHot(self.tasks)

    def head(self, n: int, ci: int, co: int, bottleneck: int) -> nn.Module:
        """The dynamic head."""
        return DynamicHead(self.settings.groups, n, ci, co, bottleneck, self.tasks)
