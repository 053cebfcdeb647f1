"""Opening images of any kind, recognised by their first bytes, and finding them in folders."""

from pathlib import Path

from sparsessp.data.images.czi import open_czi
from sparsessp.data.images.image import Image
from sparsessp.data.images.ome_zarr import is_zarr, open_zarr
from sparsessp.data.images.tiff import open_tiff
from sparsessp.errors import SparseSSPError

_CZI = b"ZISRAWFILE"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUFFIXES = (".tif", ".tiff", ".czi")


def open_image(path: Path, scene: int | None = None, axes: str | None = None) -> Image:
    """Open an image without reading its pixels.

    Args:
        path: A TIFF, OME-TIFF or CZI file, or the folder of an OME-Zarr image.
        scene: Index of the scene, if the file has several.
        axes: Names of a TIFF file's axes, if it does not name them.

    Raises:
        SparseSSPError: There is no such image, or it is of another kind.
    """
    if is_zarr(path):
        return open_zarr(path, scene)
    if not path.is_file():
        raise SparseSSPError(f"{path}: there is no such image")
    with path.open("rb") as file:
        magic = file.read(len(_CZI))
    if magic == _CZI:
        return open_czi(path, scene)
    if magic[:4] in _TIFF:
        return open_tiff(path, scene, axes)
    raise SparseSSPError(f"{path}: not an image that can be read; allowed: OME-TIFF, TIFF, CZI, OME-Zarr")


def find_images(inputs: list[Path]) -> list[Path]:
    """Return the images that the inputs name: files and OME-Zarr folders themselves, other folders by their content.

    Raises:
        SparseSSPError: A folder holds no image.
    """
    found: list[Path] = []
    for path in inputs:
        if not path.is_dir() or is_zarr(path):
            found.append(path)
            continue
        inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in _SUFFIXES or is_zarr(p)]
        if not inside:
            raise SparseSSPError(f"{path}: no image in this folder; allowed: {', '.join(_SUFFIXES)}, OME-Zarr folders")
        found += inside
    return list(dict.fromkeys(found))
