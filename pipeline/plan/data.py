"""Settings of the data: `data` of params.yaml, and the command lines of stages fetch and split."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pipeline.paths import ARTIFACTS
from sparsessp.config import Settings
from sparsessp.data.allencell.settings import AcquisitionSettings
from sparsessp.data.folder.needs import Needs
from sparsessp.data.splits import Rule
from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS, OWN_NAME, OWN_NAME_ALLOWED, key_of


def _several(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (str(value),)


ALL = ("all",)
# Names of structures, which may be a user's own, or all.
Names = Annotated[tuple[str, ...], BeforeValidator(_several)]


def _known(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [key for key in value if key not in KEYS]
    if not value or (unknown and value != ALL):
        raise ValueError(f"{unknown or 'nothing'} is not allowed; allowed: all, or a list of {', '.join(KEYS)}")
    return KEYS if value == ALL else value


Structures = Annotated[Names, AfterValidator(_known)]


def _file(value: str) -> str:
    if not value.isprintable() or value.startswith("-") or "://" in value:
        raise ValueError("not a path of a local file; allowed: printable characters, not starting with -, not a URL")
    return value


# Stages receive these on command lines, which DVC quotes. Names and titles are also printed in reports.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Title = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]  # may contain spaces
FileName = Annotated[str, AfterValidator(_file)]


class MicroscopeSource(Settings):
    """The simulated microscope."""

    kind: Literal["microscope"] = Field(default="microscope", description="Kind of source")
    catalogue: FileName = Field(description="Data catalogue")
    size: Name = Field(description="Size of the dataset, as named in the catalogue")
    structures: Structures = Field(default=("all",), description="Keys of structures, or all")


class ArchivesSource(AcquisitionSettings):
    """Archives of microscope images."""

    kind: Literal["archives"] = Field(default="archives", description="Kind of source")
    catalogue: FileName = Field(description="Data catalogue; the archives' checksums are recorded next to it")
    structures: Structures = Field(default=("all",), description="Keys of structures, or all")

    @field_validator("archive_base", "list_base", mode="before")
    @classmethod
    def _null(cls, value: Any) -> Any:
        return None if value == "None" else value  # DVC writes null as None on a command line


class FolderSource(Settings):
    """A user's own images, listed in a CSV file."""

    kind: Literal["folder"] = Field(default="folder", description="Kind of source")
    csv: FileName = Field(description="CSV file that lists the images, in their folder")
    structures: Names = Field(default=ALL, description="Structures to keep, or all")
    pixel_um: float | None = Field(
        default=None, gt=0, description="Pixel size in micrometres after resampling; by default the largest"
    )
    depth: int = Field(ge=1, description="Planes of a training crop")
    patch: int = Field(ge=1, description="Rows and columns of a training crop")

    @field_validator("structures")
    @classmethod
    def _nameable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(OWN_NAME.fullmatch(name) for name in value):
            raise ValueError(f"allowed: all, or a list of names as in the CSV file: {OWN_NAME_ALLOWED}")
        return value

    @field_validator("pixel_um", mode="before")
    @classmethod
    def _null(cls, value: Any) -> Any:
        return None if value == "None" else value  # DVC writes null as None on a command line

    @property
    def needs(self) -> Needs:
        """What the networks need of the images."""
        structures = None if self.structures == ALL else tuple(key_of(s) for s in self.structures)
        return Needs(self.depth, self.patch, self.pixel_um, structures)


Source = MicroscopeSource | ArchivesSource | FolderSource
KINDS: dict[str, type[Source]] = {
    "microscope": MicroscopeSource,
    "archives": ArchivesSource,
    "folder": FolderSource,
}


def images_folder(csv: str | None, root: Path = Path()) -> str:
    """Return the folder of a CSV file that lists images, which DVC checks for changes.

    Raises:
        SparseSSPError: The file is not given or missing, or its folder holds the pipeline or its outputs.
    """
    if csv is None:
        raise SparseSSPError("data.csv is not set; give the CSV file that lists your images: data.csv=FOLDER/FILE.csv")
    path = root / csv
    if not path.is_file():
        raise SparseSSPError(f"data.csv = {csv}: there is no such file in {root.resolve()}")
    folder = path.parent.resolve()
    if root.resolve().is_relative_to(folder) or folder.is_relative_to((root / ARTIFACTS).resolve()):
        raise SparseSSPError(
            f"data.csv = {csv}: put the CSV file into the folder of its images, not into {folder}: DVC checks "
            "everything in the folder of the CSV file for changes"
        )
    return Path(csv).parent.as_posix()


class SplitSettings(Settings):
    """How the volumes are assigned to training, validation and test."""

    rule: Rule = Field(default="repmode", description="Unit of the split: repmode (volumes) or plate")
    strict: bool = Field(
        default=False, description="Whether to stop if the variance of the test targets differs from the paper's"
    )


class DataParams(Settings):
    """The source of the volumes and their split."""

    name: Title
    simulated: bool
    csv: FileName | None = Field(default=None, description="CSV file that lists a user's own images")
    licence: str | None = Field(default=None, description="Terms of use of a user's own images")
    watch: FileName | None = Field(default=None, description="File or folder that is checked for changes")
    source: Annotated[Source, Field(discriminator="kind")]
    split: SplitSettings

    @model_validator(mode="after")
    def _grouped(self) -> Self:
        if isinstance(self.source, FolderSource) and (self.split.rule != "plate" or self.split.strict):
            raise ValueError(
                f"split.rule = {self.split.rule!r}, split.strict = {self.split.strict}: your own images are split by "
                "columns split and group of the CSV file; allowed: rule plate, strict false"
            )
        return self


def image_lists(source: Settings) -> dict[str, str]:
    """Return the files that list the images of a source, by the key of the setting."""
    return {key: getattr(source, key) for key in ("catalogue", "csv") if hasattr(source, key)}
