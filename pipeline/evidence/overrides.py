"""Overrides that compose the settings of a committed result."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.plan.composing import compose
from pipeline.plan.params import Params
from sparsessp.errors import SparseSSPError
from sparsessp.support.yaml_files import parse_yaml

# Computed from other keys.
_COMPUTED = ("experiments", "ratios", "data.source.structures", "scale.name", "data.name")


def overrides(params: Params, text: str) -> list[str]:
    """Return overrides that compose params.yaml with this text.

    Raises:
        SparseSSPError: There are none: pipeline/conf has changed too much since.
    """
    wanted = parse_yaml(text, "params.yaml")
    chosen = [f"scale={params.scale.name}", f"data={params.data.name}"]
    # One at a time, the key nearest to the root first, because an override can change other keys by interpolation.
    while differing := sorted(_differences(parse_yaml(compose(chosen), "params.yaml"), wanted), key=_depth):
        key, value = differing[0]
        if any(item.startswith(f"{key}=") for item in chosen):
            raise SparseSSPError(f"no overrides of pipeline/conf give {key} = {value!r}")
        chosen.append(f"{key}={hydra(value)}")
    usual = parse_yaml(compose([]), "params.yaml")
    return [item for item in chosen if item not in (f"scale={usual['scale']['name']}", f"data={usual['data']['name']}")]


def hydra(value: Any) -> str:
    """Return a value as Hydra's command line reads it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{hydra(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(hydra, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def commands(chosen: list[str]) -> list[str]:
    """Return the commands that produce a report with these overrides."""
    composing = [shlex.join(["python", "-m", "pipeline.compose", *chosen])] if chosen else []
    return [*composing, "python -m pipeline.run_plan"]


def _differences(have: Any, wanted: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if path in _COMPUTED or have == wanted:
        return
    if isinstance(have, Mapping) and isinstance(wanted, Mapping) and wanted.keys() <= have.keys():
        for key in wanted:  # settings that were added since then keep their defaults
            yield from _differences(have[key], wanted[key], f"{path}.{key}" if path else key)
    else:
        yield path, wanted


def _depth(item: tuple[str, Any]) -> int:
    return item[0].count(".")
