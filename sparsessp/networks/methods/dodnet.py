"""DoDNet: a controller predicts the weights of a dynamic head from the image and the task (Fig. 3).

After Zhang et al. (CVPR 2021). Encoder and decoder are unconditioned.
"""

from torch import nn

from sparsessp.networks.dynamic_head import DynamicHead
from sparsessp.networks.method import Method, OneHot


class DoDNet(Method):
    """Conditioning of the head only."""

    first_conditioned = "head"

    def code(self) -> nn.Module:
        """One-hot task code."""
        return OneHot(self.tasks)

    def head(self, n: int, ci: int, co: int, bottleneck: int) -> nn.Module:
        """Dynamic head."""
        return DynamicHead(self.settings.groups, n, ci, co, bottleneck, self.tasks)
