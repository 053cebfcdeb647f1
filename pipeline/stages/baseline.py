"""Stage baseline: score a per-voxel linear regression on brightfield at one sparsity ratio.

Keeps example volumes too, one of each structure, for the report's figures.

Example:
  python -m pipeline.stages.baseline --ratio 2
"""

import argparse
import json
import sys
from collections.abc import Sequence

from pipeline.stage import RESULTS, SPLIT, VOLUMES, baseline, main, views
from sparsessp.config import RATIOS
from sparsessp.data.examples import centre, first_volumes, write_examples
from sparsessp.data.samples import load_samples, write_table
from sparsessp.learning.evaluation import evaluate, linear_baseline, summary
from sparsessp.support.files import write_text


def run(arguments: Sequence[str]) -> None:
    """Fit on the training volumes, score the test volumes."""
    parser = argparse.ArgumentParser("python -m pipeline.stages.baseline", description=__doc__)
    parser.add_argument("--ratio", type=int, choices=RATIOS, required=True, help="sparsity ratio of the views")
    ratio = parser.parse_args(arguments).ratio
    results = RESULTS / baseline(ratio)
    train, test = (load_samples(VOLUMES, views(ratio), SPLIT, part) for part in ("train", "test"))
    found = evaluate(linear_baseline(train), test, baseline(ratio))
    write_table(results / "scores.csv", found.scores)
    write_table(results / "planes.csv", found.planes, "%.6g")
    write_text(results / "scores.json", json.dumps(summary(found.scores), indent=1) + "\n")
    examples = first_volumes(test).values()
    views_and_targets = {f"{s.volume}.view": centre(s.view_dHW) for s in examples}
    views_and_targets |= {f"{s.volume}.target": centre(s.target_DHW) for s in examples}
    write_examples(results / "examples.npz", views_and_targets)


if __name__ == "__main__":
    main(run, sys.argv[1:])
