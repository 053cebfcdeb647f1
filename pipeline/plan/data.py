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


# These reach stages on command lines, which DVC quotes, and names appear in reports.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Title = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]  # for readers, so spaces are allowed
FileName = Annotated[str, AfterValidator(_file)]


class MicroscopeSource(Settings):
    """The simulated microscope."""

    kind: Literal["microscope"] = Field(default="microscope", description="kind of source")
    catalogue: FileName = Field(description="catalogue file")
    size: Name = Field(description="one of the catalogue's sizes")
    structures: Structures = Field(default=("all",), description="keys of structures, or all")


class ArchivesSource(AcquisitionSettings):
    """A collection of archives of real images."""

    kind: Literal["archives"] = Field(default="archives", description="kind of source")
    catalogue: FileName = Field(description="catalogue file; the checksums of the archives are recorded next to it")
    structures: Structures = Field(default=("all",), description="keys of structures, or all")

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

    rule: Rule = Field(default="repmode", description="unit of the split: repmode (volumes) or plate")
    strict: bool = Field(default=False, description="stop if the variance of the test targets differs from the paper's")


class DataParams(Settings):
    """Where the volumes come from, and how they are split."""

    name: Title
    simulated: bool
    source: Annotated[MicroscopeSource | ArchivesSource, Field(discriminator="kind")]
    split: SplitSettings
