"""The typed form of data/allencell.yaml: sources, contents and terms of the collection."""

from math import prod
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sparsessp.config import Settings
from sparsessp.data.allencell.sources import below, local_path
from sparsessp.errors import SparseSSPError
from sparsessp.structures import STRUCTURES
from sparsessp.support.yaml_files import Micrometres, Vector, as_tuple, read_catalogue

SETS: dict[str, str] = {structure.allen_set: structure.key for structure in STRUCTURES}
FIELD = (65, 624, 924)  # planes (on average), rows and columns of an image; for estimates only
DNA = "dna"  # the only set without an archive: its list names images of the other sets


def _url(value: str) -> str:
    if "://" not in value:
        raise ValueError("is not a URL; allowed: http, https, file")
    try:
        local_path(value)
    except SparseSSPError as error:
        raise ValueError(str(error)) from None
    return value


Url = Annotated[str, AfterValidator(_url)]
Checksum = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Archive(Settings):
    """The images of one set, CZI files in a tar.gz."""

    url: Url = Field(description="URL of the archive")
    mirrors: Annotated[tuple[Url, ...], BeforeValidator(as_tuple)] = Field(
        default=(), description="Other URLs of the same file, tried in this order"
    )
    structure: str = Field(description="Key of the structure in the set's target channel")
    voxel_um: Vector = Field(description="Size (z, y, x) of a recorded voxel in um")


class Lists(Settings):
    """The image lists, one CSV file per set."""

    url: Url = Field(description="URL of the folder with the lists, SET.csv each")
    sha256: dict[str, Checksum] = Field(description="SHA-256 checksum of each list, 64 lower-case hexadecimal digits")
    rows: dict[str, int] = Field(
        default={}, description="Number of images of each list, for planning before the lists are fetched"
    )


class Preparation(Settings):
    """The paper's preparation of the voxels (section 4.1)."""

    zoom: float = Field(gt=0, le=1, description="Zoom factor of rows and columns, the same for every set")
    voxel_um: Micrometres = Field(description="Edge of the resulting cubic voxels in um")


class Licence(Settings):
    """The terms of use of the images."""

    text: str = Field(min_length=1, description="Summary of the terms")
    url: Url = Field(description="URL of the terms")
    citation: str = Field(min_length=1, description="Publication to cite")


class Catalogue(Settings):
    """All of data/allencell.yaml; a user's own catalogue may have fewer sets."""

    licence: Licence
    preparation: Preparation
    lists: Lists
    archives: dict[str, Archive] = Field(min_length=1, description="Archives by set")

    @model_validator(mode="after")
    def _known_sets(self) -> Self:
        for name in (*self.archives, *self.lists.sha256, *self.lists.rows):
            if name not in SETS:
                raise ValueError(f"unknown set {name!r}; allowed: {', '.join(SETS)}")
        if DNA in self.archives:
            raise ValueError(f"archives.{DNA}: this set has no archive; its list names images of the other sets")
        for name, archive in self.archives.items():
            if archive.structure != SETS[name]:
                raise ValueError(f"archives.{name}.structure = {archive.structure!r}; allowed: {SETS[name]}")
            if name not in self.lists.sha256:
                raise ValueError(f"lists.sha256.{name} is missing, but archives.{name} is given")
        return self

    @property
    def terms(self) -> str:
        """Text of the terms and the citation."""
        return f"{self.licence.text.strip()}\nTerms: {self.licence.url}\nCite: {self.licence.citation.strip()}\n"

    @property
    def prepared(self) -> tuple[int, int, int]:
        """Estimated planes, rows and columns of a prepared image."""
        planes, rows, columns = FIELD
        return planes, round(rows * self.preparation.zoom), round(columns * self.preparation.zoom)

    @property
    def channel_bytes(self) -> int:
        """Estimated size of a prepared float32 channel."""
        return 4 * prod(self.prepared)

    def archive_sources(self, name: str, base: str | None = None) -> tuple[str, ...]:
        """Return the sources of a set's archive.

        Args:
            name: The set.
            base: URL or path of a folder with `SET.tar.gz` that replaces the catalogue's URLs.
        """
        archive = self.archives[name]
        return (archive.url, *archive.mirrors) if base is None else (below(base, f"{name}.tar.gz"),)

    def list_sources(self, name: str, base: str | None = None) -> tuple[str, ...]:
        """Return the sources of a set's image list: `SET.csv` below `base`, if given."""
        return (below(self.lists.url if base is None else base, f"{name}.csv"),)


def load_catalogue(path: Path) -> Catalogue:
    """Read and check a catalogue.

    Raises:
        SparseSSPError: As for `read_catalogue`; or a set is unknown, or has an archive but no list.
    """
    return read_catalogue(Catalogue, path)
