"""Counted costs of a network (section 4.3, Table 6): parameters, multiply-accumulates and shapes."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sparsessp.config import NetworkSettings
from sparsessp.costs.operations import OperationCounter
from sparsessp.networks.convolution import every_tap
from sparsessp.networks.method import load_method
from sparsessp.networks.network import Network


def meta_network(settings: NetworkSettings) -> Network:
    """Build a network on the meta device, where its weights take no memory."""
    with torch.device("meta"):
        return Network(settings)


def parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(weight.numel() for weight in network.parameters())


_COUNTED_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def _patch(network: Network, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return a view of depth / ratio x rows x columns voxels and its task, on the network's device."""
    settings = network.settings
    device = next(network.parameters()).device
    view = torch.zeros(1, 1, settings.depth // settings.ratio, rows, columns, device=device)
    return view, torch.zeros(1, dtype=torch.int64, device=device)


class Macs(NamedTuple):
    """Multiply-accumulates of one prediction.

    Attributes:
        total: Those of convolutions, linear layers and matrix products, functional calls included; normalisation,
            activation and interpolation do not count.
        modules: Those that a module-based counter such as thop reports. Such counters see modules of torch's
            convolution and linear types only. They miss computed kernels (RepMode's mixtures, the dynamic head) and
            other layer types (the linear layers of TSNs). Published values often come from them: for DoDNet in 3D
            this count agrees with the paper's Table 6 (docs/methods.md#macs). It is wrong for networks with postfix
            interpolation, whose transposed convolutions it does not count.
    """

    total: int
    modules: int


def count_macs(network: Network, rows: int = 128, columns: int = 128) -> Macs:
    """Count the multiply-accumulates of one prediction of depth x rows x columns voxels.

    The network may be on the meta device.
    """
    modules = 0

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal modules
        # Each output element is a sum over all elements of one filter.
        modules += output.numel() * module.weight[0].numel()

    # Exactly these types: a subclass may compute something else.
    hooks = [m.register_forward_hook(count) for m in network.modules() if type(m) in _COUNTED_TYPES]
    # Operators that compute attention as one have no formula on every device.
    with OperationCounter() as counter, every_tap(), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        network(*_patch(network, rows, columns))
    for hook in hooks:
        hook.remove()
    return Macs(counter.total // 2, modules)


def macs(network: Network, rows: int = 128, columns: int = 128) -> int:
    """Return the total of `count_macs`."""
    return count_macs(network, rows, columns).total


def shapes(network: Network, rows: int = 128, columns: int = 128) -> list[tuple[str, tuple[int, ...]]]:
    """Return the name and output shape, without batch, of each part of the network for one patch, in order."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    parts: dict[str, nn.Module] = {}
    for k, bridge in enumerate(network.bridges, 1):
        if not isinstance(bridge, nn.Identity):
            parts[f"bridge {k}"] = bridge
    for k in (4, 3, 2, 1):
        parts[f"decoder {k}"] = network.decoder.blocks[k - 1]
    parts["head"] = network.head
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.append((name, tuple(out.shape[1:]))))
        for name, module in parts.items()
    ]

    def encoded(_module: nn.Module, _inputs: tuple, features: list[Tensor]) -> None:
        seen.extend((f"encoder {k}", tuple(feature.shape[1:])) for k, feature in enumerate(features, 1))
        seen.append(("encoder fusion", seen[-1][1]))

    hooks.append(network.encoder.register_forward_hook(encoded))
    view, task = _patch(network, rows, columns)
    with torch.no_grad():
        output = network(view, task)
    for hook in hooks:
        hook.remove()
    return [("view", tuple(view.shape[1:])), *seen, ("prediction", tuple(output.shape[1:]))]


def describe(settings: NetworkSettings, rows: int = 128, network: Network | None = None) -> dict[str, Any]:
    """Return the counted costs and the shapes of a network for one patch.

    Args:
        settings: Settings of the network.
        rows: Rows and columns of the patch.
        network: A network with these settings; by default one on the meta device, which takes no memory, but whose
            operators import torch._dynamo.

    Returns:
        `name`; `networks`, the number of networks with these costs each; `parameters`; `gmacs`; `patch`, its planes,
        rows and columns; `settings`; `shapes`, the `part` and `shape` of each part, in order.
    """
    network = meta_network(settings) if network is None else network
    return {
        "name": settings.name,
        "networks": len(settings.structures) if load_method(settings).per_structure else 1,
        "parameters": parameters(network),
        "gmacs": round(macs(network, rows, rows) / 1e9, 6),
        "patch": [settings.depth, rows, rows],
        "settings": settings.model_dump(),
        "shapes": [{"part": name, "shape": list(shape)} for name, shape in shapes(network, rows, rows)],
    }
