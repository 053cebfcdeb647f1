"""The training loop (section 4.1): Adam on the mean squared error of random patches.

A run is a pure function of its settings and samples. At every validation its full state is saved in a scratch folder. A
run that is started again with this folder resumes from there and, on a CPU, ends with the same bits.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from sparsessp.config import UNTRAINED, InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.data.crops import Crops, Patch
from sparsessp.data.samples import Sample, tasks_of
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints, ranks
from sparsessp.learning.adam import EagerAdam
from sparsessp.learning.graphs import CHECK_EVERY, GraphedStep, read_losses
from sparsessp.learning.validation import Validation, windows
from sparsessp.networks.blocks import ResidualBlock
from sparsessp.networks.network import MultiNetwork, Network, build
from sparsessp.schema import HISTORY_COLUMNS
from sparsessp.support.device import autocast, default_device

# The targets have variance 1, so training with a larger loss has diverged.
_DIVERGED = 1e6


class Trained(NamedTuple):
    """A finished run.

    Attributes:
        model: Network with its best weights by validation error, on the CPU.
        history: One row per validation, columns `HISTORY_COLUMNS`.
        seconds: Time of training and validation over all restarts, without work lost to a kill.
    """

    model: Network | MultiNetwork
    history: pd.DataFrame
    seconds: float


def train(
    network: NetworkSettings,
    training: TrainingSettings,
    inference: InferenceSettings,
    train_samples: Sequence[Sample],
    validation_samples: Sequence[Sample],
    scratch: Path,
    progress: bool = True,
    start: Mapping[str, Tensor] | None = None,
) -> Trained:
    """Train a network and return it with its best weights by validation error.

    A method with one network per structure (Multi-Net) trains them one after the other, each on the volumes of its
    structure. Iterations are divided evenly among the networks; epochs apply to each network.

    Args:
        network: Settings of the network.
        training: Settings of the training.
        inference: Windows of the prediction of validation volumes, unless `training.validate_overlap` changes them.
        train_samples: Volumes from which crops are taken.
        validation_samples: Volumes by which the best weights are selected.
        scratch: Folder for the state of the unfinished run; no other run may use it.
        progress: Whether to show a progress bar.
        start: Weights to start from, by name; by default they are drawn from the seed.

    Returns:
        The network, its history and its training time.

    Raises:
        SparseSSPError: Training diverged, or a network has no training or validation volumes.
    """
    model = build(network, network.seed)
    if start is not None:
        model.load_state_dict(start)
    elif network.weights != UNTRAINED:
        for part in [model] if isinstance(model, Network) else model.networks:
            part.encoder.backbone.load(network.weights)
    if isinstance(model, Network):
        samples = (train_samples, validation_samples)
        run = _Run(model, training, inference, *samples, scratch / "state.pt", "all", progress)
        return Trained(model, *run.finish())
    present = [network.structures[task] for task in tasks_of(train_samples)]
    share = training
    if training.iterations is not None:
        share = training.model_copy(update={"iterations": math.ceil(training.iterations / len(present))})
    histories, seconds = [], 0.0
    for structure in present:
        own, judge = (
            [sample for sample in samples if sample.structure == structure]
            for samples in (train_samples, validation_samples)
        )
        state, part = scratch / f"{structure}.pt", model.networks[network.structures.index(structure)]
        # No variable keeps the run: what it holds on the device must be free before the next one starts.
        history, took = _Run(part, share, inference, own, judge, state, structure, progress).finish()
        histories.append(history)
        seconds += took
    return Trained(model, pd.concat(histories, ignore_index=True), seconds)


def _scheduler(optimiser: Adam, schedule: str, steps: int) -> LRScheduler:
    """Return the paper's constant schedule, or a one-cycle schedule, which converges faster in few steps."""
    if schedule == "constant":
        return lr_scheduler.ConstantLR(optimiser, factor=1.0)
    top = optimiser.param_groups[0]["lr"]
    return lr_scheduler.OneCycleLR(optimiser, top, total_steps=steps + 1, cycle_momentum=False)


def optimiser(network: Network, training: TrainingSettings) -> Adam:
    """Return Adam for the weights of the network, which one fused operation updates."""
    return EagerAdam(network.parameters(), lr=training.learning_rate, betas=(0.9, training.beta2), fused=True)


def train_step(
    network: nn.Module, adam: Adam, view: Tensor, target: Tensor, task: Tensor, micro_batch: int, clip: float = 0.0
) -> float:
    """Take one optimiser step on the mean squared error of a batch.

    The precision is that of the network's settings. If the loss is not stable (`is_stable`), no weight changes.

    Args:
        network: A `Network`, compiled or not, in training mode, on the device of the batch.
        adam: Its optimiser.
        view: (B, 1, depth / ratio, H, W).
        target: (B, 1, depth, H, W).
        task: (B,).
        micro_batch: Samples per forward and backward pass; the gradients of the passes are summed.
        clip: Maximum norm of the gradient of all weights; 0: no clipping.

    Returns:
        The loss of the whole batch.
    """
    value = backward(network, adam, view, target, task, micro_batch).item()
    if is_stable(value):
        if clip:
            clip_grad_norm_(network.parameters(), clip)
        adam.step()
    return value


