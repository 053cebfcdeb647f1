"""Runs that start from the weights of a model file, `pretrained_run` of params.yaml."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pipeline.paths import RUNS
from sparsessp.config import ExperimentSettings, NetworkSettings
from sparsessp.errors import SparseSSPError

_SHOWN = 3  # runs in an error
Experiments = dict[str, dict[str, Any]]


def start_from(experiments: Experiments, file: str | None, matching: Collection[str], pretrained: Any) -> Experiments:
    """Return the experiments; those that match get the model file as `pretrained_run` and as a dependency.

    Args:
        experiments: Planned runs by name.
        file: Model file, or None.
        matching: Names of the runs whose network is that of the file.
        pretrained: Initial weights of the backbones, which exclude a model file.

    Raises:
        SparseSSPError: No run matches, or both kinds of initial weights are given.
    """
    if file is None:
        return experiments
    if pretrained:
        raise SparseSSPError(f"pretrained_run = {file} and pretrained = {pretrained}: give one of the two")
    if not matching:
        raise SparseSSPError(f"pretrained_run = {file}: no planned run matches it")
    added = {"pretrained_run": file, "watch": file}
    return {name: {**item, **added} if name in matching else item for name, item in experiments.items()}


def matching_runs(experiments: Experiments, file: str, network: Mapping[str, Any], root: Path = Path()) -> list[str]:
    """Return the names of the runs whose network is that of a model file, whatever its structures.

    Structures are compared by the training, which knows those of the dataset.

    Args:
        experiments: Planned runs by name.
        file: Model file.
        network: `scale.network`.
        root: Folder to which the path of the file is relative.

    Raises:
        SparseSSPError: The file is not a model, is an output of the pipeline, or no run matches; the message names
            what differs.
    """
    from sparsessp.learning.pretrained import differences, read_settings  # imports torch

    path = root / file
    if path.resolve().is_relative_to((root / RUNS).resolve()):
        name = path.parent.name
        raise SparseSSPError(
            f"pretrained_run = {file}: the pipeline deletes this file when it trains the run again; package it: "
            f"`python -m pipeline.package {name}` writes artifacts/models/{name}.pt"
        )
    saved = read_settings(path)
    found, others = [], []
    for name, item in experiments.items():
        varied = {key: item[key] for key in ExperimentSettings.model_fields}
        run = NetworkSettings.load({**network, **varied, "structures": saved.structures}, "scale.network")
        if differing := differences(saved, run):
            others.append((len(differing), f"{name}: {'; '.join(differing)}"))
        else:
            found.append(name)
    if not found:
        nearest = [text for _, text in sorted(others)[:_SHOWN]]
        head = f"pretrained_run = {file}: no planned run has the network of this file, {saved.name}:"
        raise SparseSSPError("\n".join([head, *nearest]))
    return found
