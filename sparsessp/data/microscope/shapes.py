"""Small shapes that scenes are made of: profiles and random walks."""

import numpy as np
from scipy import special


def ridge(distance: np.ndarray, width: float) -> np.ndarray:
    """Gaussian profile of a thin layer: 1 at distance 0, standard deviation `width`."""
    return np.exp(-0.5 * np.square(distance / width))


def inside(distance: np.ndarray, softness: float = 0.145) -> np.ndarray:
    """Soft indicator: 1 where the signed `distance` is well below 0, 0 where it is well above."""
    return special.expit(-distance / softness)


def random_walks(
    rng: np.random.Generator,
    start_W3: np.ndarray,
    direction_W3: np.ndarray,
    steps_W: np.ndarray,
    step: float,
    wobble: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Walk W persistent random walks at once, such as the courses of filaments.

    Args:
        rng: Source of the wobble.
        start_W3: First point of each walk.
        direction_W3: First direction of each walk, any length above 0.
        steps_W: Number of steps of each walk.
        step: Length of a step, in the unit of `start_W3`.
        wobble: Standard deviation of the change of direction at a step, per axis.

    Returns:
        The points (P, 3) of all walks, and the walk (P,) that each point belongs to.
    """
    longest = int(steps_W.max())
    direction = direction_W3 / np.linalg.norm(direction_W3, axis=1, keepdims=True)
    points = np.empty((longest + 1, *start_W3.shape))
    points[0] = start_W3
    for i in range(longest):
        direction = direction + wobble * rng.standard_normal(direction.shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        points[i + 1] = points[i] + step * direction
    taken, walk = np.nonzero(np.arange(longest + 1)[:, None] <= steps_W)
    return points[taken, walk], walk
