"""Cases to measure, and their sizes."""

from collections.abc import Callable, Iterator, Sequence
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

from benchmarks import preparation, straightforward
from benchmarks.machine import Machine, operations
from benchmarks.timing import Pair, alternate, isolated, peak_bytes, seconds
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.costs.counted import meta_network, parameters
from sparsessp.data.crops import Crops, Patch
from sparsessp.data.samples import Sample, load_samples, make_views, write_table
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, write_volume
from sparsessp.data.windows import window_starts
from sparsessp.learning.graphs import WARM_UP
from sparsessp.learning.inference import predict
from sparsessp.learning.metrics import score
from sparsessp.learning.training import optimiser, step_on, train
from sparsessp.learning.validation import Validation
from sparsessp.networks.network import MultiNetwork, Network, build
from sparsessp.schema import MANIFEST
from sparsessp.structures import STRUCTURES
from sparsessp.support.device import default_device
from sparsessp.support.files import sha256

Batch = tuple[Tensor, Tensor, Tensor]
Step = Callable[[Tensor, Tensor, Tensor], Tensor | float]
Load = Callable[[int], Iterator[Batch]]

_RATIO = 2
_TRAINING = TrainingSettings(iterations=1)
# Steps before the measured ones: Adam allocates its moments, and on CUDA a graph is recorded.
_WARM_UP = {"cpu": 1, "cuda": WARM_UP + 2}


@dataclass(frozen=True)
class Size:
    """Size of a benchmark.

    Attributes:
        width: Channels of the first level, in 2D and 3D.
        depth: Planes of crops.
        rows: Rows and columns of crops.
        volume: Planes, rows and columns of a volume.
        window: Planes of windows, and their rows and columns.
        turns: Repetitions of training, and of prediction.
        steps: Measured training steps in one repetition, after a warm-up.
        batches: Batches of crops in one repetition of data loading.
        batch: Crops per batch.
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
    "small": Size(8, 16, 32, (16, 80, 112), (16, 32), (1, 3), 5, 24),
    "full": Size(32, 16, 32, (32, 232, 344), (32, 128), (3, 1), 2, 24),
    "paper": Size(32, 32, 128, (32, 232, 344), (32, 128), (2, 3), 8, 16),
}


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: Name of the measurement.
        unit: Unit of the values. More is better for rates ("/s"), less for all others.
        ours: Median of ours.
        straightforward: Median of the straightforward implementation.
        ratio: Factor by which ours is better.
        bound: Best value that the peak rates of the machine allow; None where there is none.
    """

    name: str
    unit: str
    ours: float
    straightforward: float
    ratio: float
    bound: float | None

    @property
    def of_bound(self) -> float | None:
        """Fraction of the bound that ours reaches."""
        if self.bound is None:
            return None
        return self.ours / self.bound if self.unit.endswith("/s") else self.bound / self.ours


def make_settings(method: str, topology: str, size: Size, depth: int, machine: Machine) -> NetworkSettings:
    """Return the settings of a network of this size."""
    groups = min(16, size.width)
    widths = {"width_3d": size.width, "width_2d": size.width, "groups": groups, "embedding": 8 * size.width}
    varied = {"method": method, "topology": topology, "ratio": _RATIO, "depth": depth, "precision": machine.precision}
    return NetworkSettings(**varied, **widths)


