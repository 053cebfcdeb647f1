"""One-to-many mapping along Z: where the missing planes come from (section 3.2, Fig. 2a).

Each interpolation publishes the planes that the network sees and those that it returns.
"""

import torch
from torch import Tensor, nn

from sparsessp.config import NetworkSettings


class Prefix(nn.Module):
    """Repeat each imaged plane r times before the network: nearest neighbour, as in the paper."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.ratio = settings.ratio
        self.input_depth = self.output_depth = settings.depth

    def before(self, view_B1DHW: Tensor) -> Tensor:
        """Sparse view, D / r planes, to the pseudo voxel grid of D planes."""
        return view_B1DHW.repeat_interleave(self.ratio, dim=2)

    def after(self, y_B1DHW: Tensor) -> Tensor:
        """Return the network's output as it is."""
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
        """Return the sparse view as it is."""
        return view_B1DHW

    def after(self, y_B1DHW: Tensor) -> Tensor:
        """Network's output, D / r planes, to D planes."""
        return self.deconvolution(y_B1DHW)


class Without(nn.Module):
    """No interpolation: a 2D decoder's head has as many channels as the target has planes."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.input_depth = settings.depth // settings.ratio
        self.output_depth = settings.depth

    def before(self, view_B1DHW: Tensor) -> Tensor:
        """Return the sparse view as it is."""
        return view_B1DHW

    def after(self, y_B1DHW: Tensor) -> Tensor:
        """Return the network's output as it is."""
        return y_B1DHW


INTERPOLATIONS = {"prefix": Prefix, "postfix": Postfix, "none": Without}
