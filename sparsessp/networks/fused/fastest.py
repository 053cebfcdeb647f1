"""Choice among equivalent ways to compute features: the fastest on this device, measured once for each shape."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import inf
from time import perf_counter

import torch
from torch import Tensor

from sparsessp.networks.fused.choice import not_checkpointed

Way = Callable[[Tensor], Tensor]
_TURNS = 3  # measured calls, after one that compiles kernels and allocates memory


class Fastest:
    """Remembers the fastest way for each key, for the rest of the process.

    Training measures forward and backward pass together. Nothing is measured while a CUDA graph is recorded, which
    repeats steps that ran before, or while torch.compile traces the network: then the first way is used.
    """

    def __init__(self) -> None:
        self.chosen: dict[Hashable, str] = {}

    def __call__(self, ways: Mapping[str, Way], x: Tensor, weights: Sequence[Tensor], *shape: Hashable) -> Tensor:
        """Compute the features in the fastest way.

        Args:
            ways: Functions of `x` by name; all give the same result up to rounding.
            x: Input.
            weights: Tensors that need gradients.
            *shape: What the duration depends on, apart from shape, type and device of `x`.
        """
        key = (tuple(x.shape), x.dtype, x.device, torch.is_grad_enabled(), *shape)
        if key not in self.chosen:
            if len(ways) == 1 or torch.compiler.is_compiling() or _recording(x):
                return next(iter(ways.values()))(x)
            times = {name: _seconds(way, x.detach(), weights) for name, way in ways.items()}
            self.chosen[key] = min(times, key=times.__getitem__)
        return ways[self.chosen[key]](x)


def _recording(x: Tensor) -> bool:
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


def _seconds(way: Way, x: Tensor, weights: Sequence[Tensor]) -> float:
    """Return the shortest duration of a call, with its backward pass in training; inf if memory runs out."""
    times = []
    with not_checkpointed():
        try:
            for _ in range(1 + _TURNS):
                _wait(x)
                start = perf_counter()
                _once(way, x, weights)
                _wait(x)
                times.append(perf_counter() - start)
        except torch.OutOfMemoryError:
            return inf
    return min(times[1:])


def _once(way: Way, x: Tensor, weights: Sequence[Tensor]) -> None:
    if not torch.is_grad_enabled():
        way(x)
        return
    x = x.requires_grad_()
    y = way(x)
    torch.autograd.grad(y, [x, *weights], torch.ones_like(y))


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
