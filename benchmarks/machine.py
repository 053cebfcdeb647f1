"""The machine, its peak rates, and the operations of a network."""

import os
from dataclasses import dataclass
from math import prod

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import seconds
from sparsessp.config import ArchitectureSettings, NetworkSettings
from sparsessp.costs.counted import meta_network
from sparsessp.support.device import cpu_name, default_device, precision

_GEMM = {"cpu": 2048, "cuda": 8192}
_COPIED = {"cpu": 2**26, "cuda": 2**29}  # float32 elements, far more than a cache holds
_TRIES = 5


@dataclass(frozen=True)
class Machine:
    """Measured peak rates of the machine.

    Attributes:
        device: Device of the networks.
        precision: Precision of our networks, as in `config.ArchitectureSettings`.
        arithmetic: Operations per second of a large matrix product in that precision.
        bandwidth: Bytes read and written per second by a large copy on the device.
    """

    device: torch.device
    precision: str
    arithmetic: float
    bandwidth: float


def measure(network_precision: str = "mixed") -> Machine:
    """Measure the default device for networks of this precision."""
    device = default_device()
    source = torch.zeros(_COPIED[device.type], device=device)
    target = torch.ones_like(source)
    copy = min(seconds(lambda: target.copy_(source)) for _ in range(_TRIES))
    rate = _rate(device, precision(ArchitectureSettings(precision=network_precision), device))
    return Machine(device, network_precision, rate, 2 * source.nbytes / copy)


def _rate(device: torch.device, dtype: str) -> float:
    size = _GEMM[device.type]
    a = torch.randn(size, size, device=device, dtype=getattr(torch, dtype))
    return 2 * size**3 / min(seconds(lambda: a @ a) for _ in range(_TRIES))


def description(machine: Machine) -> str:
    """Return two lines: the machine and its peak rates."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if machine.device.type == "cuda" else "no GPU"
    computed_in = precision(ArchitectureSettings(precision=machine.precision), machine.device)
    return (
        f"{cpu_name()}, {cores} cores, {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}\n"
        f"{machine.arithmetic / 1e9:.0f} GFLOP/s (matrix product, {computed_in}), "
        f"{machine.bandwidth / 1e9:.1f} GB/s (copy)"
    )


def operations(settings: NetworkSettings, rows: int) -> tuple[int, int]:
    """Return the operations of one prediction of depth x rows x rows voxels, and those of its head.

    A product of a weight and a voxel is two operations. Products with the zero padding do not count: at the lowest
    levels they are the majority.
    """
    network = meta_network(settings)
    view = torch.zeros(1, 1, settings.depth // settings.ratio, rows, rows, device="meta")
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution: _convolution})
    with counter, torch.no_grad():
        network(view, torch.zeros(1, dtype=torch.int64, device="meta"))
    return counter.get_total_flops(), sum(counter.get_flop_counts()["Network.head"].values())


def _convolution(x, weight, _bias, stride, padding, _dilation, _transposed, *_, out_shape=None) -> int:
    """Return the operations of a convolution of these shapes."""
    axes = zip(x[2:], out_shape[2:], weight[2:], stride, padding, strict=True)
    return 2 * prod(out_shape[:2]) * weight[1] * prod(taps_inside(*axis) for axis in axes)


def taps_inside(size: int, outputs: int, kernel: int, stride: int, padding: int) -> int:
    """Return the pairs of an output and a kernel tap that lie inside the image, along one axis."""
    taps = range(-padding, kernel - padding)
    return sum(0 <= stride * output + tap < size for output in range(outputs) for tap in taps)
