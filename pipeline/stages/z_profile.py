"""Stage z_profile: score the mean profile along z of each structure, a prediction that does not use the image.

Example:
  python -m pipeline.stages.z_profile --ratio 2
"""

import argparse
import sys
from collections.abc import Sequence

from pipeline.paths import RESULTS
from pipeline.results import write_scores
from pipeline.running import main
from pipeline.samples import stage_samples
from sparsessp.config import RATIOS
from sparsessp.learning.evaluation import evaluate, z_profile
from sparsessp.schema import Z_PROFILE


def run(arguments: Sequence[str]) -> None:
    """Average the training volumes, score the test volumes."""
    parser = argparse.ArgumentParser("python -m pipeline.stages.z_profile", description=__doc__)
    parser.add_argument(
        "--ratio",
        type=int,
        choices=RATIOS,
        required=True,
        help="ratio of the views to load; the scores do not depend on it",
    )
    ratio = parser.parse_args(arguments).ratio
    train, test = (stage_samples(ratio, part) for part in ("train", "test"))
    write_scores(RESULTS / Z_PROFILE, evaluate(z_profile(train), test, Z_PROFILE))


if __name__ == "__main__":
    main(run, sys.argv[1:])
