"""Levels and decoder of the residual U-Net, in 2D or 3D (section 3.3); its encoder is `backbones/native.py`.

There are five levels. A stride-2 convolution with padding 1 maps D planes to ceil(D / 2), so that depths never fall
below one; the decoder upsamples to the size of each skip.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from sparsessp.networks.blocks import Code, ResidualBlock, Site
from sparsessp.networks.fused.upsampling import upsample
from sparsessp.networks.method import Method


def level_depths(planes: int) -> tuple[int, ...]:
    """Planes of the five levels for an input of `planes`: halved, rounded up."""
    depths = [planes]
    while len(depths) < 5:
        depths.append((depths[-1] + 1) // 2)
    return tuple(depths)


class Decoder(nn.Module):
    """Four times: upsample, add the skip, one residual block (section 3.3).

    Args:
        method: Conditioning of its blocks and skips.
        n: Dimensions, 2 or 3.
        channels: Channels of the five levels.
    """

    def __init__(self, method: Method, n: int, channels: Sequence[int]):
        super().__init__()
        self.skips = nn.ModuleList(method.skip(n, k, c) or nn.Identity() for k, c in enumerate(channels, 1))
        outputs = (channels[0], *channels[:3])
        site = Site("decoder", n)
        self.blocks = nn.ModuleList(ResidualBlock(method, site, channels[k], outputs[k]) for k in range(4))

    def forward(self, features: Sequence[Tensor], code: Code) -> Tensor:
        """Return the last feature, (B, channels of level 1, ...), at the size of level 1."""
        x_BC, deepest = features[4], self.skips[4]
        if not isinstance(deepest, nn.Identity):
            x_BC = deepest(x_BC, None, code)
        for k in (3, 2, 1, 0):
            feature_BC, skip, size = features[k], self.skips[k], features[k].shape[2:]
            if isinstance(skip, nn.Identity):
                sum_BC = upsample(x_BC, size, feature_BC)
            else:
                up_BC = upsample(x_BC, size)
                sum_BC = up_BC + skip(feature_BC, up_BC, code)
            x_BC = self.blocks[k](sum_BC, code)
        return x_BC
