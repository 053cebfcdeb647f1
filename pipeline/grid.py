"""From the plan's grid to the explicit list of experiments."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from sparsessp.config import METHODS, RATIOS, ExperimentSettings
from sparsessp.errors import SparseSSPError

UNITS = ("epochs", "iterations")
_AXES = ("method", "topology", "interpolation", "projection", "ratio")


def as_ratios(ratio: Any) -> list[int]:
    """Return the chosen ratio or ratios as a list.

    Raises:
        SparseSSPError: One is not allowed, stands twice, or there is none.
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


def expand(
    ratio: Any, methods: Any, grid: Sequence[Mapping[str, Any]], budget: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Expand the grid into experiments, each named once however many tables share it.

    Args:
        ratio: Chosen ratio or ratios, for the entries that name none.
        methods: Chosen methods, or "all".
        grid: Entries of lists, see conf/plan/paper.yaml.
        budget: `unit` (epochs or iterations) and `amount` per topology, or of a method by its name.

    Returns:
        Name -> method, topology, interpolation, projection, ratio and the budget.

    Raises:
        SparseSSPError: A value is not allowed, a combination makes no sense, or nothing is left to run.
    """
    ratios, chosen = as_ratios(ratio), as_methods(methods)
    if budget["unit"] not in UNITS:
        raise SparseSSPError(f"scale.budget.unit = {budget['unit']!r} is unknown; allowed: {', '.join(UNITS)}")
    experiments: dict[str, dict[str, Any]] = {}
    for entry in grid:
        axes = {"interpolation": ["prefix"], "projection": ["3d"], "ratio": ratios, **entry}
        unknown = [key for key in axes if key not in _AXES]
        if unknown:
            raise SparseSSPError(f"plan.grid: unknown key {unknown[0]!r}; allowed: {', '.join(_AXES)}")
        for axis in _AXES:
            if not isinstance(axes.get(axis), list):
                raise SparseSSPError(f"plan.grid: {axis} = {axes.get(axis)!r} in {dict(entry)}; expected a list")
        for values in product(*(axes[axis] for axis in _AXES)):
            settings = ExperimentSettings.load(dict(zip(_AXES, values, strict=True)), "plan.grid")
            if settings.method in chosen:
                keys = [key for key in (settings.method, settings.topology) if key in budget["amount"]]
                if not keys:
                    raise SparseSSPError(f"scale.budget.amount: key {settings.topology!r} is missing")
                experiments[settings.name] = {**settings.model_dump(), budget["unit"]: budget["amount"][keys[0]]}
    if not experiments:
        raise SparseSSPError(f"methods = {methods}: the plan has no experiment of these methods")
    return experiments


def ratios_in_use(experiments: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Ratios that some experiment needs a view of, sorted."""
    return sorted({experiment["ratio"] for experiment in experiments.values()})
