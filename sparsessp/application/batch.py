"""Prediction of image files: everything is checked first, then each file is predicted in bounded memory.

A prediction is kept in a temporary file until it is complete, because rows finish band by band and files are written
plane by plane.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from sparsessp import __version__
from sparsessp.application.grid import Fit, fit_stack, model_view, recorded_plane
from sparsessp.application.model import Model
from sparsessp.application.outputs import FORMATS, Output, write
from sparsessp.application.quick_look import subsample, write_quick_look
from sparsessp.data.images.image import Image, light_channel
from sparsessp.data.images.opening import find_images, open_image
from sparsessp.errors import SparseSSPError

_BAND_BYTES = 2**29  # of the rows in progress; more structures are predicted in several passes
_SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".czi", ".ome.zarr", ".zarr")


@dataclass(frozen=True)
class BatchOptions:
    """How files are read, predicted and written.

    Attributes:
        structures: Keys of the structures; all that the model was trained on by default.
        channel: Name or index of the transmitted-light channel.
        spacing_um: Distance (z, y, x) between voxels in micrometres; None where the file's own is used.
        axes: Names of the axes of TIFF files that do not name them.
        scene: Index of the scene.
        force: Accept a distance between planes that the model was not trained for.
        tta: Average over flips and quarter turns.
        spread: With `tta`, also write the standard deviation, as one more channel per structure.
        format: `tiff` or `zarr`.
        dtype: Pixel type of the output; integers are scaled to each channel's range.
        overwrite: Replace existing outputs.
    """

    structures: tuple[str, ...] | None = None
    channel: str | None = None
    spacing_um: tuple[float | None, float | None, float | None] = (None, None, None)
    axes: str | None = None
    scene: int | None = None
    force: bool = False
    tta: bool = False
    spread: bool = False
    format: str = "tiff"
    dtype: str = "float32"
    overwrite: bool = False


@dataclass
class Job:
    """One file, checked.

    Attributes:
        image: The opened image.
        channel: Index of its transmitted-light channel.
        fit: How it is brought to the model's grid.
        target: Output file.
        failure: Why it could not be predicted, None if it was.
        seconds: Time the prediction took.
    """

    image: Image
    channel: int
    fit: Fit
    target: Path
    failure: str | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def plan_jobs(model: Model, inputs: Sequence[Path], output: Path, options: BatchOptions) -> list[Job]:
    """Open and check every input.

    Raises:
        SparseSSPError: Some cannot be predicted; the message has one line for each.
    """
    paths = find_images(list(inputs))
    jobs, faults, targets = [], [], dict[Path, Path]()
    for path in paths:
        target = output / f"{_stem(path)}_predicted{FORMATS[options.format]}"
        try:
            if target in targets:
                raise SparseSSPError(f"{path}: its output {target} would replace that of {targets[target]}; rename one")
            targets[target] = path
            if target.exists() and not options.overwrite:
                raise SparseSSPError(f"{target} exists; give --overwrite to replace it, or another --output")
            jobs.append(open_job(model, path, target, options))
        except SparseSSPError as error:
            faults.append(str(error))
    if faults:
        for job in jobs:
            job.image.close()
        head = f"{len(faults)} of {len(paths)} images cannot be predicted, so none was:\n" if len(paths) > 1 else ""
        raise SparseSSPError(head + "\n".join(faults))
    return jobs


def _stem(path: Path) -> str:
    suffix = next((suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix)), path.suffix)
    return path.name[: len(path.name) - len(suffix)] or path.name


def open_job(model: Model, path: Path, target: Path, options: BatchOptions) -> Job:
    """Open and check one input.

    Raises:
        SparseSSPError: It cannot be predicted.
    """
    image = open_image(path, options.scene, options.axes)
    try:
        channel = light_channel(image, options.channel)
        spacing = [given or own for given, own in zip(options.spacing_um, image.spacing_um, strict=True)]
        if image.planes < 2:
            more = f" and {image.frames} time points; name its axes with --axes if these are planes"
            raise SparseSSPError(
                f"{path}: a single plane{more if image.frames > 1 else ''}; the model needs a stack of planes"
            )
        if None in spacing:
            missing = ", ".join(axis for axis, edge in zip("zyx", spacing, strict=True) if edge is None)
            raise SparseSSPError(
                f"{path}: no voxel size along {missing} in the file; give it in micrometres with --spacing Z,Y,X"
            )
        return Job(image, channel, fit_stack(model.card, image.shape, spacing, str(path), options.force), target)
    except SparseSSPError:
        image.close()
        raise


def run_jobs(model: Model, jobs: Sequence[Job], options: BatchOptions, progress: bool = True) -> None:
    """Predict all jobs; one that fails is noted, and the others continue."""
    tasks = model.tasks(options.structures)
    groups = {id(job): _groups(model, job.fit, tasks, options.tta) for job in jobs}
    total = sum(model.windows(job.fit) * job.image.frames * len(groups[id(job)]) for job in jobs)
    with tqdm(total=total, desc="predict", unit="window", disable=not progress) as bar:
        for job in jobs:
            since = perf_counter()
            try:
                with job.image:
                    _predict_image(model, job, groups[id(job)], options, bar.update)
            except SparseSSPError as error:
                job.failure = str(error)
            job.seconds = perf_counter() - since


def _groups(model: Model, fit: Fit, tasks: Sequence[int], tta: bool) -> list[list[int]]:
    """Return the tasks in groups whose rows in progress fit into `_BAND_BYTES`."""
    settings, windows = model.network.settings, model.card.windows
    planes, columns = max(fit.planes, settings.depth), max(fit.rows_columns[1], windows.window)
    size = max(1, _BAND_BYTES // (4 * (1 + tta) * planes * columns * windows.window))
    return [list(tasks[first : first + size]) for first in range(0, len(tasks), size)]


class _Store:
    """Predictions of all frames and channels on the model's grid, in an open file."""

    def __init__(self, file: BinaryIO, channels: int, fit: Fit):
        self.file, self.fit, self.channels = file, fit, channels
        self.low, self.high = np.full(channels, np.inf), np.full(channels, -np.inf)

    def _offset(self, frame: int, channel: int, plane: int, row: int = 0) -> int:
        rows, columns = self.fit.rows_columns
        return 4 * (((frame * self.channels + channel) * self.fit.planes + plane) * rows + row) * columns

    def put(self, frame: int, first_channel: int, row: int, values: np.ndarray) -> None:
        """Write the rows (T, D, rows, w) of some channels."""
        for channel, stack in enumerate(values, first_channel):
            self.low[channel] = min(self.low[channel], stack.min())
            self.high[channel] = max(self.high[channel], stack.max())
            for plane, rows in enumerate(stack):
                self.file.seek(self._offset(frame, channel, plane, row))
                self.file.write(np.ascontiguousarray(rows).tobytes())

    def plane(self, frame: int, channel: int, plane: int) -> np.ndarray:
        """Read one plane (h, w)."""
        rows, columns = self.fit.rows_columns
        self.file.seek(self._offset(frame, channel, plane))
        return np.frombuffer(self.file.read(4 * rows * columns), np.float32).reshape(rows, columns)


