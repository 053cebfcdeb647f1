"""The contract of a task-conditioning method (section 3.4).

A method is one file, `methods/NAME.py`, with one subclass of `Method`. The name of the file is the name in
settings, stages and tables; nothing needs to be registered. A method makes six choices. Each has a default, so
an empty subclass is an unconditioned network:

    code    task code of a batch, from its task indices
    norm    normalisation, in residual blocks and before the head
    conv    convolution of kernel 3 in residual blocks
    gate    weighting of the output of a residual block's second convolution
    skip    transform of a feature before it enters the decoder
    head    layers from the last decoder feature to the output channels

Every choice is a module that takes the task code as its last argument. The rest of the network does not depend on the
method. An example that conditions only the head:

    class Scaled(Method):
        first_conditioned = "head"

        def code(self):
            return OneHot(self.tasks)

        def head(self, n, ci, co, bottleneck):
            return ScaledHead(n, ci, co, self.tasks)  # forward(x_BC, bottleneck_BC, code_BT)

`self.settings` holds the network's settings and `self.tasks` the number of tasks. A module that computes its
weights from the task alone may define `merge(code)`, which returns the equivalent module for that one task; it is
called once before whole volumes are predicted (`network.merge_kernels`). A normalisation that defines
`scale_and_shift(code)` is fused with its activation on a GPU (`fused.norm.norm_act`).

A method never imports another method; what two of them share has its own file, such as `dynamic_head.py`.
`tests/test_networks.py` finds each method and builds it in every allowed combination.
"""

from typing import Literal

from torch import Tensor, nn

from sparsessp.config import METHODS, NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.networks.blocks import Code, Conv, Norm, Site, one_hot, plain_conv
from sparsessp.networks.fused.norm import norm_act
from sparsessp.networks.members import load_class

Part = Literal["encoder", "decoder", "head"]


class NoCode(nn.Module):
    """The task code of an unconditioned network."""

    def forward(self, task_B: Tensor) -> Code:
        """Return None for any tasks."""
        return None


class OneHot(nn.Module):
    """One-hot task codes with a mean square of 1."""

    def __init__(self, tasks: int):
        super().__init__()
        self.tasks = tasks

    def forward(self, task_B: Tensor) -> Tensor:
        """Return (B, T)."""
        return one_hot(task_B, self.tasks)


class PlainHead(nn.Module):
    """Norm, ReLU and a 1x1 convolution to the output channels."""

    def __init__(self, norm: nn.Module, n: int, ci: int, co: int):
        super().__init__()
        self.norm = norm
        self.conv = plain_conv(n, ci, co, 1, bias=True)

    def forward(self, x_BC: Tensor, bottleneck_BC: Tensor, code: Code) -> Tensor:
        """Return (B, co, ...)."""
        return self.conv(norm_act(self.norm, x_BC, code))


class Method:
    """No conditioning: the default choices."""

    per_structure = False
    """Whether a separate network is trained for each structure."""

    first_conditioned: Part = "encoder"
    """First part of the network that uses the code; the parts before it are computed once for all tasks."""

    def __init__(self, settings: NetworkSettings):
        self.settings = settings
        self.tasks = len(settings.structures)

    def code(self) -> nn.Module:
        """Module (task_B) -> code."""
        return NoCode()

    def norm(self, site: Site, channels: int) -> nn.Module:
        """Module (x, code) -> normalised x."""
        return Norm(self.settings.groups, channels)

    def conv(self, site: Site, ci: int, co: int, stride: int) -> nn.Module:
        """Module (x, code) -> convolution of x with kernel 3, without bias."""
        return Conv(site.n, ci, co, 3, stride)

    def gate(self, site: Site, channels: int) -> nn.Module | None:
        """Module (h, code) -> weighted h, or None."""
        return None

    def skip(self, n: int, level: int, channels: int) -> nn.Module | None:
        """Module (feature, upsampled decoder feature or None, code) -> feature, or None.

        Args:
            n: Dimensions of the decoder.
            level: 1 to 5. Level 5 is the bottleneck, where the decoder has no feature yet.
            channels: Channels of the feature.
        """
        return None

    def head(self, n: int, ci: int, co: int, bottleneck: int) -> nn.Module:
        """Module (x, bottleneck feature before projection, code) -> output channels.

        Args:
            n: Dimensions of the decoder.
            ci: Channels of the last decoder feature.
            co: Output channels: 1 in 3D, the number of planes in 2D.
            bottleneck: Channels of the bottleneck feature.
        """
        return PlainHead(self.norm(Site("decoder", n), ci), n, ci, co)


def load_method(settings: NetworkSettings) -> Method:
    """Return the method that the settings name.

    Raises:
        SparseSSPError: The method is unknown, or its file does not define exactly one.
    """
    if settings.method not in METHODS:
        raise SparseSSPError(f"method {settings.method!r} is unknown; allowed: {', '.join(METHODS)}")
    return load_class("methods", settings.method, Method)(settings)
