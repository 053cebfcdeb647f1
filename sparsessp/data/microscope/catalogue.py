"""The typed form of data/synthetic.yaml: what the synthetic microscope is, and what it takes pictures of."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sparsessp.config import Settings
from sparsessp.data.microscope.scene import PARTS
from sparsessp.structures import KEYS
from sparsessp.support.yaml_files import Micrometres, Vector, as_tuple, read_catalogue


def _large_enough(shape: tuple[int, ...]) -> tuple[int, ...]:
    if any(side < least for side, least in zip(shape, (16, 32, 32), strict=True)):
        raise ValueError("a field has at least 16 planes, 32 rows and 32 columns")
    return shape


def _known_parts(contrast: dict[str, float]) -> dict[str, float]:
    for part in contrast:
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; allowed: {', '.join(PARTS)}")
    return contrast


def _all_structures(values: dict[str, float]) -> dict[str, float]:
    for key in values:
        if key not in KEYS:
            raise ValueError(f"unknown structure {key!r}; allowed: {', '.join(KEYS)}")
    missing = [key for key in KEYS if key not in values]
    if missing:
        raise ValueError(f"structure {', '.join(missing)} is missing; give all twelve")
    return values


Shape = Annotated[tuple[int, int, int], BeforeValidator(as_tuple), AfterValidator(_large_enough)]
Contrast = Annotated[dict[str, float], AfterValidator(_known_parts)]
Ceiling = Annotated[float, Field(gt=0, lt=1)]


class Brightfield(Settings):
    """The transmitted-light microscope."""

    numerical_aperture: float = Field(gt=0, description="of the objective, no unit")
    condenser_aperture: float = Field(gt=0, description="of the condenser, no unit; below 1.0 is air")
    wavelength_um: Micrometres = Field(description="of the light in vacuum, um")
    medium_index: float = Field(gt=1, description="refractive index of the medium, no unit")
    electrons: float = Field(gt=0, description="mean camera signal per voxel, electrons; sets the photon noise")
    unevenness: float = Field(ge=0, lt=0.2, description="typical variation of the illumination, fraction")

    @model_validator(mode="after")
    def _bright(self) -> Self:
        if self.condenser_aperture > self.numerical_aperture or self.condenser_aperture >= self.medium_index:
            raise ValueError(
                f"condenser_aperture = {self.condenser_aperture}: the direct light must enter the objective; "
                f"allowed: at most numerical_aperture = {self.numerical_aperture}, "
                f"and below medium_index = {self.medium_index}"
            )
        return self


class Fluorescence(Settings):
    """The confocal microscope."""

    psf_um: Vector = Field(description="standard deviations (z, y, x) of the Gaussian point spread function, um")
    background: float = Field(gt=0, description="photons per voxel from elsewhere")
    read_noise: float = Field(ge=0, description="standard deviation of the read-out, photons")
    ceiling: Annotated[dict[str, Ceiling], AfterValidator(_all_structures)] = Field(
        description="of each structure: the R2 of a perfect prediction, set by the photon noise; no unit"
    )


class Size(Settings):
    """A named data set."""

    volumes: int = Field(ge=1, description="volumes of each structure")
    shape: Shape = Field(description="planes, rows and columns of a volume as recorded, voxels")
    binning: int = Field(
        default=1, ge=1, description="simulated voxels to the edge of a recorded one, and to a step of the stage"
    )


class Catalogue(Settings):
    """All of data/synthetic.yaml."""

    seed: int = Field(ge=0, description="of all scenes and all noise")
    voxel_um: Micrometres = Field(description="edge of the cubic voxels, um")
    brightfield: Brightfield
    fluorescence: Fluorescence
    refractive_index: Contrast = Field(description="of each part minus its surroundings, no unit")
    absorption: Contrast = Field(description="imaginary part of the refractive index of each part, no unit")
    sizes: dict[str, Size] = Field(min_length=1, description="the data sets by name")


def load_catalogue(path: Path) -> Catalogue:
    """Read and check a catalogue, as `read_catalogue` does."""
    return read_catalogue(Catalogue, path)
