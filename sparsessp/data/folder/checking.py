"""Checks of a user's CSV file and the images that it lists; all faults are reported at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sparsessp.data.folder.grouping import groups
from sparsessp.data.folder.needs import Needs
from sparsessp.data.folder.table import Faults, Row, read_rows
from sparsessp.data.images.image import Image, find_channel, light_channel
from sparsessp.data.images.opening import open_image
from sparsessp.data.splits import PARTS, split
from sparsessp.errors import SparseSSPError
from sparsessp.schema import VOXEL_COLUMNS
from sparsessp.structures import in_order

AXIAL_TOLERANCE = 0.05  # of the distance between planes, as in prediction
LATERAL_TOLERANCE = 0.02  # of a pixel; within it, rows and columns are not resampled
_LARGEST_ZOOM = 16


@dataclass(frozen=True)
class Listed:
    """One line of the CSV file, checked.

    Attributes:
        row: The line.
        path: File of the image, or folder of an OME-Zarr image.
        light: Index of the transmitted-light channel.
        fluorescence: Index of the channel with the labelled structure.
        shape: Planes, rows and columns as recorded.
        voxel_um: Voxel size (z, y, x) as recorded, in micrometres.
        group: Name of its group; lines with the same image are in the same group.
    """

    row: Row
    path: Path
    light: int
    fluorescence: int
    shape: tuple[int, int, int]
    voxel_um: tuple[float, float, float]
    group: str

    def open(self) -> Image:
        """Open the image."""
        return open_image(self.path, self.row.scene, self.row.axes)

    def zoom(self, pixel_um: float) -> tuple[float, float]:
        """Return the factors by which rows and columns are resampled to this size of a pixel; 1: not resampled."""
        _, y_um, x_um = self.voxel_um
        return _factor(y_um / pixel_um), _factor(x_um / pixel_um)

    def prepared_shape(self, pixel_um: float) -> tuple[int, int, int]:
        """Return planes, rows and columns after resampling."""
        factors = (1.0, *self.zoom(pixel_um))
        planes, rows, columns = (round(n * factor) for n, factor in zip(self.shape, factors, strict=True))
        return planes, rows, columns


def pixel_size(images: Sequence[Listed], needs: Needs) -> float:
    """Return the size of a pixel to which all images are resampled, in micrometres.

    By default it is the largest of the images, so that no detail is invented.
    """
    return needs.pixel_um or max(max(image.voxel_um[1:]) for image in images)


def check(table: Path, needs: Needs, voxels: bool = True) -> list[Listed]:
    """Read the CSV file and check it and its images.

    Args:
        table: The CSV file.
        needs: What the networks need.
        voxels: Whether to read the voxels too, and not only what the files say about them.

    Returns:
        The lines with the wanted structures, in the order of the file.

    Raises:
        SparseSSPError: Something is wrong; the message has one line for each fault.
    """
    faults = Faults(table)
    rows = read_rows(table, faults)
    rows = _wanted(table, rows, needs, faults)
    names = groups(rows, table.parent)
    images = [found for row, name in zip(rows, names, strict=True) if (found := _open(table, row, name, faults))]
    _check_twice(images, faults)
    if images:
        _check_grid(images, needs, faults)
    _check_split(rows, names, faults)
    if voxels:
        for image in images:
            _check_voxels(image, faults)
    faults.check()
    return images


def _wanted(table: Path, rows: list[Row], needs: Needs, faults: Faults) -> list[Row]:
    """Return the rows of the chosen structures."""
    if needs.structures is None:
        return rows
    known = in_order(row.structure for row in rows)
    for key in needs.structures:
        if key not in known:
            faults.add(0, f"structures: {key!r} is in no valid line; the file has: {', '.join(known)}")
    return [row for row in rows if row.structure in needs.structures]


def _open(table: Path, row: Row, group: str, faults: Faults) -> Listed | None:
    """Open an image and check what its file says about it; None if something is wrong."""
    try:
        path = _path(table, row.image)
        with open_image(path, row.scene, row.axes) as image:
            return _checked(image, path, row, group, faults)
    except SparseSSPError as error:
        faults.add_value(row.line, "image", row.image, str(error))
        return None


def _path(table: Path, written: str) -> Path:
    """Return the path of an image, which must be where DVC notices that it changes.

    Raises:
        SparseSSPError: The path leads out of the folder of the CSV file, or there is nothing.
    """
    folder = table.parent
    path = Path(written)
    inside = path.relative_to(folder.absolute()) if path.is_relative_to(folder.absolute()) else path
    if inside.is_absolute() or ".." in inside.parts:
        raise SparseSSPError(
            f"it is not in the folder of the CSV file, {folder}, or below it, where DVC notices a changed image"
        )
    path = folder / inside
    if not path.exists():
        raise SparseSSPError(f"{path}: there is no such image")
    return path


def _checked(image: Image, path: Path, row: Row, group: str, faults: Faults) -> Listed | None:
    usable = True
    if image.frames > 1:
        faults.add_value(row.line, "image", row.image, f"has {image.frames} time points; allowed: one")
        usable = False
    if image.planes < 2:
        faults.add_value(row.line, "image", row.image, "a single plane (2D); a stack of planes is needed")
        usable = False
    channels: list[int] = []
    for column, wanted in (("transmitted_light", row.transmitted_light), ("fluorescence", row.fluorescence)):
        try:
            find = light_channel if column == "transmitted_light" else find_channel
            channels.append(find(image, wanted))  # type: ignore[operator]  # both take an image and a name
        except SparseSSPError as error:
            faults.add_value(row.line, column, wanted or "", str(error))
            usable = False
    if len(channels) == 2 and channels[0] == channels[1]:
        problem = f"is also the transmitted light; the file has {len(image.channels)} channels"
        faults.add_value(row.line, "fluorescence", row.fluorescence, problem)
        usable = False
    edges = [given or found for given, found in zip(row.voxel_um, image.spacing_um, strict=True)]
    for column, edge in zip(VOXEL_COLUMNS, edges, strict=True):
        if edge is None:
            problem = f"{path} does not give this edge of a voxel; give it in micrometres"
            faults.add_value(row.line, column, "", problem)
            usable = False
    if not usable:
        return None
    z, y, x = edges
    # Usable: there are two channels, and no edge is missing.
    return Listed(row, path, *channels, image.shape, (z, y, x), group)  # type: ignore[arg-type,misc]


def _factor(factor: float) -> float:
    """Return a factor, or 1 if it is so close to 1 that nothing is resampled."""
    return 1.0 if abs(factor - 1) <= LATERAL_TOLERANCE else factor


def _check_twice(images: Sequence[Listed], faults: Faults) -> None:
    """Find lines that list the same channel, or the same structure of an image, again."""
    seen: dict[tuple[object, ...], int] = {}
    for image in images:
        row = image.row
        place = (image.path.resolve(), row.scene or 0)
        for key, what in (((*place, image.fluorescence), "channel"), ((*place, row.structure), "structure")):
            first = seen.setdefault((what, *key), row.line)
            if first != row.line:
                faults.add_value(row.line, "image", row.image, f"line {first} already lists this {what} of this file")
                break


def _check_grid(images: Sequence[Listed], needs: Needs, faults: Faults) -> None:
    """Compare the images with each other and with the sizes that the scale needs."""
    spacing = float(np.median([image.voxel_um[0] for image in images]))
    pixel = pixel_size(images, needs)
    for image in images:
        line, written = image.row.line, image.row.image
        z, y, x = image.voxel_um
        if abs(z / spacing - 1) > AXIAL_TOLERANCE:
            problem = f"{z:.4g} µm; the median is {spacing:.4g} µm: planes are not resampled, so all distances between "
            faults.add_value(line, "image", written, f"distance between planes {problem}planes must be within 5 %")
        if not all(1 / _LARGEST_ZOOM <= edge / pixel <= _LARGEST_ZOOM for edge in (y, x)):
            problem = f"pixels of {y:.4g} x {x:.4g} µm would be resampled to {pixel:.4g} µm"
            faults.add_value(line, "image", written, f"{problem}; allowed: a factor of {_LARGEST_ZOOM}")
            continue
        planes, rows, columns = image.prepared_shape(pixel)
        if planes < needs.depth:
            problem = f"{planes} planes; the scale needs {needs.depth} or more: set scale.network.depth to at most "
            faults.add_value(line, "image", written, f"{problem}{planes}, a multiple of each ratio")
        if min(rows, columns) < needs.patch:
            problem = f"{rows} rows and {columns} columns with pixels of {pixel:.4g} µm; the scale needs {needs.patch} "
            hint = f"or more: set scale.training.patch to at most {min(rows, columns)}, or data.source.pixel_um smaller"
            faults.add_value(line, "image", written, problem + hint)


def _check_split(rows: Sequence[Row], names: Sequence[str], faults: Faults) -> None:
    """Check that each structure has images in each part, and that no group is in two parts."""
    if not rows:
        return
    given = [row for row in rows if row.split]
    if not given:
        try:
            _automatic(rows, names)
        except SparseSSPError:
            faults.add(0, _unsplittable(rows, names))
        return
    for row in rows:
        if not row.split:
            faults.add_value(row.line, "split", "", f"give it in every line or in none; allowed: {', '.join(PARTS)}")
    first: dict[str, Row] = {}
    for row, name in zip(rows, names, strict=True):
        other = first.setdefault(name, row)
        if row.split != other.split and {row.split, other.split} <= set(PARTS):
            problem = f"line {other.line} has the same group or image in {other.split!r}; a group must be in one part"
            faults.add_value(row.line, "split", row.split, problem)
    for key in in_order(row.structure for row in rows):
        have = {row.split for row in rows if row.structure == key}
        for part in PARTS:
            if part not in have and have <= set(PARTS):
                faults.add(0, f"structure {key!r} has no {part} image; each structure needs one in every part")


def _unsplittable(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return why the images cannot be split, with the groups of each structure."""
    sizes = []
    for key in in_order(row.structure for row in rows):
        own = [name for row, name in zip(rows, names, strict=True) if row.structure == key]
        sizes.append(f"{key}: {len(own)} in {len(set(own))} groups")
    return (
        "split: whole groups (images, without the column group) cannot be assigned so that each structure has images "
        f"in {', '.join(PARTS)}; {'; '.join(sizes)}: give the column split, or 3 or more groups per structure"
    )


