"""The user's choices about the collection."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sparsessp.config import Settings
from sparsessp.data.allencell.sources import local_path
from sparsessp.errors import SparseSSPError


def _base(value: str | None) -> str | None:
    try:
        local_path(value or "")
    except SparseSSPError as error:
        raise ValueError(str(error)) from None
    return value


Base = Annotated[str | None, AfterValidator(_base)]


class AcquisitionSettings(Settings):
    """How the collection is acquired; the structures are chosen elsewhere."""

    accept_terms: bool = Field(default=False, description="Acceptance of the terms of the collection")
    voxel: Literal["paper", "metadata"] = Field(
        default="paper",
        description="Zoom: one factor for all images (paper), or to one voxel size by each file's metadata (metadata)",
    )
    archive_base: Base = Field(
        default=None, description="URL or folder with SET.tar.gz that replaces the catalogue's sources"
    )
    list_base: Base = Field(default=None, description="URL or folder with SET.csv that replaces the catalogue's")
    keep_raw: bool = Field(default=False, description="Keeping downloaded archives after all their images are prepared")
