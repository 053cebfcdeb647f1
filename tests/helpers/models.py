"""A small trained model file and stacks to predict."""

import numpy as np
from scipy import ndimage

from sparsessp.application.card import ModelCard
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.learning import checkpoints
from sparsessp.networks.network import build

VOXEL_UM = (0.29, 0.29, 0.29)
STRUCTURES = ("dna", "nucleolus")


def saved_model(path, ratio=2, method="tgnet", topology="3to2d", interpolation="prefix", depth=16, **notes):
    """Write a model file with random weights and a full card."""
    settings = NetworkSettings(
        method=method,
        topology=topology,
        interpolation=interpolation,
        ratio=ratio,
        depth=depth,
        width_3d=4,
        width_2d=4,
        groups=4,
        embedding=16,
    )
    network = build(settings, seed=1)
    score = {"volumes": 2, "r2": 0.5, "pearson": 0.75, "mse": 0.5}
    content = {
        "training": TrainingSettings(iterations=2, patch=32).model_dump(),
        "inference": InferenceSettings(window=32, overlap=0.25).model_dump(),
        "voxel_um": list(VOXEL_UM),
        "trained": list(STRUCTURES),
        "version": "0.1.0",
        "data": {"name": "a test", "licence": "CC-BY", "simulated": True},
        "scores": [{"structure": key, **score} for key in STRUCTURES],
        "revision": "abc",
    }
    checkpoints.save_model(path, network, content | notes)
    return path


def card_of(path):
    return ModelCard.of(checkpoints.load(path), str(path))


def stack(shape, seed=0):
    """Smooth random light, mean 0 and standard deviation about 1."""
    light = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1)
    return (light / light.std()).astype(np.float32)
