"""Bridges from the encoder's dimensions to the decoder's, one per level (section 3.3, Fig. 2c).

Depth-to-channel folds planes into channels; channel-to-depth unfolds them. A 1x1 convolution, the projection, matches
the number of channels. It runs in 3D (before folding, after unfolding) or in 2D (after folding, before unfolding).
"""

from torch import Tensor, nn

from sparsessp.networks.blocks import Level, divide_exactly, fold, plain_conv, unfold


class DepthToChannel(nn.Module):
    """3D feature of a level to a 2D feature with the decoder's channels.

    A projection to the uniform embedding U, then a lateral 1x1 convolution to the decoder's channels
    (docs/methods.md#projection).
    """

    def __init__(self, level: Level, width: int, embedding: int, space: str):
        super().__init__()
        self.space = space
        if space == "3d":
            planes = divide_exactly(embedding, level.depth, "embedding", "depth of a level")
            self.project = plain_conv(3, level.channels, planes, 1, bias=True)
        else:
            self.project = plain_conv(2, level.channels * level.depth, embedding, 1, bias=True)
        self.lateral = nn.Identity() if embedding == width else plain_conv(2, embedding, width, 1, bias=True)

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        """Return (B, width, H, W)."""
        projected = fold(self.project(x_BCDHW)) if self.space == "3d" else self.project(fold(x_BCDHW))
        return self.lateral(projected)


class ChannelToDepth(nn.Module):
    """2D feature of a level to a 3D feature with the decoder's channels."""

    def __init__(self, level: Level, width: int, space: str):
        super().__init__()
        self.space = space
        self.depth = level.depth
        if space == "3d":
            channels = divide_exactly(level.channels, level.depth, "channels of a level", "its depth")
            self.project = plain_conv(3, channels, width, 1, bias=True)
        else:
            self.project = plain_conv(2, level.channels, width * level.depth, 1, bias=True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, width, D, H, W)."""
        if self.space == "3d":
            return self.project(unfold(x_BCHW, self.depth))
        return unfold(self.project(x_BCHW), self.depth)


def build_bridge(encoder: int, decoder: int, level: Level, width: int, embedding: int, space: str) -> nn.Module:
    """Return the bridge of one level between an encoder and a decoder.

    Args:
        encoder: Dimensions of the encoder, 2 or 3.
        decoder: Dimensions of the decoder, 2 or 3.
        level: Channels and depth of the encoder's feature.
        width: Channels of the decoder at this level.
        embedding: Channels U of the uniform embedding, used by depth-to-channel.
        space: Space of the projection, "3d" or "2d".

    Raises:
        SparseSSPError: Channels and depth do not divide.
    """
    if encoder == decoder:
        return nn.Identity()
    return DepthToChannel(level, width, embedding, space) if encoder == 3 else ChannelToDepth(level, width, space)
