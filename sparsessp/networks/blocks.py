"""The pieces every network is made of.

Shapes: B batch, C channels, D planes, H rows, W columns, T tasks; `x_BC...` is 2D or 3D.
Modules take `(x, code)`: the image features and the batch's task code. Those that no task
conditions ignore the code, so that the U-Net need not know which method it holds.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sparsessp.errors import SparseSSPError
from sparsessp.networks.convolution import CHANNELS_LAST, subsample

Code = Tensor | tuple[Tensor, ...] | None

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class Level:
    """What one level of an encoder publishes; its neighbours are built from these numbers alone.

    Attributes:
        channels: Feature channels C_k.
        depth: Planes D_k that the level stands for, folded away in 2D features.
    """

    channels: int
    depth: int


@dataclass(frozen=True)
class Site:
    """Where in the network a block stands, which decides how a method conditions it."""

    part: Literal["encoder", "decoder"]
    n: int


def plain_conv(n: int, ci: int, co: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Module:
    """Convolution in `n` dimensions with "same" padding, in torch's default initialisation.

    Weights are kept channels-last: at the small widths of the CPU scales a training step of a 3D
    convolution takes a quarter of the time it takes with contiguous weights.
    """
    conv = _CONV[n](ci, co, kernel, stride=stride, padding=kernel // 2, bias=bias)
    return conv.to(memory_format=CHANNELS_LAST[n])


class Conv(nn.Module):
    """An unconditioned, bias-free convolution."""

    def __init__(self, n: int, ci: int, co: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = plain_conv(n, ci, co, kernel, stride)

    def forward(self, x_BC: Tensor, code: Code) -> Tensor:
        """Convolve `x_BC`."""
        return self.conv(x_BC)


class Norm(nn.GroupNorm):
    """An unconditioned group normalisation with scale and shift."""

    def forward(self, x_BC: Tensor, code: Code = None) -> Tensor:
        """Normalise `x_BC`."""
        return super().forward(x_BC)


class Parts(Protocol):
    """The choices a residual block leaves to the method (see `method.Method`)."""

    def norm(self, site: Site, channels: int) -> nn.Module:
        """Normalisation."""

    def conv(self, site: Site, ci: int, co: int, stride: int) -> nn.Module:
        """A convolution of kernel 3."""

    def gate(self, site: Site, channels: int) -> nn.Module | None:
        """What weighs the block's residual, if anything."""


class ResidualBlock(nn.Module):
    """Norm-ReLU-conv twice beside a shortcut, no activation after the sum (section 3.3).

    The shortcut is the identity, or norm-ReLU-1x1 conv where channels or size change.

    Attributes:
        checkpointing: Keep the input alone for the backward pass and compute the rest again.
    """

    def __init__(self, parts: Parts, site: Site, ci: int, co: int, stride: int = 1):
        super().__init__()
        self.checkpointing = False
        self.norm1 = parts.norm(site, ci)
        self.conv1 = parts.conv(site, ci, co, stride)
        self.norm2 = parts.norm(site, co)
        self.conv2 = parts.conv(site, co, co, 1)
        self.gate = parts.gate(site, co)
        self.stride = stride
        self.shortcut_norm: nn.Module | None = None
        if ci != co or stride != 1:
            self.shortcut_norm = parts.norm(site, ci)
            self.shortcut_conv = plain_conv(site.n, ci, co, 1)

    def forward(self, x_BC: Tensor, code: Code) -> Tensor:
        """Return the block's output, (B, co, ...) at the stride's size."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(self._forward, x_BC, code, use_reentrant=False)
        return self._forward(x_BC, code)

    def _forward(self, x_BC: Tensor, code: Code) -> Tensor:
        h_BC = self.conv1(F.relu(self.norm1(x_BC, code)), code)
        h_BC = self.conv2(F.relu(self.norm2(h_BC, code)), code)
        if self.gate is not None:
            h_BC = self.gate(h_BC, code)
        if self.shortcut_norm is not None:
            x_BC = self.shortcut_conv(subsample(F.relu(self.shortcut_norm(x_BC, code)), self.stride))
        return h_BC + x_BC


def fold(x_BCDHW: Tensor) -> Tensor:
    """Depth into channels, channel-major: (B, C, D, H, W) to (B, C * D, H, W) (section 3.3)."""
    return x_BCDHW.flatten(1, 2)


def unfold(x_BCHW: Tensor, depth: int) -> Tensor:
    """Channels into depth, the inverse of `fold`: (B, C * D, H, W) to (B, C, D, H, W).

    Raises:
        SparseSSPError: The channels are no multiple of the depth.
    """
    return x_BCHW.unflatten(1, (divided(x_BCHW.shape[1], depth, "channels", "depth"), depth))


def divided(number: int, by: int, what: str, by_what: str) -> int:
    """Return number / by.

    Raises:
        SparseSSPError: It does not divide; the message names both.
    """
    if number % by:
        raise SparseSSPError(f"{what} {number} is no multiple of {by_what} {by}")
    return number // by


def pooled(x_BC: Tensor) -> Tensor:
    """Global average over all spatial axes, (B, C)."""
    return x_BC.flatten(2).mean(2)


def per_channel(value_BC: Tensor, like: Tensor) -> Tensor:
    """Shape a value per sample and channel so that it broadcasts over the space of `like`."""
    return value_BC.reshape(*value_BC.shape, *([1] * (like.dim() - 2)))


def one_hot(task_B: Tensor, tasks: int) -> Tensor:
    """One-hot task codes, (B, T), float32."""
    return F.one_hot(task_B, tasks).float()
