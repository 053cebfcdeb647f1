"""The contract of a 2D backbone, and the encoder that is made of one (Table 5).

A backbone is one file in `backbones/`, found by its name; it defines `class Features(Backbone)`, an
image network that publishes what its feature maps are, its `taps`. The encoder brings each map to the
channels and the size of its level, so that the rest of the network sees the five levels it always sees. Only
`native.py` is a whole encoder, `class Encoder`.
"""

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.config import BACKBONES, NATIVE
from sparsessp.errors import SparseSSPError
from sparsessp.networks.blocks import Code, Level, Norm, ResidualBlock, Site, plain_conv
from sparsessp.networks.method import Method
from sparsessp.networks.unet import depths


@dataclass(frozen=True)
class Tap:
    """A feature map of a backbone.

    Attributes:
        channels: Its channels.
        stride: Pixels of the input that its pixels stand for, a power of two.
        level: Level of the encoder that it goes to, 2 to 5, whose stride is 2, 4, 8 or 16.
    """

    channels: int
    stride: int
    level: int


class Backbone(nn.Module, ABC):
    """An image network whose maps become levels 2 to 5; `class Features` of a backbone's file.

    Args of its constructor:
        channels: Input channels, which are the planes of the view.
        divisor: Makes it smaller where it is not 1: divides its channels, and layers where it has many.
    """

    taps: tuple[Tap, ...]
    """Its maps; levels 3, 4 and 5 have at least one each."""

    @abstractmethod
    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the maps of an image of any size, in the order of `taps`; strides round sizes up."""

    def load(self, weights: str) -> None:
        """Take trained weights over; a backbone that has none need not define it.

        Args:
            weights: A local file or folder, `hub` for the backbone's usual weights, or a name on the hub.

        Raises:
            SparseSSPError: There are none, or they are those of another network.
        """
        raise SparseSSPError(f"weights {weights!r}: this backbone takes no trained weights; allowed: none")


class Lift(nn.Module):
    """A map to the channels and the size of its level, doubled as often as it is too coarse."""

    def __init__(self, tap: Tap, width: int, groups: int):
        super().__init__()
        doublings = (tap.stride >> (tap.level - 1)).bit_length() - 1
        layers: list[nn.Module] = []
        for k in range(doublings):
            layers += [nn.ConvTranspose2d(tap.channels if k == 0 else width, width, 2, 2), Norm(groups, width)]
            layers.append(nn.ReLU())
        kernel = 3 if doublings else 1
        layers.append(plain_conv(2, width if doublings else tap.channels, width, kernel, bias=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, width, *size)."""
        return resized(self.layers(x_BCHW), size)


def resized(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, where the size is another."""
    if tuple(x_BCHW.shape[2:]) == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size=size, mode="bilinear", align_corners=False)


class BackboneEncoder(nn.Module):
    """Five levels with a backbone in them; publishes its `levels` as the native encoder does.

    No backbone keeps the full resolution, so levels 1 and 2 begin with residual blocks of our own, which
    a method may condition; the backbone's own layers are told no task.
    """

    def __init__(self, method: Method, backbone: Backbone, channels: int, planes: int):
        super().__init__()
        settings = method.settings
        width, site = settings.widths(2), Site("encoder", 2)
        self.levels = tuple(Level(*level) for level in zip(width, depths(planes), strict=True))
        self.stem = plain_conv(2, channels, width[0], 3)
        self.first = ResidualBlock(method, site, width[0], width[0])
        self.second = ResidualBlock(method, site, width[0], width[1], stride=2)
        self.backbone = backbone
        missing = {3, 4, 5} - {tap.level for tap in self.backbone.taps}
        if missing:
            raise SparseSSPError(f"backbone {settings.backbone!r} has no map for level {min(missing)}")
        self.lifts = nn.ModuleList(Lift(tap, width[tap.level - 1], settings.groups) for tap in self.backbone.taps)

    def forward(self, x_BCHW: Tensor, code: Code) -> list[Tensor]:
        """Return the features of levels 1 to 5."""
        first_BCHW = self.first(self.stem(x_BCHW), code)
        levels: dict[int, Tensor] = {1: first_BCHW, 2: self.second(first_BCHW, code)}
        rows, columns = x_BCHW.shape[2:]
        for tap, lift, map_BCHW in zip(self.backbone.taps, self.lifts, self.backbone(x_BCHW), strict=True):
            stride = 2 ** (tap.level - 1)
            lifted = lift(map_BCHW, (-(-rows // stride), -(-columns // stride)))
            levels[tap.level] = levels[tap.level] + lifted if tap.level in levels else lifted
        return [levels[k] for k in range(1, 6)]


def load_encoder(method: Method, n: int, channels: int, planes: int) -> nn.Module:
    """Return the encoder with the backbone that the settings name, from its file in `backbones/`, untrained.

    Args:
        method: Conditions the blocks that are the encoder's own.
        n: Dimensions; all but the native encoder are 2D.
        channels: Input channels.
        planes: Planes of the input, folded into channels in 2D.

    Raises:
        SparseSSPError: The backbone is unknown, or needs a package that is not installed.
    """
    settings = method.settings
    if settings.backbone not in BACKBONES:
        raise SparseSSPError(f"backbone {settings.backbone!r} is unknown; allowed: {', '.join(BACKBONES)}")
    module = importlib.import_module(f"sparsessp.networks.backbones.{settings.backbone}")
    if settings.backbone == NATIVE:
        return module.Encoder(method, n, channels, planes)
    return BackboneEncoder(method, module.Features(channels, settings.backbone_divisor), channels, planes)


def adapt_weights(have: dict[str, Tensor], wanted: dict[str, Tensor], first: str, weights: str) -> dict[str, Tensor]:
    """Fit trained weights to a network that sees other channels or another size of image.

    Colour channels of the first convolution are repeated over the planes and scaled by 3 / planes;
    position embeddings and tables of relative positions are resized.

    Args:
        have: Trained weights by name.
        wanted: Those of the network to be filled.
        first: Name of the first convolution's weight.
        weights: What to call them in an error.

    Raises:
        SparseSSPError: A weight is missing or has a shape that nothing explains.
    """
    found = {}
    for name, target in wanted.items():
        if name not in have:
            raise SparseSSPError(f"weights {weights!r}: {name} is missing, so they are those of another network")
        value = have[name].detach().to(target.dtype).cpu()
        if name == first and value.shape[1] != target.shape[1]:
            planes, colours = target.shape[1], value.shape[1]
            value = value.repeat(1, -(-planes // colours), 1, 1)[:, :planes] * (colours / planes)
        elif value.shape != target.shape and "position" in name:
            value = _positions(value, target)
        if value.shape != target.shape:
            raise SparseSSPError(
                f"weights {weights!r}: {name} has shape {tuple(value.shape)}; this network needs {tuple(target.shape)}"
            )
        found[name] = value
    return found


def _positions(value: Tensor, target: Tensor) -> Tensor:
    """Resize a square of positions: (1, 1 + N * N, C), the first being of the class, or a table (M * M, heads)."""
    extra = value.dim() - 2  # a position embedding keeps its class token
    table, head = (value[0, 1:], value[:, :1]) if extra else (value, None)
    old, new = (round(n**0.5) for n in (len(table), target.shape[-2] - extra))
    if old * old != len(table) or new * new != target.shape[-2] - extra or table.shape[-1] != target.shape[-1]:
        return value
    square = table.T.reshape(1, -1, old, old)
    table = F.interpolate(square, size=(new, new), mode="bicubic", align_corners=False).flatten(2)[0].T
    return table if head is None else torch.cat([head, table[None]], dim=1)
