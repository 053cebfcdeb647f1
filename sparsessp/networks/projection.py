"""Bridges from the encoder's dimensions to the decoder's, one per level (section 3.3, Fig. 2c).

Depth-to-channel folds planes into channels, channel-to-depth unfolds them; the 1x1 projection that
fits the channels runs in 3D (before the fold, after the unfold) or in 2D (the other way round).
"""

from torch import Tensor, nn

from sparsessp.networks.blocks import Level, divided, fold, plain_conv, unfold


class DepthToChannel(nn.Module):
    """3D feature of a level to a 2D feature of the decoder's width.

    Projects to the uniform embedding U, then a lateral 1x1 convolution brings the width.
    """

    def __init__(self, level: Level, width: int, embedding: int, space: str):
        super().__init__()
        self.space = space
        if space == "3d":
            planes = divided(embedding, level.depth, "embedding", "a level's depth")
            self.project = plain_conv(3, level.channels, planes, 1, bias=True)
        else:
            self.project = plain_conv(2, level.channels * level.depth, embedding, 1, bias=True)
        self.lateral = nn.Identity() if embedding == width else plain_conv(2, embedding, width, 1, bias=True)

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        """Return (B, width, H, W)."""
        projected = fold(self.project(x_BCDHW)) if self.space == "3d" else self.project(fold(x_BCDHW))
        return self.lateral(projected)


class ChannelToDepth(nn.Module):
    """2D feature of a level to a 3D feature of the decoder's width."""

    def __init__(self, level: Level, width: int, space: str):
        super().__init__()
        self.space = space
        self.depth = level.depth
        if space == "3d":
            channels = divided(level.channels, level.depth, "a level's channels", "its depth")
            self.project = plain_conv(3, channels, width, 1, bias=True)
        else:
            self.project = plain_conv(2, level.channels, width * level.depth, 1, bias=True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, width, D, H, W)."""
        if self.space == "3d":
            return self.project(unfold(x_BCHW, self.depth))
        return unfold(self.project(x_BCHW), self.depth)


def bridge(encoder: int, decoder: int, level: Level, width: int, embedding: int, space: str) -> nn.Module:
    """Return the bridge of one level between an encoder and a decoder of these dimensions.

    Args:
        encoder: Dimensions of the encoder, 2 or 3.
        decoder: Dimensions of the decoder.
        level: What the encoder publishes.
        width: Channels that the decoder expects.
        embedding: Channels U after depth-to-channel.
        space: Space of the projection, "3d" or "2d".
    """
    if encoder == decoder:
        return nn.Identity()
    return DepthToChannel(level, width, embedding, space) if encoder == 3 else ChannelToDepth(level, width, space)