def backward(network: nn.Module, adam: Adam, view: Tensor, target: Tensor, task: Tensor, micro_batch: int) -> Tensor:
    """Compute the loss of a batch and the gradients of all weights; arguments as in `train_step`.

    With several ranks, each has a share of the batch; loss and gradients are those of the whole batch.
    """
    adam.zero_grad(set_to_none=True)
    total = torch.zeros((), device=view.device)
    with ranks.failing_together():
        for parts in zip(*(batch.split(micro_batch) for batch in (view, target, task)), strict=True):
            part_view, part_target, part_task = parts
            with autocast(network.settings, view.device):
                prediction = network(part_view, part_task)
            loss = F.mse_loss(prediction.float(), part_target) * (len(part_task) / len(task))
            loss.backward()
            total += loss.detach()
    return ranks.average_gradients(network.parameters(), total, len(task))


def step_on(
    device: torch.device, network: nn.Module, adam: Adam, micro_batch: int, clip: float
) -> Callable[[Tensor, Tensor, Tensor], Tensor | float]:
    """Return the fastest optimiser step for a device: a function from view, target and task to the loss.

    There is no CUDA graph for compiled networks, which do not need one, and for several ranks, which communicate on the
    host in each step.
    """
    if device.type == "cuda" and isinstance(network, Network) and ranks.count() == 1:
        return GraphedStep(partial(backward, network, adam, micro_batch=micro_batch), adam, clip, _DIVERGED)
    return partial(train_step, network, adam, micro_batch=micro_batch, clip=clip)


def is_stable(loss: float) -> bool:
    """Return whether a loss is finite and small enough for training to continue."""
    return math.isfinite(loss) and loss <= _DIVERGED


