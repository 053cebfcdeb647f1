"""The contract of a task-conditioning method (section 3.4).

A method is one file in `methods/`, found by its name; it defines `class Conditioning(Method)`.
It answers five questions, and each answer has a default, the unconditioned one:

    code    how task indices become a code, computed once per batch
    norm    the normalisation at a site of a residual block, and before the head
    conv    the kernel-3 convolution at a site of a residual block
    gate    what weighs a block's residual, if anything
    skip    how a feature is changed on its way into the decoder, if at all
    head    what turns the last decoder feature into planes

All modules it returns take the code as last argument. The rest of the network does not know which
method it holds. A method never imports another method: what two share belongs to blocks.py.
"""

import importlib
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.config import METHODS, NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.networks.blocks import Code, Conv, Norm, Site, plain_conv
from sparsessp.structures import STRUCTURES

Part = Literal["encoder", "decoder", "head"]


class NoCode(nn.Module):
    """The code of a network that is told no task."""

    def forward(self, task_B: Tensor) -> Code:
        """Return None, whatever the tasks."""
        return None


class PlainHead(nn.Module):
    """Norm-ReLU-1x1 convolution to the output channels."""

    def __init__(self, norm: nn.Module, n: int, ci: int, co: int):
        super().__init__()
        self.norm = norm
        self.conv = plain_conv(n, ci, co, 1, bias=True)

    def forward(self, x_BC: Tensor, bottleneck_BC: Tensor, code: Code) -> Tensor:
        """Return (B, co, ...)."""
        return self.conv(F.relu(self.norm(x_BC, code)))


class Method:
    """No conditioning at all: the default answer to every question."""

    per_structure = False
    """Whether one network is trained for each structure."""

    first_conditioned: Part = "encoder"
    """The first part of the network that sees the code; what lies before it is computed once for all tasks."""

    def __init__(self, settings: NetworkSettings):
        self.settings = settings
        self.tasks = len(STRUCTURES)

    def code(self) -> nn.Module:
        """Module (task_B) -> code."""
        return NoCode()

    def norm(self, site: Site, channels: int) -> nn.Module:
        """Module (x, code) -> normalised x."""
        return Norm(self.settings.groups, channels)

    def conv(self, site: Site, ci: int, co: int, stride: int) -> nn.Module:
        """Module (x, code) -> x convolved with kernel 3, bias-free."""
        return Conv(site.n, ci, co, 3, stride)

    def gate(self, site: Site, channels: int) -> nn.Module | None:
        """Module (h, code) -> weighed h, or None."""
        return None

    def skip(self, n: int, level: int, channels: int) -> nn.Module | None:
        """Module (feature, upsampled decoder feature or None, code) -> feature, or None.

        `level` runs from 1 to 5; 5 is the bottleneck, which meets no decoder feature.
        """
        return None

    def head(self, n: int, ci: int, co: int, bottleneck: int) -> nn.Module:
        """Module (x, bottleneck feature before projection, code) -> output channels.

        Args:
            n: Dimensions of the decoder.
            ci: Channels of the last decoder feature.
            co: Output channels: 1 in 3D, the planes in 2D.
            bottleneck: Channels of the bottleneck feature.
        """
        return PlainHead(self.norm(Site("decoder", n), ci), n, ci, co)


def load_method(settings: NetworkSettings) -> Method:
    """Return the method that the settings name, from its file in `methods/`."""
    if settings.method not in METHODS:
        raise SparseSSPError(f"method {settings.method!r} is unknown; allowed: {', '.join(METHODS)}")
    module = importlib.import_module(f"sparsessp.networks.methods.{settings.method}")
    return module.Conditioning(settings)