def _automatic(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Return the part of each row, as stage split will assign it."""
    structures = [row.structure for row in rows]
    table = pd.DataFrame({"volume": range(len(rows)), "structure": structures, "plate": names})
    return split(table, "plate")["part"].tolist()


def parts_of(images: Sequence[Listed]) -> list[str]:
    """Return the part of the split of each image."""
    given = [image.row.split for image in images if image.row.split]
    return given or _automatic([image.row for image in images], [image.group for image in images])


def _check_voxels(image: Listed, faults: Faults) -> None:
    """Check that all voxels of both channels can be read, are finite, and are not all equal."""
    row = image.row
    try:
        with image.open() as opened:
            for column, channel in (("transmitted_light", image.light), ("fluorescence", image.fluorescence)):
                low, high, bad = np.inf, -np.inf, 0
                for number in range(image.shape[0]):
                    plane = opened.plane(0, channel, number)
                    finite = np.isfinite(plane)
                    bad += int(plane.size - finite.sum())
                    if finite.any():
                        low, high = min(low, float(plane[finite].min())), max(high, float(plane[finite].max()))
                if bad:
                    faults.add(row.line, f"{column}: {bad} voxels of {image.path} are NaN or infinite; replace them")
                elif low == high:
                    faults.add(row.line, f"{column}: every voxel of {image.path} is {low:g}; nothing can be learned")
    except SparseSSPError as error:
        faults.add_value(row.line, "image", row.image, str(error))
