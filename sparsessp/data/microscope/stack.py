"""Simulate one stack with a seed of your choice, for example as an image that no model was trained on.

The file has two channels, the brightfield and, to compare a prediction with, the fluorescence of one structure.

Examples:
  python -m sparsessp.data.microscope.stack stack.ome.tiff --seed 1
  python -m sparsessp.data.microscope.stack sparse.ome.tiff --seed 1 --every 2 --structure dna --pixels 128
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparsessp.data.microscope.catalogue import Catalogue, Size, load_catalogue
from sparsessp.data.microscope.dataset import take
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, write_volume
from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS
from sparsessp.support.command_line import main

CATALOGUE = Path(__file__).parents[3] / "data" / "synthetic.yaml"


def simulate(catalogue: Catalogue, size: str, seed: int, key: str, pixels: int, every: int) -> Volume:
    """Return a stack as the microscope records it: planes and pixel size of a dataset, every `every`-th plane.

    Raises:
        SparseSSPError: The seed is that of the catalogue, whose scenes the datasets show.
    """
    if seed == catalogue.seed:
        raise SparseSSPError(f"--seed {seed} is the seed of the datasets; choose another")
    planes, binning = catalogue.sizes[size].shape[0], catalogue.sizes[size].binning
    field = Size(volumes=1, shape=(planes, pixels, pixels), binning=binning)
    taken = take(catalogue.model_copy(update={"seed": seed}), field, key, 0)
    pixel = catalogue.voxel_um * binning
    voxels = np.stack([taken.light, taken.target])[:, ::every]
    notes = {"source": "synthetic", "seed": str(seed)}
    return Volume(voxels, (TRANSMITTED_LIGHT, key), (catalogue.voxel_um * every, pixel, pixel), notes)


def run(arguments: Sequence[str]) -> None:
    """Write one stack."""
    catalogue = load_catalogue(CATALOGUE)
    parser = argparse.ArgumentParser(
        "python -m sparsessp.data.microscope.stack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="FILE", type=Path, help="OME-TIFF to write")
    parser.add_argument("--seed", type=int, required=True, help="seed of the cells and the noise")
    parser.add_argument("--size", choices=tuple(catalogue.sizes), default="small", help="dataset to be like")
    parser.add_argument("--structure", choices=KEYS, default="nucleolus", help="labelled structure")
    parser.add_argument("--pixels", type=int, default=96, help="rows and columns (default: %(default)s)")
    parser.add_argument("--every", type=int, default=1, help="record only every N-th plane (default: %(default)s)")
    options = parser.parse_args(arguments)
    for name, least in (("pixels", 32), ("every", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise SparseSSPError(f"--{name} {getattr(options, name)} is not allowed; allowed: {least} or more")
    taken = simulate(catalogue, options.size, options.seed, options.structure, options.pixels, options.every)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_volume(options.output, taken)
    print(f"{options.output}: {' x '.join(map(str, taken.voxels.shape[1:]))} voxels, simulated")


if __name__ == "__main__":
    main(run, sys.argv[1:])
