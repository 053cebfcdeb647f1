"""Microscope images as recorded: some channels of a CZI file, or of a TIFF stack that replaces it."""

from collections.abc import Sequence
from pathlib import Path

from sparsessp.data.allencell.czi_files import read_czi
from sparsessp.data.allencell.recording import Recording
from sparsessp.data.allencell.tiff_files import read_tiff
from sparsessp.errors import SparseSSPError


def read_image(path: Path, channels: Sequence[int], source: str) -> Recording:
    """Read some channels of one image: a CZI file, an OME-TIFF, an ImageJ hyperstack or a TIFF with named axes.

    The first bytes of the file say which format it has. Images are read plane by plane, so that memory holds only the
    requested channels, except for TIFF stacks in which a single directory describes all planes.

    Args:
        path: File of the image.
        channels: Indices of the channels, counted from 0.
        source: Name of the image in errors.

    Raises:
        SparseSSPError: The file is missing, broken or has another format; it has several scenes or time points, a
            single plane, pixels that are not 16-bit grey, or no such channel; image data of a plane are missing; the
            voxel size has an unknown unit; or CZI support is not installed.
        OSError: The file cannot be opened, for example because too many files are open.
    """
    if not path.is_file():
        raise SparseSSPError(f"{source}: the image file is missing")
    with path.open("rb") as file:
        magic = file.read(10)
    if magic == b"ZISRAWFILE":
        return read_czi(path, channels, source)
    if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return read_tiff(path, channels, source)
    raise SparseSSPError(f"{source}: the file starts with {magic!r}; allowed: CZI, OME-TIFF, TIFF")
