"""Prepared images that wait in a scratch folder, so that no run does again what an earlier one has done."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sparsessp.data import volumes
from sparsessp.data.allencell import conversion, images, preparation
from sparsessp.data.allencell.catalogue import Catalogue
from sparsessp.data.allencell.lists import Image
from sparsessp.support.files import sha256, write_text

# Other code may give other bytes.
_CODE = [sha256(Path(str(module.__file__))) for module in (conversion, images, preparation, volumes)]


@dataclass(frozen=True)
class Store:
    """The prepared images of one archive.

    An image is found again only if all that its bytes depend on is the same: the archive, the
    channels, the preparation and its code.

    Attributes:
        folder: Of this store; another archive's sum gives another one.
        catalogue: Gives the preparation.
        voxel: As for `convert`.
    """

    folder: Path
    catalogue: Catalogue
    voxel: Literal["paper", "metadata"]

    def path(self, image: Image) -> Path:
        """Where the volume of an image is, or is to be."""
        return self._of(image) / f"{self.catalogue.archives[image.set].structure}_{image.number:03d}.ome.tiff"

    def facts(self, image: Image) -> dict[str, Any] | None:
        """What `convert` returned of an image, None if it is not done."""
        path = self._of(image) / "facts.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def keep(self, image: Image, facts: dict[str, Any]) -> None:
        """Mark an image as done, its volume being written."""
        write_text(self._of(image) / "facts.json", json.dumps(facts))

    def discard(self) -> None:
        """Forget all images of the archive."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _of(self, image: Image) -> Path:
        what = [
            image.path_czi,
            list(image.channels.items()),
            self.catalogue.preparation.model_dump(),
            self.catalogue.archives[image.set].voxel_um,
            self.voxel,
            _CODE,
        ]
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
        return self.folder / f"{image.number:03d}-{digest}"
