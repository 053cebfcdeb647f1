"""Task controller and dynamic head, which DoDNet and TGNet share (Fig. 3).

The controller reads the pooled bottleneck and the task, and writes the weights of three 1x1
convolutions for each sample.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsessp.networks.blocks import Norm, one_hot, plain_conv, pooled

# Eight scalars per pixel would be a bottleneck for the planes that a 2D head returns.
_HEAD_CHANNELS = {2: 32, 3: 8}

# With torch's own scale the written head starts far too loud: on the simulated data the first losses
# are 2 to 4 where a constant has 1, and after 90 steps R2 is .015 instead of .097.
_CONTROLLER_SCALE = 0.1


class OneHot(nn.Module):
    """Task indices to one-hot codes, scaled by sqrt(T) to a mean square of 1, like an image feature.

    Unscaled, the task reaches the controller too weakly to tell structures apart in few steps: after
    200 steps on the simulated data the nucleolus' R2 is .00 instead of .32.
    """

    def __init__(self, tasks: int):
        super().__init__()
        self.tasks = tasks

    def forward(self, task_B: Tensor) -> Tensor:
        """Return (B, T)."""
        return one_hot(task_B, self.tasks) * self.tasks**0.5


class DynamicHead(nn.Module):
    """Norm-ReLU-1x1 to a few channels, then three 1x1 layers whose weights the controller writes.

    Args:
        groups: Groups of its normalisations.
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
            self.controller.weight.mul_(_CONTROLLER_SCALE)
            self._start_as_layers(self.controller.bias)
        self.norm = Norm(groups, ci)
        self.reduce = plain_conv(n, ci, c, 1, bias=True)

    def _start_as_layers(self, bias: Tensor) -> None:
        """Let the controller's bias write, before any training, three layers in torch's own initialisation.

        Its own is for a layer of other inputs: it writes layers several times too quiet, three in a row,
        through which little gradient comes back.
        """
        for part, (_, ci) in zip(bias.split(self.sizes), self.layers * 2, strict=True):
            nn.init.uniform_(part, -(ci**-0.5), ci**-0.5)

    def forward(self, x_BC: Tensor, bottleneck_BC: Tensor, code_BT: Tensor) -> Tensor:
        """Return (B, co, ...)."""
        image_BC = pooled(F.relu(self.bottleneck_norm(bottleneck_BC)))
        written = self.controller(torch.cat([image_BC, code_BT.to(image_BC.dtype)], dim=1)).split(self.sizes, dim=1)
        x_BC = self.reduce(F.relu(self.norm(x_BC)))
        space = x_BC.shape[2:]
        h_BCN = x_BC.flatten(2)
        for i, (co, ci) in enumerate(self.layers):
            weight_BOI = written[i].unflatten(1, (co, ci)).to(h_BCN.dtype)
            bias_BO1 = written[i + 3].unsqueeze(2).to(h_BCN.dtype)
            h_BCN = torch.baddbmm(bias_BO1, weight_BOI, h_BCN if i == 0 else F.relu(h_BCN))
        return h_BCN.unflatten(2, space)
