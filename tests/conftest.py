"""Tiny real things that several test modules share."""

import numpy as np
import pytest

from sparsessp.config import NetworkSettings
from sparsessp.dataset import Sample
from sparsessp.structures import STRUCTURES
from sparsessp.volumes import sparse_view, zscore

# Width 16, not 8: in torch 2.13.0+cpu the backward pass of a channels-last 1x1 convolution of stride 2
# from 8 to 16 channels writes out of bounds (oneDNN) and takes the process with it.
SMALL = {"width": 16, "groups": 8, "depth": 16, "embedding": 32, "repmode_kernel": 3}


@pytest.fixture(scope="session")
def small_settings():
    """Function: settings of a network that a CPU trains in milliseconds."""

    def make(**changes):
        return NetworkSettings(**({"method": "plain", "topology": "2d"} | SMALL | changes))

    return make


@pytest.fixture(scope="session")
def make_sample():
    """Function: a sample of random voxels, whose view is really taken from a dense stack."""

    def make(seed=0, shape=(16, 32, 32), ratio=2, phase=0, task=0):
        rng = np.random.default_rng(seed)
        light = zscore(rng.normal(size=shape), "light")[0]
        target = zscore(rng.normal(size=shape) + light, "target")[0]
        key = STRUCTURES[task].key
        view = sparse_view(light, ratio, phase)
        return Sample(f"{key}-{seed}", key, task, view, target, ratio, phase)

    return make