def make_batch(settings: NetworkSettings, size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch of noise, each sample with a different task."""
    device = default_device()
    view = torch.randn(size.batch, 1, size.depth // settings.ratio, size.rows, size.rows, device=device)
    target = torch.randn(size.batch, 1, size.depth, size.rows, size.rows, device=device)
    return view, target, torch.arange(size.batch, device=device) % len(STRUCTURES)


def _our_step(settings: NetworkSettings, size: Size) -> Step:
    device = default_device()
    network = build(settings).to(device).train()
    return step_on(device, network, optimiser(network, _TRAINING), size.batch, 0.0)


def _straightforward_step(settings: NetworkSettings, size: Size) -> Step:
    network = straightforward.convert(build(settings)).to(default_device())
    return straightforward.Trainer(network, _TRAINING.learning_rate).step


def _steps(build_step: Callable, settings: NetworkSettings, size: Size, steps: int) -> float:
    """Return the median duration of training steps after a warm-up.

    On CUDA, peak memory counts from the second step: the first also tries the ways that RepMode does not choose.
    """
    step = partial(build_step(settings, size), *make_batch(settings, size))
    first, device = seconds(step), default_device()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = [first, *(seconds(step) for _ in range(_WARM_UP[device.type] - 1 + steps))]
    return median(times[_WARM_UP[device.type] :])


def _timed_and_peaks(settings: NetworkSettings, size: Size) -> tuple[Pair, list[float]]:
    """Return the duration of a training step, ours and straightforward, and the peak memory of each in bytes."""
    implementations = (_our_step, _straightforward_step)
    if default_device().type != "cuda":  # there, peak memory is measured with other settings of malloc
        peaks = [peak_bytes(_steps, step, settings, size, 1) for step in implementations]
        timed = (partial(isolated, _steps, step, settings, size, size.steps) for step in implementations)
        return alternate(*timed, size.turns[0]), peaks
    found: dict[Callable, float] = {}

    def measured(step: Callable) -> float:
        times: list[float] = []
        found[step] = peak_bytes(lambda: times.append(_steps(step, settings, size, size.steps)))
        return times[0]

    pair = alternate(*(partial(measured, step) for step in implementations), size.turns[0])
    return pair, [found[step] for step in implementations]


def training_case(method: str, topology: str, size: Size, machine: Machine) -> list[Row]:
    """Time and peak memory of a training step on a batch of mixed tasks."""
    settings = make_settings(method, topology, size, size.depth, machine)
    name = f"train step, {method} {topology}, {size.batch} x {size.depth}x{size.rows}x{size.rows}"
    weights = parameters(meta_network(settings))
    pair, (ours, theirs) = _timed_and_peaks(settings, size)
    # Weights, gradients and Adam's two moments are needed at the same time.
    memory = Row(f"peak memory, {method} {topology}", "GB", ours / 1e9, theirs / 1e9, theirs / ours, 16 * weights / 1e9)
    # The backward pass has two convolutions for each forward one; Adam reads four values per weight and writes three.
    bound = max(
        3 * size.batch * operations(settings, size.rows)[0] / machine.arithmetic, 28 * weights / machine.bandwidth
    )
    return [Row(name, "s", pair.ours, pair.straightforward, pair.ratio, bound), memory]


def _write_fields(folder: Path, size: Size) -> None:
    """Write a small dataset in the pipeline's layout: one volume of noise for each structure of a batch."""
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
    """Measure crops per second, and the fraction of training time spent waiting for them."""
    patch = Patch(size.depth, size.rows, "zyx")
    settings = make_settings("dodnet", "3d", size, size.depth, machine)
    with TemporaryDirectory() as name:
        volumes, views = Path(name) / "volumes", Path(name) / "views"
        _write_fields(Path(name), size)
        samples = load_samples(volumes, views, Path(name) / "splits.csv", "train")
        crops = Crops(samples, patch, 0, machine.device)
        files = straightforward.FieldCrops(volumes, views, _RATIO, patch, 0)

        def ours(batches: int) -> Iterator[Batch]:
            return (crops.batch(step, size.batch) for step in range(batches))

        def theirs(batches: int) -> Iterator[Batch]:
            loaded = straightforward.loader(files, size.batch, batches)
            return (tuple(part.to(machine.device) for part in batch) for batch in loaded)

        rate = alternate(*(partial(_rate, load, size) for load in (ours, theirs)), size.turns[1])
        runs = ((ours, _our_step(settings, size)), (theirs, _straightforward_step(settings, size)))
        share = alternate(*(partial(_share, load, step, size.steps) for load, step in runs), 3)
    # Each voxel of view and target is read once and written once.
    moved = 2 * 4 * size.depth * size.rows**2 * (1 + 1 / _RATIO)
    title = f"{size.depth}x{size.rows}x{size.rows} from {'x'.join(map(str, size.volume))}"
    return [
        Row(f"crops {title}", "crops/s", rate.ours, rate.straightforward, 1 / rate.ratio, machine.bandwidth / moved),
        Row("wait for crops, dodnet 3d", "% of step", 100 * share.ours, 100 * share.straightforward, share.ratio, None),
    ]


def _rate(load: Load, size: Size) -> float:
    """Return the crops per second of loading alone."""
    waited, _ = _waiting(load, lambda *_: 0.0, size.batches)
    return size.batches * size.batch / waited


def _share(load: Load, step: Step, batches: int) -> float:
    """Return the fraction of training time spent waiting for batches."""
    waited, trained = _waiting(load, step, batches)
    return waited / (waited + trained)


def _waiting(load: Load, step: Step, batches: int) -> tuple[float, float]:
    """Return the seconds spent loading and training, without the first batch, for which workers start."""
    loaded = load(batches + 1)
    step(*next(loaded))
    waited = trained = 0.0
    for _ in range(batches):
        batch: list[Batch] = []
        waited += seconds(lambda batch=batch: batch.append(next(loaded)))
        trained += seconds(partial(step, *batch[0]))
    return waited, trained


def training(size: Size, machine: Machine) -> list[Row]:
    """Measure the share of a short training that is not steps: start, crops, validation and saving."""
    depth, window = size.depth, size.rows
    settings = make_settings("tgnet", "3to2d", size, depth, machine)
    steps = 8 * size.steps
    budget = TrainingSettings(iterations=steps, batch=size.batch, patch=window, validate_every=steps)
    windows = InferenceSettings(window=window)
    with TemporaryDirectory() as name:
        volumes, views, splits = (Path(name) / part for part in ("volumes", "views", "splits.csv"))
        _write_fields(Path(name), size)
        samples = load_samples(volumes, views, splits, "train")
        files = straightforward.FieldCrops(volumes, views, _RATIO, Patch(depth, window, budget.flip), 0)

        def ours() -> None:
            with TemporaryDirectory() as scratch:
                train(settings, budget, windows, samples, samples, Path(scratch), progress=False)

        def theirs() -> None:
            network = straightforward.convert(build(settings)).to(machine.device)
            trainer = straightforward.Trainer(network, budget.learning_rate)
            for batch in straightforward.loader(files, size.batch, steps):
                trainer.step(*batch)
            _validate(network, samples, window)

        runs = ((ours, _our_step), (theirs, _straightforward_step))
        measured = (partial(_not_steps, run, step, settings, size, steps) for run, step in runs)
        shares = alternate(*measured, 1)
    title = f"not steps, training of {steps} steps, tgnet 3to2d"
    return [Row(title, "% of training", 100 * shares.ours, 100 * shares.straightforward, shares.ratio, None)]


def _not_steps(run: Callable[[], None], step: Callable, settings: NetworkSettings, size: Size, steps: int) -> float:
    """Return the fraction of a training that is left if its steps take as long as steps alone, at least 0.001.

    Steps alone are measured before and after the training, because the speed of a machine drifts.
    """
    before = _steps(step, settings, size, size.steps)
    whole = seconds(run)
    alone = (before + _steps(step, settings, size, size.steps)) / 2
    return max(1 - steps * alone / whole, 1e-3)


def _validate(network: Network | MultiNetwork, samples: Sequence[Sample], window: int) -> None:
    """Score the volumes as a straightforward implementation does."""
    for sample in samples:
        view, target = np.asarray(sample.view_dHW), np.asarray(sample.target_DHW)
        score(straightforward.predict(network, view, len(target), sample.task, window), target)


def inference(method: str, topology: str, tasks: int, size: Size, machine: Machine) -> list[Row]:
    """Measure the prediction of one or several structures of a volume."""
    depth, window = size.window
    settings = make_settings(method, topology, size, depth, machine)
    planes, height, width = size.volume
    view = np.random.default_rng(0).standard_normal(size.volume, np.float32)[::_RATIO]
    network = build(settings).to(machine.device).eval()
    converted = straightforward.convert(network)

    def ours(view_dHW: np.ndarray = view) -> None:
        predict(network, view_dHW, planes, 0 if tasks == 1 else range(tasks), window)

    def theirs(view_dHW: np.ndarray = view) -> None:
        for task in range(tasks):
            straightforward.predict(converted, view_dHW, planes, task, window)

    corner = view[:, :window, :window]
    ours(corner)
    theirs(corner)
    pair = alternate(partial(seconds, ours), partial(seconds, theirs), size.turns[1])
    windows = prod(
        len(window_starts(n, w, 0.5)) for n, w in zip((planes, height, width), (depth, window, window), strict=True)
    )
    total, head = operations(settings, window)
    # For each further structure only the head is computed again; no case predicts several structures with RepMode.
    bound = windows * (total + (tasks - 1) * head) / machine.arithmetic
    what = "one structure" if tasks == 1 else f"{tasks} structures"
    name = f"predict {what}, {method} {topology}, {planes}x{height}x{width}"
    return [Row(name, "s", pair.ours, pair.straightforward, pair.ratio, bound)]


def validation(size: Size, machine: Machine) -> list[Row]:
    """Measure the validation of a network: prediction and error of one volume of each structure of a batch."""
    depth, window = size.window
    network = build(make_settings("tgnet", "3to2d", size, depth, machine)).to(machine.device).eval()
    converted = straightforward.convert(network)
    with TemporaryDirectory() as name:
        _write_fields(Path(name), size)
        folders = (Path(name) / part for part in ("volumes", "views", "splits.csv"))
        samples = load_samples(*folders, "train")
        ours = Validation(samples, InferenceSettings(window=window))

        theirs = partial(_validate, converted, samples, window)
        ours.errors(network)
        pair = alternate(partial(seconds, partial(ours.errors, network)), partial(seconds, theirs), size.turns[0])
    title = f"validate {len(samples)} volumes, tgnet 3to2d, {'x'.join(map(str, size.volume))}"
    return [Row(title, "s", pair.ours, pair.straightforward, pair.ratio, None)]


def prepare(size: Size, machine: Machine) -> list[Row]:
    """Measure z-score and zoom of one recorded channel, at full size for all sizes, on the CPU."""
    found = preparation.row()
    return [Row(*(found[key] for key in ("name", "unit", "ours", "straightforward", "ratio")), None)]


CASES: dict[str, Callable[[Size, Machine], list[Row]]] = {
    "train-repmode": partial(training_case, "repmode", "3d"),
    "train-dodnet": partial(training_case, "dodnet", "3d"),
    "train-tgnet": partial(training_case, "tgnet", "3to2d"),
    "train-repmode-3to2d": partial(training_case, "repmode", "3to2d"),
    "train-dodnet-2d": partial(training_case, "dodnet", "2d"),
    "data": data,
    "training": training,
    "predict-repmode": partial(inference, "repmode", "3d", 1),
    "predict-dodnet": partial(inference, "dodnet", "3d", 1),
    "predict-tgnet": partial(inference, "tgnet", "3to2d", 1),
    "predict-repmode-3to2d": partial(inference, "repmode", "3to2d", 1),
    "predict-dodnet-2d": partial(inference, "dodnet", "2d", 1),
    "predict-twelve": partial(inference, "dodnet", "3d", len(STRUCTURES)),
    "validate": validation,
    "prepare": prepare,
}
