"""Settings of one experiment: typed, immutable and validated.

This module does not import torch, so that validating a plan of hundreds of runs is fast.
"""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS

RATIOS = (1, 2, 4, 8)
TOPOLOGIES: dict[str, tuple[int, int]] = {"2d": (2, 2), "3d": (3, 3), "2to3d": (2, 3), "3to2d": (3, 2)}


def _files(folder: str) -> tuple[str, ...]:
    """Return the names of the modules in a folder of `networks`, sorted."""
    return tuple(sorted(p.stem for p in (Path(__file__).parent / "networks" / folder).glob("[!_]*.py")))


METHODS = _files("methods")
UNTRAINED = "none"
NATIVE = "native"  # the encoder of the common U-Net
BACKBONES = _files("backbones")


class Settings(BaseModel):
    """Base class of all settings: immutable; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def load(cls, values: dict[str, Any], source: str, strict: bool = False) -> Self:
        """Validate `values`, read from `source`.

        Args:
            values: Plain values from YAML or the command line.
            source: File or section to name in errors.
            strict: Refuse "8" in place of 8; off for the command line, where every value is text.

        Raises:
            SparseSSPError: A key is unknown or missing, or a value is not allowed. The message names
                the key, the value and what is allowed.
        """
        try:
            return cls.model_validate(values, strict=strict)
        except ValidationError as error:
            raise SparseSSPError(f"{source}: {describe_errors(cls, error)}") from None


def abbreviate(value: Any) -> str:
    """Return the text of a value for an error message, shortened; the value may be huge or contain itself."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200
_SHORT.maxlevel = 2
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 20


