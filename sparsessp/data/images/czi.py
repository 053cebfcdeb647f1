"""CZI files of Zeiss microscopes; needs the extra `czi`."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sparsessp.data.czi_tiles import Field, Tiles, czi_library
from sparsessp.data.images.image import Image, chosen_scene, in_um, plane_error
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error

_GREY = ("Gray8", "Gray16", "Gray32Float")


class CziImage(Image):
    """One scene of a CZI file."""

    scene: int | None
    field: Field
    tiles: Tiles
    pixel_types: list[str]

    def plane(self, frame: int, channel: int, plane: int) -> np.ndarray:
        """Return one plane."""
        if fault := self.tiles.fault(self.field, frame, channel, plane):
            raise plane_error(self.path, frame, channel, plane, fault)
        czi = czi_library(str(self.path))
        try:
            with czi.open_czi(str(self.path)) as file:
                at = self.tiles.at(frame, channel, plane)
                return file.read(self.field, at, self.scene, pixel_type=self.pixel_types[channel])[..., 0]
        except (SparseSSPError, MemoryError):
            raise
        except Exception as error:  # a broken file makes libCZI raise anything
            raise_system_error(error, self.path)
            raise SparseSSPError(f"{self.path}: plane {plane} cannot be read ({error})") from None


def open_czi(path: Path, scene: int | None) -> Image:
    """Open a CZI file.

    Raises:
        SparseSSPError: The file is broken, has colour pixels, or the extra is not installed.
    """
    czi = czi_library(str(path))
    try:
        with czi.open_czi(str(path)) as file:
            scenes = file.scenes_bounding_rectangle
            number = chosen_scene(path, max(len(scenes), 1), scene)
            index = sorted(scenes)[number] if scenes else None
            # The pyramid's coarser levels may reach beyond the edge.
            field = file.total_bounding_rectangle_no_pyramid if index is None else scenes[index]
            sizes = {axis: end - start for axis, (start, end) in file.total_bounding_box.items()}
            channels = sizes.get("C", 1)
            tiles = Tiles(file, path, index)
            kinds = [file.get_channel_pixel_type(tiles.at(0, channel, 0)["C"]) for channel in range(channels)]
            for channel, kind in enumerate(kinds):
                if kind not in _GREY:
                    raise SparseSSPError(
                        f"{path}: channel {channel} has {kind} pixels; allowed: {', '.join(_GREY)}: export grey values"
                    )
            root = ElementTree.fromstring(file.raw_metadata)
            image = CziImage(
                path,
                _channels(root, channels),
                sizes.get("T", 1),
                sizes.get("Z", 1),
                field.h,
                field.w,
                _spacing(root),
                scenes=max(len(scenes), 1),
            )
            image.scene, image.field, image.tiles = index, Field(*field), tiles
            image.pixel_types = kinds
        return image
    except (SparseSSPError, MemoryError):
        raise
    except Exception as error:  # a broken file makes libCZI raise anything
        raise_system_error(error, path)
        raise SparseSSPError(f"{path}: not a readable CZI file ({error})") from None


def _channels(root: ElementTree.Element, count: int) -> tuple[str, ...]:
    found = root.findall(".//Dimensions/Channels/Channel")
    names = [channel.get("Name") or channel.findtext("Name") or "" for channel in found]
    return tuple(names) if len(names) == count else ("",) * count


def _spacing(root: ElementTree.Element) -> tuple[float | None, float | None, float | None]:
    edges = {item.get("Id"): item.findtext("Value") for item in root.iterfind(".//Scaling/Items/Distance")}
    z, y, x = (in_um(edges.get(axis), "m") for axis in "ZYX")
    return z, y, x
