"""SparseSSP: dense 3D fluorescence of subcellular structures from a few transmitted-light slices.

The names below are imported on first use, so that `import sparsessp` loads neither torch nor pydantic.
Type checkers read them from __init__.pyi: an import here would make every pipeline stage depend on all of them.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "METHODS": "sparsessp.config",
    "STRUCTURES": "sparsessp.structures",
    "TOPOLOGIES": "sparsessp.config",
    "ExperimentSettings": "sparsessp.config",
    "InferenceSettings": "sparsessp.config",
    "Model": "sparsessp.application.model",
    "ModelCard": "sparsessp.application.card",
    "NetworkSettings": "sparsessp.config",
    "TrainingSettings": "sparsessp.config",
    "build": "sparsessp.networks.network",
    "load_model": "sparsessp.application.model",
    "predict": "sparsessp.learning.inference",
    "train": "sparsessp.learning.training",
}

__all__ = [
    "METHODS",
    "STRUCTURES",
    "TOPOLOGIES",
    "ExperimentSettings",
    "InferenceSettings",
    "Model",
    "ModelCard",
    "NetworkSettings",
    "TrainingSettings",
    "__version__",
    "build",
    "load_model",
    "predict",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
