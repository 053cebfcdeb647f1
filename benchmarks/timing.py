"""Two ways of doing one thing, measured in turns, and the memory that each takes at its highest."""

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

from sparsessp.costs.measured import highest_resident

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """Medians of what was measured in turns.

    Attributes:
        ours: Of our values.
        baseline: Of the baseline's.
        ratio: Of the ratios baseline / ours of neighbours in time, which a machine that slows down for a
            while leaves alone.
    """

    ours: float
    baseline: float
    ratio: float


def in_turns(ours: Callable[[], float], baseline: Callable[[], float], turns: int) -> Pair:
    """Measure A B A B ...; what needs warming up has been called before."""
    values = [(ours(), baseline()) for _ in range(turns)]
    return Pair(median(a for a, _ in values), median(b for _, b in values), median(b / a for a, b in values))


def seconds(function: Callable[[], object]) -> float:
    """Time one call, until the device has done all of it."""
    start = perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def apart(function: Callable[..., T], *arguments: object, **variables: str) -> T:
    """Call a function in a process of its own, which holds nothing else, and return what it returns.

    Args:
        function: At the top level of a module.
        *arguments: Its arguments, which can be pickled.
        **variables: Of the process's environment, beside those of this one.
    """
    # Spawned, not forked: a fork starts with the memory of its parent.
    with _environment(**variables), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_with_threads, torch.get_num_threads(), function, *arguments).result()


def peak_bytes(steps: Callable[..., object], *arguments: object) -> float:
    """Call a function in a process of its own and return the most memory it held at once.

    On CUDA what torch allocated there; else the process's resident memory beyond what it held before.
    glibc is told to give freed memory back at once, as it else does with large blocks only: otherwise
    this would measure its fragmentation, which alone is more than twice what the baseline of RepMode holds.
    """
    return apart(_peak, steps, *arguments, MALLOC_MMAP_THRESHOLD_="500000")


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Let processes started inside the block see these environment variables."""
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
    if torch.cuda.is_available():
        steps(*arguments)
        return torch.cuda.max_memory_allocated()
    before = highest_resident()
    steps(*arguments)
    return highest_resident() - before
