"""Prepared images in a scratch folder, so that later runs can reuse them."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sparsessp.data import czi_tiles, tiff_pages, volumes, voxel_size
from sparsessp.data.allencell import conversion, czi_files, images, preparation, tiff_files
from sparsessp.data.allencell.catalogue import Catalogue
from sparsessp.data.allencell.lists import Image
from sparsessp.support.files import sha256, write_text

# Changed code may give different bytes.
_MODULES = (conversion, czi_files, czi_tiles, images, preparation, tiff_files, tiff_pages, voxel_size, volumes)
_CODE = [sha256(Path(str(module.__file__))) for module in _MODULES]


@dataclass(frozen=True)
class Store:
    """The prepared images of one archive.

    An image is reused only if everything that its bytes depend on is unchanged: archive, channels,
    preparation and code.

    Attributes:
        folder: Folder of the store, which depends on the archive's checksum.
        catalogue: Source of the preparation.
        voxel: As for `convert`.
    """

    folder: Path
    catalogue: Catalogue
    voxel: Literal["paper", "metadata"]

    def path(self, image: Image) -> Path:
        """Return the path of an image's volume, which may not exist yet."""
        return self._folder_of(image) / f"{self.catalogue.archives[image.set].structure}_{image.number:03d}.ome.tiff"

    def facts(self, image: Image) -> dict[str, Any] | None:
        """Return the facts that `convert` returned for an image, or None if it is not prepared."""
        path = self._folder_of(image) / "facts.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def keep(self, image: Image, facts: dict[str, Any]) -> None:
        """Mark an image as prepared, after its volume was written."""
        write_text(self._folder_of(image) / "facts.json", json.dumps(facts))

    def discard(self) -> None:
        """Delete all images of the archive."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _folder_of(self, image: Image) -> Path:
        inputs = [
            image.path_czi,
            list(image.channels.items()),
            self.catalogue.preparation.model_dump(),
            self.catalogue.archives[image.set].voxel_um,
            self.voxel,
            _CODE,
        ]
        digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
        return self.folder / f"{image.number:03d}-{digest}"
