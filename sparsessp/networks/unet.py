"""Levels and decoder of the residual U-Net, in 2D or 3D (section 3.3); its encoder is `backbones/native.py`.

There are five levels. A stride-2 convolution with padding 1 maps D planes to ceil(D / 2), so that depths never fall
below one; the decoder upsamples to the size of each skip.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.blocks import Code, ResidualBlock, Site
from sparsessp.networks.method import Method

_UPSAMPLE = {2: "bilinear", 3: "trilinear"}


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
        self.mode = _UPSAMPLE[n]
        self.skips = nn.ModuleList(method.skip(n, k, c) or nn.Identity() for k, c in enumerate(channels, 1))
        outputs = (channels[0], *channels[:3])
        site = Site("decoder", n)
        self.blocks = nn.ModuleList(ResidualBlock(method, site, channels[k], outputs[k]) for k in range(4))

    def _skip(self, k: int, feature_BC: Tensor, up_BC: Tensor | None, code: Code) -> Tensor:
        skip = self.skips[k]
        return feature_BC if isinstance(skip, nn.Identity) else skip(feature_BC, up_BC, code)

    def forward(self, features: Sequence[Tensor], code: Code) -> Tensor:
        """Return the last feature, (B, channels of level 1, ...), at the size of level 1."""
        x_BC = self._skip(4, features[4], None, code)
        for k in (3, 2, 1, 0):
            up_BC = F.interpolate(x_BC, size=features[k].shape[2:], mode=self.mode, align_corners=False)
            x_BC = self.blocks[k](up_BC + self._skip(k, features[k], up_BC, code), code)
        return x_BC