def _predict_image(
    model: Model,
    job: Job,
    groups: list[list[int]],
    options: BatchOptions,
    finished: Callable[[int], object],
) -> None:
    """Predict one image and write it with its quick-look."""
    keys = list(dict.fromkeys(options.structures or model.card.trained))
    shown = 1 + (options.tta and options.spread)
    names = [name for key in keys for name in (key, f"{key} spread")[:shown]]
    job.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=job.target.parent) as file:
        store = _Store(file, len(names), job.fit)
        light = None
        for frame in range(job.image.frames):
            view = read_view(job, frame)
            light = subsample(view[len(view) // 2]).copy() if light is None else light
            first = 0
            for tasks in groups:
                for band in model.bands(view, job.fit, tasks, options.tta, finished):
                    values = band.values if shown == 2 or not options.tta else band.values[::2]
                    store.put(frame, first, band.first, values)
                first += len(tasks) * shown
            del view
        seen: dict[str, list[np.ndarray]] = {key: [] for key in keys}
        shape = (job.image.frames, len(names), job.fit.planes, *job.fit.recorded)
        limits = tuple(zip(store.low.tolist(), store.high.tolist(), strict=True))
        notes = _notes(model, job, options) | _scales(names, limits, options.dtype)
        shown_limits = limits if options.dtype == "float32" else ((0, int(np.iinfo(options.dtype).max)),) * len(names)
        output = Output(shape, options.dtype, tuple(names), job.fit.voxel_um, shown_limits, notes)
        write(job.target, options.format, output, _planes(store, output, seen))
    _quick_look(job, light, seen)


def read_view(job: Job, frame: int) -> np.ndarray:
    """Return the normalised view (d, h, w) of a frame on the model's grid."""
    planes = (job.image.plane(frame, job.channel, number * job.fit.step) for number in range(job.fit.used))
    return model_view(planes, job.fit, str(job.image.path))


def _planes(store: _Store, output: Output, seen: dict[str, list[np.ndarray]]) -> Iterator[np.ndarray]:
    """Yield the output's planes; those of the first frame are also kept, subsampled, for the quick-look."""
    for frame, channel, number in np.ndindex(output.shape[:3]):
        plane = recorded_plane(store.plane(frame, channel, number), store.fit)
        if frame == 0 and output.channels[channel] in seen:
            seen[output.channels[channel]].append(subsample(plane).copy())
        if output.dtype != "float32":
            largest = np.iinfo(output.dtype).max
            low, high = store.low[channel], store.high[channel]
            plane = np.rint((plane - low) * (largest / max(high - low, 1e-12))).clip(0, largest).astype(output.dtype)
        yield plane


def _scales(names: Sequence[str], limits: Sequence[tuple[float, float]], dtype: str) -> dict[str, str]:
    """Return, for integer outputs, how each channel's values become predictions again."""
    if dtype == "float32":
        return {}
    steps = np.iinfo(dtype).max
    return {
        f"prediction of {name}": f"value * {max(high - low, 1e-12) / steps:.6g} + {low:.6g}"
        for name, (low, high) in zip(names, limits, strict=True)
    }


def _notes(model: Model, job: Job, options: BatchOptions) -> dict[str, str]:
    """Return the provenance of a prediction."""
    card, image, fit = model.card, job.image, job.fit
    return {
        "content": "predicted fluorescence, z-scored: not measured, and without a unit of intensity",
        "model": card.network.name,
        "model_revision": card.revision or "not recorded",
        "training_data": f"{card.data.name}{', simulated' if card.data.simulated else ''}"
        if card.data
        else "not recorded",
        "sparsessp": __version__,
        "input": image.path.name,
        "input_channel": image.channels[job.channel] or str(job.channel),
        "input_planes": f"{fit.used} of {image.planes}",
        "augmentation": "mean of 8 flips and quarter turns" if options.tta else "none",
        **{f"remark_{number}": note for number, note in enumerate(fit.notes, 1)},
    }


def _quick_look(job: Job, light: np.ndarray | None, seen: dict[str, list[np.ndarray]]) -> None:
    if find_spec("matplotlib") is None:
        job.notes.append("no quick-look without matplotlib: pip install 'sparsessp[report]'")
        return
    assert light is not None  # an image has a frame
    stacks = {key: np.stack(planes) for key, planes in seen.items()}
    picture = job.target.with_name(job.target.name.partition("_predicted")[0] + "_quick-look.png")
    z, _, x = job.fit.voxel_um
    write_quick_look(picture, light, stacks, (job.fit.planes - 1) * z, x * job.fit.recorded[1] / light.shape[1])
