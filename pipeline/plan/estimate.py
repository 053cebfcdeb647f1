"""Estimates for a plan: volumes, iterations, hours and disk space."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.plan.data import ArchivesSource, FolderSource
from pipeline.plan.params import Experiment, Params
from sparsessp.config import InferenceSettings, NetworkSettings
from sparsessp.costs.counted import meta_network, parameters
from sparsessp.data.allencell import catalogue as allencell
from sparsessp.data.folder.checking import check, parts_of, pixel_size
from sparsessp.data.microscope import catalogue as microscope
from sparsessp.data.splits import DNA_VOLUMES, PARTS, counts
from sparsessp.data.windows import imaged_starts, window_starts
from sparsessp.errors import SparseSSPError
from sparsessp.learning.validation import windows as validation_windows
from sparsessp.networks.method import load_method
from sparsessp.structures import in_order, structure

_DNA = "dna"
# A forward pass takes about a third of a training step.
_FORWARD = 1 / 3
_FLOAT = 4


@dataclass(frozen=True)
class Amount:
    """Amount of data of a plan.

    Attributes:
        volumes: Number of volumes by structure and part.
        images: Number of image files; structures may share files.
        channels: Maximum number of channels per file.
        shape: Planes, rows and columns of a typical prepared file.
    """

    volumes: dict[str, dict[str, int]]
    images: int
    channels: int
    shape: tuple[int, int, int]

    def of(self, part: str) -> int:
        """Return the number of volumes of a part, over all structures."""
        return sum(parts[part] for parts in self.volumes.values())


def amount(params: Params) -> Amount:
    """Return the amount of data that the parameters select from the catalogue.

    Raises:
        SparseSSPError: The catalogue lacks the size or a number of images.
    """
    source = params.data.source
    if isinstance(source, FolderSource):
        return _own(source)
    path = Path(source.catalogue)
    if not isinstance(source, ArchivesSource):
        synthetic = microscope.load_catalogue(path)
        if source.size not in synthetic.sizes:
            raise SparseSSPError(f"size {source.size!r} is unknown; allowed: {', '.join(synthetic.sizes)}")
        size = synthetic.sizes[source.size]
        parts = dict(zip(PARTS, counts(size.volumes, source.size), strict=True))
        return Amount(dict.fromkeys(source.structures, parts), size.volumes * len(source.structures), 2, size.shape)
    catalogue = allencell.load_catalogue(path)
    rows = {}
    for key in source.structures:
        name = structure(key).allen_set
        if name not in catalogue.lists.rows:
            raise SparseSSPError(f"{path}: lists.rows.{name} is missing; plans need it")
        rows[key] = catalogue.lists.rows[name]
    volumes = {
        key: dict(zip(PARTS, DNA_VOLUMES if key == _DNA else counts(n, key), strict=True)) for key, n in rows.items()
    }
    everything = sum(n for name, n in catalogue.lists.rows.items() if name in catalogue.archives)
    return Amount(volumes, min(sum(rows.values()), everything), 3, catalogue.prepared)


def _own(source: FolderSource) -> Amount:
    """Return the amount of a user's own images, from their CSV file and what their files say."""
    images = check(Path(source.csv), source.needs, voxels=False)
    pixel = pixel_size(images, source.needs)
    parts = parts_of(images)
    found = Counter(zip((image.row.structure for image in images), parts, strict=True))
    structures = in_order(image.row.structure for image in images)
    volumes = {key: {part: found[key, part] for part in PARTS} for key in structures}
    shapes = [image.prepared_shape(pixel) for image in images]
    planes, rows, columns = (max(sizes) for sizes in zip(*shapes, strict=True))
    return Amount(volumes, len(images), 2, (planes, rows, columns))


def network_settings(params: Params, run: Experiment) -> NetworkSettings:
    """Return the settings of a run's network."""
    varied = {key: getattr(run, key) for key in NetworkSettings.model_fields if hasattr(run, key)}
    return NetworkSettings(**params.scale.network.model_dump(), **varied)


