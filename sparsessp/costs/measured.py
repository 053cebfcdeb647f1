"""What an iteration takes on this machine (Table 6): its time and its highest memory, measured."""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch.nn import functional as F
from torch.optim import Adam

from sparsessp.config import NetworkSettings, TrainingSettings
from sparsessp.errors import SparseSSPError
from sparsessp.learning.training import optimiser, train_step
from sparsessp.networks.blocks import ResidualBlock
from sparsessp.networks.network import Network, merge_kernels
from sparsessp.structures import STRUCTURES
from sparsessp.support.device import autocast, default_device

_WARM_UP = {"cpu": 1, "cuda": 3}
# An iteration is repeated until both are reached, but no more often than _MOST.
_LEAST, _SECONDS = 3, 0.2
_MOST = 20
_MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """Of one kind of iteration.

    Attributes:
        seconds: Median over several iterations, after others that are not counted.
        mib: Most memory taken at once, in MiB. On CUDA what torch allocated on the device. On a CPU by how
            much the resident memory of a process that does nothing else rose above what it was with torch
            at work on next to nothing; nan where the system does not say. Both hold weights, features and
            workspace, and in training gradients and Adam's moments.
    """

    seconds: float
    mib: float


@dataclass(frozen=True)
class Profile:
    """Of one network.

    Attributes:
        inference: Of a forward pass of one patch, as whole volumes are predicted: RepMode's kernels are
            merged before. In the network's own precision.
        training: Of an optimiser step on one batch, the crops being there.
    """

    inference: Cost
    training: Cost


def profile(network: NetworkSettings, training: TrainingSettings, window: int) -> Profile:
    """Measure one network on the default device.

    Args:
        network: What to build; of a method with a network per structure, one of them.
        training: Batch, patch and all else that a step depends on; its budget is not looked at.
        window: Rows and columns of the patch that is predicted.

    Raises:
        SparseSSPError: Memory ran out, or the system ended a measurement, as it then does.
    """
    device = default_device()
    try:
        return Profile(_alone(device, _inference, network, window), _alone(device, _training, network, training))
    except (BrokenProcessPool, torch.OutOfMemoryError):
        raise SparseSSPError(
            f"{network.name}: the measurement was ended, as happens when memory runs out; a smaller batch (now "
            f"{training.batch}), patch (now {training.patch}) or window (now {window}) needs less"
        ) from None


def _alone(device: torch.device, measure: Callable[..., Cost], *arguments: object) -> Cost:
    """Measure where no other network has left memory behind: on a CPU in a process of its own."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return measure(device, *arguments)
    with ProcessPoolExecutor(1, _context()) as pool:
        return pool.submit(_in_child, torch.get_num_threads(), measure, device, *arguments).result()


def _context() -> BaseContext:
    """Start of processes that have torch, but nothing of their parent's memory or threads.

    They are forked off a server that has done nothing but import this module, once for all; forked off
    this process, in which torch may have computed, they would hang in its thread pool.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    # An optimiser's first step imports torch._dynamo, which takes as long as torch itself.
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    return context


def _in_child(threads: int, measure: Callable[..., Cost], device: torch.device, *arguments: object) -> Cost:
    torch.set_num_threads(threads)
    # The pages and threads of torch's own libraries belong to no network.
    for n, convolution in ((2, F.conv2d), (3, F.conv3d)):
        weight = torch.ones(8, 8, *[3] * n, requires_grad=True)
        convolution(torch.ones(1, 8, *[8] * n), weight, padding=1).sum().backward()
        Adam([weight], fused=True).step()
    before = highest_resident()
    cost = measure(device, *arguments)
    return Cost(cost.seconds, (highest_resident() - before) / _MIB)


def highest_resident() -> float:
    """Bytes of resident memory at this process's highest, nan where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux hands `ru_maxrss` down from parent to child; this one starts anew.
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
        once = merge_kernels(network, 0)
        return _cost(device, lambda: once(view, task))


def step_seconds(settings: NetworkSettings, training: TrainingSettings, repeats: int) -> float:
    """Return the seconds of one training step on the default device, in this process.

    Args:
        settings: Of the network.
        training: Batch and patch of the step.
        repeats: Fewest repetitions, of which the median is taken after a warm-up.
    """
    return _training(default_device(), settings, training, repeats).seconds


def _training(
    device: torch.device, settings: NetworkSettings, training: TrainingSettings, repeats: int = _LEAST
) -> Cost:
    network = Network(settings).to(device).train()
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.checkpointing = training.checkpointing
    adam = optimiser(network, training)
    batch, patch, depth = training.batch, training.patch, settings.depth
    view = torch.zeros(batch, 1, depth // settings.ratio, patch, patch, device=device)
    target = torch.zeros(batch, 1, depth, patch, patch, device=device)
    task = torch.arange(batch, device=device) % len(STRUCTURES)
    micro_batch = min(training.crops_at_once, batch)
    return _cost(device, lambda: train_step(network, adam, view, target, task, micro_batch), repeats)


def _cost(device: torch.device, iteration: Callable[[], object], repeats: int = _LEAST) -> Cost:
    """Time the iteration; its memory on CUDA, nan on a CPU, where it is the process's."""

    def seconds() -> float:
        start = perf_counter()
        iteration()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return perf_counter() - start

    for _ in range(_WARM_UP[device.type]):
        seconds()
    times: list[float] = []
    while len(times) < _MOST and (len(times) < repeats or sum(times) < _SECONDS):
        times.append(seconds())
    memory = torch.cuda.max_memory_allocated(device) / _MIB if device.type == "cuda" else float("nan")
    return Cost(median(times), memory)
