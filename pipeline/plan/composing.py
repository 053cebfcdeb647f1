"""Composition of params.yaml from pipeline/conf, as `dvc exp run -S OVERRIDE` does it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from dvc.utils.hydra import compose_and_dump
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from pipeline.plan.params import PARAMS, parse_params
from sparsessp.errors import SparseSSPError

_CONF = Path(__file__).resolve().parents[1] / "conf"


def compose(overrides: Sequence[str]) -> str:
    """Return params.yaml as composed from conf/ with these Hydra overrides.

    Raises:
        SparseSSPError: An override names no known key, or a value that is not allowed.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / PARAMS.name
        try:
            compose_and_dump(str(output), str(_CONF), None, "config", str(_CONF), list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise SparseSSPError(f"cannot compose params.yaml with {list(overrides)}: {error}") from None
        text = output.read_text(encoding="utf-8")
    parse_params(text, f"{PARAMS} as composed")
    return text
