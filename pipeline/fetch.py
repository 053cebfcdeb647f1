"""Stage fetch: acquire and prepare the volumes of a data set, one OME-TIFF each.

Example:
  python -m pipeline.fetch --catalogue data/synthetic.yaml --size small --structures dna nucleolus
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from pipeline.stage import VOLUMES
from sparsessp.arguments import main, parser, settings
from sparsessp.config import Settings
from sparsessp.microscope.catalogue import load_catalogue
from sparsessp.microscope.dataset import acquire
from sparsessp.structures import KEYS


class FetchSettings(Settings):
    """What to acquire."""

    catalogue: str = Field(description="catalogue file")
    size: str = Field(description="one of the catalogue's sizes")
    structures: tuple[str, ...] = Field(default=("all",), description="keys of structures, or all")


def run(arguments: Sequence[str]) -> None:
    """Acquire with the simulated microscope."""
    chosen = settings(FetchSettings, parser("pipeline.fetch", __doc__, FetchSettings).parse_args(arguments))
    structures = KEYS if chosen.structures == ("all",) else chosen.structures
    acquire(load_catalogue(Path(chosen.catalogue)), chosen.size, structures, VOLUMES)


if __name__ == "__main__":
    main(run, sys.argv[1:])
