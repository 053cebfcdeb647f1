"""One-to-many mapping along z: how the missing planes are filled in (section 3.2, Fig. 2a).

Each interpolation has two functions, `before` and `after` the network, and two attributes: `input_depth` and
`output_depth`, the planes that the network receives and returns.
"""

import torch
from torch import Tensor, nn

from sparsessp.config import NetworkSettings


class Prefix(nn.Module):
    """Nearest-neighbour interpolation before the network: each imaged plane is repeated r times, as in the paper."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.ratio = settings.ratio
        self.input_depth = self.output_depth = settings.depth

    def before(self, view_B1DHW: Tensor) -> Tensor:
        """Repeat the D / r planes of the sparse view to D planes, the pseudo voxel grid."""
        return view_B1DHW.repeat_interleave(self.ratio, dim=2)

    def after(self, y_B1DHW: Tensor) -> Tensor:
        """Return the network's output unchanged."""
        return y_B1DHW


class Postfix(nn.Module):
    """A learned deconvolution along Z after the network, which predicts the imaged planes only.

    The paper gives no kernel; ours spans two imaged planes and 3x3 pixels, and starts as linear
    interpolation.
    """

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        r = settings.ratio
        self.input_depth = self.output_depth = settings.depth // r
        self.deconvolution: nn.Module = nn.Identity()
        if r > 1:
            self.deconvolution = nn.ConvTranspose3d(1, 1, (2 * r, 3, 3), (r, 1, 1), (r // 2, 1, 1))
            ramp = 1 - ((torch.arange(2 * r) + 0.5) / r - 1).abs()
            with torch.no_grad():
                self.deconvolution.weight.zero_()
                self.deconvolution.weight[0, 0, :, 1, 1] = ramp
                self.deconvolution.bias.zero_()

    def before(self, view_B1DHW: Tensor) -> Tensor:
        """Return the sparse view unchanged."""
        return view_B1DHW

    def after(self, y_B1DHW: Tensor) -> Tensor:
        """Interpolate the D / r planes of the network's output to D planes."""
        return self.deconvolution(y_B1DHW)


class NoInterpolation(nn.Module):
    """No interpolation: the head of a 2D decoder returns one channel for each plane of the target."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.input_depth = settings.depth // settings.ratio
        self.output_depth = settings.depth

    def before(self, view_B1DHW: Tensor) -> Tensor:
        """Return the sparse view unchanged."""
        return view_B1DHW

    def after(self, y_B1DHW: Tensor) -> Tensor:
        """Return the network's output unchanged."""
        return y_B1DHW


INTERPOLATIONS = {"prefix": Prefix, "postfix": Postfix, "none": NoInterpolation}
