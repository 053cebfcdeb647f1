"""A straightforward implementation of the same networks, for comparison.

It is what a reader of the papers would write first, with torch's defaults. Its networks, crops and predictions equal
those of `sparsessp` (tests/test_benchmarks.py). It differs only in these points:

    mixture      RepMode's experts are written out at the size of the full kernel, once per layer and call. In
                 training, each sample of a batch has its own mixed kernel and is convolved separately. In
                 evaluation, one kernel is mixed for each batch of windows.
    layout       Contiguous images and weights; each operation is torch's own.
    precision    float32 on a CPU; on CUDA, float16 autocast with loss scaling.
    optimiser    Adam with torch's default implementation for the device.
    data         A Dataset that reads both files of a field of view for each crop, in a DataLoader with worker
                 processes, and pinned memory on CUDA.
    inference    Windows in batches of eight, with the weighted sum of all windows and the sum of the weights in
                 float32 on the device. Several structures are predicted one after the other.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn import functional as F
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset

from sparsessp.data.crops import Patch, cut, place
from sparsessp.data.samples import Sample, read_manifest
from sparsessp.data.volumes import read_volume
from sparsessp.data.windows import window_starts
from sparsessp.learning.inference import gaussian
from sparsessp.networks.fused.choice import Path as Version
from sparsessp.networks.fused.choice import forced
from sparsessp.networks.method import OneHot
from sparsessp.networks.methods.repmode import MixtureConv, TaskGroups
from sparsessp.networks.network import MultiNetwork, Network
from sparsessp.structures import structure

_WINDOWS_AT_ONCE = 8
_CONVOLVE = {2: F.conv2d, 3: F.conv3d}


class LoopedMixtureConv(nn.Module):
    """RepMode's mixture convolution with the weights of ours, sample by sample."""

    def __init__(self, mixture: MixtureConv):
        super().__init__()
        self.n, self.co, self.kernel, self.stride = mixture.n, mixture.co, mixture.kernel, mixture.stride
        self.convs, self.pools, self.gate = mixture.convs, mixture.pools, mixture.gate

    def experts(self) -> list[Tensor]:
        """Return the kernels of all experts, each (co, ci, K ...)."""
        full = [self._padded(conv) for conv in self.convs]
        for conv, size in zip(self.pools, range(3, self.kernel + 1, 2), strict=True):
            box = conv.new_full([size] * self.n, 1 / size**self.n)
            full.append(self._padded(conv * box))
        return full

    def _padded(self, kernel: Tensor) -> Tensor:
        return F.pad(kernel, [(self.kernel - kernel.shape[-1]) // 2] * (2 * self.n))

    def forward(self, x_BC: Tensor, code_BT: Tensor) -> Tensor:
        """Convolve each sample with its kernel; in evaluation, all samples with the kernel of the first."""
        experts = self.experts()
        gates_BEC = self.gate(code_BT).unflatten(1, (-1, self.co)).softmax(1)
        if not self.training:
            return self._convolve(x_BC, self._mixed(experts, gates_BEC[0]))
        samples = zip(x_BC.split(1), gates_BEC, strict=True)
        return torch.cat([self._convolve(x, self._mixed(experts, gates)) for x, gates in samples])

    def _mixed(self, experts: Sequence[Tensor], gates_EC: Tensor) -> Tensor:
        shape = (self.co, *[1] * (self.n + 1))
        return sum(gate.reshape(shape) * kernel for gate, kernel in zip(gates_EC, experts, strict=True))

    def _convolve(self, x_BC: Tensor, kernel_OI: Tensor) -> Tensor:
        return _CONVOLVE[self.n](x_BC, kernel_OI, stride=self.stride, padding=self.kernel // 2)


def convert(network: Network | MultiNetwork) -> Network | MultiNetwork:
    """Return a straightforward network with the same weights: contiguous, with looped mixtures."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, MixtureConv):
                setattr(module, name, LoopedMixtureConv(child))
            elif isinstance(child, TaskGroups):
                setattr(module, name, OneHot(child.tasks))
    for weight in network.parameters():
        # `contiguous()` would keep channels-last strides where a weight has a single channel or kernel size 1.
        weight.data = weight.data.clone(memory_format=torch.contiguous_format)
    return network


class Trainer:
    """Trains a network on its device, step by step."""

    def __init__(self, network: Network | MultiNetwork, learning_rate: float):
        self.network = network.train()
        self.device = next(network.parameters()).device
        self.optimiser = Adam(network.parameters(), lr=learning_rate)
        self.scaler = GradScaler(self.device.type, enabled=self.device.type == "cuda")

    def step(self, view: Tensor, target: Tensor, task: Tensor) -> float:
        """Move a batch to the device, take one optimiser step and return the loss."""
        view, target, task = (part.to(self.device, non_blocking=True) for part in (view, target, task))
        self.optimiser.zero_grad()
        with (
            forced(Version.PLAIN),
            torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"),
        ):
            loss = F.mse_loss(self.network(view, task).float(), target)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss.item()


@dataclass(frozen=True)
class FieldOfView:
    """Files of a field of view, and the attributes of its sample."""

    name: str
    structure: str
    view: Path
    target: Path
    channel: int
    ratio: int


class FieldCrops(Dataset):
    """Crops, each read from two files; their order and positions equal those of `sparsessp.data.crops`.

    Args:
        volumes: Folder of the prepared volumes.
        views: Folder of the sparse views.
        ratio: Sparsity ratio of the views.
        patch: Shape of a crop.
        seed: Seed of order, positions and flips.
    """

    def __init__(self, volumes: Path, views: Path, ratio: int, patch: Patch, seed: int):
        self.patch, self.seed = patch, seed
        self.fields = [
            FieldOfView(
                row["volume"],
                row["structure"],
                views / row["path"],
                volumes / row["path"],
                read_volume(volumes / row["path"]).channels.index(row["structure"]),
                ratio,
            )
            for row in read_manifest(volumes).to_dict("records")
        ]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        """Return view (1, D / r, H, W), target (1, D, H, W) and task of crop `index`, counted over all epochs."""
        epoch, position = divmod(index, len(self.fields))
        field = self.fields[np.random.default_rng([self.seed, epoch]).permutation(len(self.fields))[position]]
        view, target = tifffile.imread(field.view), tifffile.imread(field.target)[field.channel]
        task = structure(field.structure).task
        sample = Sample(field.name, field.structure, task, view, target, field.ratio, 0)
        at = place(sample, self.patch, np.random.default_rng([self.seed, epoch, position]))
        rows = self.patch.rows
        view = cut(view, at.view, (self.patch.depth // field.ratio, rows, rows), at.flips)
        target = cut(target, at.target, (self.patch.depth, rows, rows), at.flips)
        return torch.from_numpy(view.copy())[None], torch.from_numpy(target.copy())[None], task


def loader(crops: FieldCrops, batch: int, batches: int, workers: int = 2) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Return an iterator over the first batches of views, targets and tasks."""
    indices = range(batch * batches)
    return iter(DataLoader(crops, batch, sampler=indices, num_workers=workers, pin_memory=torch.cuda.is_available()))


@torch.inference_mode()
def predict(
    network: Network | MultiNetwork, view_dHW: np.ndarray, planes: int, task: int, window: int, overlap: float = 0.5
) -> np.ndarray:
    """Predict one structure of a whole volume; arguments and result as in `sparsessp.learning.inference.predict`."""
    network.eval()
    device = next(network.parameters()).device
    r, depth = network.settings.ratio, network.settings.depth
    height, width = view_dHW.shape[1:]
    sizes = (max(-(-planes // r), depth // r), max(height, window), max(width, window))
    padding = [(0, size - have) for size, have in zip(sizes, view_dHW.shape, strict=True)]
    view = torch.from_numpy(np.pad(np.asarray(view_dHW, np.float32), padding, mode="edge")).to(device)
    cut = (depth // r, window, window)
    places = list(product(*(window_starts(n, w, overlap) for n, w in zip(sizes, cut, strict=True))))
    along_z, across = gaussian(depth), gaussian(window)
    weight = torch.from_numpy(along_z[:, None, None] * across[:, None] * across).float().to(device)
    total = torch.zeros(sizes[0] * r, *sizes[1:], device=device)
    weights = torch.zeros_like(total)
    for first in range(0, len(places), _WINDOWS_AT_ONCE):
        chosen = places[first : first + _WINDOWS_AT_ONCE]
        stack = torch.stack([view[j : j + cut[0], y : y + window, x : x + window] for j, y, x in chosen])
        task_B = torch.full((len(chosen),), task, device=device)
        with forced(Version.PLAIN), torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            patches = network(stack[:, None], task_B)[:, 0].float()
        for (j, y, x), patch in zip(chosen, patches, strict=True):
            box = (slice(j * r, j * r + depth), slice(y, y + window), slice(x, x + window))
            total[box] += weight * patch
            weights[box] += weight
    return (total / weights)[:planes, :height, :width].cpu().numpy()
