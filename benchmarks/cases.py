"""What is measured, at which sizes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks import baseline, preparation
from benchmarks.machine import Machine, operations
from benchmarks.timing import apart, in_turns, peak_bytes, seconds
from sparsessp.config import NetworkSettings, TrainingSettings
from sparsessp.costs.counted import meta_network, parameters
from sparsessp.data.crops import Crops, Patch
from sparsessp.data.samples import load_samples, make_views, write_table
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, write_volume
from sparsessp.learning.inference import predict, starts
from sparsessp.learning.training import optimiser, train_step
from sparsessp.networks.network import build
from sparsessp.schema import MANIFEST
from sparsessp.structures import STRUCTURES
from sparsessp.support.device import default_device
from sparsessp.support.files import sha256

Batch = tuple[Tensor, Tensor, Tensor]
Step = Callable[[Tensor, Tensor, Tensor], float]
Load = Callable[[int], Iterator[Batch]]

_RATIO = 2
_TRAINING = TrainingSettings(iterations=1)


@dataclass(frozen=True)
class Size:
    """How large all things are; widths are of the first level.

    Attributes:
        width: Channels of the networks, 2D and 3D.
        depth: Planes of crops.
        rows: Rows and columns of crops.
        volume: Planes, rows and columns of a volume.
        window: Planes and rows (and columns) of windows.
        turns: Of training, and of predictions.
        steps: Of training in one turn; the first is not counted.
        batches: Of crops in one turn of the data path.
    """

    width: int
    depth: int
    rows: int
    volume: tuple[int, int, int]
    window: tuple[int, int]
    turns: tuple[int, int]
    steps: int
    batches: int
    batch: int = 8


SIZES = {
    "small": Size(8, 16, 32, (16, 80, 112), (16, 32), (1, 3), 6, 24),
    "full": Size(32, 16, 32, (32, 232, 344), (32, 128), (3, 1), 3, 24),
    "paper": Size(32, 32, 128, (32, 232, 344), (32, 128), (3, 5), 9, 48),
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What was measured.
        unit: Of the next columns; of a rate ("/s") more is better, of all others less.
        ours: Median.
        baseline: Median.
        ratio: How many times better ours is.
        floor: What the machine's peak rates allow at best; None where nothing bounds it.
    """

    name: str
    unit: str
    ours: float
    baseline: float
    ratio: float
    floor: float | None

    @property
    def reached(self) -> float | None:
        """The fraction of the floor that ours reaches."""
        if self.floor is None:
            return None
        return self.ours / self.floor if self.unit.endswith("/s") else self.floor / self.ours


def _settings(method: str, topology: str, size: Size, depth: int, machine: Machine) -> NetworkSettings:
    groups = min(16, size.width)
    widths = {"width_3d": size.width, "width_2d": size.width, "groups": groups, "embedding": 8 * size.width}
    varied = {"method": method, "topology": topology, "ratio": _RATIO, "depth": depth, "precision": machine.precision}
    return NetworkSettings(**varied, **widths)


