"""Stage split: deal the prepared volumes to training, validation and test.

Example:
  python -m pipeline.split
"""

import argparse
import sys
from collections.abc import Sequence

from pipeline.stage import SPLIT, VOLUMES
from sparsessp.arguments import main
from sparsessp.dataset import read_manifest, write_table
from sparsessp.splits import split


def run(arguments: Sequence[str]) -> None:
    """Split the manifest."""
    argparse.ArgumentParser("python -m pipeline.split", description=__doc__).parse_args(arguments)
    write_table(SPLIT, split(read_manifest(VOLUMES)))


if __name__ == "__main__":
    main(run, sys.argv[1:])
