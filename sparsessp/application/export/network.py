"""The network that is exported: from the view of one window to the predictions of several structures."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparsessp.networks.network import MultiNetwork, Network, merge_kernels


class ExportedNetwork(nn.Module):
    """Predicts structures, as channels, from a z-scored view, without a task index as input.

    RepMode's kernels are merged for each structure. Networks share the weights of the original.

    Args:
        network: Trained network.
        tasks: Indices of the structures, in the order of the output channels.
    """

    def __init__(self, network: Network | MultiNetwork, tasks: Sequence[int]):
        super().__init__()
        self.tasks = list(tasks)
        self.settings = network.settings
        shared = isinstance(network, Network) and network.first_conditioned != "encoder"
        if shared:
            self.networks = nn.ModuleList([network])
        elif isinstance(network, Network):
            self.networks = nn.ModuleList(merge_kernels(network, task) for task in tasks)
        else:
            self.networks = nn.ModuleList(network.networks[task] for task in tasks)
        self.eval()

    def forward(self, view_B1DHW: Tensor) -> Tensor:
        """Return (B, T, depth, H, W) for a view of (B, 1, depth / ratio, H, W)."""
        if len(self.networks) == 1:
            return torch.cat(list(self.networks[0].forward_tasks(view_B1DHW, self.tasks)), dim=1)
        pairs = zip(self.networks, self.tasks, strict=True)
        return torch.cat([next(network.forward_tasks(view_B1DHW, [task])) for network, task in pairs], dim=1)


def example_view(exported: ExportedNetwork, window: int) -> Tensor:
    """Return a view of two windows, (2, 1, depth / ratio, window, window), to trace the network with."""
    settings = exported.settings
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 1, settings.depth // settings.ratio, window, window, generator=generator)
