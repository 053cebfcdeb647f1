"""Geometry of the cells of a field: borders, surfaces and nuclei.

A monolayer of hiPSC-like cells: neighbouring columns about 10 um wide and 9.6 um high, halfway up
the field. Shapes: D planes, H rows, W columns; N cells, P points; the last axis 3
is (z, y, x). Lengths in micrometres; distances are signed, negative inside.
"""

from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from sparsessp.data.microscope.field import Field
from sparsessp.data.microscope.shapes import inside, ridge

_PITCH = 10.4  # between cell centres
_HEIGHT = 9.6  # mean, of a cell


class Cells:
    """The cells of one field.

    The field's centre always lies 30 percent of the way from a cell's centre to the nearest other
    one: even 32 x 32 voxels show a nucleus and a border between cells.
    """

    def __init__(self, field: Field):
        self._field = field
        self._bottom = float(field.shape[0] * field.voxel[0] - _HEIGHT) / 2  # mean height of the glass side

    @cached_property
    def centres(self) -> np.ndarray:
        """Centres of the cells (N, 2): a jittered, rotated brick lattice that extends beyond the field on all sides."""
        rng, size = self._field.rng("cells"), self._field.voxel[1:] * self._field.shape[1:]
        row, column = np.indices((int(np.hypot(*size) / _PITCH) + 5,) * 2).reshape(2, -1)
        lattice = np.column_stack([row, column + row % 2 / 2]) * _PITCH
        lattice += 1.3 * np.clip(rng.standard_normal(lattice.shape), -2, 2)
        angle = rng.uniform(0, 2 * np.pi)
        sin, cos = np.sin(angle), np.cos(angle)
        turned = np.column_stack([cos * lattice[:, 0] - sin * lattice[:, 1], sin * lattice[:, 0] + cos * lattice[:, 1]])
        middle = turned[np.square(turned - turned.mean(axis=0)).sum(axis=1).argmin()]
        neighbour = turned[np.square(turned - middle).sum(axis=1).argsort()[1]]
        return turned - middle - 0.3 * (neighbour - middle) + size / 2

    @cached_property
    def _voronoi(self) -> tuple[np.ndarray, np.ndarray]:
        field, rng = self._field, self._field.rng("outline")
        bend_y, bend_x = (0.58 * field.noise(rng, 2.3, axes=2) for _ in range(2))
        pixels = np.stack(np.broadcast_arrays(field.y + bend_y, field.x + bend_x), axis=-1)
        distance, cell = KDTree(self.centres).query(pixels, k=2)
        return cell[..., 0], ((distance[..., 1] - distance[..., 0]) / 2).astype(np.float32)

    @property
    def owner(self) -> np.ndarray:
        """The cell that each pixel belongs to, (H, W)."""
        return self._voronoi[0]

    @property
    def border(self) -> np.ndarray:
        """Distance of each pixel to the border with the next cell, (H, W), never negative."""
        return self._voronoi[1]

    @cached_property
    def in_view(self) -> np.ndarray:
        """The cells that own at least one pixel, sorted."""
        return np.unique(self.owner)

    def hold(self, points: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """Return which points (P, 3) lie in the field and in the cells (P,) that they belong to."""
        row, column = self._field.pixels(points)
        _, height, width = self._field.shape
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return seen & (self.owner[row % height, column % width] == owner)

    @cached_property
    def surfaces(self) -> tuple[np.ndarray, np.ndarray]:
        """Heights (H, W) of the glass side and of the free side, which dips at the borders."""
        field, rng = self._field, self._field.rng("relief")
        bottom = self._bottom + 0.17 * field.noise(rng, 2.9, axes=2)
        height = rng.normal(_HEIGHT, 0.7, len(self.centres)).astype(np.float32)
        rounded = ndimage.gaussian_filter(height[self.owner], 1.16 / field.voxel[1:])
        dip = 0.87 * ridge(self.border, 1.02)
        return bottom, bottom + rounded - dip + 0.145 * field.noise(rng, 1.74, axes=2)

    @cached_property
    def above_bottom(self) -> np.ndarray:
        """Height above the glass side, (D, H, W)."""
        return self._field.z - self.surfaces[0]

    @cached_property
    def below_top(self) -> np.ndarray:
        """Depth below the free side, (D, H, W)."""
        return self.surfaces[1] - self._field.z

    @cached_property
    def body(self) -> np.ndarray:
        """Soft indicator (D, H, W) of all that is not medium."""
        return inside(-self.above_bottom) * inside(-self.below_top)

    @cached_property
    def fine_texture(self) -> np.ndarray:
        """Random field (D, H, W) of the graininess of chromatin and cytoplasm, standard deviation 1."""
        return self._field.noise(self._field.rng("fine_texture"), 0.35)

    @cached_property
    def coarse_texture(self) -> np.ndarray:
        """Random field (D, H, W) that dents nuclei and varies the dry mass, standard deviation 1."""
        return self._field.noise(self._field.rng("coarse_texture"), 0.87)

    @cached_property
    def nuclei(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre (N, 3), half axes (N, 3) and direction (N,) of the ellipsoid in each cell."""
        rng, n = self._field.rng("nuclei"), len(self.centres)
        z = rng.normal(self._bottom + 0.43 * _HEIGHT, 0.35, n)
        centre = np.column_stack([z, self.centres + rng.normal(0, 0.58, (n, 2))])
        return centre, rng.normal([2.76, 3.9, 3.5], [0.23, 0.35, 0.35], (n, 3)), rng.uniform(0, np.pi, n)

    @cached_property
    def nucleus_distance(self) -> np.ndarray:
        """Signed distance (D, H, W) to the nucleus of the same cell, which never reaches the cell's border."""
        field = self._field
        centre, radius, angle = (values[self.owner].astype(np.float32) for values in self.nuclei)
        y, x, sin, cos = field.y - centre[..., 1], field.x - centre[..., 2], np.sin(angle), np.cos(angle)
        along, across = (y * cos + x * sin) / radius[..., 1], (x * cos - y * sin) / radius[..., 2]
        upward = (field.z - centre[..., 0]) / radius[..., 0]
        ellipsoid = (np.sqrt(upward * upward + (along * along + across * across)) - 1) * radius.mean(axis=-1)
        return np.maximum(ellipsoid, 0.5 - self.border) + 0.145 * self.coarse_texture
