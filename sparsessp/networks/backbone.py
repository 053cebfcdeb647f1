"""The contract of a 2D backbone, and the encoder built around one (Table 5).

A backbone is one file, `backbones/NAME.py`, with one subclass of `Backbone`: an image network that returns several
feature maps and describes them in `feature_maps`. The name of the file is the name in settings, stages and tables;
nothing needs to be registered. `BackboneEncoder` maps each feature map to the channels and the size of its level, so
that the rest of the network always receives five levels. The native encoder, `backbones/native.py`, implements all
levels itself: it alone defines `class Encoder` instead. `tests/test_backbones.py` finds each backbone and trains it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.config import BACKBONES, NATIVE
from sparsessp.errors import SparseSSPError
from sparsessp.networks.blocks import Code, Level, Norm, ResidualBlock, Site, plain_conv
from sparsessp.networks.fused.choice import channels_last
from sparsessp.networks.members import load_class
from sparsessp.networks.method import Method
from sparsessp.networks.unet import level_depths


@dataclass(frozen=True)
class FeatureMap:
    """A feature map of a backbone.

    Attributes:
        channels: Number of channels.
        stride: Downsampling factor with respect to the input, a power of two.
        level: Encoder level that receives it, 2 to 5. The levels have strides 2, 4, 8 and 16.
    """

    channels: int
    stride: int
    level: int


class Backbone(nn.Module, ABC):
    """An image network with feature maps for levels 2 to 5.

    The constructor takes two arguments:
        channels: Input channels: the planes of the view.
        divisor: Divisor of the channels, and of the number of layers in deep networks; 1 is the published size.
    """

    feature_maps: tuple[FeatureMap, ...]
    """Feature maps, in the order in which `forward` returns them; at least one each for levels 3, 4 and 5."""

    @abstractmethod
    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the feature maps of an image of any size; sizes are divided by the stride and rounded up."""

    def load(self, weights: str) -> None:
        """Load pretrained weights. The default is for backbones that have none.

        Args:
            weights: `hub` for the backbone's usual weights, a name on the Hugging Face hub, or a local file or folder.

        Raises:
            SparseSSPError: The weights cannot be read or belong to another network.
        """
        raise SparseSSPError(f"weights {weights!r}: this backbone has no pretrained weights; allowed: none")


class LevelAdapter(nn.Module):
    """Maps a feature map to the channels and the size of its level.

    A map that is coarser than its level is upsampled by transposed convolutions of stride 2.
    """

    def __init__(self, feature_map: FeatureMap, width: int, groups: int):
        super().__init__()
        doublings = (feature_map.stride >> (feature_map.level - 1)).bit_length() - 1
        layers: list[nn.Module] = []
        for k in range(doublings):
            channels = feature_map.channels if k == 0 else width
            layers += [nn.ConvTranspose2d(channels, width, 2, 2), Norm(groups, width), nn.ReLU()]
        kernel = 3 if doublings else 1
        layers.append(plain_conv(2, width if doublings else feature_map.channels, width, kernel, bias=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, width, *size)."""
        return channels_last(resize(self.layers(x_BCHW), size))


def resize(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly, unless the size is already right."""
    if tuple(x_BCHW.shape[2:]) == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size=size, mode="bilinear", align_corners=False)


