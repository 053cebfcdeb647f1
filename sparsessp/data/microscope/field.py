"""The volume in which a scene is drawn: voxels, random streams, and drawing of shapes.

Shapes: D planes, H rows, W columns; P points; the last axis 3 is (z, y, x). Lengths in micrometres.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

# A random stream is identified by its position here: append, never reorder.
_STREAMS = (
    "cells",
    "outline",
    "relief",
    "fine_texture",
    "coarse_texture",
    "nuclei",
    "nucleoli",
    "mitochondria",
    "endoplasmic_reticulum",
    "golgi_apparatus",
    "lipid_droplets",
    "desmosome",
    "actomyosin_bundle",
    "actin_fibres",
    "microtubules",
    "camera",
    "detector",
    "focus",
)


class Field:
    """The box of cubic voxels that a scene is drawn in.

    Attributes:
        shape: (D, H, W).
        voxel: Voxel edge (z, y, x).
        z: Heights of the planes, (D, 1, 1).
        y: Positions of the rows, (H, 1).
        x: Positions of the columns, (1, W).
    """

    def __init__(self, seed: Sequence[int], shape: tuple[int, int, int], voxel_um: float):
        """Lay out the voxels.

        Args:
            seed: Non-negative integers that identify the scene.
            shape: (D, H, W).
            voxel_um: Edge of the cubic voxels.
        """
        self._seed, self.shape = tuple(seed), shape
        self.voxel = np.full(3, voxel_um)
        z, y, x = (np.arange(n, dtype=np.float32) * np.float32(v) for n, v in zip(shape, self.voxel, strict=True))
        self.z, self.y, self.x = z[:, None, None], y[:, None], x[None, :]

    def rng(self, stream: str) -> np.random.Generator:
        """Return a fresh generator of an ingredient's random stream."""
        return np.random.default_rng([*self._seed, _STREAMS.index(stream)])

    def noise(self, rng: np.random.Generator, scale: float, axes: int = 3) -> np.ndarray:
        """Random field over the last `axes` axes, smooth over `scale` um, mean 0, standard deviation 1."""
        white = rng.standard_normal(self.shape[-axes:], dtype=np.float32)
        smooth = ndimage.gaussian_filter(white, scale / self.voxel[-axes:], mode="wrap")
        return (smooth - smooth.mean()) / smooth.std()

    def pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (P,) and columns (P,) nearest to points (P, 3), possibly outside the field."""
        row, column = np.rint(points[:, 1:] / self.voxel[1:]).astype(int).T
        return row, column

    def count(self, points: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum the weights of points (P, 3) in their nearest voxels (D, H, W); those outside are dropped."""
        index = np.rint(points / self.voxel).astype(int)
        seen = np.all((index >= 0) & (index < self.shape), axis=1)
        flat = np.ravel_multi_index(tuple(index[seen].T), self.shape)
        kept = None if weights is None else weights[seen]
        return np.bincount(flat, kept, minlength=int(np.prod(self.shape))).reshape(self.shape).astype(np.float32)

    def tubes(self, points: np.ndarray, step: float, radius: float) -> np.ndarray:
        """Draw filaments, points `step` apart, as Gaussian tubes; a straight one peaks at about 1."""
        peak = step * 2 * np.pi * radius**2 / self.voxel.prod()
        return ndimage.gaussian_filter(self.count(points), radius / self.voxel) * np.float32(peak)

    def ball(self, volume: np.ndarray, centre: np.ndarray, radius: float) -> None:
        """Raise `volume` (D, H, W), in place, to a Gaussian ball with its peak of 1 at `centre` (3,)."""
        low = np.maximum(np.ceil((centre - 4 * radius) / self.voxel), 0).astype(int)
        high = np.maximum(np.floor((centre + 4 * radius) / self.voxel) + 1, 0).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        z, y, x = self.z[box[0]] - centre[0], self.y[box[1]] - centre[1], self.x[:, box[2]] - centre[2]
        ball = np.exp(-(z * z + y * y + x * x) / (2 * radius**2))
        np.maximum(volume[box], ball, out=volume[box])
