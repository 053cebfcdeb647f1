"""Manifest, sparse views, and the samples that training and evaluation use.

`volumes/` holds the prepared dense stacks and their manifest, `views/` the sparse transmitted-light stacks
of one ratio. A sample pairs a sparse view with its dense target; training and evaluation cannot access a
transmitted-light plane that was not imaged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm import tqdm

from sparsessp.data.splits import PARTS
from sparsessp.data.volumes import (
    TRANSMITTED_LIGHT,
    Stack,
    Volume,
    open_channel,
    read_volume,
    sparse_view,
    write_volume,
)
from sparsessp.data.voxel_checks import VoxelChecks, check_voxels
from sparsessp.errors import SparseSSPError
from sparsessp.schema import CHECKSUM_COLUMN, MANIFEST, VIEWS
from sparsessp.structures import task_codes
from sparsessp.support.files import sha256, write_text


@dataclass(frozen=True)
class Sample:
    """One field of view with one labelled structure.

    Attributes:
        volume: Name of the volume.
        structure: Key of the labelled structure.
        task: Index of the structure's task code (`structures.task_codes`).
        view_dHW: Sparse transmitted light, z-scored, d = ceil(D / ratio) imaged planes.
        target_DHW: Dense fluorescence, z-scored.
        ratio: Sparsity ratio of the view.
        phase: First imaged plane.
    """

    volume: str
    structure: str
    task: int
    view_dHW: Stack
    target_DHW: Stack
    ratio: int
    phase: int


def read_table(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a CSV file that must have these columns.

    Raises:
        SparseSSPError: The file is missing or unreadable, has no rows, or lacks a column.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the file is missing")
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # errors of pandas, and text that is not UTF-8
        raise SparseSSPError(f"{path}: not a readable CSV file ({error})") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise SparseSSPError(f"{path}: column {missing[0]!r} is missing; found: {', '.join(table.columns)}")
    if table.empty:
        raise SparseSSPError(f"{path}: the table has no rows, so the dataset is empty")
    return table


def read_manifest(volumes: Path) -> pd.DataFrame:
    """Read the manifest of prepared volumes: columns `volume`, `structure`, `path` and more.

    Raises:
        SparseSSPError: As for `read_table`; or a volume is listed twice, or a path leads out of the folder.
    """
    source = volumes / MANIFEST
    manifest = read_table(source, ("volume", "structure", "path", CHECKSUM_COLUMN))
    twice = manifest.loc[manifest["volume"].duplicated(), "volume"]
    if len(twice):
        raise SparseSSPError(f"{source}: volume {twice.iloc[0]!r} is listed twice; names must be unique")
    for text in manifest["path"]:
        path = PurePosixPath(str(text).replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or not path.name or pd.isna(text):
            raise SparseSSPError(f"{source}: path = {text!r}; allowed: a file below {volumes}")
    return manifest


def structures_of(volumes: Path) -> tuple[str, ...]:
    """Return the structures of networks for these prepared volumes, in the order of their task codes."""
    return task_codes(read_manifest(volumes)["structure"])


def write_table(path: Path, table: pd.DataFrame, decimals: str | None = None) -> None:
    """Write a CSV file atomically; floats are written exactly unless a format such as `%.4f` is given."""
    write_text(path, table.to_csv(index=False, float_format=decimals, lineterminator="\n"))


def make_views(volumes: Path, views: Path, ratio: int, phase: int = 0, progress: bool = True) -> None:
    """Write the sparse view of every prepared volume at this ratio (section 3.1).

    Samples that share a volume share its view.

    Raises:
        SparseSSPError: A volume is missing, has no transmitted light, or has a channel that is not finite
            or constant.
    """
    manifest = read_manifest(volumes)
    checksums = {}
    for path in tqdm(manifest["path"].unique(), f"views r={ratio}", disable=not progress):
        source, target = volumes / path, views / path
        volume = read_volume(source)
        stack = volume.channel(TRANSMITTED_LIGHT)
        for name, channel in zip(volume.channels, volume.voxels, strict=True):
            check_voxels(channel, f"{source}, channel {name}")
        z, y, x = volume.voxel_um
        notes = {"ratio": str(ratio), "phase": str(phase), "planes": str(len(stack))}
        view = sparse_view(stack, ratio, phase)
        write_volume(target, Volume(view[None], (TRANSMITTED_LIGHT,), (z * ratio, y, x), notes))
        checksums[path] = sha256(target)
    rows = manifest[["volume", "path"]].assign(**{CHECKSUM_COLUMN: manifest["path"].map(checksums)})
    write_table(views / VIEWS, rows.assign(ratio=ratio, phase=phase))


def load_samples(volumes: Path, views: Path, splits: Path, part: str, record: Path | None = None) -> list[Sample]:
    """Open the samples of one part of the split.

    Args:
        volumes: Folder of the prepared volumes.
        views: Folder of their sparse views.
        splits: CSV file that assigns the volumes to parts.
        part: One of `PARTS`.
        record: Record of the voxels that were checked before, see `VoxelChecks`; None checks all.

    Raises:
        SparseSSPError: The part is unknown or empty, or a file is missing, inconsistent with the others, or
            has voxels that are constant or not finite.
    """
    if part not in PARTS:
        raise SparseSSPError(f"part {part!r} is unknown; allowed: {', '.join(PARTS)}")
    manifest, sampled = read_manifest(volumes), read_table(views / VIEWS, ("volume", "ratio", "phase", "path"))
    assigned = read_table(splits, ("volume", "part"))
    wanted = assigned.loc[assigned["part"] == part, "volume"]
    if wanted.empty:
        raise SparseSSPError(f"{splits}: the split has no {part} volume")
    for source, table in ((volumes / MANIFEST, manifest), (views / VIEWS, sampled)):
        missing = wanted[~wanted.isin(table["volume"])]
        if len(missing):
            raise SparseSSPError(f"{source}: volume {missing.iloc[0]!r} of {splits} is missing")
    rows = manifest[manifest["volume"].isin(wanted)].merge(sampled, on="volume")
    codes = task_codes(manifest["structure"])
    checks = VoxelChecks(record)
    samples = [_load(volumes, views, row, codes, checks) for row in rows.to_dict("records")]
    checks.save()
    return samples


def _load(volumes: Path, views: Path, row: dict, codes: Sequence[str], checks: VoxelChecks) -> Sample:
    key, path = row["structure"], row["path_x"]
    target = open_channel(volumes / path, key)
    view = open_channel(views / path, TRANSMITTED_LIGHT)
    # The files may have changed since they were sampled, which no score would show.
    checks.check(target, volumes / path, key)
    checks.check(view, views / path, TRANSMITTED_LIGHT)
    ratio, phase = int(row["ratio"]), int(row["phase"])
    planes = len(range(phase, len(target), ratio))
    if view.shape != (planes, *target.shape[1:]):
        raise SparseSSPError(
            f"{views / path}: the view has shape {view.shape}; the target {target.shape} "
            f"at ratio {ratio} needs {(planes, *target.shape[1:])}"
        )
    return Sample(row["volume"], key, codes.index(key), view, target, ratio, phase)


def tasks_of(samples: Sequence[Sample]) -> list[int]:
    """Return the task indices of the samples, sorted."""
    return sorted({sample.task for sample in samples})
