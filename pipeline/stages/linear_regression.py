"""Stage linear_regression: score a per-voxel linear regression on the brightfield at one sparsity ratio.

It also saves the view and target of one volume per structure for the report's figures.

Example:
  python -m pipeline.stages.linear_regression --ratio 2
"""

import argparse
import sys
from collections.abc import Sequence

from pipeline.paths import RESULTS
from pipeline.results import write_scores
from pipeline.running import main
from pipeline.samples import stage_samples
from sparsessp.config import RATIOS
from sparsessp.data.examples import centre, first_volumes, write_examples
from sparsessp.learning.evaluation import evaluate, linear_regression
from sparsessp.schema import EXAMPLES_FILE
from sparsessp.schema import linear_regression as name_at


def run(arguments: Sequence[str]) -> None:
    """Fit on the training volumes, score the test volumes."""
    parser = argparse.ArgumentParser("python -m pipeline.stages.linear_regression", description=__doc__)
    parser.add_argument("--ratio", type=int, choices=RATIOS, required=True, help="sparsity ratio of the views")
    ratio = parser.parse_args(arguments).ratio
    results = RESULTS / name_at(ratio)
    train, test = (stage_samples(ratio, part) for part in ("train", "test"))
    write_scores(results, evaluate(linear_regression(train), test, name_at(ratio)))
    examples = first_volumes(test).values()
    views_and_targets = {f"{s.volume}.view": centre(s.view_dHW) for s in examples}
    views_and_targets |= {f"{s.volume}.target": centre(s.target_DHW) for s in examples}
    write_examples(results / EXAMPLES_FILE, views_and_targets)


if __name__ == "__main__":
    main(run, sys.argv[1:])
