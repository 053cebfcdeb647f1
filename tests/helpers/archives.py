"""A small collection like AllenCell's: real CZI files in tar.gz archives, and their image lists."""

import csv
import io
import tarfile
from dataclasses import dataclass

import numpy as np
from pylibCZIrw import czi
from scipy.ndimage import gaussian_filter

from sparsessp.structures import STRUCTURES

SETS = tuple(s.allen_set for s in STRUCTURES if s.key != "dna")
VOXEL_UM = (0.29, 0.108, 0.108)
COLUMNS = ("path_czi", "channel_signal", "channel_target", "remark")
# Sets whose images no row of dna names.
WITHOUT_DNA = ("fibrillarin", "membrane_caax_63x")


@dataclass(frozen=True)
class Layout:
    """Numbers of the channels of an image."""

    channels: int
    light: int
    target: int
    dna: int


SEVEN = Layout(7, light=6, target=3, dna=5)
FOUR = Layout(4, light=3, target=1, dna=2)


def layout(name, number):
    """As in the collection: membrane keeps its light elsewhere, and old files of two sets have four channels."""
    if name == "membrane_caax_63x":
        return Layout(7, light=4, target=3, dna=5)
    return FOUR if name in ("alpha_tubulin", "lamin_b1") and number % 2 else SEVEN


def write_czi(path, voxels, voxel_um=VOXEL_UM, compression=None, origin=(0, 0), scene=0):
    """Write (C, D, H, W) with its voxel size; `compression` as zstd1:ExplicitLevel=1, `origin` in x and y."""
    with czi.create_czi(str(path), exist_ok=True, compression_options=compression) as file:
        for channel, stack in enumerate(voxels):
            for number, plane in enumerate(stack):
                file.write(plane, origin, {"C": channel, "Z": number}, scene=scene)
        z, y, x = (edge * 1e-6 for edge in voxel_um)
        file.write_metadata(path.stem, scale_x=x, scale_y=y, scale_z=z)


def make_voxels(shape, channels, seed):
    """Light, target and DNA that have to do with each other, and noise in the channels that are not needed."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(90, 110, (channels.channels, *shape), dtype=np.uint16)
    cells = gaussian_filter(rng.standard_normal(shape), (1, 4, 4))
    cells /= cells.std()
    for channel, signal in (
        (channels.light, 2 - cells),
        (channels.target, cells**2),
        (channels.dna, np.maximum(cells, 0)),
    ):
        voxels[channel] += np.clip(400 * signal, 0, 4000).astype(np.uint16)
    return voxels


def file_name(name, number, per_plate):
    """A plate shows one set."""
    return f"{35000 + SETS.index(name)}{number // per_plate:05d}_100X_20170101_{number:03d}.czi"


def make_archive(path, files):
    """Write a tar.gz of (name, bytes)."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_rows(path, rows, columns=COLUMNS):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def make_rows(images, per_plate=2):
    """Return the rows of the lists of these sets, and of dna, by set; `images` says how many images of each."""
    rows = {name: [] for name in images}
    rows["dna"] = []
    for name, number in ((name, number) for name, count in images.items() for number in range(count)):
        path = f"/collection/{name}/{file_name(name, number, per_plate)}"
        channels = layout(name, number)
        rows[name].append((path, channels.light, channels.target, f"image, {number}"))
        if name not in WITHOUT_DNA:
            rows["dna"].append((path, channels.light, channels.dna, "NA"))
    return rows


def make_collection(folder, images, shape=(12, 90, 110), per_plate=2, dna=True):
    """Write `SET.csv` and `SET.tar.gz` for some sets to `folder`.

    Args:
        folder: Made if it is not there.
        images: How many images of each set, such as {"beta_actin": 6, "tom20": 6}; 3 or more can be split.
        shape: Planes, rows and columns as recorded.
        per_plate: Images of a plate.
        dna: Write dna.csv too.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = make_rows(images, per_plate)
    for seed, name in enumerate(name for name in rows if dna or name != "dna"):
        write_rows(folder / f"{name}.csv", rows[name])
        if name == "dna":
            continue
        files = [(f"{name}/README.txt", b"not an image")]
        for number in range(images[name]):
            temporary = folder / "image.czi"
            voxels = make_voxels(shape, layout(name, number), (seed, number))
            compression = "zstd1:ExplicitLevel=1" if number % 3 == 1 else None
            write_czi(temporary, voxels, compression=compression, origin=(-40000 * number, 25000))
            files.append((f"{name}/{file_name(name, number, per_plate)}", temporary.read_bytes()))
            temporary.unlink()
        make_archive(folder / f"{name}.tar.gz", files)
    return folder
