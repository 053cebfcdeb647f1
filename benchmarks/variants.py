"""Alternatives of our training step, measured in one run: versions of the operations, with and without a CUDA graph."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from statistics import median

import torch
from tqdm import tqdm

from benchmarks.cases import Size, make_batch, make_settings
from benchmarks.machine import Machine
from benchmarks.timing import seconds
from sparsessp.config import TrainingSettings
from sparsessp.learning.graphs import WARM_UP
from sparsessp.learning.training import optimiser, step_on, train_step
from sparsessp.networks.fused.choice import Path, forced
from sparsessp.networks.network import build

_NETWORKS = (("dodnet", "3d"), ("tgnet", "3to2d"), ("repmode", "3d"), ("repmode", "3to2d"), ("dodnet", "2d"))
_TRAINING = TrainingSettings(iterations=1)


def variants(size: Size, machine: Machine) -> Iterator[str]:
    """Yield the lines of a Markdown table; fused kernels and graphs are measured on CUDA only."""
    cuda = machine.device.type == "cuda"
    paths = list(Path) if cuda else [Path.PLAIN, Path.CHANNELS_LAST]
    yield "| training step, s | operations | graph | median | peak, GB |"
    yield "|---|---|---|--:|--:|"
    for (method, topology), path, graph in product(tqdm(_NETWORKS, "variants"), paths, (False, True)[: 1 + cuda]):
        settings = make_settings(method, topology, size, size.depth, machine)
        with forced(path):
            took, peak = _measured(settings, size, machine, graph)
        memory = f"{peak / 1e9:.3g}" if cuda else "–"
        yield f"| {method} {topology} | {path.name.lower()} | {'yes' if graph else 'no'} | {took:.3g} | {memory} |"


def _measured(settings, size: Size, machine: Machine, graph: bool) -> tuple[float, int]:
    """Return the median duration of a step and the peak memory on CUDA."""
    network = build(settings).to(machine.device).train()
    adam = optimiser(network, _TRAINING)
    step = partial(train_step, network, adam, micro_batch=size.batch)
    if graph:
        step = step_on(machine.device, network, adam, size.batch, 0.0)
    batch = make_batch(settings, size)
    cuda = machine.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    times = [seconds(partial(step, *batch)) for _ in range(WARM_UP + 2 + size.steps)]
    return median(times[WARM_UP + 2 :]), torch.cuda.max_memory_allocated() if cuda else 0
