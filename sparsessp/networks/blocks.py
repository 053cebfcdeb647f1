"""Building blocks of all networks.

Shapes: B batch, C channels, D planes, H rows, W columns, T tasks; `x_BC` is (B, C, ...) in 2D or 3D; `ci` and `co`
are input and output channels, `n` the number of spatial dimensions. Modules take `(x, code)`: features and the task
code of the batch. Unconditioned modules ignore the code, so that the U-Net works with every method.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sparsessp.errors import SparseSSPError
from sparsessp.networks.convolution import CHANNELS_LAST, subsample
from sparsessp.networks.fused.choice import Path, channels_last, path
from sparsessp.networks.fused.norm import norm_act, norm_act_and_input

Code = Tensor | tuple[Tensor, ...] | None

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class Level:
    """Size of the feature of one encoder level; bridges and decoder are built from it.

    Attributes:
        channels: Channels C_k.
        depth: Planes D_k. In 2D features, the planes that the level corresponds to.
    """

    channels: int
    depth: int


@dataclass(frozen=True)
class Site:
    """Position of a block in the network: part and number of spatial dimensions."""

    part: Literal["encoder", "decoder"]
    n: int


def plain_conv(n: int, ci: int, co: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Module:
    """Convolution in `n` dimensions with "same" padding and torch's default initialisation.

    Weights are channels-last, which is faster on a CPU at small widths (docs/speed.md#what-was-tried).
    """
    conv = _CONV[n](ci, co, kernel, stride=stride, padding=kernel // 2, bias=bias)
    return conv.to(memory_format=CHANNELS_LAST[n])


class Conv(nn.Module):
    """Unconditioned convolution without bias."""

    def __init__(self, n: int, ci: int, co: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = plain_conv(n, ci, co, kernel, stride)

    def forward(self, x_BC: Tensor, code: Code) -> Tensor:
        """Convolve `x_BC`."""
        return self.conv(x_BC)


class Norm(nn.GroupNorm):
    """Unconditioned group normalisation with scale and shift."""

    def forward(self, x_BC: Tensor, code: Code = None) -> Tensor:
        """Normalise `x_BC`."""
        return super().forward(x_BC)

    def scale_and_shift(self, code: Code = None) -> tuple[Tensor, Tensor]:
        """Return the scale and the shift of each channel, as `norm_act` needs them."""
        return self.weight, self.bias


class BlockLayers(Protocol):
    """Layers of a residual block that the method chooses (see `method.Method`)."""

    def norm(self, site: Site, channels: int) -> nn.Module:
        """Return the normalisation."""

    def conv(self, site: Site, ci: int, co: int, stride: int) -> nn.Module:
        """Return a convolution of kernel 3."""

    def gate(self, site: Site, channels: int) -> nn.Module | None:
        """Return the gate of the block's output, if any."""


class ResidualBlock(nn.Module):
    """Pre-activation residual block: norm, ReLU and convolution, twice, plus a shortcut (section 3.3).

    The shortcut is the identity or, where channels or size change, norm, ReLU and a 1x1 convolution. There is no
    activation after the sum.

    Attributes:
        checkpointing: Activation checkpointing: keep only the input for the backward pass and recompute the rest.
    """

    def __init__(self, method: BlockLayers, site: Site, ci: int, co: int, stride: int = 1):
        super().__init__()
        self.checkpointing = False
        self.norm1 = method.norm(site, ci)
        self.conv1 = method.conv(site, ci, co, stride)
        self.norm2 = method.norm(site, co)
        self.conv2 = method.conv(site, co, co, 1)
        self.gate = method.gate(site, co)
        self.stride = stride
        self.shortcut_norm: nn.Module | None = None
        if ci != co or stride != 1:
            self.shortcut_norm = method.norm(site, ci)
            self.shortcut_conv = plain_conv(site.n, ci, co, 1)

    def forward(self, x_BC: Tensor, code: Code) -> Tensor:
        """Return (B, co, ...), each axis divided by the stride and rounded up."""
        if self.checkpointing and torch.is_grad_enabled():
            # Nothing in a block is random, and a CUDA graph cannot save the state of the random numbers.
            return checkpoint(self._forward, x_BC, code, use_reentrant=False, preserve_rng_state=False)
        return self._forward(x_BC, code)

    def _forward(self, x_BC: Tensor, code: Code) -> Tensor:
        h_BC, x_BC = norm_act_and_input(self.norm1, x_BC, code)
        h_BC = self.conv1(h_BC, code)
        h_BC = self.conv2(norm_act(self.norm2, h_BC, code), code)
        if self.gate is not None:
            h_BC = self.gate(h_BC, code)
        if self.shortcut_norm is not None:
            x_BC = self.shortcut_conv(subsample(norm_act(self.shortcut_norm, x_BC, code), self.stride))
        return h_BC + x_BC


def fold(x_BCDHW: Tensor) -> Tensor:
    """Fold depth into channels, channel-major: (B, C, D, H, W) to (B, C * D, H, W) (section 3.3)."""
    if path(x_BCDHW) == Path.PLAIN:
        return x_BCDHW.flatten(1, 2)
    return x_BCDHW.permute(0, 3, 4, 1, 2).flatten(3).movedim(-1, 1)  # one copy, from channels-last to channels-last


def unfold(x_BCHW: Tensor, depth: int) -> Tensor:
    """Unfold channels into depth, the inverse of `fold`: (B, C * D, H, W) to (B, C, D, H, W).

    Raises:
        SparseSSPError: The channels are not divisible by the depth.
    """
    size = (divide_exactly(x_BCHW.shape[1], depth, "channels", "depth"), depth)
    if path(x_BCHW) == Path.PLAIN:
        return x_BCHW.unflatten(1, size)
    return channels_last(x_BCHW.movedim(1, -1).unflatten(3, size).permute(0, 3, 4, 1, 2))  # so is its gradient


def divide_exactly(number: int, divisor: int, what: str, divisor_name: str) -> int:
    """Return number / divisor.

    Raises:
        SparseSSPError: The number is not divisible; the message names both.
    """
    if number % divisor:
        raise SparseSSPError(f"{what} {number} is not divisible by {divisor_name} {divisor}")
    return number // divisor


def global_average(x_BC: Tensor) -> Tensor:
    """Global average pooling over all spatial axes, (B, C)."""
    if path(x_BC) == Path.PLAIN:
        return x_BC.flatten(2).mean(2)
    return x_BC.movedim(1, -1).flatten(1, -2).mean(1)  # the gradient is channels-last, too


def per_channel(value_BC: Tensor, like: Tensor) -> Tensor:
    """Reshape a value per sample and channel so that it broadcasts over the spatial axes of `like`."""
    return value_BC.reshape(*value_BC.shape, *([1] * (like.dim() - 2)))


def one_hot(task_B: Tensor, tasks: int) -> Tensor:
    """One-hot task codes, scaled by sqrt(T) to a mean square of 1, (B, T), float32 (docs/methods.md#task-codes)."""
    return F.one_hot(task_B, tasks) * tasks**0.5
