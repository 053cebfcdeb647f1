"""Expansion of the plan's grid into the list of experiments."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pipeline.paths import CHECKED
from sparsessp.config import BACKBONES, METHODS, NATIVE, RATIOS, UNTRAINED, ExperimentSettings
from sparsessp.errors import SparseSSPError

HUB = "hub"
UNITS = ("epochs", "iterations")
_AXES = ("method", "topology", "interpolation", "projection", "backbone", "budget_percent", "ratio")
_DEFAULTS = {"interpolation": ["prefix"], "projection": ["3d"], "backbone": [NATIVE], "budget_percent": [100]}
_ONLY = "only_ratios"
_TABLES = "tables"
_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+@[\w.-]+")  # ORGANISATION/NAME@REVISION
# Dependency of trainings without local weights; the content of this file never changes.
_NOTHING = CHECKED.as_posix()


def as_ratios(ratio: Any) -> list[int]:
    """Return the chosen ratio or ratios as a list.

    Raises:
        SparseSSPError: One is not allowed or is listed twice, or there is none.
    """
    ratios = list(ratio) if isinstance(ratio, Sequence) and not isinstance(ratio, str) else [ratio]
    for value in ratios:
        if isinstance(value, bool) or value not in RATIOS:
            raise SparseSSPError(
                f"ratio = {value!r} is not allowed; allowed: {', '.join(map(str, RATIOS))}, or a list of them"
            )
    if not ratios or len(set(ratios)) < len(ratios):
        raise SparseSSPError(f"ratio = {ratios}: give each ratio once, and at least one")
    return ratios


def as_methods(methods: Any) -> list[str]:
    """Return the chosen methods as a list.

    Raises:
        SparseSSPError: One is unknown.
    """
    if methods == "all":
        return list(METHODS)
    chosen = list(methods) if isinstance(methods, Sequence) and not isinstance(methods, str) else [methods]
    for value in chosen:
        if value not in METHODS:
            raise SparseSSPError(f"methods = {value!r} is unknown; allowed: all, or a list of {', '.join(METHODS)}")
    return chosen


def as_tables(tables: Any, grid: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the chosen tables of the paper as a list.

    Raises:
        SparseSSPError: The plan has no training for one of them.
    """
    known = sorted({table for entry in grid for table in _list(entry, _TABLES, [])})
    if tables == "all":
        return known
    chosen = list(tables) if isinstance(tables, Sequence) and not isinstance(tables, str) else [tables]
    for value in chosen:
        if isinstance(value, bool) or value not in known:
            allowed = f"all, or a list of {', '.join(map(str, known))}"
            raise SparseSSPError(f"tables = {value!r}: the plan has no training for it; allowed: {allowed}")
    return chosen


def as_seeds(seeds: Any) -> list[int]:
    """Return the chosen seeds.

    Raises:
        SparseSSPError: One is not allowed or is listed twice, or there is none.
    """
    chosen = list(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else [seeds]
    if not chosen or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in chosen):
        raise SparseSSPError(f"seeds = {seeds!r} is not allowed; allowed: a list of whole numbers from 0")
    if len(set(chosen)) < len(chosen):
        raise SparseSSPError(f"seeds = {seeds}: give each seed once")
    return chosen


def as_weights(pretrained: Any) -> dict[str, str]:
    """Return the initial weights of each backbone that has any.

    Raises:
        SparseSSPError: A backbone is unknown, or the name of its weights is not a string.
    """
    names = [name for name in BACKBONES if name != NATIVE]
    if isinstance(pretrained, bool):
        return dict.fromkeys(names, HUB) if pretrained else {}
    allowed = f"allowed: false, true, or a mapping of backbones ({', '.join(names)}) to weights"
    if not isinstance(pretrained, Mapping):
        raise SparseSSPError(f"pretrained = {pretrained!r}; {allowed}")
    for key, value in pretrained.items():
        if key not in names or not isinstance(value, str):
            raise SparseSSPError(f"pretrained.{key} = {value!r}; {allowed}")
    return dict(pretrained)


