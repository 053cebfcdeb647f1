"""The model card: everything about a model file except its weights, as Markdown and JSON.

A stage writes the part that it knows into the model file; `python -m pipeline.package` adds the scores and the source.
"""

from collections.abc import Mapping
from typing import Any, Self

import pandas as pd
from pydantic import Field

from sparsessp.config import InferenceSettings, NetworkSettings, Settings, TrainingSettings
from sparsessp.structures import KEYS, name_of

NORMALISATION = (
    "Each transmitted-light stack is z-scored over all its voxels, then its rows and columns are zoomed to the model's "
    "voxel size by a cubic spline. Predictions are z-scored fluorescence: they have no unit of intensity."
)
_SIMULATED = "The training images are simulated. The model shows that the software works; it cannot predict real cells."


class DataFacts(Settings):
    """Training data of a model."""

    name: str = Field(description="Name of the dataset")
    licence: str = Field(description="Terms of use of the training images")
    citation: str | None = Field(default=None, description="Publication to cite for the training images")
    simulated: bool = Field(default=False, description="Whether the images are simulated")


class StructureScore(Settings):
    """Mean scores of one structure over its test volumes."""

    structure: str
    volumes: int
    r2: float
    pearson: float
    mse: float


class Origin(Settings):
    """Model file that a training started from."""

    file: str = Field(description="Name of the file")
    sha256: str = Field(description="SHA-256 checksum of the file")
    name: str = Field(description="Name of its run")
    trained: tuple[str, ...] = Field(default=(), description="Structures with training volumes")
    data: DataFacts | None = Field(default=None, description="Training data")
    version: str | None = Field(default=None, description="Version of sparsessp that trained it")


class ModelCard(Settings):
    """What a model is, what it was trained on, and how well it predicts."""

    network: NetworkSettings = Field(description="Settings of the network")
    training: TrainingSettings | None = Field(default=None, description="Settings of its training")
    inference: InferenceSettings | None = Field(default=None, description="Windows of its evaluation")
    voxel_um: tuple[float, float, float] | None = Field(
        default=None, description="Voxel size (z, y, x) of its predictions in micrometres"
    )
    trained: tuple[str, ...] = Field(default=KEYS, description="Structures with training volumes")
    data: DataFacts | None = Field(default=None, description="Training data")
    origin: Origin | None = Field(default=None, description="Model file that the training started from")
    scores: tuple[StructureScore, ...] = Field(default=(), description="Scores on test volumes of the same dataset")
    version: str | None = Field(default=None, description="Version of sparsessp that trained it")
    revision: str | None = Field(default=None, description="Git revision that packaged it")

    @classmethod
    def of(cls, content: Mapping[str, Any], source: str) -> Self:
        """Return the card of a model file's content; `source` names the file in errors."""
        values = {key: content[key] for key in cls.model_fields if key in content}
        if isinstance(values.get("network"), Mapping) and "structures" in content:
            values["network"] = {**values["network"], "structures": content["structures"]}
        return cls.load(values, source)

    @property
    def windows(self) -> InferenceSettings:
        """Windows for prediction: those of the evaluation, otherwise windows as large as the training patch."""
        if self.inference:
            return self.inference
        return InferenceSettings(window=self.training.patch) if self.training else InferenceSettings()

    @property
    def spacing_um(self) -> float | None:
        """Distance between imaged planes that the model was trained for, in micrometres."""
        return self.voxel_um[0] * self.network.ratio if self.voxel_um else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"name": self.network.name, "normalisation": NORMALISATION, **self.model_dump(mode="json")}

    def markdown(self) -> str:
        """Return the card as a Markdown page."""
        parts = [f"# {self.network.name}", self._purpose(), _table(("", ""), list(self._facts().items()))]
        parts += ["## Scores", self._scores(), "## Training data", self._data(), "## Normalisation", NORMALISATION]
        settings = [(key, str(value)) for key, value in self.network.model_dump(exclude={"structures"}).items()]
        parts += ["## Network", _table(("setting", "value"), settings)]
        return "\n\n".join(parts) + "\n"

    def _purpose(self) -> str:
        seen = "every plane" if self.network.ratio == 1 else f"every {_ordinal(self.network.ratio)} plane"
        return (
            "Predicts the fluorescence of subcellular structures in three dimensions from a stack of transmitted-light "
            f"images with {seen} of the dense grid."
        )

    def _facts(self) -> dict[str, str]:
        voxel = " x ".join(f"{edge:.6g}" for edge in self.voxel_um) + " µm" if self.voxel_um else "not recorded"
        spacing = f"{self.spacing_um:.6g} µm" if self.spacing_um else "not recorded"
        windows = self.windows
        return {
            "structures": ", ".join(self.trained),
            "sparsity ratio": str(self.network.ratio),
            "plane spacing of the input": spacing,
            "voxel size of the prediction (z, y, x)": voxel,
            "window (planes, rows, columns)": f"{self.network.depth} x {windows.window} x {windows.window}",
            **self._origin(),
            "sparsessp version": self.version or "not recorded",
            "git revision": self.revision or "not recorded",
        }

    def _origin(self) -> dict[str, str]:
        """Return the model that the training started from, with the terms of its training data."""
        if self.origin is None:
            return {}
        data = f", trained on {self.origin.data.name}: {self.origin.data.licence}" if self.origin.data else ""
        return {"weights at the start": f"{self.origin.name}, {self.origin.file}, sha256 {self.origin.sha256}{data}"}

    def _scores(self) -> str:
        if not self.scores:
            return "None in this file. `python -m pipeline.package NAME` adds the scores of an evaluated run."
        rows = [
            (name_of(s.structure), str(s.volumes), f"{s.r2:.3f}", f"{s.pearson:.3f}", f"{s.mse:.3f}")
            for s in self.scores
        ]
        where = f"Means over the test volumes of {self.data.name}." if self.data else "Means over the test volumes."
        return f"{where}\n\n" + _table(("structure", "test volumes", "R²", "Pearson's r", "MSE"), rows)

    def _data(self) -> str:
        if not self.data:
            return "Not recorded in this file."
        lines = [f"{self.data.name}. {self.data.licence}"]
        lines += [f"Cite: {self.data.citation}"] if self.data.citation else []
        lines += [_SIMULATED] if self.data.simulated else []
        return "\n\n".join(lines)


def mean_scores(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one `StructureScore`, as plain values, for each structure of a table of scores by volume."""
    groups = scores.groupby("structure", sort=False)
    return [
        {"structure": str(key), "volumes": len(rows)}
        | {metric: float(rows[metric].mean()) for metric in ("r2", "pearson", "mse")}
        for key, rows in groups
    ]


def _ordinal(number: int) -> str:
    return {2: "second", 4: "fourth", 8: "eighth"}[number]


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple(":--" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