def _batch(settings: NetworkSettings, size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of noise, all of different structures as far as there are any."""
    device = default_device()
    view = torch.randn(size.batch, 1, size.depth // settings.ratio, size.rows, size.rows, device=device)
    target = torch.randn(size.batch, 1, size.depth, size.rows, size.rows, device=device)
    return view, target, torch.arange(size.batch, device=device) % len(STRUCTURES)


def _our_step(settings: NetworkSettings, size: Size) -> Step:
    network = build(settings).to(default_device()).train()
    return partial(train_step, network, optimiser(network, _TRAINING), micro_batch=size.batch)


def _baseline_step(settings: NetworkSettings, size: Size) -> Step:
    network = baseline.straightforward(build(settings)).to(default_device())
    return baseline.Learner(network, _TRAINING.learning_rate).step


def _steps(build_step: Callable, settings: NetworkSettings, size: Size, steps: int) -> float:
    """Make steps and return the median of their seconds, without the first one's, in which Adam has no moments."""
    step = partial(build_step(settings, size), *_batch(settings, size))
    return median([seconds(step) for _ in range(steps)][1:])


def training_case(method: str, topology: str, size: Size, machine: Machine) -> list[Row]:
    """Time and peak memory of a training step on a batch of mixed tasks."""
    settings = _settings(method, topology, size, size.depth, machine)
    name = f"train step, {method} {topology}, {size.batch} x {size.depth}x{size.rows}x{size.rows}"
    weights = parameters(meta_network(settings))
    # Each alone in a process: at full width the baseline takes most of 24 GB.
    ours, theirs = (peak_bytes(_steps, step, settings, size, 2) for step in (_our_step, _baseline_step))
    # Weights, gradients and Adam's two moments are there at once.
    memory = Row(f"peak memory, {method} {topology}", "GB", ours / 1e9, theirs / 1e9, theirs / ours, 16 * weights / 1e9)
    timed = (partial(apart, _steps, step, settings, size, size.steps) for step in (_our_step, _baseline_step))
    pair = in_turns(*timed, size.turns[0])
    # Backward takes two convolutions for each one forward; Adam reads four values of a weight and writes three.
    floor = max(
        3 * size.batch * operations(settings, size.rows)[0] / machine.arithmetic, 28 * weights / machine.bandwidth
    )
    return [Row(name, "s", pair.ours, pair.baseline, pair.ratio, floor), memory]


def _write_fields(folder: Path, size: Size) -> None:
    """Write a small data set, one field of noise for each of a batch's structures, as the pipeline does."""
    rows = []
    rng = np.random.default_rng(0)
    for structure in STRUCTURES[: size.batch]:
        path = folder / "volumes" / f"{structure.key}.ome.tiff"
        voxels = rng.standard_normal((2, *size.volume), np.float32)
        write_volume(path, Volume(voxels, (TRANSMITTED_LIGHT, structure.key), (0.29, 0.29, 0.29), {"source": "noise"}))
        rows.append({"volume": structure.key, "structure": structure.key, "path": path.name, "sha256": sha256(path)})
    table = pd.DataFrame(rows)
    write_table(folder / "volumes" / MANIFEST, table)
    write_table(folder / "splits.csv", table.assign(part="train"))
    make_views(folder / "volumes", folder / "views", _RATIO, progress=False)


def data(size: Size, machine: Machine) -> list[Row]:
    """Crops per second with nothing else to do, and the part of training that waits for them."""
    patch = Patch(size.depth, size.rows, "zyx")
    settings = _settings("dodnet", "3d", size, size.depth, machine)
    with TemporaryDirectory() as name:
        volumes, views = Path(name) / "volumes", Path(name) / "views"
        _write_fields(Path(name), size)
        samples = load_samples(volumes, views, Path(name) / "splits.csv", "train")
        crops = Crops(samples, patch, 0, machine.device)
        files = baseline.FieldCrops(volumes, views, _RATIO, patch, 0)

        def ours(batches: int) -> Iterator[Batch]:
            return (crops.batch(step, size.batch) for step in range(batches))

        def theirs(batches: int) -> Iterator[Batch]:
            loaded = baseline.loader(files, size.batch, batches)
            return (tuple(part.to(machine.device) for part in batch) for batch in loaded)

        rate = in_turns(*(partial(_rate, load, size) for load in (ours, theirs)), size.turns[1])
        runs = ((ours, _our_step(settings, size)), (theirs, _baseline_step(settings, size)))
        share = in_turns(*(partial(_share, load, step, size.steps) for load, step in runs), 3)
    # Each voxel of view and target is read and written once.
    moved = 2 * 4 * size.depth * size.rows**2 * (1 + 1 / _RATIO)
    title = f"{size.depth}x{size.rows}x{size.rows} from {'x'.join(map(str, size.volume))}"
    return [
        Row(f"crops {title}", "crops/s", rate.ours, rate.baseline, 1 / rate.ratio, machine.bandwidth / moved),
        Row("wait for crops, dodnet 3d", "% of step", 100 * share.ours, 100 * share.baseline, share.ratio, None),
    ]


def _rate(load: Load, size: Size) -> float:
    """Crops per second when all that is done is to load them."""
    waited, _ = _waiting(load, lambda *_: 0.0, size.batches)
    return size.batches * size.batch / waited


def _share(load: Load, step: Step, batches: int) -> float:
    """Part of a training run that waits for batches."""
    waited, trained = _waiting(load, step, batches)
    return waited / (waited + trained)


def _waiting(load: Load, step: Step, batches: int) -> tuple[float, float]:
    """Seconds spent on getting batches and on training; the first batch, for which workers start, is not counted."""
    loaded = load(batches + 1)
    step(*next(loaded))
    waited = trained = 0.0
    for _ in range(batches):
        batch: list[Batch] = []
        waited += seconds(lambda batch=batch: batch.append(next(loaded)))
        trained += seconds(partial(step, *batch[0]))
    return waited, trained


def inference(method: str, tasks: int, size: Size, machine: Machine) -> list[Row]:
    """Prediction of one or several structures of a volume."""
    depth, window = size.window
    settings = _settings(method, "3d", size, depth, machine)
    planes, height, width = size.volume
    view = np.random.default_rng(0).standard_normal(size.volume, np.float32)[::_RATIO]
    network = build(settings).to(machine.device).eval()
    looped = baseline.straightforward(network)

    def ours(view_dHW: np.ndarray = view) -> None:
        predict(network, view_dHW, planes, 0 if tasks == 1 else range(tasks), window)

    def theirs(view_dHW: np.ndarray = view) -> None:
        for task in range(tasks):
            baseline.predict(looped, view_dHW, planes, task, window)

    corner = view[:, :window, :window]
    ours(corner)
    theirs(corner)
    pair = in_turns(partial(seconds, ours), partial(seconds, theirs), size.turns[1])
    windows = prod(
        len(starts(n, w, w // 2)) for n, w in zip((planes, height, width), (depth, window, window), strict=True)
    )
    whole, head = operations(settings, window)
    # Of several structures only the head is computed again; no case predicts several structures with RepMode.
    floor = windows * (whole + (tasks - 1) * head) / machine.arithmetic
    what = "one structure" if tasks == 1 else f"{tasks} structures"
    name = f"predict {what}, {method} 3d, {planes}x{height}x{width}"
    return [Row(name, "s", pair.ours, pair.baseline, pair.ratio, floor)]


def prepare(size: Size, machine: Machine) -> list[Row]:
    """Z-score and zoom of a recorded channel, as large as they come whatever the size; on the CPU."""
    found = preparation.row()
    return [Row(*(found[key] for key in ("name", "unit", "ours", "baseline", "ratio")), None)]


CASES: dict[str, Callable[[Size, Machine], list[Row]]] = {
    "train-repmode": partial(training_case, "repmode", "3d"),
    "train-dodnet": partial(training_case, "dodnet", "3d"),
    "train-tgnet": partial(training_case, "tgnet", "3to2d"),
    "data": data,
    "predict-repmode": partial(inference, "repmode", 1),
    "predict-dodnet": partial(inference, "dodnet", 1),
    "predict-twelve": partial(inference, "dodnet", len(STRUCTURES)),
    "prepare": prepare,
}
