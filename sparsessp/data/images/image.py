"""An opened image, and the choice of its transmitted-light channel."""

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from sparsessp.data.voxel_size import micrometres
from sparsessp.errors import SparseSSPError

_LIGHT = re.compile(
    r"bright.?field|transmi|phase|\bdic\b|\bt[- ]?pmt\b|\besid\b|\btl\b|^bf\b|differential interference", re.IGNORECASE
)


Spacing = tuple[float | None, float | None, float | None]
"""Distance (z, y, x) between voxels in micrometres; None where it is unknown."""


@dataclass
class Image(ABC):
    """One scene of an opened file.

    Attributes:
        path: The file or folder.
        channels: Names of the channels; an empty string where the file has none.
        frames: Time points.
        planes: Planes of a stack.
        rows: Rows of a plane.
        columns: Columns of a plane.
        spacing_um: Distance (z, y, x) between voxels in micrometres; None where the file does not say.
        scenes: Scenes of the file.
    """

    path: Path
    channels: tuple[str, ...]
    frames: int
    planes: int
    rows: int
    columns: int
    spacing_um: Spacing
    scenes: int = field(default=1, kw_only=True)

    @abstractmethod
    def plane(self, frame: int, channel: int, plane: int) -> np.ndarray:
        """Return one plane (rows, columns) in the file's pixel type.

        Raises:
            SparseSSPError: The plane is missing or cannot be read.
        """

    def close(self) -> None:
        """Close the file."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Planes, rows and columns."""
        return self.planes, self.rows, self.columns


def light_channel(image: Image, wanted: str | None) -> int:
    """Return the index of the transmitted-light channel.

    Args:
        image: The image.
        wanted: Name or index of the channel; by default the only channel, or the only one whose name says so.

    Raises:
        SparseSSPError: There is no such channel, or no single one is meant.
    """
    if wanted is not None:
        return find_channel(image, wanted)
    if len(image.channels) == 1:
        return 0
    matches = [index for index, name in enumerate(image.channels) if _LIGHT.search(name)]
    if len(matches) != 1:
        raise SparseSSPError(
            f"{image.path}: which channel is the transmitted light? Name it with --channel, in a CSV file in the "
            f"column transmitted_light; its channels: {_listed(image)}"
        )
    return matches[0]


def find_channel(image: Image, wanted: str) -> int:
    """Return the index of the channel with this name or index.

    Raises:
        SparseSSPError: There is no such channel, or several have this name.
    """
    matches = [i for i, name in enumerate(image.channels) if name.casefold() == wanted.casefold()]
    if not matches and wanted.isdecimal() and int(wanted) < len(image.channels):
        matches = [int(wanted)]
    if len(matches) != 1:
        raise SparseSSPError(f"{image.path}: channel {wanted!r} is not in the file; its channels: {_listed(image)}")
    return matches[0]


def _listed(image: Image) -> str:
    return ", ".join(f"{index} {name!r}" if name else str(index) for index, name in enumerate(image.channels))


def chosen_scene(path: Path, scenes: int, scene: int | None) -> int:
    """Return the index of the scene to read, the only one by default.

    Raises:
        SparseSSPError: There is no such scene, or the file has several and none is chosen.
    """
    if scene is None and scenes > 1:
        raise SparseSSPError(
            f"{path}: has {scenes} scenes; choose one with --scene 0 to --scene {scenes - 1}, in a CSV file "
            "with the column scene"
        )
    if not 0 <= (scene or 0) < scenes:
        raise SparseSSPError(f"{path}: scene {scene} is not in the file; allowed: 0 to {scenes - 1}")
    return scene or 0


def in_um(value: object, unit: str) -> float | None:
    """Return a length in micrometres; None if it is missing, not positive, or in an unknown unit."""
    try:
        number = float(value) * (micrometres(unit) or 0)  # type: ignore[arg-type]  # see except
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None


def plane_error(path: Path, frame: int, channel: int, plane: int, fault: str) -> SparseSSPError:
    """Return the error for a plane whose image data are missing or incomplete: readers would fill it with zeros."""
    return SparseSSPError(f"{path}: plane {plane} of channel {channel} at time {frame} {fault}")
