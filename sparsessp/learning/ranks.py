"""Data-parallel training: several processes, called ranks, train one network, each on a GPU of its machine.

Every rank holds the whole network and computes the gradient of its share of each batch. The mean over the ranks is the
gradient of the batch, so all ranks take the same step as a single process would, up to the order of float sums. The
crops of a batch do not depend on the number of ranks, and neither does the saved state: a training may resume with
another number.

Ranks start with `torchrun` and meet in `joined`; outside it, a process is the only rank and these functions do nothing.
On CPUs the ranks communicate through gloo, on GPUs through NCCL.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sparsessp.errors import SparseSSPError
from sparsessp.support.device import default_device

_TIMEOUT = timedelta(days=1)  # the first rank may wait for a lock; torchrun notices ranks that died


def started() -> bool:
    """Return whether torchrun started this process."""
    return dist.is_torchelastic_launched()


def count() -> int:
    """Return the number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this rank, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Return whether this is the first rank, the only one that writes files and messages."""
    return rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """Connect the ranks that torchrun started, each with the GPU of its number.

    Raises:
        SparseSSPError: There are fewer GPUs than ranks.
    """
    if not started():
        yield
        return
    backend = "gloo"
    if default_device().type == "cuda":
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if int(os.environ["LOCAL_WORLD_SIZE"]) > gpus:
            raise SparseSSPError(
                f"{os.environ['LOCAL_WORLD_SIZE']} processes, but torch finds {gpus} GPUs; each process needs one"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_TIMEOUT)
    yield
    # Not after an error: NCCL would wait for the other ranks, which torchrun ends.
    dist.destroy_process_group()


@contextmanager
def held_by_first(resource: AbstractContextManager) -> Iterator[None]:
    """Hold a resource, such as a lock, in the first rank; no rank enters the block before."""
    if is_first():
        with resource:
            _wait()
            yield
    else:
        _wait()
        yield


def share(size: int) -> slice:
    """Return this rank's part of a batch, or of any sequence of this size."""
    return slice(rank() * size // count(), (rank() + 1) * size // count())


class SharedOutOfMemoryError(torch.OutOfMemoryError):
    """GPU memory ran out in at least one rank, and all ranks know it."""


@contextmanager
def failing_together() -> Iterator[None]:
    """If GPU memory runs out inside this block in one rank, raise SharedOutOfMemoryError in all ranks."""
    if count() == 1:
        yield
        return
    reason = None
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error)
    if _any(reason is not None):
        raise SharedOutOfMemoryError(reason or "out of memory on the GPU of another process")


def may_retry(error: torch.OutOfMemoryError) -> bool:
    """Return whether a step may be repeated after this error: only if every rank repeats it."""
    return count() == 1 or isinstance(error, SharedOutOfMemoryError)


def _wait() -> None:
    """Wait until every rank is here."""
    if count() > 1:
        _any(False)


def _any(flag: bool) -> bool:
    """Return whether the flag is true in any rank. It is on the CPU, so no rank waits for its GPU."""
    found = torch.tensor(float(flag))
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return bool(found)


def average_gradients(weights: Iterable[Tensor], loss: Tensor, crops: int) -> Tensor:
    """Replace each rank's gradients by their mean over all crops of the batch.

    Args:
        weights: Weights, whose gradients are of the mean loss of this rank's crops. All ranks have the same weights
            without a gradient.
        loss: Mean loss of this rank's crops.
        crops: Number of this rank's crops.

    Returns:
        The mean loss of the batch.
    """
    if count() == 1:
        return loss
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    ends = torch.stack([loss, torch.ones_like(loss)])
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), ends])
    flat *= crops
    dist.all_reduce(flat)
    flat /= flat[-1].clone()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients] + [2]), strict=False):
        gradient.copy_(mean.view_as(gradient))
    return flat[-2]


def average_statistics(network: nn.Module) -> None:
    """Replace the running statistics of batch norms by their mean over the ranks, each of which saw other crops."""
    if count() > 1:
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]
        for statistic in (s for norm in norms for s in (norm.running_mean, norm.running_var) if s is not None):
            dist.all_reduce(statistic)
            statistic /= count()


def collected(values: Sequence[float], total: int) -> list[float]:
    """Return the values of all ranks, where each rank has those of its `share` of `total` items."""
    if count() == 1:
        return list(values)
    found = torch.zeros(total, dtype=torch.float64)
    found[share(total)] = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(found)
    return found.tolist()
