"""A network: encoder, bridges, decoder and head, times a method, times an interpolation."""

import torch
from torch import Tensor, nn

from sparsessp.config import NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.networks.blocks import fold
from sparsessp.networks.interpolation import INTERPOLATIONS
from sparsessp.networks.method import load_method
from sparsessp.networks.projection import bridge
from sparsessp.networks.unet import Decoder, Encoder
from sparsessp.structures import STRUCTURES


class Network(nn.Module):
    """Predicts a dense fluorescence patch from a sparse view of transmitted light (section 3).

    Raises:
        SparseSSPError: Channels and depths of the settings do not divide; the message names both.
    """

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.settings = settings
        method = load_method(settings)
        encoder, decoder = settings.dimensions
        self.interpolation = INTERPOLATIONS[settings.interpolation](settings)
        planes = self.interpolation.input_depth
        self.code = method.code()
        self.encoder = Encoder(method, encoder, 1 if encoder == 3 else planes, planes)
        levels = self.encoder.levels
        self.bridges = nn.ModuleList(
            bridge(encoder, decoder, level, settings.embedding, settings.projection) for level in levels
        )
        channels = [level.channels for level in levels]
        self.decoder = Decoder(method, decoder, channels)
        outputs = 1 if decoder == 3 else self.interpolation.output_depth
        self.head = method.head(decoder, channels[0], outputs, channels[-1])

    def forward(self, view_B1DHW: Tensor, task_B: Tensor) -> Tensor:
        """Predict the patch of each sample's task.

        Args:
            view_B1DHW: Imaged planes, (B, 1, depth / ratio, H, W), z-scored.
            task_B: Task index of each sample, int64.

        Returns:
            (B, 1, depth, H, W), z-scored.

        Raises:
            SparseSSPError: The view has another number of planes.
        """
        planes = self.settings.depth // self.settings.ratio
        if view_B1DHW.shape[2] != planes:
            raise SparseSSPError(
                f"the view has {view_B1DHW.shape[2]} planes; this network takes exactly {planes} "
                f"(depth {self.settings.depth} at ratio {self.settings.ratio})"
            )
        encoder, decoder = self.settings.dimensions
        code = self.code(task_B)
        x = self.interpolation.before(view_B1DHW)
        features = self.encoder(fold(x) if encoder == 2 else x, code)
        bridged = [cross(feature) for cross, feature in zip(self.bridges, features, strict=True)]
        y = self.head(self.decoder(bridged, code), features[-1], code)
        return self.interpolation.after(y.unsqueeze(1) if decoder == 2 else y)


class MultiNetwork(nn.Module):
    """One network for each structure, each asked for its own task only (Multi-Net, section 2.1)."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.settings = settings
        self.networks = nn.ModuleList(Network(settings) for _ in STRUCTURES)

    def forward(self, view_B1DHW: Tensor, task_B: Tensor) -> Tensor:
        """Predict as `Network.forward` does, each sample by its structure's network."""
        output: Tensor | None = None
        for task in task_B.unique():
            chosen = task_B == task
            part = self.networks[int(task)](view_B1DHW[chosen], task_B[chosen])
            if output is None:
                output = part.new_empty(len(task_B), *part.shape[1:])
            output[chosen] = part
        assert output is not None  # a batch holds at least one sample
        return output


def build(settings: NetworkSettings, seed: int = 0) -> Network | MultiNetwork:
    """Build what the settings name, initialised from `seed` without touching torch's global state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultiNetwork(settings) if load_method(settings).per_structure else Network(settings)
