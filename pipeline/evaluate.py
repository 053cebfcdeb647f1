"""Stage evaluate: score one trained experiment on the test volumes, and keep what the report needs of it.

Example:
  python -m pipeline.evaluate --experiment tgnet-3to2d-prefix-r2 --window 64 --overlap 0.25
"""

import json
import shutil
import sys
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from pipeline.stage import RESULTS, RUNS, SPLIT, VOLUMES, main, views
from sparsessp.arguments import parser, settings
from sparsessp.checkpoints import load_model
from sparsessp.config import InferenceSettings
from sparsessp.dataset import Sample, load_samples, write_table
from sparsessp.device import default_device
from sparsessp.evaluation import evaluate, summary
from sparsessp.examples import STRUCTURES_SHOWN, centre, first_volumes, shown, write_examples
from sparsessp.files import whole, write_text
from sparsessp.inference import predict


class EvaluateSettings(InferenceSettings):
    """What to score, and how to predict."""

    experiment: str = Field(description="name of a trained experiment")


def run(arguments: Sequence[str]) -> None:
    """Predict and score every test volume."""
    chosen = settings(EvaluateSettings, parser("pipeline.evaluate", __doc__, EvaluateSettings).parse_args(arguments))
    trained, results = RUNS / chosen.experiment, RESULTS / chosen.experiment
    network = load_model(trained / "model.pt").to(default_device())
    samples = load_samples(VOLUMES, views(network.settings.ratio), SPLIT, "test")

    def predictor(sample: Sample) -> np.ndarray:
        planes = len(sample.target_DHW)
        return predict(network, sample.view_dHW, planes, sample.task, chosen.window, chosen.overlap)

    keep = first_volumes(samples, STRUCTURES_SHOWN) if shown(chosen.experiment) else {}
    found = evaluate(predictor, samples, chosen.experiment, keep)
    write_table(results / "scores.csv", found.scores)
    write_table(results / "planes.csv", found.planes, "%.6g")
    write_text(results / "scores.json", json.dumps(summary(found.scores), indent=1) + "\n")
    if keep:
        write_examples(results / "examples.npz", {volume: centre(stack) for volume, stack in found.kept.items()})
    for name in ("history.csv", "network.json"):
        with whole(results / name) as partial:
            shutil.copyfile(trained / name, partial)


if __name__ == "__main__":
    main(run, sys.argv[1:])
