"""Stage resample: take the sparse view of every prepared volume at one sparsity ratio.

Example:
  python -m pipeline.stages.resample --ratio 8
"""

import argparse
import sys
from collections.abc import Sequence

from pipeline.paths import VOLUMES, views
from pipeline.running import main
from sparsessp.config import RATIOS
from sparsessp.data.samples import make_views


def run(arguments: Sequence[str]) -> None:
    """Write the sparse views."""
    parser = argparse.ArgumentParser("python -m pipeline.stages.resample", description=__doc__)
    parser.add_argument("--ratio", type=int, choices=RATIOS, required=True, help="keep every r-th plane")
    ratio = parser.parse_args(arguments).ratio
    make_views(VOLUMES, views(ratio), ratio)


if __name__ == "__main__":
    main(run, sys.argv[1:])
