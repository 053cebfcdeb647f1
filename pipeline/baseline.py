"""Stage baseline: score a per-voxel linear regression on brightfield at one sparsity ratio.

Example:
  python -m pipeline.baseline --ratio 2
"""

import argparse
import json
import sys
from collections.abc import Sequence

from pipeline.stage import RESULTS, SPLIT, VOLUMES, baseline, views
from sparsessp.arguments import main
from sparsessp.config import RATIOS
from sparsessp.dataset import load_samples, write_table
from sparsessp.evaluation import evaluate, linear_baseline, summary
from sparsessp.files import write_text


def run(arguments: Sequence[str]) -> None:
    """Fit on the training volumes, score the test volumes."""
    parser = argparse.ArgumentParser("python -m pipeline.baseline", description=__doc__)
    parser.add_argument("--ratio", type=int, choices=RATIOS, required=True, help="sparsity ratio of the views")
    ratio = parser.parse_args(arguments).ratio
    train, test = (load_samples(VOLUMES, views(ratio), SPLIT, part) for part in ("train", "test"))
    scores = evaluate(linear_baseline(train), test, baseline(ratio))
    write_table(RESULTS / baseline(ratio) / "scores.csv", scores)
    write_text(RESULTS / baseline(ratio) / "scores.json", json.dumps(summary(scores), indent=1) + "\n")


if __name__ == "__main__":
    main(run, sys.argv[1:])
