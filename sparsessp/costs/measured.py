"""Measured costs of an iteration on this machine (Table 6): time and peak memory."""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch.nn import functional as F

from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.errors import SparseSSPError
from sparsessp.learning.adam import EagerAdam
from sparsessp.learning.device_scores import score_tensor
from sparsessp.learning.graphs import WARM_UP
from sparsessp.learning.inference import predict_tensor
from sparsessp.learning.training import optimiser, step_on
from sparsessp.networks.blocks import ResidualBlock
from sparsessp.networks.network import Network, merge_kernels
from sparsessp.support.device import autocast, default_device

_WARM_UP = {"cpu": 1, "cuda": WARM_UP + 2}  # on CUDA a training step is recorded as a graph first
# An iteration is repeated at least _REPEATS times and for _SECONDS, but at most _MAX_REPEATS times.
_REPEATS, _SECONDS = 3, 0.2
_MAX_REPEATS = 20
_MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """Cost of one kind of iteration.

    Attributes:
        seconds: Median duration after a warm-up.
        mib: Peak memory in MiB: weights, features and workspace, and in training gradients and Adam's moments. On
            CUDA, the memory allocated by torch. On a CPU, the growth of the resident memory of a separate process
            after torch's libraries are loaded; nan where the system does not report it.
    """

    seconds: float
    mib: float


@dataclass(frozen=True)
class Profile:
    """Costs of one network, in the precision of its settings.

    Attributes:
        inference: Forward pass of one patch, with RepMode's kernels merged beforehand.
        training: Optimiser step on one batch, without loading the crops.
    """

    inference: Cost
    training: Cost


def profile(network: NetworkSettings, training: TrainingSettings, window: int) -> Profile:
    """Measure the costs of one network on the default device.

    Args:
        network: Network to build; one network of a method that trains one per structure.
        training: Batch, patch and other settings of a step; the budget is not used.
        window: Rows and columns of the predicted patch.

    Raises:
        SparseSSPError: Memory ran out, or the system killed a measurement.
    """
    device = default_device()
    try:
        inference = _isolated(device, _inference, network, window)
        return Profile(inference, _isolated(device, _training, network, training))
    except (BrokenProcessPool, torch.OutOfMemoryError):
        raise SparseSSPError(
            f"{network.name}: the measurement was killed, probably because memory ran out; reduce batch (now "
            f"{training.batch}), patch (now {training.patch}) or window (now {window})"
        ) from None


def step_seconds(network: NetworkSettings, training: TrainingSettings, repeats: int) -> float:
    """Return the duration of a training step in seconds, on the default device and in this process.

    Args:
        network: Network to build; one network of a method that trains one per structure.
        training: Batch, patch and other settings of a step; the budget is not used.
        repeats: Fewest repetitions after the warm-up; the result is their median.
    """
    return _training(default_device(), network, training, repeats).seconds


def volume_seconds(network: NetworkSettings, inference: InferenceSettings, shape: tuple[int, int, int]) -> float:
    """Return the duration of the prediction and scoring of one volume in seconds, on the default device.

    Args:
        network: Network to build; one network of a method that trains one per structure.
        inference: Windows of the prediction.
        shape: Planes, rows and columns of the volume.
    """
    device = default_device()
    built = Network(network).to(device).eval()
    target = torch.randn(shape, device=device)
    view = target[:: network.ratio]

    def validate() -> None:
        prediction = predict_tensor(built, view, shape[0], 0, inference.window, inference.overlap)
        score_tensor(prediction, target)

    return _cost(device, validate, repeats=1, warm_up=1).seconds


def _isolated(device: torch.device, measure: Callable[..., Cost], *arguments: object) -> Cost:
    """Measure without memory left by other networks: on a CPU in a separate process."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return measure(device, *arguments)
    with ProcessPoolExecutor(1, _context()) as pool:
        return pool.submit(_in_child, torch.get_num_threads(), measure, device, *arguments).result()


def _context() -> BaseContext:
    """Return a process context whose processes have torch loaded but none of this process's memory or threads.

    They are forked from a server that has only imported this module. Processes forked from this one would hang in
    torch's thread pool if torch has computed here.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _in_child(threads: int, measure: Callable[..., Cost], device: torch.device, *arguments: object) -> Cost:
    torch.set_num_threads(threads)
    # Load torch's libraries and start its threads first: their memory does not belong to the network.
    for n, convolution in ((2, F.conv2d), (3, F.conv3d)):
        weight = torch.ones(8, 8, *[3] * n, requires_grad=True)
        convolution(torch.ones(1, 8, *[8] * n), weight, padding=1).sum().backward()
        EagerAdam([weight], fused=True).step()
    before = peak_resident_bytes()
    cost = measure(device, *arguments)
    return Cost(cost.seconds, (peak_resident_bytes() - before) / _MIB)


def peak_resident_bytes() -> float:
    """Return the peak resident memory of this process in bytes, nan where the system does not report it."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux a child inherits `ru_maxrss` from its parent, but not this value.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return float("nan")
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def _inference(device: torch.device, settings: NetworkSettings, window: int) -> Cost:
    network = Network(settings).to(device).eval()
    view = torch.zeros(1, 1, settings.depth // settings.ratio, window, window, device=device)
    task = torch.zeros(1, dtype=torch.int64, device=device)
    with torch.inference_mode(), autocast(settings, device):
        merged = merge_kernels(network, 0)
        return _cost(device, partial(merged, view, task))


def _training(
    device: torch.device, settings: NetworkSettings, training: TrainingSettings, repeats: int = _REPEATS
) -> Cost:
    network = Network(settings).to(device).train()
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.checkpointing = training.checkpointing
    adam = optimiser(network, training)
    batch, patch, depth = training.batch, training.patch, settings.depth
    view = torch.zeros(batch, 1, depth // settings.ratio, patch, patch, device=device)
    target = torch.zeros(batch, 1, depth, patch, patch, device=device)
    task = torch.arange(batch, device=device) % len(settings.structures)
    step = step_on(device, network, adam, training.crops_at_once, training.gradient_clip)
    return _cost(device, partial(step, view, target, task), repeats)


def _cost(
    device: torch.device, iteration: Callable[[], object], repeats: int = _REPEATS, warm_up: int | None = None
) -> Cost:
    """Measure the duration of an iteration and, on CUDA, its peak memory; on a CPU the memory is nan."""

    def seconds() -> float:
        start = perf_counter()
        iteration()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return perf_counter() - start

    for number in range(_WARM_UP[device.type] if warm_up is None else warm_up):
        seconds()
        if device.type == "cuda" and number == 0:  # the first also tries the ways that RepMode does not choose
            torch.cuda.reset_peak_memory_stats(device)
    times: list[float] = []
    while len(times) < _MAX_REPEATS and (len(times) < repeats or sum(times) < _SECONDS):
        times.append(seconds())
    memory = torch.cuda.max_memory_allocated(device) / _MIB if device.type == "cuda" else float("nan")
    return Cost(median(times), memory)