def describe_errors(model: type[BaseModel], error: ValidationError) -> str:
    """Describe a pydantic error in one line: each invalid key, its value and what is allowed."""
    lines = []
    for fault in error.errors():
        keys, parent = _place(model, fault["loc"])
        key = ".".join(keys)
        if fault["type"] == "extra_forbidden":
            lines.append(
                f"unknown key {key!r} (value {abbreviate(fault['input'])}); allowed: {', '.join(parent.model_fields)}"
            )
        elif fault["type"] == "missing":
            lines.append(f"key {key!r} is missing")
        elif not key:
            lines.append(fault["msg"].removeprefix("Value error, "))
        else:
            lines.append(f"{key} = {abbreviate(fault['input'])}: {fault['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)


def _place(model: type[BaseModel], path: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """Return the keys of a pydantic path and the model that holds the last key.

    Pydantic adds the tag of a discriminated union to the path; it is left out.
    """
    keys: list[str] = []
    parent: Any = model
    current: Any = model
    tagged: dict[str, Any] = {}
    for part in path:
        if part in tagged:
            current, tagged = tagged[str(part)], {}
            continue
        keys.append(str(part))
        parent = current
        field = current.model_fields.get(part)
        models = (
            [a for a in (field.annotation, *get_args(field.annotation)) if hasattr(a, "model_fields")] if field else []
        )
        if field and field.discriminator:
            tagged = {get_args(m.model_fields[field.discriminator].annotation)[0]: m for m in models}
        elif models:
            # A mapping of models names one model in its type.
            current = models[0]
    return keys, parent


def _number(value: Any) -> Any:
    """Convert a string of digits to an integer; every value on a command line is text."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


Positive = Annotated[int, Field(ge=1)]


class ExperimentSettings(Settings):
    """The factors that the paper varies: one row of a table at one sparsity ratio."""

    method: str = Field(description="Task-conditioning method (section 3.4)")
    topology: Literal["2d", "3d", "2to3d", "3to2d"] = Field(
        description="Dimensions of the encoder and the decoder (section 3.3)"
    )
    interpolation: Literal["prefix", "postfix", "none"] = Field(
        default="prefix",
        description="Position of the interpolation along z: before the network, after it, or none (section 3.2)",
    )
    projection: Literal["3d", "2d"] = Field(
        default="3d", description="Dimensions of the projection between encoder and decoder (section 3.3)"
    )
    ratio: Literal[1, 2, 4, 8] = Field(default=2, description="Sparsity ratio r; every r-th plane is imaged")

    backbone: str = Field(default=NATIVE, description="2D encoder: native, or a backbone of Table 5")
    weights: str = Field(
        default=UNTRAINED,
        description="Initial backbone weights: none, hub (the standard ones), a local file or folder, or a hub name",
    )
    budget_percent: Positive = Field(
        default=100, description="Training budget in percent of the scale's budget (Table 4)"
    )
    seed: int = Field(default=0, ge=0, description="Random seed of initialisation, crops and flips")

    @field_validator("ratio", mode="before")
    @classmethod
    def _ratio_number(cls, value: Any) -> Any:
        return _number(value)

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        if value not in METHODS:
            raise ValueError(f"unknown method; allowed: {', '.join(METHODS)}")
        return value

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, value: str) -> str:
        if value not in BACKBONES:
            raise ValueError(f"unknown backbone; allowed: {', '.join(BACKBONES)}")
        return value

    @field_validator("weights")
    @classmethod
    def _nameable(cls, value: str) -> str:
        if not value.isprintable() or not value or value.startswith("-"):
            raise ValueError("not a file, folder or hub name; allowed: printable characters, not starting with -")
        return value

    @model_validator(mode="after")
    def _legal(self) -> Self:
        encoder, decoder = self.dimensions
        if self.backbone != NATIVE and encoder == 3:
            raise ValueError(
                f"backbone '{self.backbone}' with topology '{self.topology}': a backbone takes 2D images, but this "
                "encoder is 3D; allowed with a backbone: 2d, 2to3d (Table 5)"
            )
        if self.backbone == NATIVE and self.weights != UNTRAINED:
            raise ValueError(
                f"weights '{self.weights}' with backbone '{NATIVE}': it has no pretrained weights; allowed: none"
            )
        if self.interpolation == "none" and decoder == 3:
            raise ValueError(
                f"interpolation 'none' with topology '{self.topology}': a 3D decoder cannot create planes; "
                "allowed with 'none': 2d, 3to2d (Table 1)"
            )
        if self.projection == "2d" and encoder == decoder:
            raise ValueError(
                f"projection '2d' with topology '{self.topology}': encoder and decoder have the same "
                "dimensions, so nothing is projected; allowed with '2d': 2to3d, 3to2d (Table 2)"
            )
        return self

    @property
    def dimensions(self) -> tuple[int, int]:
        """Spatial dimensions (2 or 3) of the encoder and of the decoder."""
        return TOPOLOGIES[self.topology]

    @property
    def name(self) -> str:
        """Name of the run in stages, files and tables, such as `tgnet-3to2d-prefix-r8`."""
        parts = [self.method, self.topology, self.interpolation]
        parts += ["proj2d"] if self.projection == "2d" else []
        parts += [self.backbone] if self.backbone != NATIVE else []
        parts += [f"budget{self.budget_percent}"] if self.budget_percent != 100 else []
        parts += [f"r{self.ratio}"]
        parts += [f"s{self.seed}"] if self.seed else []
        return "-".join(parts)


def _doubled(first: int) -> tuple[int, ...]:
    return (first, 2 * first, 4 * first, 8 * first, 8 * first)


class ArchitectureSettings(Settings):
    """Size and precision of a network, the same for every experiment of a scale."""

    depth: Positive = Field(default=32, description="Planes per patch after interpolation")
    width_3d: Positive = Field(default=32, description="Channels of the first 3D level")
    width_2d: Positive = Field(default=32, description="Channels of the first 2D level")
    groups: Positive = Field(default=16, description="Groups per group normalisation")
    embedding: Positive = Field(default=256, description="Channels U of all levels after depth-to-channel")
    blocks_3d: Positive = Field(default=2, description="Residual blocks per 3D encoder level below the first")
    blocks_2d: Positive = Field(default=1, description="Residual blocks per 2D encoder level below the first")
    repmode_kernel: Literal[3, 5] = Field(default=5, description="Size of RepMode's largest expert kernel in voxels")
    backbone_divisor: Literal[1, 2, 4, 8, 16] = Field(
        default=1, description="Divisor of a backbone's channels and layers"
    )
    precision: Literal["float32", "mixed"] = Field(
        default="float32",
        description="Data type of the convolutions; mixed: bfloat16 on CUDA, float32 on a CPU",
    )

    @field_validator("repmode_kernel", "backbone_divisor", mode="before")
    @classmethod
    def _kernel_number(cls, value: Any) -> Any:
        return _number(value)

    @model_validator(mode="after")
    def _grouped(self) -> Self:
        for key in ("width_3d", "width_2d"):
            if getattr(self, key) % self.groups:
                raise ValueError(f"{key} {getattr(self, key)} is not divisible by groups {self.groups}")
        return self

    def widths(self, n: int) -> tuple[int, ...]:
        """Return the channels of the five levels in `n` dimensions, such as 32, 64, 128, 256, 256."""
        return _doubled(self.width_3d if n == 3 else self.width_2d)


class NetworkSettings(ExperimentSettings, ArchitectureSettings):
    """All settings that define a network."""

    structures: tuple[str, ...] = Field(default=KEYS, description="Structures in the order of their task codes")

    @field_validator("structures")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("give each structure once, and at least one")
        return value

    @model_validator(mode="after")
    def _whole_blocks(self) -> Self:
        if self.depth % self.ratio:
            raise ValueError(f"depth {self.depth} is not divisible by ratio {self.ratio}")
        return self

    def widths(self, n: int) -> tuple[int, ...]:
        """Return the channels of the five levels in `n` dimensions.

        A 2D encoder before a 3D decoder has at least one channel per plane, because its channels become planes.
        """
        if n == 2 and self.dimensions == (2, 3):
            return _doubled(max(self.width_2d, self.depth))
        return super().widths(n)


class InferenceSettings(Settings):
    """How whole volumes are predicted (section 4.1)."""

    window: Positive = Field(default=128, description="Rows and columns of a window")
    overlap: float = Field(
        default=0.5, ge=0, lt=1, description="Overlap of neighbouring windows, as a fraction of a window"
    )


class TrainingSettings(Settings):
    """How one network is trained (section 4.1). Exactly one of epochs and iterations must be given."""

    epochs: Positive | None = Field(
        default=None, description="Passes over the training volumes, with one crop per volume"
    )
    iterations: Positive | None = Field(
        default=None, description="Optimiser steps, in total over the networks of a run"
    )
    batch: Positive = Field(default=8, description="Crops per step")
    micro_batch: Positive | Literal["auto"] = Field(
        default="auto",
        description="Crops per forward and backward pass; auto: as many as fit in GPU memory",
    )
    checkpointing: bool = Field(default=False, description="Activation checkpointing: less memory, more time")
    voxel_dtype: Literal["float32", "float16"] = Field(
        default="float32",
        description="Data type of the training volumes on a GPU; float16 halves their memory and rounds every crop",
    )
    compile: bool = Field(default=False, description="Compilation with torch.compile where a compiler is installed")
    patch: Positive = Field(default=128, description="Rows and columns of a crop")
    learning_rate: float = Field(default=1.0e-4, gt=0, description="Peak learning rate of Adam")
    beta2: float = Field(default=0.999, gt=0, lt=1, description="Beta2 of Adam, the decay rate of squared gradients")
    gradient_clip: float = Field(default=0.0, ge=0, description="Maximum gradient norm; 0: no clipping")
    schedule: Literal["constant", "one_cycle"] = Field(
        default="constant", description="Learning-rate schedule: constant (the paper) or one_cycle (for short budgets)"
    )
    validate_every: Positive = Field(default=20, description="Epochs between validations")
    validate_overlap: float | None = Field(
        default=None, ge=0, lt=1, description="Overlap of neighbouring windows in validation; by default that of tests"
    )
    flip: str = Field(
        default="zyx", pattern="^z?y?x?$", description="Axes flipped at random, each with probability 0.5"
    )
    crop_z: Literal["any", "windows"] = Field(
        default="any",
        description="First planes of crops: any imaged plane (the paper), or only those of inference windows",
    )

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError(f"epochs = {self.epochs} and iterations = {self.iterations}: give exactly one of the two")
        return self

    @property
    def crops_at_once(self) -> int:
        """Crops per forward and backward pass at the start of training."""
        return self.batch if self.micro_batch == "auto" else min(self.micro_batch, self.batch)
