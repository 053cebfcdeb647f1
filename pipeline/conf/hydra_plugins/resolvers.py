"""Resolvers that DVC registers before it composes conf/; DVC requires the name of this folder."""

import sys
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

# DVC's own program does not search the folder of dvc.yaml for packages.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pipeline.plan.grid import expand, ratios_in_use  # noqa: E402


def _plain(node):
    return OmegaConf.to_container(node) if isinstance(node, (ListConfig, DictConfig)) else node


def _experiments(*choices):
    return OmegaConf.create(expand(*map(_plain, choices)))


def _ratios(experiments):
    return OmegaConf.create(ratios_in_use(experiments))


OmegaConf.register_new_resolver("experiments", _experiments, replace=True)
OmegaConf.register_new_resolver("ratios", _ratios, replace=True)
