"""The typed form of data/synthetic.yaml: the synthetic microscope, its cells and its datasets."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sparsessp.config import Settings
from sparsessp.data.microscope.scene import INGREDIENTS
from sparsessp.structures import KEYS
from sparsessp.support.yaml_files import Micrometres, Vector, as_tuple, read_catalogue


def _large_enough(shape: tuple[int, ...]) -> tuple[int, ...]:
    if any(side < least for side, least in zip(shape, (16, 32, 32), strict=True)):
        raise ValueError("allowed: at least 16 planes, 32 rows and 32 columns")
    return shape


def _known_ingredients(contrast: dict[str, float]) -> dict[str, float]:
    for ingredient in contrast:
        if ingredient not in INGREDIENTS:
            raise ValueError(f"unknown ingredient {ingredient!r}; allowed: {', '.join(INGREDIENTS)}")
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
Contrast = Annotated[dict[str, float], AfterValidator(_known_ingredients)]
Ceiling = Annotated[float, Field(gt=0, lt=1)]


class Brightfield(Settings):
    """The transmitted-light microscope."""

    numerical_aperture: float = Field(gt=0, description="Numerical aperture of the objective")
    condenser_aperture: float = Field(gt=0, description="Numerical aperture of the condenser; below 1.0 in air")
    wavelength_um: Micrometres = Field(description="Wavelength in vacuum, um")
    medium_index: float = Field(gt=1, description="Refractive index of the medium")
    electrons: float = Field(gt=0, description="Mean camera signal per voxel, electrons; sets the photon noise")
    unevenness: float = Field(ge=0, lt=0.2, description="Typical variation of the illumination, as a fraction")

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

    psf_um: Vector = Field(description="Standard deviations (z, y, x) of the Gaussian point spread function, um")
    background: float = Field(gt=0, description="Background, photons per voxel")
    read_noise: float = Field(ge=0, description="Standard deviation of the read noise, photons")
    ceiling: Annotated[dict[str, Ceiling], AfterValidator(_all_structures)] = Field(
        description="R2 of a perfect prediction of each structure, which photon noise limits"
    )


class Size(Settings):
    """A named dataset."""

    volumes: int = Field(ge=1, description="Volumes of each structure")
    shape: Shape = Field(description="Planes, rows and columns of a recorded volume")
    binning: int = Field(default=1, ge=1, description="Simulated voxels per edge of a camera pixel")


class Catalogue(Settings):
    """All of data/synthetic.yaml."""

    seed: int = Field(ge=0, description="Random seed of all scenes and all noise")
    voxel_um: Micrometres = Field(description="Edge of the simulated cubic voxels and distance of the planes, um")
    focus_range_um: float = Field(ge=0, description="Largest distance of a stack's middle from the cells' middle, um")
    brightfield: Brightfield
    fluorescence: Fluorescence
    refractive_index: Contrast = Field(description="Refractive index of each ingredient minus its surroundings")
    absorption: Contrast = Field(description="Imaginary part of the refractive index of each ingredient")
    sizes: dict[str, Size] = Field(min_length=1, description="Datasets by name")


def load_catalogue(path: Path) -> Catalogue:
    """Read and check a catalogue, as `read_catalogue` does."""
    return read_catalogue(Catalogue, path)
