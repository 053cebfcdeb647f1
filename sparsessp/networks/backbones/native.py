"""Native: the encoder of the residual U-Net, in 2D or 3D (section 3.3), which a backbone replaces."""

from torch import Tensor, nn

from sparsessp.networks.blocks import Code, Level, Norm, ResidualBlock, Site, plain_conv
from sparsessp.networks.fused.choice import channels_last
from sparsessp.networks.fused.norm import norm_act
from sparsessp.networks.method import Method
from sparsessp.networks.unet import level_depths


class Encoder(nn.Module):
    """Stem and five levels of residual blocks.

    Attributes:
        levels: Channels and depth of each level.
    """

    def __init__(self, method: Method, n: int, channels: int, planes: int):
        super().__init__()
        settings = method.settings
        site = Site("encoder", n)
        blocks = settings.blocks_3d if n == 3 else settings.blocks_2d
        width = settings.widths(n)
        self.levels = tuple(Level(*level) for level in zip(width, level_depths(planes), strict=True))
        self.stem = plain_conv(n, channels, width[0], 3)
        self.stages = nn.ModuleList([nn.ModuleList([ResidualBlock(method, site, width[0], width[0])])])
        for ci, co in zip(width, width[1:], strict=False):
            first = ResidualBlock(method, site, ci, co, stride=2)
            rest = [ResidualBlock(method, site, co, co) for _ in range(blocks - 1)]
            self.stages.append(nn.ModuleList([first, *rest]))
        self.fusion_norm = Norm(settings.groups, width[-1])
        self.fusion_conv = plain_conv(n, width[-1], width[-1], 1)

    def forward(self, x_BC: Tensor, code: Code) -> list[Tensor]:
        """Return the features of levels 1 to 5."""
        x_BC = channels_last(self.stem(x_BC))
        features = []
        for stage in self.stages:
            for block in stage:
                x_BC = block(x_BC, code)
            features.append(x_BC)
        features[-1] = self.fusion_conv(norm_act(self.fusion_norm, x_BC))
        return features
