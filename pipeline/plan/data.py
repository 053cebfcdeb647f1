"""Settings of the data: `data` of params.yaml, and the command lines of stages fetch and split."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from sparsessp.config import Settings
from sparsessp.data.allencell.settings import AcquisitionSettings
from sparsessp.data.splits import Rule
from sparsessp.structures import KEYS


def _several(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (str(value),)


def _known(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [key for key in value if key not in KEYS]
    if not value or (unknown and value != ("all",)):
        raise ValueError(f"{unknown or 'nothing'} is not allowed; allowed: all, or a list of {', '.join(KEYS)}")
    return KEYS if value == ("all",) else value


Structures = Annotated[tuple[str, ...], BeforeValidator(_several), AfterValidator(_known)]


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


KINDS: dict[str, type[MicroscopeSource] | type[ArchivesSource]] = {
    "microscope": MicroscopeSource,
    "archives": ArchivesSource,
}


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
    source: Annotated[MicroscopeSource | ArchivesSource, Field(discriminator="kind")]
    split: SplitSettings


def image_lists(source: Settings) -> dict[str, str]:
    """Return the files that list the images of a source, by the key of the setting."""
    return {key: getattr(source, key) for key in ("catalogue", "csv") if hasattr(source, key)}
