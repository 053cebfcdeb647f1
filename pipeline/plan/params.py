"""Schema of params.yaml; unknown keys and wrong types are errors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.plan.data import ALL, DataParams, FileName, FolderSource, Name, Names
from pipeline.plan.grid import budget_key, expand, ratios_in_use
from pipeline.plan.starting import start_from
from sparsessp.config import (
    METHODS,
    TOPOLOGIES,
    ArchitectureSettings,
    ExperimentSettings,
    InferenceSettings,
    NetworkSettings,
    Settings,
    TrainingSettings,
)
from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS
from sparsessp.support.yaml_files import parse_yaml

PARAMS = Path("params.yaml")


class BudgetParams(Settings):
    """Training budget by topology; a method may have its own, which holds in every topology."""

    unit: Literal["epochs", "iterations"]
    amount: dict[str, Annotated[int, Field(ge=1)]]

    @field_validator("amount")
    @classmethod
    def _topologies(cls, value: dict[str, int]) -> dict[str, int]:
        needed = tuple(map(budget_key, TOPOLOGIES))
        for key in value:
            if key not in (*needed, *METHODS):
                raise ValueError(f"unknown key {key!r}; allowed: {', '.join((*needed, *METHODS))}")
        for key in needed:
            if key not in value:
                raise ValueError(f"key {key!r} is missing; needed: {', '.join(needed)}")
        return value


class TrainingParams(TrainingSettings):
    """Training settings of a scale; the plan adds the budget."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.epochs is not None or self.iterations is not None:
            raise ValueError("epochs or iterations in scale.training: a scale sets them in scale.budget")
        return self


class ScaleParams(Settings):
    """Sizes and training budget."""

    name: Name
    size: Name
    network: ArchitectureSettings
    training: TrainingParams
    inference: InferenceSettings
    budget: BudgetParams

    @model_validator(mode="after")
    def _same_field(self) -> Self:
        window, patch = self.inference.window, self.training.patch
        if window != patch:
            raise ValueError(
                f"inference.window = {window} and training.patch = {patch}: they must be equal. In a window of another "
                "size than the training patch, group norms and pooled statistics differ from those seen in training, "
                "which halves the scores of 2D networks"
            )
        return self


class EvaluationParams(Settings):
    """Optional scores."""

    window_sampling: bool


class PlanParams(Settings):
    """The grid of experiments."""

    name: Name
    grid: list[dict[str, list[Any]]]


class Experiment(ExperimentSettings):
    """One planned training."""

    epochs: int | None = None
    iterations: int | None = None
    pretrained_run: FileName | None = None
    watch: str


class Params(Settings):
    """The whole of params.yaml."""

    ratio: int | list[int]
    tables: int | str | list[int]
    methods: str | list[str]
    structures: Names
    seeds: list[int]
    pretrained: bool | dict[str, str]
    pretrained_run: FileName | None = None
    evaluation: EvaluationParams
    data: DataParams
    scale: ScaleParams
    plan: PlanParams
    experiments: dict[str, Experiment]
    ratios: list[int]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            budget = self.scale.budget.model_dump()
            grid = self.plan.grid
            planned = expand(self.ratio, self.tables, self.methods, grid, budget, self.seeds, self.pretrained)
            started = [name for name, item in self.experiments.items() if item.pretrained_run]
            planned = start_from(planned, self.pretrained_run, started, self.pretrained)
        except SparseSSPError as error:
            raise ValueError(str(error)) from None
        have = {name: item.model_dump(exclude_none=True) for name, item in self.experiments.items()}
        if have != planned or self.ratios != ratios_in_use(planned) or not self._same_source():
            raise ValueError(
                "experiments, ratios or data.source do not match ratio, tables, methods, structures, plan, scale "
                "and pretrained_run, which determine them; do not edit them: run "
                "`python -m pipeline.compose OVERRIDE ...` or `dvc exp run -S OVERRIDE`"
            )
        for item in planned.values():
            self._check_run(item)
        return self

    def _same_source(self) -> bool:
        """Return whether the source of the volumes repeats the settings that determine it."""
        source, scale = self.data.source, self.scale
        if isinstance(source, FolderSource):
            own = (self.data.csv, self.structures, scale.network.depth, scale.training.patch)
            return own == (source.csv, source.structures, source.depth, source.patch)
        return source.structures == (KEYS if self.structures == ALL else self.structures)

    def _check_run(self, item: Mapping[str, Any]) -> None:
        """Validate the settings that the stages of this run will receive."""
        budget = {key: item[key] for key in ("epochs", "iterations") if key in item}
        varied = {key: item[key] for key in ExperimentSettings.model_fields}
        try:
            NetworkSettings.load({**self.scale.network.model_dump(), **varied}, "scale.network", strict=True)
            TrainingSettings.load(
                {**self.scale.training.model_dump(exclude_none=True), **budget}, "scale.training", strict=True
            )
        except SparseSSPError as error:
            raise ValueError(str(error)) from None


def parse_params(text: str, source: str) -> Params:
    """Parse and validate the text of params.yaml; `source` names it in errors.

    Raises:
        SparseSSPError: It is not valid YAML, or has a key or value that is not allowed.
    """
    values = parse_yaml(text, source)
    if not isinstance(values, dict):
        raise SparseSSPError(f"{source}: has no keys; run `python -m pipeline.compose`")
    return Params.load(values, source, strict=True)


def read_params(path: Path = PARAMS) -> Params:
    """Read and validate params.yaml.

    Raises:
        SparseSSPError: The file is missing, or as for `parse_params`.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the file is missing; run `python -m pipeline.compose`")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SparseSSPError(f"{path}: not valid YAML ({error})") from None
    return parse_params(text, str(path))