def local_file(weights: str) -> str | None:
    """Return the local file or folder of the weights, or None for weights from the hub, which name a revision."""
    return None if weights in (UNTRAINED, HUB) or _ON_HUB.fullmatch(weights) else weights


def expand(
    ratio: Any,
    tables: Any,
    methods: Any,
    grid: Sequence[Mapping[str, Any]],
    budget: Mapping[str, Any],
    seeds: Any = (0,),
    pretrained: Any = False,
) -> dict[str, dict[str, Any]]:
    """Expand the grid into experiments; an experiment that several tables share is listed once.

    Args:
        ratio: Chosen ratio or ratios, for the entries without their own.
        tables: Chosen tables of the paper, or "all".
        methods: Chosen methods, or "all".
        grid: Entries of lists, see conf/plan/paper.yaml.
        budget: `unit` (epochs or iterations) and `amount`, by topology (`topology_2d`) or by method.
        seeds: Random seeds; every experiment is trained once with each.
        pretrained: Initial weights of the backbones: false, true, or a mapping by backbone.

    Returns:
        Name -> the fields of `ExperimentSettings`, the budget, and `watch`, the file or folder of local weights.

    Raises:
        SparseSSPError: A value or combination is not allowed, or no experiment is left.
    """
    ratios, chosen, weights = as_ratios(ratio), as_methods(methods), as_weights(pretrained)
    served = as_tables(tables, grid)
    if budget["unit"] not in UNITS:
        raise SparseSSPError(f"scale.budget.unit = {budget['unit']!r} is unknown; allowed: {', '.join(UNITS)}")
    experiments: dict[str, dict[str, Any]] = {}
    wanted = [entry for entry in grid if _TABLES not in entry or set(entry[_TABLES]) & set(served)]
    for entry, seed in product(wanted, as_seeds(seeds)):
        axes = _axes(entry, ratios)
        for values in product(*(axes[axis] for axis in _AXES)):
            varied = dict(zip(_AXES, values, strict=True))
            started = weights.get(varied["backbone"], UNTRAINED)
            settings = ExperimentSettings.load({**varied, "weights": started, "seed": seed}, "plan.grid")
            if settings.method in chosen:
                usual = _usual_budget(settings, budget["amount"])
                amount = max(1, round(usual * settings.budget_percent / 100))
                watch = local_file(settings.weights) or _NOTHING
                experiments[settings.name] = {**settings.model_dump(), budget["unit"]: amount, "watch": watch}
    if not experiments:
        raise SparseSSPError(f"methods = {methods}, tables = {tables}: no experiment of the plan matches")
    return experiments


def budget_key(topology: str) -> str:
    """Return the key of a topology's budget, which Hydra can parse on a command line."""
    return f"topology_{topology}"


def _usual_budget(settings: ExperimentSettings, amounts: Mapping[str, int]) -> int:
    """Return the epochs or iterations of an experiment at 100 percent."""
    key = settings.method if settings.method in amounts else budget_key(settings.topology)
    if key not in amounts:
        raise SparseSSPError(f"scale.budget.amount: key {key!r} is missing")
    return amounts[key]


def _list(entry: Mapping[str, Any], key: str, default: Any) -> list[Any]:
    value = entry.get(key, default)
    if not isinstance(value, list):
        raise SparseSSPError(f"plan.grid: {key} = {value!r} in {dict(entry)}; expected a list")
    return value


def _axes(entry: Mapping[str, Any], ratios: list[int]) -> dict[str, list[Any]]:
    """Lists of an entry's values, one for each axis of the grid."""
    allowed = (*_AXES, _ONLY, _TABLES)
    unknown = [key for key in entry if key not in allowed]
    if unknown:
        raise SparseSSPError(f"plan.grid: unknown key {unknown[0]!r}; allowed: {', '.join(allowed)}")
    only = _list(entry, _ONLY, ratios)
    defaults = {**_DEFAULTS, "ratio": [ratio for ratio in ratios if ratio in only]}
    return {axis: _list(entry, axis, defaults.get(axis)) for axis in _AXES}


def ratios_in_use(experiments: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Return the ratios that at least one experiment needs, sorted."""
    return sorted({experiment["ratio"] for experiment in experiments.values()})
