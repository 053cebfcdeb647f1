"""The typed form of data/allencell.yaml: where the collection is, what it shows, and on what terms."""

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
FIELD = (65, 624, 924)  # planes, on average about, rows and columns of an image; for estimates only
DNA = "dna"  # the one set with a list but no archive: its rows name images of the other sets


def _url(value: str) -> str:
    if "://" not in value:
        raise ValueError("is not a URL; allowed: http, https, file")
    try:
        local_path(value)
    except SparseSSPError as error:
        raise ValueError(str(error)) from None
    return value


Url = Annotated[str, AfterValidator(_url)]
Sum = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Archive(Settings):
    """The images of one set, CZI files in a tar.gz."""

    url: Url = Field(description="of the archive")
    mirrors: Annotated[tuple[Url, ...], BeforeValidator(as_tuple)] = Field(
        default=(), description="other URLs of the same bytes, tried in this order"
    )
    structure: str = Field(description="key of the structure that the set's own target channel shows")
    voxel_um: Vector = Field(description="size (z, y, x) of a voxel as recorded, um")


class Lists(Settings):
    """The image lists, one CSV file per set."""

    url: Url = Field(description="folder of the lists; a list is SET.csv in it")
    sha256: dict[str, Sum] = Field(description="sum of each list, 64 hexadecimal digits in lower case")
    rows: dict[str, int] = Field(default={}, description="images of each list, to plan with before it is fetched")


class Preparation(Settings):
    """What the paper does to the voxels (section 4.1)."""

    zoom: float = Field(gt=0, le=1, description="factor on rows and columns, the same for every set; no unit")
    voxel_um: Micrometres = Field(description="edge of the cubic voxels that it aims at, um")


class Licence(Settings):
    """The terms under which the images may be used."""

    text: str = Field(min_length=1, description="what they come to")
    url: Url = Field(description="where they are")
    citation: str = Field(min_length=1, description="the work to cite")


class Catalogue(Settings):
    """All of data/allencell.yaml; a catalogue of one's own may hold fewer sets."""

    licence: Licence
    preparation: Preparation
    lists: Lists
    archives: dict[str, Archive] = Field(min_length=1, description="by set")

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
                raise ValueError(f"lists.sha256.{name} is missing, but archives.{name} is there")
        return self

    @property
    def terms(self) -> str:
        """The terms and the citation, for a reader."""
        return f"{self.licence.text.strip()}\nTerms: {self.licence.url}\nCite: {self.licence.citation.strip()}\n"

    @property
    def prepared(self) -> tuple[int, int, int]:
        """Planes, rows and columns of a typical image as prepared, estimated."""
        planes, rows, columns = FIELD
        return planes, round(rows * self.preparation.zoom), round(columns * self.preparation.zoom)

    @property
    def channel_bytes(self) -> int:
        """Size of a channel of it as float32, estimated."""
        return 4 * prod(self.prepared)

    def archive_sources(self, name: str, base: str | None = None) -> tuple[str, ...]:
        """Return where to get the archive of a set.

        Args:
            name: The set.
            base: URL or path of a folder with `SET.tar.gz`, in place of the catalogue's URLs.
        """
        archive = self.archives[name]
        return (archive.url, *archive.mirrors) if base is None else (below(base, f"{name}.tar.gz"),)

    def list_sources(self, name: str, base: str | None = None) -> tuple[str, ...]:
        """Return where to get the image list of a set, `SET.csv` below `base` if one is given."""
        return (below(self.lists.url if base is None else base, f"{name}.csv"),)


def load_catalogue(path: Path) -> Catalogue:
    """Read and check a catalogue.

    Raises:
        SparseSSPError: As `read_catalogue` does, or a set is unknown, or has an archive and no list.
    """
    return read_catalogue(Catalogue, path)
