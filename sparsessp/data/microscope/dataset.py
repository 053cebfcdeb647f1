"""Make a named dataset of the synthetic microscope: prepared volumes and their manifest.

One scene gives one volume, its brightfield and the fluorescence of one structure, as on a real
microscope: every image is partially labelled.
"""

import csv
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sparsessp.data.microscope.catalogue import Catalogue, Size, load_catalogue
from sparsessp.data.microscope.optics import brightfield, fluorescence
from sparsessp.data.microscope.scene import Scene
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, write_volume, zscore
from sparsessp.errors import SparseSSPError
from sparsessp.structures import STRUCTURES, structure
from sparsessp.support.files import atomic_write, sha256
from sparsessp.support.processes import end_with_parent

__all__ = ["Acquisition", "Catalogue", "Size", "acquire", "load_catalogue", "take"]

_ROOM_UM = 13.0  # height of a scene that holds whole cells

COLUMNS = (
    "volume",
    "structure",
    "path",
    "plate",
    "planes",
    "height",
    "width",
    "voxel_z_um",
    "voxel_y_um",
    "voxel_x_um",
    "light_mean",
    "light_std",
    "target_mean",
    "target_std",
    "ceiling",
    "sha256",
)


@dataclass(frozen=True)
class Acquisition:
    """One scene as the microscope recorded it.

    Attributes:
        light: (D, H, W), brightfield in units of its mean.
        target: (D, H, W), fluorescence in photons.
        ceiling: R2 of a perfect prediction of `target`.
        scene: Number of the scene, unique over structures.
        first: Plane of the scene at which the stack starts.
    """

    light: np.ndarray
    target: np.ndarray
    ceiling: float
    scene: int
    first: int


def take(catalogue: Catalogue, size: Size, key: str, number: int) -> Acquisition:
    """Record scene `number` of structure `key` in the format of a dataset of `size`."""
    scene_number = number * len(STRUCTURES) + structure(key).task
    planes, (height, width) = size.shape[0], (n * size.binning for n in size.shape[1:])
    reach = math.ceil(catalogue.focus_range_um / catalogue.voxel_um)
    room = max(planes + 2 * reach, math.ceil(_ROOM_UM / catalogue.voxel_um))
    scene = Scene((catalogue.seed, scene_number), (room, height, width), catalogue.voxel_um)
    density = scene.density(key)
    first = _focus(scene.field.rng("focus"), density.mean(axis=(1, 2)), planes, reach)
    stack = slice(first, first + planes)
    index, absorption = (scene.weigh(contrast) for contrast in (catalogue.refractive_index, catalogue.absorption))
    light = brightfield(
        scene.field.rng("camera"), index, absorption, catalogue.voxel_um, catalogue.brightfield, stack, size.binning
    )
    optics = catalogue.fluorescence
    target, ceiling = fluorescence(
        scene.field.rng("detector"), density, optics.ceiling[key], catalogue.voxel_um, optics, stack, size.binning
    )
    return Acquisition(light, target, ceiling, scene_number, first)


def _focus(rng: np.random.Generator, brightness: np.ndarray, planes: int, reach: int) -> int:
    """Draw the first plane of a stack: its middle within `reach` of the scene's, the brightest plane in it.

    Focus varies from scene to scene, so that depth alone does not predict fluorescence. The labelled structure is
    always in the stack, because nobody records a stack without it.
    """
    middle, brightest = (len(brightness) - planes) // 2, int(brightness.argmax())
    lowest, highest = max(middle - reach, brightest - planes + 1), min(middle + reach, brightest)
    if lowest > highest:  # out of reach: the brightest plane becomes the last or the first
        return lowest if brightest > middle else highest
    return int(rng.integers(lowest, highest + 1))


def acquire(
    catalogue: Catalogue,
    size: str,
    structures: Sequence[str],
    out: Path,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Make all volumes of a named dataset.

    Writes `out/<structure>/<volume>.ome.tiff`, both channels z-scored over the whole volume, and finally
    `out/manifest.csv`: if it exists, everything it lists is complete. The bytes depend on the
    catalogue alone: not on `workers`, nor on which other structures are listed.

    Args:
        catalogue: The microscope and its datasets.
        size: Name of a dataset in the catalogue.
        structures: Keys of the structures to label.
        out: Folder to write to.
        workers: Processes, each on one core; all cores by default.
        progress: Show a bar.

    Raises:
        SparseSSPError: The size or a structure is unknown, or none is given, or a worker process died.
    """
    if size not in catalogue.sizes:
        raise SparseSSPError(f"size {size!r} is unknown; allowed: {', '.join(catalogue.sizes)}")
    if not structures:
        raise SparseSSPError(f"structures is empty; allowed: {', '.join(s.key for s in STRUCTURES)}")
    keys = sorted(set(structures), key=lambda key: structure(key).task)
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise SparseSSPError(f"workers = {workers}; allowed: 1 or more")
    jobs = [(key, number) for key in keys for number in range(catalogue.sizes[size].volumes)]
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.csv"
    manifest.unlink(missing_ok=True)  # it would list volumes that are about to change
    work = _run(partial(_write, catalogue, size, out), jobs, min(workers, len(jobs)))
    rows = list(tqdm(work, total=len(jobs), desc=f"synthetic {size}", unit="volume", disable=not progress))
    with atomic_write(manifest) as partial_file, partial_file.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _run(
    function: Callable[[tuple[str, int]], dict[str, str]], jobs: list[tuple[str, int]], workers: int
) -> Iterator[dict[str, str]]:
    """Yield the results of all jobs in order, from `workers` processes."""
    if workers == 1:
        yield from map(function, jobs)
        return
    # Fresh processes: a fork would copy the threads' locks of whatever the caller has imported.
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        try:
            yield from pool.map(function, jobs)
        except BrokenProcessPool:
            raise SparseSSPError(
                f"a worker process died, perhaps because memory ran out; try fewer workers than {workers}"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _write(catalogue: Catalogue, size: str, out: Path, job: tuple[str, int]) -> dict[str, str]:
    """Record and write one volume; return its row of the manifest."""
    key, number = job
    name = f"{key}_{number:03d}"
    path = out / key / f"{name}.ome.tiff"
    taken = take(catalogue, catalogue.sizes[size], key, number)
    light, light_mean, light_std = zscore(taken.light, f"{name}, {TRANSMITTED_LIGHT}")
    target, target_mean, target_std = zscore(taken.target, f"{name}, {key}")
    pixel = catalogue.voxel_um * catalogue.sizes[size].binning
    voxel = (catalogue.voxel_um, pixel, pixel)
    measured = {
        "light_mean": f"{light_mean:.6g}",
        "light_std": f"{light_std:.6g}",
        "target_mean": f"{target_mean:.6g}",
        "target_std": f"{target_std:.6g}",
        "ceiling": f"{taken.ceiling:.6g}",
    }
    notes = {"source": "synthetic", "seed": str(catalogue.seed), "scene": str(taken.scene), **measured}
    write_volume(path, Volume(np.stack([light, target]), (TRANSMITTED_LIGHT, key), voxel, notes))
    planes, height, width = (str(n) for n in target.shape)
    return {
        "volume": name,
        "structure": key,
        "path": path.relative_to(out).as_posix(),
        "plate": f"scene{taken.scene}",
        "planes": planes,
        "height": height,
        "width": width,
        **{f"voxel_{axis}_um": f"{edge:.6g}" for axis, edge in zip("zyx", voxel, strict=True)},
        **measured,
        "sha256": sha256(path),
    }
