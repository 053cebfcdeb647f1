"""The common residual U-Net's levels and its decoder, in 2D or 3D (section 3.3); its encoder is `backbones/native.py`.

Five levels. A stride-2 convolution with padding 1 takes D planes to ceil(D / 2), so a depth of one
stays one without a special case; the decoder upsamples to each skip's own size.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.blocks import Code, ResidualBlock, Site
from sparsessp.networks.method import Method

_UPSAMPLE = {2: "bilinear", 3: "trilinear"}


def depths(planes: int) -> tuple[int, ...]:
    """Planes of the five levels for an input of `planes`, never below one."""
    ladder = [planes]
    while len(ladder) < 5:
        ladder.append((ladder[-1] + 1) // 2)
    return tuple(ladder)


class Decoder(nn.Module):
    """Upsample, add the skip, one residual block; four times (section 3.3)."""

    def __init__(self, method: Method, n: int, channels: Sequence[int]):
        super().__init__()
        self.mode = _UPSAMPLE[n]
        self.skips = nn.ModuleList(method.skip(n, k, c) or nn.Identity() for k, c in enumerate(channels, 1))
        outputs = (channels[0], *channels[:3])
        site = Site("decoder", n)
        self.blocks = nn.ModuleList(ResidualBlock(method, site, channels[k], outputs[k]) for k in range(4))

    def _enter(self, k: int, feature_BC: Tensor, up_BC: Tensor | None, code: Code) -> Tensor:
        skip = self.skips[k]
        return feature_BC if isinstance(skip, nn.Identity) else skip(feature_BC, up_BC, code)

    def forward(self, features: Sequence[Tensor], code: Code) -> Tensor:
        """Return the last feature, (B, width, ...) at the size of level 1."""
        x_BC = self._enter(4, features[4], None, code)
        for k in (3, 2, 1, 0):
            up_BC = F.interpolate(x_BC, size=features[k].shape[2:], mode=self.mode, align_corners=False)
            x_BC = self.blocks[k](up_BC + self._enter(k, features[k], up_BC, code), code)
        return x_BC
