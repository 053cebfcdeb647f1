"""What a user decides about the collection."""

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
    """How the collection is acquired; which part of it is another matter."""

    accept_terms: bool = Field(default=False, description="the terms of the collection are accepted")
    voxel: Literal["paper", "metadata"] = Field(
        default="paper", description="zoom all images by one factor, or each to one voxel size by what its file says"
    )
    archive_base: Base = Field(
        default=None, description="URL or folder with SET.tar.gz, in place of the catalogue's sources"
    )
    list_base: Base = Field(default=None, description="URL or folder with SET.csv, in place of the catalogue's")
    keep_raw: bool = Field(default=False, description="keep downloaded archives once all their images are prepared")
