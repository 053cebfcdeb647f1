"""What a network costs (section 4.3, Table 6): parameters and multiply-accumulates, counted not run."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sparsessp.config import NetworkSettings
from sparsessp.networks.network import Network


def meta_network(settings: NetworkSettings) -> Network:
    """Build one network of these settings without memory for its weights."""
    with torch.device("meta"):
        return Network(settings)


def parameters(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(weight.numel() for weight in network.parameters())


def macs(network: Network, rows: int = 128, columns: int = 128) -> int:
    """Multiply-accumulates of one prediction of depth x rows x columns voxels.

    Counts convolutions, linear layers and matrix products, functional calls included; not
    normalisation, activation and interpolation. The network may stand on the meta device.
    """
    settings = network.settings
    device = next(network.parameters()).device
    view = torch.zeros(1, 1, settings.depth // settings.ratio, rows, columns, device=device)
    task = torch.zeros(1, dtype=torch.int64, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(view, task)
    return counter.get_total_flops() // 2


def shapes(network: Network, rows: int = 128, columns: int = 128) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape, without batch, of what each part of the network returns for one patch, in order."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    parts: dict[str, nn.Module] = {}
    for k, stage in enumerate(network.encoder.stages, 1):
        parts[f"encoder {k}"] = stage[-1]  # type: ignore[index]
    parts["encoder fusion"] = network.encoder.fusion_conv
    for k, crossing in enumerate(network.bridges, 1):
        if not isinstance(crossing, nn.Identity):
            parts[f"bridge {k}"] = crossing
    for k in (4, 3, 2, 1):
        parts[f"decoder {k}"] = network.decoder.blocks[k - 1]
    parts["head"] = network.head
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.append((name, tuple(out.shape[1:]))))
        for name, module in parts.items()
    ]
    settings = network.settings
    device = next(network.parameters()).device
    view = torch.zeros(1, 1, settings.depth // settings.ratio, rows, columns, device=device)
    with torch.no_grad():
        output = network(view, torch.zeros(1, dtype=torch.int64, device=device))
    for hook in hooks:
        hook.remove()
    return [("view", tuple(view.shape[1:])), *seen, ("prediction", tuple(output.shape[1:]))]