def _compile_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of torch.compile if it was used; importing them takes as long as importing torch."""
    module = sys.modules.get("torch._dynamo.exc")
    return (module.TorchDynamoException,) if module else ()


class _Run:
    """The training of one network."""

    def __init__(
        self,
        network: Network,
        training: TrainingSettings,
        inference: InferenceSettings,
        train_samples: Sequence[Sample],
        validation_samples: Sequence[Sample],
        state: Path,
        label: str,
        progress: bool,
    ):
        if not train_samples or not validation_samples:
            empty = "training" if not train_samples else "validation"
            raise SparseSSPError(f"{label}: there is no {empty} volume")
        if training.batch < ranks.count():
            raise SparseSSPError(f"{label}: batch {training.batch} for {ranks.count()} processes; each needs a crop")
        self.network, self.training = network, training
        self.state, self.label = state, label
        self.train_samples = train_samples
        self.validation = Validation(validation_samples, windows(training, inference))
        self.progress = progress and ranks.is_first()
        self.device = default_device()
        self.network.to(self.device)
        for module in network.modules():
            if isinstance(module, ResidualBlock):
                module.checkpointing = training.checkpointing
        self.optimiser = optimiser(network, training)
        overlap = inference.overlap if training.crop_z == "windows" else None
        patch = Patch(network.settings.depth, training.patch, training.flip, overlap)
        dtype = getattr(torch, training.voxel_dtype)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # crops look for free memory, of which the network trained before may hold some
        self.crops = Crops(train_samples, patch, network.settings.seed, self.device, share=ranks.share, dtype=dtype)
        per_epoch = len(train_samples) / training.batch
        self.budget = training.iterations or math.ceil((training.epochs or 0) * per_epoch)
        self.interval = max(1, round(training.validate_every * per_epoch))
        self.scheduler = _scheduler(self.optimiser, training.schedule, self.budget)
        self.done = self.saved = 0
        self.history: list[dict[str, Any]] = []
        self.best_mse = math.inf
        self.best: dict[str, Tensor] = {}
        self.losses: list[float] = []
        self.micro_batch = min(training.crops_at_once, math.ceil(training.batch / ranks.count()))
        self.stepped: nn.Module = torch.compile(self.network) if training.compile else self.network
        self.step: Callable[[Tensor, Tensor, Tensor], Tensor | float] | None = None
        self.unread: list[Tensor | float] = []
        self.seconds = 0.0
        self.since = perf_counter()

    def finish(self) -> tuple[pd.DataFrame, float]:
        """Train to the end of the budget and load the best weights; returns the history and the duration in seconds."""
        self._resume()
        bar = tqdm(
            total=self.budget,
            initial=self.done,
            desc=f"{self.network.settings.name} {self.label}",
            unit="it",
            disable=not self.progress,
        )
        with bar:
            while self.done < self.budget:
                self._step()
                bar.update()
                if self.losses:
                    bar.set_postfix(loss=f"{np.mean(self.losses[-20:]):.3f}", best=f"{self.best_mse:.3f}")
                if self.done % self.interval == 0 or self.done == self.budget:
                    self._read_losses()
                    self._validate()
                    self._save()
        self._spent()
        self.step = None  # a graph holds the memory of a whole step
        self.optimiser.zero_grad(set_to_none=True)  # gradients would move to the CPU with the network
        self.network.load_state_dict(self.best)
        self.network.cpu().eval()
        return pd.DataFrame(self.history, columns=list(HISTORY_COLUMNS)), self.seconds

    def _step(self) -> float | Tensor:
        self.network.train()
        loss = self._take_step(*self.crops.batch(self.done, self.training.batch))
        self.unread.append(loss)
        self.done += 1
        if isinstance(loss, float) or len(self.unread) == CHECK_EVERY:
            self._read_losses()
        self.scheduler.step()
        return loss

    def _read_losses(self) -> None:
        """Collect the losses of the last steps; stop the run if one is not stable."""
        batch, first = self.training.batch, self.done - len(self.unread)
        for step, value in enumerate(read_losses(self.unread), start=first):
            if not is_stable(value):
                volumes = dict.fromkeys(sample.volume for sample in self.crops.chosen(step, batch))
                raise self._stopped(f"the loss is {value:g} at iteration {step + 1}, on crops of {', '.join(volumes)}")
            self.losses.append(value)
        self.unread = []

    def _take_step(self, view: Tensor, target: Tensor, task: Tensor) -> float | Tensor:
        """Take one step; if GPU memory runs out and the settings allow it, halve the micro-batch and repeat."""
        while True:
            try:
                if self.step is None:
                    clip = self.training.gradient_clip
                    self.step = step_on(self.device, self.stepped, self.optimiser, self.micro_batch, clip)
                return self.step(view, target, task)
            except _compile_errors() as error:
                self._say(f": torch.compile failed, continuing without it ({str(error).strip().splitlines()[0]})")
                self.stepped, self.step = self.network, None
                continue
            except torch.OutOfMemoryError as error:
                if self.training.micro_batch != "auto" or self.micro_batch == 1 or not ranks.may_retry(error):
                    raise self._too_large(error) from None
            # Outside the except clause, because its traceback keeps the tensors in memory.
            self.step = None
            self.optimiser.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            self.micro_batch = math.ceil(self.micro_batch / 2)
            self._say(
                f": out of GPU memory; continuing with micro_batch {self.micro_batch}, "
                f"the batch stays {self.training.batch}"
            )

    def _say(self, text: str) -> None:
        """Print a line that starts with the name of the run, above the progress bar."""
        if ranks.is_first():
            tqdm.write(f"{self.network.settings.name}{text}", file=sys.stderr)

    def _too_large(self, error: torch.OutOfMemoryError) -> SparseSSPError:
        settings = self.training
        ways = ["set micro_batch to auto or below"] if settings.micro_batch not in ("auto", 1) else []
        ways += [] if settings.checkpointing else ["set checkpointing to true"]
        ways += [f"lower patch (now {settings.patch})"]
        return SparseSSPError(
            f"{self.network.settings.name}: out of GPU memory at iteration {self.done + 1} with micro_batch "
            f"{self.micro_batch}; {' or '.join(ways)} in the scale's training section ({str(error).splitlines()[0]})"
        )

    def _stopped(self, reason: str) -> SparseSSPError:
        settings = self.training
        kept = (
            f"the state of iteration {self.saved} is kept in {self.state}" if self.saved else "no state was saved yet"
        )
        return SparseSSPError(
            f"{self.network.settings.name}, {self.label}: {reason}; the data are finite, so lower learning_rate (now "
            f"{settings.learning_rate:g}) or set gradient_clip (now {settings.gradient_clip:g}) in the scale's "
            f"training section; {kept}"
        )

    def _validate(self) -> None:
        """Score whole validation volumes and keep the best weights (section 4.1)."""
        ranks.average_statistics(self.network)
        self.network.eval()
        mse = float(np.mean(self.validation.errors(self.network)))
        if not math.isfinite(mse):
            raise self._stopped(f"the validation error is {mse:g} after iteration {self.done}")
        row = (
            self.label,
            self.done,
            round(self.done * self.training.batch / len(self.train_samples), 3),
            float(np.mean(self.losses)),
            mse,
        )
        self.history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
        self.losses = []
        if mse < self.best_mse or not self.best:
            self.best_mse = mse
            self.best = {key: value.detach().cpu().clone() for key, value in self.network.state_dict().items()}

    def _save(self) -> None:
        """Save everything that the rest of the run depends on; crops depend on the step number only."""
        content = {
            "done": self.done,
            "seconds": self._spent(),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "history": self.history,
            "best_mse": self.best_mse,
            "best": self.best,
        }
        if ranks.is_first():
            checkpoints.save_state(self.state, content)
        self.saved = self.done

    def _spent(self) -> float:
        """Add the time since the last call and return the total."""
        now = perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now
        return self.seconds

    def _resume(self) -> None:
        content = checkpoints.load_state(self.state)
        if content is None:
            return
        self.network.load_state_dict(content["network"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.scheduler.load_state_dict(content["scheduler"])
        self.done, self.history, self.seconds = content["done"], content["history"], content["seconds"]
        self.best_mse, self.best = content["best_mse"], content["best"]
        self.saved = self.done
        if self.progress:
            self._say(f" {self.label}: resuming from iteration {self.done}")
