import numpy as np
import pytest

from sparsessp.dataset import Sample
from sparsessp.structures import STRUCTURES


def make_sample(task, shape=(24, 32, 32), ratio=2, seed=0):
    """A field whose target is a blurred copy of its light, so that there is something to learn."""
    light = np.random.default_rng([seed, task]).standard_normal(shape).astype(np.float32)
    target = ((light + np.roll(light, 1, 0)) / np.sqrt(2)).astype(np.float32)
    key = STRUCTURES[task].key
    return Sample(f"{key}_{seed:03d}", key, task, light[::ratio], target, ratio, 0)


@pytest.fixture
def samples():
    return [make_sample(task) for task in (0, 3, 10)]
