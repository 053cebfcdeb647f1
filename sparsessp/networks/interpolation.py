"""Interpolation along z: where and how the missing planes are filled in (section 3.2, Fig. 2a).

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
    """A learned transposed convolution along z after the network, which predicts the imaged planes only.

    The paper gives no kernel. Ours is centred on an imaged plane and reaches up to its neighbours, over 3x3 pixels; it
    is initialised as linear interpolation. The last imaged plane is repeated once, so that the planes after it have two
    neighbours too (docs/methods.md#postfix).
    """

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        r = self.ratio = settings.ratio
        self.input_depth = self.output_depth = settings.depth // r
        if r > 1:
            self.deconvolution = nn.ConvTranspose3d(1, 1, (2 * r - 1, 3, 3), (r, 1, 1), (r - 1, 1, 1))
            distance = (torch.arange(2 * r - 1) - (r - 1)).abs()
            with torch.no_grad():
                self.deconvolution.weight.zero_()
                self.deconvolution.weight[0, 0, :, 1, 1] = 1 - distance / r
                self.deconvolution.bias.zero_()

    def before(self, view_B1DHW: Tensor) -> Tensor:
        """Return the sparse view unchanged."""
        return view_B1DHW

    def after(self, y_B1DHW: Tensor) -> Tensor:
        """Interpolate the D / r planes of the network's output to D planes."""
        if self.ratio == 1:
            return y_B1DHW
        extended = torch.cat([y_B1DHW, y_B1DHW[:, :, -1:]], dim=2)
        return self.deconvolution(extended)[:, :, : self.ratio * y_B1DHW.shape[2]]


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
