"""OmegaConf resolvers, which DVC registers before it composes conf/. DVC prescribes the name of this folder."""

import sys
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

# The `dvc` command does not import packages from the folder of dvc.yaml, so the imports below must follow this.
_ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(_ROOT))

from pipeline.plan.data import images_folder  # noqa: E402
from pipeline.plan.grid import expand, ratios_in_use  # noqa: E402
from pipeline.plan.starting import matching_runs, start_from  # noqa: E402
from sparsessp.errors import SparseSSPError  # noqa: E402


def _plain(node):
    return OmegaConf.to_container(node) if isinstance(node, (ListConfig, DictConfig)) else node


def _experiments(*choices):
    *choices, pretrained_run, network = map(_plain, choices)
    if (_ROOT / "dvc.yaml").is_file() and not (Path.cwd() / "dvc.yaml").is_file():
        # DVC writes params.yaml to the current folder, where no stage reads it.
        raise SparseSSPError(f"run this in {_ROOT}: in another folder, dvc exp run ignores -S")
    experiments = expand(*choices)
    matching = matching_runs(experiments, pretrained_run, network, _ROOT) if pretrained_run else ()
    return OmegaConf.create(start_from(experiments, pretrained_run, matching, choices[-1]))


def _ratios(experiments):
    return OmegaConf.create(ratios_in_use(experiments))


OmegaConf.register_new_resolver("experiments", _experiments, replace=True)
OmegaConf.register_new_resolver("ratios", _ratios, replace=True)
OmegaConf.register_new_resolver("images_folder", lambda csv: images_folder(csv, _ROOT), replace=True)
