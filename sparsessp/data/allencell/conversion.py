"""Conversion of one image to an OME-TIFF with its prepared channels, and its facts for the manifest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sparsessp.data.allencell.catalogue import Catalogue
from sparsessp.data.allencell.images import read_image
from sparsessp.data.allencell.lists import Image
from sparsessp.data.allencell.preparation import prepare, zoom_factors
from sparsessp.data.volumes import Volume, write_volume
from sparsessp.data.voxel_size import Edges
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import sha256

_VOXEL_TOLERANCE = 0.01  # of each edge; files say 0.1083, the documentation of the collection says 0.108


def convert(
    source: Path, image: Image, catalogue: Catalogue, voxel: Literal["paper", "metadata"], target: Path
) -> dict[str, Any]:
    """Read the wanted channels of an image, prepare each, and write them as one volume.

    Memory holds the raw channels as uint16, the prepared ones as float32, and one plane as float64.

    Args:
        source: File of the recorded image.
        image: Image and its wanted channels.
        catalogue: Catalogue with the preparation and the expected voxel size.
        voxel: As for `zoom_factors`.
        target: OME-TIFF to write.

    Returns:
        Manifest columns shared by all structures of the image, and `targets`: the other columns by structure.

    Raises:
        SparseSSPError: The image cannot be read, lacks a channel or plane, has too few rows or columns, has
            another voxel size than the catalogue says, or has a constant channel.
    """
    recording = read_image(source, list(image.channels.values()), image.row)
    recorded = _voxel_um(recording.edges_um, catalogue.archives[image.set].voxel_um, image)
    zoom = zoom_factors(voxel, catalogue.preparation, recording.edges_um, image.row)
    shape = recording.voxels.shape[2:]
    if min(round(n * factor) for n, factor in zip(shape, zoom, strict=True)) < 2:
        raise SparseSSPError(f"{image.row}: has {shape[0]} rows and {shape[1]} columns, too few to be zoomed")
    prepared = [
        prepare(stack, zoom, f"{image.row}, channel {number} ({name})")
        for stack, (name, number) in zip(recording.voxels, image.channels.items(), strict=True)
    ]
    voxels = np.stack([stack for stack, _, _ in prepared])
    # The zoom keeps the first and the last point of an axis in place.
    edges = [
        edge * (before - 1) / (after - 1)
        for edge, before, after in zip(recorded[1:], shape, voxels.shape[2:], strict=True)
    ]
    voxel_um = (recorded[0], *edges)
    names = list(image.channels)
    statistics = {name: (f"{mean:.6g}", f"{std:.6g}") for name, (_, mean, std) in zip(names, prepared, strict=True)}
    notes = {
        "source": "AllenCell label-free collection",
        "image": image.path_czi,
        "recorded_voxel_um": f"{_text(recorded)} ({_origin(recording.edges_um)})",
        "zoom_yx": f"{zoom[0]:.6g} {zoom[1]:.6g}",
    }
    for name, (mean, std) in statistics.items():
        notes |= {f"{name}_channel": str(image.channels[name]), f"{name}_mean": mean, f"{name}_std": std}
    write_volume(target, Volume(voxels, tuple(names), voxel_um, notes))
    return {**_columns(voxels, voxel_um, names, statistics), "sha256": sha256(target)}


def _columns(
    voxels: np.ndarray, voxel_um: Sequence[float], names: Sequence[str], statistics: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """Return the columns of the manifest that follow from the prepared channels, the transmitted light first."""
    light, *targets = names
    planes, height, width = (str(n) for n in voxels.shape[1:])
    return {
        "planes": planes,
        "height": height,
        "width": width,
        **{f"voxel_{axis}_um": f"{edge:.6g}" for axis, edge in zip("zyx", voxel_um, strict=True)},
        "light_mean": statistics[light][0],
        "light_std": statistics[light][1],
        "targets": {
            name: {
                "target_mean": statistics[name][0],
                "target_std": statistics[name][1],
                "target_variance": f"{stack.var(dtype=np.float64):.6g}",
            }
            for name, stack in zip(targets, voxels[1:], strict=True)
        },
    }


def _voxel_um(edges_um: Edges, expected: tuple[float, float, float], image: Image) -> tuple[float, float, float]:
    """Return the voxel size: the edges in the file, and those of the catalogue where the file gives none.

    Raises:
        SparseSSPError: An edge in the file differs from the catalogue's.
    """
    z, y, x = (known if edge is None else edge for edge, known in zip(edges_um, expected, strict=True))
    if not np.allclose((z, y, x), expected, rtol=_VOXEL_TOLERANCE, atol=0):
        found = " x ".join("unknown" if edge is None else f"{edge:.6g}" for edge in edges_um)
        raise SparseSSPError(
            f"{image.row}: the voxel size in the file is {found} um; allowed: {_text(expected)}, "
            f"within 1 %, as archives.{image.set}.voxel_um in the catalogue"
        )
    return z, y, x


def _origin(edges_um: Edges) -> str:
    """Return where the voxel size is from."""
    given = "".join(axis for axis, edge in zip("zyx", edges_um, strict=True) if edge is not None)
    if given in ("", "zyx"):
        return "of the file" if given else "of the catalogue"
    return f"{', '.join(given)} of the file, otherwise of the catalogue"


def _text(edges: tuple[float, ...]) -> str:
    return " x ".join(f"{edge:.6g}" for edge in edges)
