"""Alternatives of our training step, measured in one run: versions of the operations, with and without a CUDA graph.

On CUDA also the fastest of them with `torch.backends.cudnn.benchmark`, which tries the algorithms of each convolution.
"""

import gc
from collections.abc import Iterator
from functools import partial
from itertools import product
from statistics import median

import torch
from tqdm import tqdm

from benchmarks.cases import Size, make_batch, make_settings
from benchmarks.machine import Machine
from benchmarks.timing import seconds
from sparsessp.config import NetworkSettings, TrainingSettings
from sparsessp.learning.graphs import WARM_UP
from sparsessp.learning.training import optimiser, step_on, train_step
from sparsessp.networks.fused.choice import Path, forced
from sparsessp.networks.network import build

_NETWORKS = (("dodnet", "3d"), ("tgnet", "3to2d"), ("repmode", "3d"), ("repmode", "3to2d"), ("dodnet", "2d"))
_TRAINING = TrainingSettings(iterations=1)


def variants(size: Size, machine: Machine) -> Iterator[str]:
    """Yield the lines of a Markdown table; fused kernels and graphs are measured on CUDA only."""
    cuda = machine.device.type == "cuda"
    alternatives = list(product((Path.PLAIN, Path.CHANNELS_LAST), (False, True)[: 1 + cuda], (False,)))
    if cuda:
        alternatives += [(Path.FUSED, False, False), (Path.FUSED, True, False), (Path.FUSED, True, True)]
    yield "| training step, s | operations | graph | median | peak, GB |"
    yield "|---|---|---|--:|--:|"
    for (method, topology), (path, graph, tuned) in product(tqdm(_NETWORKS, "variants"), alternatives):
        settings = make_settings(method, topology, size, size.depth, machine)
        torch.backends.cudnn.benchmark = tuned
        try:
            with forced(path):
                cells = _measured(settings, size, machine, graph)
        finally:
            torch.backends.cudnn.benchmark = False
        operations = path.name.lower() + ", cudnn.benchmark" * tuned
        yield " | ".join([f"| {method} {topology}", operations, *cells]) + " |"


def _measured(settings: NetworkSettings, size: Size, machine: Machine, graph: bool) -> tuple[str, str, str]:
    """Return whether there was a graph, the median duration of a step and the peak memory on CUDA."""
    try:
        recorded, took, peak = _steps(settings, size, machine, graph)
    except torch.OutOfMemoryError:
        return "yes" if graph else "no", "out of memory", "–"
    return "yes" if recorded else "not recorded" if graph else "no", f"{took:.3g}", f"{peak / 1e9:.3g}" if peak else "–"


def _steps(settings: NetworkSettings, size: Size, machine: Machine, graph: bool) -> tuple[bool, float, int]:
    network = build(settings).to(machine.device).train()
    adam = optimiser(network, _TRAINING)
    step = partial(train_step, network, adam, micro_batch=size.batch)
    if graph:
        step = step_on(machine.device, network, adam, size.batch, 0.0)
    batch = make_batch(settings, size)
    cuda = machine.device.type == "cuda"
    seconds(partial(step, *batch))  # tries all ways of RepMode, whose memory does not count
    if cuda:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    times = [seconds(partial(step, *batch)) for _ in range(WARM_UP + 1 + size.steps)]
    recorded = graph and step.replay is not None
    return recorded, median(times[WARM_UP + 1 :]), torch.cuda.max_memory_allocated() if cuda else 0
