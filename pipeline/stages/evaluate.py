"""Stage evaluate: score one trained experiment on the test volumes.

Example:
  python -m pipeline.stages.evaluate --experiment tgnet-3to2d-prefix-r2 --window 64 --overlap 0.25
"""

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import Field
from torch import Tensor

from pipeline.paths import RESULTS, RUNS, VOLUMES
from pipeline.results import write_scores
from pipeline.running import main
from pipeline.samples import stage_samples
from sparsessp.config import InferenceSettings
from sparsessp.data.examples import centre, first_volumes, has_examples, structures_shown, write_examples
from sparsessp.data.samples import Sample, read_manifest, write_table
from sparsessp.data.volumes import TRANSMITTED_LIGHT, read_volume
from sparsessp.learning.checkpoints import load_model
from sparsessp.learning.device_scores import score_tensor
from sparsessp.learning.evaluation import evaluate
from sparsessp.learning.inference import predict_tensor
from sparsessp.learning.window_sampling import planes_read, window_sampled
from sparsessp.networks.network import MultiNetwork, Network
from sparsessp.schema import EXAMPLES_FILE, MODEL_FILE, WINDOW_SAMPLING_COLUMNS, WINDOW_SAMPLING_FILE
from sparsessp.support.command_line import parser, settings
from sparsessp.support.device import default_device


class EvaluateSettings(InferenceSettings):
    """The experiment to score and the way it predicts."""

    experiment: str = Field(description="Name of a trained experiment")
    window_sampling: bool = Field(
        default=False,
        description="Whether to score the released code's sampling too, which reads planes that were not imaged",
    )


def run(arguments: Sequence[str]) -> None:
    """Predict and score every test volume."""
    chosen = settings(
        EvaluateSettings, parser("pipeline.stages.evaluate", __doc__, EvaluateSettings).parse_args(arguments)
    )
    results = RESULTS / chosen.experiment
    network = load_model(RUNS / chosen.experiment / MODEL_FILE).to(default_device())
    samples = stage_samples(network.settings.ratio, "test")

    def predictor(sample: Sample) -> Tensor:
        planes = len(sample.target_DHW)
        return predict_tensor(network, sample.view_dHW, planes, sample.task, chosen.window, chosen.overlap)

    shown = structures_shown({sample.structure for sample in samples})
    keep = first_volumes(samples, shown) if has_examples(chosen.experiment) else {}
    found = evaluate(predictor, samples, chosen.experiment, keep, scorer=score_tensor)
    write_scores(results, found)
    if keep:
        write_examples(results / EXAMPLES_FILE, {volume: centre(stack) for volume, stack in found.kept.items()})
    if chosen.window_sampling:
        write_table(results / WINDOW_SAMPLING_FILE, _window_sampling(network, samples, found.scores, chosen))


def _window_sampling(
    network: Network | MultiNetwork, samples: Sequence[Sample], scores: pd.DataFrame, chosen: EvaluateSettings
) -> pd.DataFrame:
    """Score with the released code's sampling next to ours; columns `WINDOW_SAMPLING_COLUMNS`."""
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
    return table[list(WINDOW_SAMPLING_COLUMNS)]


if __name__ == "__main__":
    main(run, sys.argv[1:])
