"""Small random fields of view."""

import numpy as np

from sparsessp.data.samples import Sample
from sparsessp.structures import STRUCTURES


def make_field(task, shape=(24, 32, 32), ratio=2, seed=0):
    """A field whose target is a fixed filter of its light, so that there is something to learn."""
    light = np.random.default_rng([seed, task]).standard_normal(shape).astype(np.float32)
    target = ((light + np.roll(light, 1, 0)) / np.sqrt(2)).astype(np.float32)
    key = STRUCTURES[task].key
    return Sample(f"{key}_{seed:03d}", key, task, light[::ratio], target, ratio, 0)
