"""Prepare a user's own images: one volume per line of the CSV file, and their manifest."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from sparsessp.data.allencell.preparation import prepare
from sparsessp.data.folder.checking import Listed, check, pixel_size
from sparsessp.data.folder.needs import Needs
from sparsessp.data.samples import write_table
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, write_volume
from sparsessp.schema import CHECKSUM_COLUMN, MANIFEST, PART_COLUMN, VOXEL_COLUMNS
from sparsessp.support.files import sha256


def acquire(table: Path, needs: Needs, out: Path, progress: bool = True) -> None:
    """Check the CSV file and all its images, then prepare them.

    Each channel is z-scored over all its voxels; then rows and columns are resampled by a cubic spline to one size of
    a pixel, if they have another one. The manifest is written last.

    Args:
        table: The CSV file.
        needs: What the networks need.
        out: Folder of the prepared volumes.
        progress: Whether to show a progress bar.

    Raises:
        SparseSSPError: Something is wrong with the file or its images; every fault is named.
    """
    images = check(table, needs)
    pixel = pixel_size(images, needs)
    manifest = out / MANIFEST
    manifest.unlink(missing_ok=True)  # it would list volumes that are about to change
    bar = tqdm(images, "own images", unit="image", disable=not progress)
    rows = [_prepare(image, number, pixel, out) for number, image in enumerate(bar)]
    found = pd.DataFrame(rows)
    if images[0].row.split:
        found.insert(4, PART_COLUMN, [image.row.split for image in images])
    write_table(manifest, found)


def _prepare(image: Listed, number: int, pixel_um: float, out: Path) -> dict[str, Any]:
    """Write one volume and return its row of the manifest."""
    key = image.row.structure
    folder = re.sub(r"[^A-Za-z0-9_-]", "_", key)
    name = f"{folder}_{number:03d}"
    path = out / folder / f"{name}.ome.tiff"
    zoom = image.zoom(pixel_um)
    with image.open() as opened:
        channels = {TRANSMITTED_LIGHT: image.light, key: image.fluorescence}
        prepared = [
            prepare(
                np.stack([opened.plane(0, channel, plane) for plane in range(image.shape[0])]),
                zoom,
                f"{image.path}, channel {channel}",
            )
            for channel in channels.values()
        ]
    voxels = np.stack([stack for stack, _, _ in prepared])
    (_, light_mean, light_std), (_, target_mean, target_std) = prepared
    # The zoom keeps the first and the last point of an axis in place.
    edges = [
        edge * (before - 1) / (after - 1)
        for edge, before, after in zip(image.voxel_um[1:], image.shape[1:], voxels.shape[2:], strict=True)
    ]
    voxel_um = (image.voxel_um[0], edges[0], edges[1])
    measured = {
        "light_mean": f"{light_mean:.6g}",
        "light_std": f"{light_std:.6g}",
        "target_mean": f"{target_mean:.6g}",
        "target_std": f"{target_std:.6g}",
    }
    recorded = " x ".join(f"{edge:.6g}" for edge in image.voxel_um)
    notes = {"source": "own image", "image": image.row.image, "recorded_voxel_um": recorded, **measured}
    write_volume(path, Volume(voxels, tuple(channels), voxel_um, notes))
    planes, height, width = voxels.shape[1:]
    return {
        "volume": name,
        "structure": key,
        "path": path.relative_to(out).as_posix(),
        "plate": image.group,
        "planes": planes,
        "height": height,
        "width": width,
        **{column: f"{edge:.6g}" for column, edge in zip(VOXEL_COLUMNS, voxel_um, strict=True)},
        **measured,
        "image": image.row.image,
        CHECKSUM_COLUMN: sha256(path),
    }
