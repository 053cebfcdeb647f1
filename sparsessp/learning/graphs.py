"""Training steps that never wait for a GPU, recorded as one CUDA graph each and replayed.

The first steps run as they are, so that all memory is allocated and all kernels are compiled. Then forward pass, loss,
backward pass, clipping and Adam are recorded once; every further step copies its crops to the graph's input and starts
the graph with a single call. If the recording fails, training continues without it, and a warning on stderr says why.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

WARM_UP = 3  # steps before the recording, as torch's notes on CUDA graphs recommend
CHECK_EVERY = 16  # steps between two looks at the losses, which wait for the GPU


class Recorder(Protocol):
    """Runs a step once, or records it."""

    def run(self, step: Callable[[], None]) -> None:
        """Run a step that is not recorded."""

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Return a function that repeats the step. The step itself is not executed."""


class GraphRecorder:
    """CUDA graphs."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()

    def run(self, step: Callable[[], None]) -> None:
        """Run a step on the stream of the later recording, as torch requires."""
        self.stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self.stream):
                step()
        finally:
            torch.cuda.current_stream().wait_stream(self.stream)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record a step as a graph and return the function that starts it."""
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        pool, recorded = torch.cuda.graph_pool_handle(), False
        try:
            # Other threads, which load crops, may use the GPU in the meantime.
            with torch.cuda.graph(graph, pool, self.stream, capture_error_mode="thread_local"):
                step()
            recorded = True
        finally:
            torch.cuda.set_stream(current)  # torch leaves the other stream current if the recording fails
            if not recorded:
                _end_recording_of_memory(current.device, pool)
        return graph.replay


def _end_recording_of_memory(device: torch.device, pool: tuple[int, int]) -> None:
    """Let the allocator end a recording that failed.

    Before 2.12, torch leaves it recording (pytorch#180395), so that `empty_cache` fails from then on.
    """
    with suppress(RuntimeError):  # it has ended
        torch._C._cuda_endAllocateToPool(device.index, pool)


class DirectRecorder:
    """The same steps without a graph, on any device."""

    def run(self, step: Callable[[], None]) -> None:
        """Run a step."""
        step()

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Return the step."""
        return step


class GraphedStep:
    """An optimiser step on batches of one shape, whose loss stays on the device.

    If the loss is not stable, the weights do not change.

    Args:
        backward: Function from a batch to its loss, which also computes the gradients.
        adam: Fused optimiser of the weights.
        clip: Maximum norm of the gradient of all weights; 0: no clipping.
        largest_loss: Largest loss that is stable.
        recorder: Records the step.
    """

    def __init__(
        self,
        backward: Callable[..., Tensor],
        adam: Adam,
        clip: float,
        largest_loss: float,
        recorder: Recorder | None = None,
    ):
        self.backward, self.adam, self.clip, self.largest_loss = backward, adam, clip, largest_loss
        self.recorder = recorder or GraphRecorder()
        self.weights = [weight for group in adam.param_groups for weight in group["params"]]
        self.calls = 0
        self.failed = False
        self.replay: Callable[[], None] | None = None

    def __call__(self, *batch: Tensor) -> Tensor:
        """Take a step and return its loss, on the device."""
        if self.replay is None and self.calls >= WARM_UP and not self.failed:
            self._record(batch)
        self.calls += 1
        if self.replay is None:
            self.recorder.run(lambda: self._step(batch))
        else:
            for static, fresh in zip(self.batch, batch, strict=True):
                static.copy_(fresh, non_blocking=True)
            for static, group in zip(self.rates, self.adam.param_groups, strict=True):
                static.fill_(group["lr"])
            self.replay()
        return self.loss.clone()

    def _step(self, batch: Sequence[Tensor]) -> None:
        self.loss = self.backward(*batch)
        if self.clip:
            clip_grad_norm_(self.weights, self.clip)
        # Fused Adam skips the update where this is 1, as for gradient scaling; a comparison with nan is false.
        self.adam.found_inf = 1 - (self.loss <= self.largest_loss).float()
        self.adam.step()

    def _record(self, batch: Sequence[Tensor]) -> None:
        """Record the step; on failure, warn and go without."""
        device = self.loss.device
        self.batch = [part.clone() for part in batch]
        self.rates = [torch.zeros((), device=device) for _ in self.adam.param_groups]

        def step() -> None:
            with self._rates_on_device():
                self._step(self.batch)

        try:
            self.replay = self.recorder.record(step)
        except Exception as error:  # torch raises many types, out-of-memory among them
            self.failed = True
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            print(f"warning: training runs without a CUDA graph, which is slower ({line})", file=sys.stderr)
        if self.failed:
            # What the failed recording left is not valid; outside the except clause, the memory it holds is free.
            self.adam.zero_grad(set_to_none=True)

    @contextmanager
    def _rates_on_device(self) -> Iterator[None]:
        """Let Adam read its learning rates from the device, where each step finds new values."""
        groups = self.adam.param_groups
        before = [(group["lr"], group["capturable"]) for group in groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"], group["capturable"] = rate, rate.is_cuda
        try:
            yield
        finally:
            for group, (rate, capturable) in zip(groups, before, strict=True):
                group["lr"], group["capturable"] = rate, capturable


def read_losses(losses: Sequence[Tensor | float]) -> list[float]:
    """Return losses as numbers; the device is asked once for all."""
    return torch.stack([torch.as_tensor(loss) for loss in losses]).tolist() if losses else []