class BackboneEncoder(nn.Module):
    """Encoder with a backbone: five levels, like the native encoder.

    No backbone keeps the full resolution, so levels 1 and 2 start with residual blocks, which a method may condition.
    The backbone itself is unconditioned (docs/methods.md#backbones).

    Attributes:
        levels: Channels and depth of each level.
    """

    def __init__(self, method: Method, backbone: Backbone, channels: int, planes: int):
        super().__init__()
        settings = method.settings
        width, site = settings.widths(2), Site("encoder", 2)
        self.levels = tuple(Level(*level) for level in zip(width, level_depths(planes), strict=True))
        self.stem = plain_conv(2, channels, width[0], 3)
        self.first = ResidualBlock(method, site, width[0], width[0])
        self.second = ResidualBlock(method, site, width[0], width[1], stride=2)
        self.backbone = backbone
        maps = backbone.feature_maps
        missing = {3, 4, 5} - {feature_map.level for feature_map in maps}
        if missing:
            raise SparseSSPError(f"backbone {settings.backbone!r} has no feature map for level {min(missing)}")
        self.lifts = nn.ModuleList(LevelAdapter(each, width[each.level - 1], settings.groups) for each in maps)

    def forward(self, x_BCHW: Tensor, code: Code) -> list[Tensor]:
        """Return the features of levels 1 to 5."""
        first_BCHW = self.first(channels_last(self.stem(x_BCHW)), code)
        levels: dict[int, Tensor] = {1: first_BCHW, 2: self.second(first_BCHW, code)}
        rows, columns = x_BCHW.shape[2:]
        for each, adapt, map_BCHW in zip(self.backbone.feature_maps, self.lifts, self.backbone(x_BCHW), strict=True):
            stride = 2 ** (each.level - 1)
            adapted = adapt(map_BCHW, (-(-rows // stride), -(-columns // stride)))
            levels[each.level] = levels[each.level] + adapted if each.level in levels else adapted
        return [levels[k] for k in range(1, 6)]


def load_encoder(method: Method, n: int, channels: int, planes: int) -> nn.Module:
    """Return the encoder with the backbone that the settings name, untrained.

    Args:
        method: Conditions the residual blocks.
        n: Dimensions, 2 or 3; 2 for all backbones but the native encoder.
        channels: Input channels.
        planes: Planes of the input, which are its channels in 2D.

    Raises:
        SparseSSPError: The backbone is unknown, its file does not define exactly one, or it needs a package that is
            not installed.
    """
    settings = method.settings
    if settings.backbone not in BACKBONES:
        raise SparseSSPError(f"backbone {settings.backbone!r} is unknown; allowed: {', '.join(BACKBONES)}")
    if settings.backbone == NATIVE:
        return import_module(f"sparsessp.networks.backbones.{NATIVE}").Encoder(method, n, channels, planes)
    backbone = load_class("backbones", settings.backbone, Backbone)(channels, settings.backbone_divisor)
    return BackboneEncoder(method, backbone, channels, planes)


def adapt_weights(have: dict[str, Tensor], wanted: dict[str, Tensor], first: str, weights: str) -> dict[str, Tensor]:
    """Adapt pretrained weights to other input channels and another image size.

    The colour channels of the first convolution are repeated over the planes and scaled by 3 / planes; position
    embeddings and tables of relative positions are resized (docs/methods.md#backbone-weights).

    Args:
        have: Pretrained weights by name.
        wanted: Weights of the network that is to be initialised, by name.
        first: Name of the weight of the first convolution.
        weights: Source of the pretrained weights, named in an error.

    Raises:
        SparseSSPError: A weight is missing or has a shape that cannot be adapted.
    """
    found = {}
    for name, target in wanted.items():
        if name not in have:
            raise SparseSSPError(f"weights {weights!r}: {name} is missing, so they belong to another network")
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
    """Resize position embeddings (1, 1 + N * N, C), the class token first, or a position table (M * M, heads)."""
    extra = value.dim() - 2  # the class token of position embeddings is kept
    table, head = (value[0, 1:], value[:, :1]) if extra else (value, None)
    old, new = (round(n**0.5) for n in (len(table), target.shape[-2] - extra))
    if old * old != len(table) or new * new != target.shape[-2] - extra or table.shape[-1] != target.shape[-1]:
        return value
    square = table.T.reshape(1, -1, old, old)
    table = F.interpolate(square, size=(new, new), mode="bicubic", align_corners=False).flatten(2)[0].T
    return table if head is None else torch.cat([head, table[None]], dim=1)
