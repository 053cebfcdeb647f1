"""A network: interpolation, encoder, bridges, decoder and head, with the layers that a method chooses."""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from sparsessp.config import NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.networks.backbone import load_encoder
from sparsessp.networks.blocks import Code, fold
from sparsessp.networks.interpolation import INTERPOLATIONS
from sparsessp.networks.method import load_method
from sparsessp.networks.projection import build_bridge
from sparsessp.networks.unet import Decoder


class Network(nn.Module):
    """Predicts a dense fluorescence patch from a sparse view of transmitted light (section 3).

    Attributes:
        settings: Settings that it was built from.
        first_conditioned: First part that uses the task code.

    Raises:
        SparseSSPError: Channels and depths of the settings do not divide; the message names both.
    """

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.settings = settings
        method = load_method(settings)
        self.first_conditioned = method.first_conditioned
        encoder, decoder = settings.dimensions
        self.interpolation = INTERPOLATIONS[settings.interpolation](settings)
        planes = self.interpolation.input_depth
        self.code = method.code()
        self.encoder = load_encoder(method, encoder, 1 if encoder == 3 else planes, planes)
        levels, channels = self.encoder.levels, settings.widths(decoder)
        self.bridges = nn.ModuleList(
            build_bridge(encoder, decoder, level, width, settings.embedding, settings.projection)
            for level, width in zip(levels, channels, strict=True)
        )
        self.decoder = Decoder(method, decoder, channels)
        outputs = 1 if decoder == 3 else self.interpolation.output_depth
        self.head = method.head(decoder, channels[0], outputs, levels[-1].channels)

    def forward(self, view_B1DHW: Tensor, task_B: Tensor) -> Tensor:
        """Predict the fluorescence of each sample's task.

        Args:
            view_B1DHW: Imaged planes, (B, 1, depth / ratio, H, W), z-scored.
            task_B: Task index of each sample, int64.

        Returns:
            (B, 1, depth, H, W), z-scored.

        Raises:
            SparseSSPError: The view does not have depth / ratio planes.
        """
        planes = self.settings.depth // self.settings.ratio
        if view_B1DHW.shape[2] != planes:
            raise SparseSSPError(
                f"the view has {view_B1DHW.shape[2]} planes; this network takes exactly {planes} "
                f"(depth {self.settings.depth} at ratio {self.settings.ratio})"
            )
        code = self.code(task_B)
        features = self._encode(view_B1DHW, code)
        return self._finish(self._decode(features, code), features, code)

    def forward_tasks(self, view_B1DHW: Tensor, tasks: Sequence[int]) -> Iterator[Tensor]:
        """Predict several tasks for the same patches; parts before the first conditioned one are computed once.

        Args:
            view_B1DHW: Imaged planes, as in `forward`.
            tasks: Task indices.

        Yields:
            The prediction of each task, as in `forward`.
        """
        features: list[Tensor] | None = None
        decoded: Tensor | None = None
        for task in tasks:
            code = self.code(torch.full(view_B1DHW.shape[:1], task, device=view_B1DHW.device))
            if features is None or self.first_conditioned == "encoder":
                features = self._encode(view_B1DHW, code)
            if decoded is None or self.first_conditioned != "head":
                decoded = self._decode(features, code)
            yield self._finish(decoded, features, code)

    def _encode(self, view_B1DHW: Tensor, code: Code) -> list[Tensor]:
        """Interpolate and encode: the features of levels 1 to 5."""
        x = self.interpolation.before(view_B1DHW)
        return self.encoder(fold(x) if self.settings.dimensions[0] == 2 else x, code)

    def _decode(self, features: list[Tensor], code: Code) -> Tensor:
        """Apply the bridges and decode: the last decoder feature."""
        return self.decoder([bridge(f) for bridge, f in zip(self.bridges, features, strict=True)], code)

    def _finish(self, decoded_BC: Tensor, features: list[Tensor], code: Code) -> Tensor:
        """Apply the head and interpolate: (B, 1, depth, H, W)."""
        y = self.head(decoded_BC, features[-1], code)
        return self.interpolation.after(y.unsqueeze(1) if self.settings.dimensions[1] == 2 else y)


class MultiNetwork(nn.Module):
    """One network for each structure (Multi-Net, section 2.1)."""

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.settings = settings
        self.networks = nn.ModuleList(Network(settings) for _ in settings.structures)

    def forward(self, view_B1DHW: Tensor, task_B: Tensor) -> Tensor:
        """Predict each sample with the network of its structure; arguments and result as in `Network.forward`."""
        output: Tensor | None = None
        for task in task_B.unique():
            chosen = task_B == task
            part = self.networks[int(task)](view_B1DHW[chosen], task_B[chosen])
            if output is None:
                output = part.new_empty(len(task_B), *part.shape[1:])
            output[chosen] = part
        assert output is not None  # a batch holds at least one sample
        return output


def merge_kernels(network: Network, task: int) -> Network:
    """Return a network for one task in which each module with a `merge` method is replaced by its merged form.

    This is the re-parameterisation of RepMode; a network of another method is returned as it is. All other weights are
    shared with the original network, which is not changed. Merged kernels do not follow later training.
    """
    if not any(hasattr(module, "merge") for module in network.modules()):
        return network
    copied = copy.deepcopy(network, {id(weight): weight for weight in network.parameters()})
    code = network.code(torch.tensor([task], device=next(network.parameters()).device))
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if hasattr(child, "merge"):
                setattr(parent, name, child.merge(code))
    return copied


def build(settings: NetworkSettings, seed: int = 0) -> Network | MultiNetwork:
    """Build the network that the settings describe, initialised from `seed`.

    Torch's global random state does not change.

    Raises:
        SparseSSPError: A method or backbone is unknown, or channels and depths do not divide.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultiNetwork(settings) if load_method(settings).per_structure else Network(settings)
