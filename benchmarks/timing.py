"""Alternating time measurements of two implementations, and peak memory."""

import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from time import perf_counter
from typing import TypeVar

import torch

from sparsessp.costs.measured import peak_resident_bytes
from sparsessp.support.device import default_device

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """Medians of alternating measurements.

    Attributes:
        ours: Median of ours.
        straightforward: Median of the straightforward implementation.
        ratio: Median of the ratios straightforward / ours of consecutive measurements, which is robust to a machine
            that slows down for a while.
    """

    ours: float
    straightforward: float
    ratio: float


def alternate(ours: Callable[[], float], straightforward: Callable[[], float], turns: int) -> Pair:
    """Measure both implementations in alternation. Both must be warmed up."""
    values = [(ours(), straightforward()) for _ in range(turns)]
    return Pair(median(a for a, _ in values), median(b for _, b in values), median(b / a for a, b in values))


def seconds(function: Callable[[], object]) -> float:
    """Return the duration of one call, including the work it leaves to the device."""
    start = perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def isolated(function: Callable[..., T], *arguments: object, **variables: str) -> T:
    """Call a function without memory left by others, and return its result.

    On CUDA in this process, where starting another and compiling kernels again would take longer than the measurement;
    otherwise as `in_subprocess`.
    """
    if default_device().type != "cuda":
        return in_subprocess(function, *arguments, **variables)
    gc.collect()  # a recorded graph holds its memory until it is collected
    torch.cuda.empty_cache()
    return function(*arguments)


def in_subprocess(function: Callable[..., T], *arguments: object, **variables: str) -> T:
    """Call a function in a new process and return its result.

    Args:
        function: Function at the top level of a module.
        *arguments: Arguments, which must be picklable.
        **variables: Additional environment variables of the process.
    """
    # Spawned, not forked: a forked process starts with the memory of its parent.
    with _environment(**variables), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_with_threads, torch.get_num_threads(), function, *arguments).result()


def peak_bytes(steps: Callable[..., object], *arguments: object) -> float:
    """Call a function as `isolated` and return its peak memory in bytes.

    On CUDA, the growth of the memory allocated by torch; otherwise that of the process's resident memory. There glibc
    returns freed memory to the system at once (MALLOC_MMAP_THRESHOLD_): by default it keeps small blocks, and the
    measurement would be dominated by their fragmentation.
    """
    return isolated(_peak, steps, *arguments, MALLOC_MMAP_THRESHOLD_="500000")


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables for processes that are started inside the block."""
    before = os.environ.copy()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _with_threads(threads: int, function: Callable[..., T], *arguments: object) -> T:
    torch.set_num_threads(threads)
    return function(*arguments)


def _peak(steps: Callable[..., object], *arguments: object) -> float:
    if default_device().type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        steps(*arguments)
        return torch.cuda.max_memory_allocated() - before
    before = peak_resident_bytes()
    steps(*arguments)
    return peak_resident_bytes() - before
