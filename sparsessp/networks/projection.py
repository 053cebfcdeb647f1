"""Bridges from the encoder's dimensions to the decoder's, one per level (section 3.3, Fig. 2c).

Depth-to-channel folds planes into channels, channel-to-depth unfolds them; the 1x1 projection that
fits the channels runs in 3D (before the fold, after the unfold) or in 2D (the other way round).
"""

from torch import Tensor, nn

from sparsessp.networks.blocks import Level, divided, fold, plain_conv, unfold


class DepthToChannel(nn.Module):
    """3D feature of a level to a 2D feature of as many channels.

    Projects to the uniform embedding U, then a lateral 1x1 convolution brings the decoder's width.
    """

    def __init__(self, level: Level, embedding: int, space: str):
        super().__init__()
        self.space = space
        if space == "3d":
            planes = divided(embedding, level.depth, "embedding", "the depth of the level")
            self.project = plain_conv(3, level.channels, planes, 1, bias=True)
        else:
            self.project = plain_conv(2, level.channels * level.depth, embedding, 1, bias=True)
        same = embedding == level.channels
        self.lateral = nn.Identity() if same else plain_conv(2, embedding, level.channels, 1, bias=True)

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        """Return (B, C, H, W)."""
        projected = fold(self.project(x_BCDHW)) if self.space == "3d" else self.project(fold(x_BCDHW))
        return self.lateral(projected)


class ChannelToDepth(nn.Module):
    """2D feature of a level to a 3D feature of as many channels."""

    def __init__(self, level: Level, space: str):
        super().__init__()
        self.space = space
        self.depth = level.depth
        if space == "3d":
            channels = divided(level.channels, level.depth, "channels of the level", "its depth")
            self.project = plain_conv(3, channels, level.channels, 1, bias=True)
        else:
            self.project = plain_conv(2, level.channels, level.channels * level.depth, 1, bias=True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, C, D, H, W)."""
        if self.space == "3d":
            return self.project(unfold(x_BCHW, self.depth))
        return unfold(self.project(x_BCHW), self.depth)


def bridge(encoder: int, decoder: int, level: Level, embedding: int, space: str) -> nn.Module:
    """Return the bridge of one level between an encoder and a decoder of these dimensions."""
    if encoder == decoder:
        return nn.Identity()
    return DepthToChannel(level, embedding, space) if encoder == 3 else ChannelToDepth(level, space)
