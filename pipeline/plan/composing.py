"""Composition of params.yaml from pipeline/conf, as by `dvc exp run -S OVERRIDE`, and the overrides saved there."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvc.utils.hydra import compose_and_dump
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from pipeline.plan.lockfile import LOCKFILE, forget_unplanned
from pipeline.plan.params import PARAMS, parse_params
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import write_text
from sparsessp.support.yaml_files import dump_yaml

CONF = Path(__file__).resolve().parents[1] / "conf"
_CHOICE = "choice.yaml"
_HEAD = """\
# Overrides saved by `python -m pipeline.compose OVERRIDE ...`. They replace the defaults of config.yaml, also for
# `dvc exp run -S`. `python -m pipeline.compose` without overrides restores the defaults.
"""


def compose(overrides: Sequence[str], conf: Path = CONF) -> str:
    """Return the text of params.yaml, composed from `conf` with these Hydra overrides.

    Raises:
        SparseSSPError: An override has an unknown key or a value that is not allowed.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / PARAMS.name
        try:
            compose_and_dump(str(output), str(conf), None, "config", str(CONF), list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise SparseSSPError(f"cannot compose {PARAMS} with {list(overrides)}: {error}") from None
        text = output.read_text(encoding="utf-8")
    parse_params(text, f"{PARAMS} as composed")
    return text


def choose(overrides: Sequence[str]) -> None:
    """Write params.yaml with these overrides, save them for later compositions, and shorten dvc.lock to the new plan.

    Raises:
        SparseSSPError: As for `compose`; all files are then unchanged.
    """
    choice = _HEAD + _as_config(overrides)
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "conf"
        shutil.copytree(CONF, conf)
        (conf / _CHOICE).write_text(_HEAD, encoding="utf-8")
        expected = compose(overrides, conf)
        (conf / _CHOICE).write_text(choice, encoding="utf-8")
        composed = compose([], conf)
    if composed != expected:
        raise SparseSSPError(f"{list(overrides)} cannot be saved; use `dvc exp run -S` or edit pipeline/conf")
    write_text(CONF / _CHOICE, choice)
    write_text(PARAMS, composed)
    params = parse_params(composed, PARAMS.name)
    forget_unplanned(LOCKFILE, (*params.experiments, *params.ratios))


def _as_config(overrides: Sequence[str]) -> str:
    """Return overrides as the text of a Hydra config."""
    groups: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise SparseSSPError(f"cannot compose {PARAMS} with {list(overrides)}: {error}") from None
    for override in parsed:
        key = override.key_or_group
        if override.is_delete() or override.is_sweep_override():
            raise SparseSSPError(f"{override.input_line!r} cannot be saved; allowed: KEY=VALUE, +KEY=VALUE")
        if (CONF / key).is_dir():
            groups.append({f"override /{key}": override.value()})
            continue
        *folders, last = key.split(".")
        place = values
        for name in folders:
            place = place.setdefault(name, {})
        place[last] = override.value()
    content = {**({"defaults": groups} if groups else {}), **values}
    return dump_yaml(content) if content else ""
