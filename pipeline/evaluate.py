"""Stage evaluate: score one trained experiment on the test volumes.

Example:
  python -m pipeline.evaluate --experiment tgnet-3to2d-prefix-r2 --window 64 --overlap 0.25
"""

import json
import sys
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from pipeline.stage import RESULTS, RUNS, SPLIT, VOLUMES, views
from sparsessp.arguments import main, parser, settings
from sparsessp.checkpoints import load_model
from sparsessp.config import InferenceSettings
from sparsessp.dataset import Sample, load_samples, write_table
from sparsessp.device import default_device
from sparsessp.evaluation import evaluate, summary
from sparsessp.files import write_text
from sparsessp.inference import predict


class EvaluateSettings(InferenceSettings):
    """What to score, and how to predict."""

    experiment: str = Field(description="name of a trained experiment")


def run(arguments: Sequence[str]) -> None:
    """Predict and score every test volume."""
    chosen = settings(EvaluateSettings, parser("pipeline.evaluate", __doc__, EvaluateSettings).parse_args(arguments))
    network = load_model(RUNS / chosen.experiment / "model.pt").to(default_device())
    samples = load_samples(VOLUMES, views(network.settings.ratio), SPLIT, "test")

    def predictor(sample: Sample) -> np.ndarray:
        planes = len(sample.target_DHW)
        return predict(network, sample.view_dHW, planes, sample.task, chosen.window, chosen.overlap)

    scores = evaluate(predictor, samples, chosen.experiment)
    write_table(RESULTS / chosen.experiment / "scores.csv", scores)
    write_text(RESULTS / chosen.experiment / "scores.json", json.dumps(summary(scores), indent=1) + "\n")


if __name__ == "__main__":
    main(run, sys.argv[1:])
