"""Which version of an operation runs: plain torch, plain torch in channels-last layout, or fused kernels.

CPUs use plain torch. CUDA devices keep all features channels-last and use fused kernels. A fused operation is first
compared with plain torch on a small tensor; if it differs or fails, there or later, plain torch is used for the rest of
the process, and a warning on stderr gives the reason.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from sparsessp.networks.fused.launch import FORMATS

T = TypeVar("T")


class Path(IntEnum):
    """Version of the operations, from the simplest to the fastest."""

    PLAIN = 0
    CHANNELS_LAST = 1
    FUSED = 2


_forced: Path | None = None


def path(x: Tensor) -> Path:
    """Return the version that processes this tensor. torch.compile fuses operations of plain torch itself."""
    if _forced is not None:
        return _forced
    if not x.is_cuda:
        return Path.PLAIN
    return Path.CHANNELS_LAST if torch.compiler.is_compiling() else Path.FUSED


@contextmanager
def forced(chosen: Path) -> Iterator[None]:
    """Use one version inside the block, whatever the device: for tests and benchmarks."""
    global _forced
    before, _forced = _forced, chosen
    try:
        yield
    finally:
        _forced = before


def channels_last(x_BC: Tensor) -> Tensor:
    """Return the features in channels-last layout, unless plain torch is chosen, which keeps any layout."""
    if path(x_BC) == Path.PLAIN or x_BC.dim() not in FORMATS:
        return x_BC
    return x_BC.contiguous(memory_format=FORMATS[x_BC.dim()])


def not_checkpointed() -> saved_tensors_hooks:
    """Return a context whose saved tensors activation checkpointing does not see.

    It counts the tensors that a block saves, and those of a comparison or measurement are saved in the first pass only.
    """
    return saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)


class FusedOperation:
    """A fused operation that must agree with plain torch before its first use, and is given up when it fails.

    Args:
        name: Name in the warning.
        largest_error: Function from a device to the largest difference between both versions on a small example,
            results and gradients, in float32.
    """

    def __init__(self, name: str, largest_error: Callable[[torch.device], float]):
        self.name, self.largest_error = name, largest_error
        self.usable: bool | None = None

    def __call__(self, device: torch.device, fused: Callable[[], T], plain: Callable[[], T]) -> T:
        """Return the result of `fused`, or that of `plain` if this operation has failed."""
        if self.usable is None:
            self._check(device)
        if self.usable:
            try:
                return fused()
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # the compiler and driver of a GPU raise many types
                self.give_up(error)
        return plain()

    def give_up(self, reason: object) -> None:
        """Use plain torch from now on, and say so once."""
        if self.usable is not False:
            line = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
            print(f"warning: {self.name} uses plain torch, which is slower on a GPU ({line})", file=sys.stderr)
        self.usable = False

    def _check(self, device: torch.device) -> None:
        try:
            with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
                with not_checkpointed():
                    error = self.largest_error(device)
        except Exception as problem:
            self.give_up(problem)
            return
        self.usable = True
        if not error < _TOLERANCE:
            self.give_up(f"its results differ from plain torch's by {error:.2g}")


_TOLERANCE = 1e-3


def difference(fused: Callable[..., Tensor], plain: Callable[..., Tensor], *leaves: Tensor) -> float:
    """Return the largest difference between results and gradients of two functions of the same tensors."""
    found = []
    for function in (fused, plain):
        own = [leaf.detach().clone().requires_grad_() for leaf in leaves]
        y = function(*own)
        weights = torch.linspace(-3, 3, y.numel(), device=y.device).sin().reshape(y.shape)
        found.append((y.detach(), *torch.autograd.grad((y * weights).sum(), own)))
    return max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))
