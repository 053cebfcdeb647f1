"""Stage evaluate: score one trained experiment on the test volumes, and keep what the report needs of it.

Example:
  python -m pipeline.stages.evaluate --experiment tgnet-3to2d-prefix-r2 --window 64 --overlap 0.25
"""

import json
import shutil
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.stage import RESULTS, RUNS, SPLIT, VOLUMES, main, views
from sparsessp.config import InferenceSettings
from sparsessp.data.examples import STRUCTURES_SHOWN, centre, first_volumes, shown, write_examples
from sparsessp.data.samples import Sample, load_samples, read_manifest, write_table
from sparsessp.data.volumes import TRANSMITTED_LIGHT, read_volume
from sparsessp.learning.checkpoints import load_model
from sparsessp.learning.evaluation import evaluate, summary
from sparsessp.learning.inference import predict
from sparsessp.learning.window_sampling import COLUMNS, planes_read, window_sampled
from sparsessp.networks.network import MultiNetwork, Network
from sparsessp.support.command_line import parser, settings
from sparsessp.support.device import default_device
from sparsessp.support.files import atomic_write, write_text


class EvaluateSettings(InferenceSettings):
    """What to score, and how to predict."""

    experiment: str = Field(description="name of a trained experiment")
    window_sampling: bool = Field(
        default=False, description="score the released code's sampling too, which reads planes that were not imaged"
    )


def run(arguments: Sequence[str]) -> None:
    """Predict and score every test volume."""
    chosen = settings(
        EvaluateSettings, parser("pipeline.stages.evaluate", __doc__, EvaluateSettings).parse_args(arguments)
    )
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
    if chosen.window_sampling:
        write_table(results / "window_sampling.csv", _window_sampling(network, samples, found.scores, chosen))
    for name in ("history.csv", "network.json"):
        with atomic_write(results / name) as partial:
            shutil.copyfile(trained / name, partial)


def _window_sampling(
    network: Network | MultiNetwork, samples: Sequence[Sample], scores: pd.DataFrame, chosen: EvaluateSettings
) -> pd.DataFrame:
    """Score with the released code's sampling beside ours; columns `window_sampling.COLUMNS`."""
    files = read_manifest(VOLUMES).set_index("volume")["path"]

    def dense(sample: Sample) -> np.ndarray:
        return read_volume(VOLUMES / files[sample.volume]).channel(TRANSMITTED_LIGHT)

    predictor = window_sampled(network, dense, chosen.window, chosen.overlap)
    leaked = evaluate(predictor, samples, f"{chosen.experiment}, window-wise sampling").scores
    depth, ratio = network.settings.depth, network.settings.ratio
    table = scores[["volume", "structure", "r2"]].assign(
        r2_window_sampling=leaked["r2"],
        planes=[len(sample.target_DHW) for sample in samples],
        imaged=[len(sample.view_dHW) for sample in samples],
    )
    table["read"] = [planes_read(planes, depth, ratio, chosen.overlap) for planes in table["planes"]]
    return table[list(COLUMNS)]


if __name__ == "__main__":
    main(run, sys.argv[1:])
