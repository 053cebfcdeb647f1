"""Task controller and dynamic head, shared by DoDNet and TGNet (Fig. 3).

The controller predicts the weights of three 1x1 convolutions for each sample, from the pooled bottleneck feature and
the task code (docs/methods.md#dynamic-head).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.blocks import Norm, global_average, plain_conv
from sparsessp.networks.fused.choice import Path, path
from sparsessp.networks.fused.norm import norm_act

# A 2D head returns all planes from one feature per pixel, for which eight channels are too few.
_HEAD_CHANNELS = {2: 32, 3: 8}

# Adam moves every weight of the controller by about the learning rate, so the predicted weights move by that times the
# sum of the controller's inputs, which is far more than any other weight. Scaling the inputs keeps the functions that
# the head can express and prevents stalls (docs/methods.md#steps-of-the-dynamic-head).
_CONTROLLER_SCALE = 0.1

# Parts of the voxels of a sample in the gradient of a predicted weight.
_PARTS = 64


class DynamicHead(nn.Module):
    """Norm, ReLU and a 1x1 convolution to a few channels, then three 1x1 layers with predicted weights.

    Args:
        groups: Groups of each normalisation.
        n: Dimensions of the decoder.
        ci: Channels of the last decoder feature.
        co: Output channels.
        bottleneck: Channels of the bottleneck feature.
        tasks: Number of tasks T.
    """

    def __init__(self, groups: int, n: int, ci: int, co: int, bottleneck: int, tasks: int):
        super().__init__()
        c = _HEAD_CHANNELS[n]
        self.layers = ((c, c), (c, c), (co, c))
        self.sizes = [o * i for o, i in self.layers] + [o for o, _ in self.layers]
        self.bottleneck_norm = Norm(groups, bottleneck)
        self.controller = nn.Linear(bottleneck + tasks, sum(self.sizes))
        with torch.no_grad():
            self._initialise(self.controller.bias)
        self.norm = Norm(groups, ci)
        self.reduce = plain_conv(n, ci, c, 1, bias=True)

    def _initialise(self, bias: Tensor) -> None:
        """Initialise the bias so that it predicts three layers in torch's default initialisation.

        The controller's default initialisation follows its larger fan-in: three predicted layers in a row would be
        several times too small, and gradients would vanish.
        """
        for part, (_, ci) in zip(bias.split(self.sizes), self.layers * 2, strict=True):
            nn.init.uniform_(part, -(ci**-0.5), ci**-0.5)

    def forward(self, x_BC: Tensor, bottleneck_BC: Tensor, code_BT: Tensor) -> Tensor:
        """Return (B, co, ...)."""
        image_BC = global_average(norm_act(self.bottleneck_norm, bottleneck_BC))
        inputs_BC = _CONTROLLER_SCALE * torch.cat([image_BC, code_BT.to(image_BC.dtype)], dim=1)
        predicted = self.controller(inputs_BC).split(self.sizes, dim=1)
        x_BC = self.reduce(norm_act(self.norm, x_BC))
        return self._planar(x_BC, predicted) if path(x_BC) == Path.PLAIN else self._channels_last(x_BC, predicted)

    def _planar(self, x_BC: Tensor, predicted: Sequence[Tensor]) -> Tensor:
        """Apply the predicted layers to contiguous features, each plane of which is a row of a matrix."""
        space = x_BC.shape[2:]
        h_BCN = x_BC.flatten(2)
        for i, (co, ci) in enumerate(self.layers):
            weight_BOI = predicted[i].unflatten(1, (co, ci)).to(h_BCN.dtype)
            bias_BO1 = predicted[i + 3].unsqueeze(2).to(h_BCN.dtype)
            h_BCN = torch.baddbmm(bias_BO1, weight_BOI, h_BCN if i == 0 else F.relu(h_BCN))
        return h_BCN.unflatten(2, space)

    def _channels_last(self, x_BC: Tensor, predicted: Sequence[Tensor]) -> Tensor:
        """Apply the predicted layers to channels-last features, without changing their layout."""
        h_BNC = x_BC.movedim(1, -1).flatten(1, -2)
        for i, (co, ci) in enumerate(self.layers):
            weight_BOI = predicted[i].unflatten(1, (co, ci)).to(h_BNC.dtype)
            bias_BO = predicted[i + 3].to(h_BNC.dtype)
            h_BNC = _LinearPerSample.apply(h_BNC if i == 0 else F.relu(h_BNC), weight_BOI, bias_BO)
        return h_BNC.unflatten(1, x_BC.shape[2:]).movedim(-1, 1)


class _LinearPerSample(torch.autograd.Function):
    """A linear layer of few channels with different weights for each sample, on N voxels.

    The gradient of a weight is a sum over all voxels of a sample. One product per sample would leave it to a few of a
    GPU's multiprocessors, so it is computed in up to `_PARTS` parts.
    """

    @staticmethod
    def forward(ctx: Any, h_BNI: Tensor, weight_BOI: Tensor, bias_BO: Tensor) -> Tensor:
        ctx.save_for_backward(h_BNI, weight_BOI)
        return torch.baddbmm(bias_BO.unsqueeze(1), h_BNI, weight_BOI.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (dy_BNO,) = gradients
        h_BNI, weight_BOI = ctx.saved_tensors
        parts = math.gcd(h_BNI.shape[1], _PARTS)
        dy_PNO, h_PNI = (each.unflatten(1, (parts, -1)).flatten(0, 1) for each in (dy_BNO, h_BNI))
        dweight_BPOI = torch.bmm(dy_PNO.mT, h_PNI).unflatten(0, (-1, parts))
        return torch.bmm(dy_BNO, weight_BOI), dweight_BPOI.sum(1), dy_BNO.sum(1)
