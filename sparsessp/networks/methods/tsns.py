"""TSNs: a mapping network turns the task into scales and shifts of the decoder's features.

After Sun et al. (ICCV 2021). The encoder is unconditioned.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.errors import SparseSSPError
from sparsessp.networks.blocks import Norm, Site, per_channel, plain_conv
from sparsessp.networks.fused.norm import norm_act
from sparsessp.networks.method import Method

_ONES_PER_TASK = 20
_MAPPING_LAYERS = 8


class EqualisedLinear(nn.Module):
    """Linear layer with equalised learning rate: stores unit-normal weights, multiplies them by sqrt(2 / inputs)."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(co, ci))
        self.bias = nn.Parameter(torch.zeros(co))
        self.scale = math.sqrt(2 / ci)

    def forward(self, x_BC: Tensor) -> Tensor:
        """Return (B, co)."""
        return F.linear(x_BC, self.weight * self.scale, self.bias)


class MappingNetwork(nn.Module):
    """Task to code w: a block of ones for the task, normalised, then eight linear layers."""

    def __init__(self, tasks: int):
        super().__init__()
        size = tasks * _ONES_PER_TASK
        self.tasks = tasks
        self.layers = nn.ModuleList(EqualisedLinear(size, size) for _ in range(_MAPPING_LAYERS))

    def forward(self, task_B: Tensor) -> Tensor:
        """Return w, (B, E) with E = 20 T."""
        z_BE = F.one_hot(task_B, self.tasks).to(self.layers[0].weight).repeat_interleave(_ONES_PER_TASK, dim=1)
        w_BE = z_BE * torch.rsqrt(z_BE.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w_BE = F.leaky_relu(layer(w_BE), 0.2)
        return w_BE


class ConditionalNorm(nn.Module):
    """Instance normalisation with a scale and shift predicted from the task code."""

    def __init__(self, channels: int, code: int):
        super().__init__()
        self.num_groups, self.eps = channels, 1e-5  # of instance normalisation
        self.affine = EqualisedLinear(code, 2 * channels)
        with torch.no_grad():
            self.affine.bias[:channels] = 1  # of the scale; that of the shift stays 0

    def forward(self, x_BC: Tensor, code_BE: Tensor) -> Tensor:
        """Normalise each sample and channel over space, then scale and shift.

        Raises:
            SparseSSPError: The feature has a single voxel.
        """
        if x_BC[0, 0].numel() == 1:
            raise SparseSSPError(
                "tsns: instance normalisation of a 1x1 bottleneck is undefined; use patches and windows "
                "of more than 16 rows and columns"
            )
        scale_BC, shift_BC = self.scale_and_shift(code_BE)
        return F.instance_norm(x_BC) * per_channel(scale_BC, x_BC) + per_channel(shift_BC, x_BC)

    def scale_and_shift(self, code_BE: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scale and the shift of each sample and channel, as `norm_act` needs them."""
        scale_BC, shift_BC = self.affine(code_BE).chunk(2, dim=1)
        return scale_BC, shift_BC


class ConditionalUnit(nn.Module):
    """1x1 convolution, conditional norm and leaky ReLU on a feature that enters the decoder."""

    def __init__(self, n: int, channels: int, code: int):
        super().__init__()
        self.conv = plain_conv(n, channels, channels, 1, bias=True)
        self.norm = ConditionalNorm(channels, code)

    def forward(self, feature_BC: Tensor, up_BC: Tensor | None, code_BE: Tensor) -> Tensor:
        """Return the conditioned feature; the decoder feature is not used."""
        return norm_act(self.norm, self.conv(feature_BC), code_BE, slope=0.01)


class TSNs(Method):
    """Conditional norms in the decoder and before the head; conditional units on all five features."""

    first_conditioned = "decoder"

    @property
    def _code_size(self) -> int:
        return self.tasks * _ONES_PER_TASK

    def code(self) -> nn.Module:
        """Mapping network."""
        return MappingNetwork(self.tasks)

    def norm(self, site: Site, channels: int) -> nn.Module:
        """Conditional norm in the decoder, group normalisation in the encoder."""
        if site.part == "encoder":
            return Norm(self.settings.groups, channels)
        return ConditionalNorm(channels, self._code_size)

    def skip(self, n: int, level: int, channels: int) -> nn.Module:
        """Conditional unit on each feature."""
        return ConditionalUnit(n, channels, self._code_size)