def runs(params: Params, data: Amount) -> pd.DataFrame:
    """Estimate each run.

    Returns:
        One row per run: `name`, `method`, `topology`, `networks`, `iterations` (over all its networks),
        `volumes` (predictions of whole volumes in evaluation and validation, where one with fewer windows counts
        less), `equivalents` (iterations that are estimated to take as long as these), `parameters` (of all its
        networks).
    """
    training, inference = params.scale.training, params.scale.inference
    lines = []
    for name, run in params.experiments.items():
        settings = network_settings(params, run)
        in_test = _windows(settings, inference, data.shape)
        in_validation = _windows(settings, validation_windows(training, inference), data.shape)
        crops = _FORWARD * in_test * (inference.window / training.patch) ** 2  # cost of one volume, in training crops
        per_structure = load_method(settings).per_structure
        groups = [{key: data.volumes[key]} for key in data.volumes] if per_structure else [data.volumes]
        iterations, predicted = 0, float(data.of("test"))
        for group in groups:
            per_epoch = sum(parts["train"] for parts in group.values()) / training.batch
            steps = ceil(run.epochs * per_epoch) if run.epochs else ceil((run.iterations or 0) / len(groups))
            iterations += steps
            validations = ceil(steps / max(1, round(training.validate_every * per_epoch)))
            predicted += validations * sum(parts["validation"] for parts in group.values()) * in_validation / in_test
        lines.append(
            {
                "name": name,
                "method": run.method,
                "topology": run.topology,
                "networks": len(groups),
                "iterations": iterations,
                "volumes": predicted,
                "equivalents": predicted * crops / training.batch,
                "parameters": parameters(meta_network(settings)) * len(groups),
            }
        )
    return pd.DataFrame(lines)


def _windows(network: NetworkSettings, inference: InferenceSettings, shape: tuple[int, int, int]) -> int:
    """Return the number of windows of a volume."""
    planes, *sides = (max(n, least) for n, least in zip(shape, (network.depth, *[inference.window] * 2), strict=True))
    along_z = imaged_starts(planes, network.depth, network.ratio, inference.overlap)
    return len(along_z) * prod(len(window_starts(n, inference.window, inference.overlap)) for n in sides)


def grouped(
    table: pd.DataFrame, seconds: Mapping[str, float] | None, per_volume: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Sum the runs by method and topology.

    Args:
        table: From `runs`.
        seconds: Measured seconds per iteration, by name of the run.
        per_volume: Measured seconds per prediction of a volume; None: estimated from those of an iteration.

    Returns:
        One row per method and topology: `runs`, `networks` and `iterations` of each run, `total`
        iterations, and if measured `seconds` (per iteration, mean over the runs), `hours` (of all runs) and
        `predicting` (hours of these for validation and evaluation).
    """
    table = table.assign(seconds=table["name"].map(seconds or {}))
    predicting = table["equivalents"] * table["seconds"]
    if per_volume:
        predicting = table["volumes"] * table["name"].map(per_volume)
    table["predicting"] = predicting / 3600
    table["hours"] = table["iterations"] * table["seconds"] / 3600 + table["predicting"]
    found = table.groupby(["method", "topology"], sort=False).agg(
        runs=("name", "size"),
        networks=("networks", "first"),
        iterations=("iterations", "first"),
        total=("iterations", "sum"),
        seconds=("seconds", "mean"),
        hours=("hours", "sum"),
        predicting=("predicting", "sum"),
    )
    return (found if seconds else found.drop(columns=["seconds", "hours", "predicting"])).reset_index()


def disk(params: Params, data: Amount, table: pd.DataFrame) -> dict[str, int]:
    """Estimate the disk space in bytes, by its use."""
    channel = _FLOAT * prod(data.shape)
    views = {f"views, r = {ratio}": data.images * channel // ratio for ratio in params.ratios}
    models = int(table["parameters"].sum()) * _FLOAT
    # The current weights, the best weights and Adam's two moments.
    state = int((table["parameters"]).max()) * _FLOAT * 4
    return {
        "prepared volumes": data.images * data.channels * channel,
        **views,
        "models": models,
        "state of one run": state,
    }


def summary(params: Params, data: Amount) -> dict[str, Any]:
    """Return the data, patch, training settings and budget."""
    scale = params.scale
    return {
        "data": params.data.name,
        "scale": scale.name,
        "structures": list(data.volumes),
        "volumes": {part: data.of(part) for part in PARTS},
        "patch": [scale.network.depth, scale.training.patch, scale.training.patch],
        "training": scale.training.model_dump(exclude_none=True),
        "budget": scale.budget.model_dump(),
    }
