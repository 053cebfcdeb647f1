r"""Stage train: train one experiment and keep its best model.

Example:
  python -m pipeline.stages.train --method tgnet --topology 3to2d --ratio 2 --depth 16 --width_3d 8 --width_2d 16 \
      --groups 8 --embedding 128 --patch 32 --learning_rate 0.002 --epochs 6 --window 64

If it is killed, run it again with the same arguments, code and data: it resumes from its last validation.
SPARSESSP_DEVICE sets the device, SPARSESSP_SCRATCH the folder of unfinished trainings (.scratch), SPARSESSP_RANKS the
number of processes that train together, each with a GPU.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from pipeline import states
from pipeline.paths import DURATIONS, RESULTS, RUNS, SPLIT, VOLUMES, views
from pipeline.ranks import launch, wanted_ranks
from pipeline.running import main
from pipeline.samples import stage_samples
from pipeline.sources import ROOT, sources
from sparsessp import __version__
from sparsessp.config import (
    ArchitectureSettings,
    ExperimentSettings,
    InferenceSettings,
    NetworkSettings,
    Settings,
    TrainingSettings,
)
from sparsessp.costs.counted import describe
from sparsessp.data.samples import Sample, structures_of, write_table
from sparsessp.data.voxels import voxel_um
from sparsessp.errors import SparseSSPError
from sparsessp.learning import ranks
from sparsessp.learning.checkpoints import save_model
from sparsessp.learning.pretrained import read_start
from sparsessp.learning.training import Trained, train
from sparsessp.networks.network import Network
from sparsessp.schema import HISTORY_FILE, MANIFEST, MODEL_FILE, NETWORK_FILE, VIEWS
from sparsessp.structures import in_order
from sparsessp.support.command_line import parser, settings
from sparsessp.support.device import default_device, facts
from sparsessp.support.files import write_text
from sparsessp.support.processes import end_with_parent, exclusive_folder


class Inputs(Settings):
    """Additional inputs of a training."""

    pretrained_run: Path | None = Field(default=None, description="Model file with the weights to start from")
    watch: Path | None = Field(
        default=None, description="File or folder of local weights, that of --weights or --pretrained_run"
    )


def state_folder(
    network: NetworkSettings,
    training: TrainingSettings,
    inference: InferenceSettings,
    pretrained_run: Path | None = None,
) -> Path:
    """Return the folder for the state of this run, which depends on settings, code, data, torch and device.

    Clones and experiments outside the workspace that share a scratch folder find each other's states.
    """
    digest = hashlib.sha256(f"{torch.__version__} {default_device()}".encode())
    for part in (network, training, inference):
        digest.update(part.model_dump_json().encode())
    code = [ROOT / path for path in sources("train", network.method, network.backbone)]
    local = Path(network.weights)  # or a name on the hub, or "none"
    weights = sorted(path for path in (local, *local.rglob("*")) if path.is_file())
    weights += [pretrained_run] if pretrained_run else []
    for path in (*code, VOLUMES / MANIFEST, views(network.ratio) / VIEWS, SPLIT, *weights):
        digest.update(path.read_bytes())
    return states.folder(network.name, digest.hexdigest())


def _notes(training: TrainingSettings, inference: InferenceSettings, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the notes of the model file: `application.card.ModelCard` without the network, scores and source."""
    return {
        "training": training.model_dump(),
        "inference": inference.model_dump(),
        "voxel_um": list(voxel_um(VOLUMES)),
        "trained": list(in_order(sample.structure for sample in samples)),
        "version": __version__,
    }


def run(arguments: Sequence[str]) -> None:
    """Train, then write the model, its history, a description of its network, and its duration and hardware.

    Several processes train together if SPARSESSP_RANKS says so, or if torchrun started this one.
    """
    if ranks.started():
        end_with_parent()
        with ranks.joined():
            _run(arguments)
    elif (count := wanted_ranks()) > 1:
        launch("pipeline.stages.train", arguments, count)
    else:
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    models = (ExperimentSettings, ArchitectureSettings, TrainingSettings, InferenceSettings, Inputs)
    options = parser("pipeline.stages.train", __doc__, *models).parse_args(arguments)
    varied, architecture, training, inference, given = (settings(model, options) for model in models)
    watched = given.watch
    if watched == Path(varied.weights) and not watched.exists():
        raise SparseSSPError(
            f"weights '{watched}': no such file or folder in {Path.cwd()}; an experiment outside the workspace has "
            "only what git or DVC tracks: run `git add`, or give an absolute path"
        )
    network = NetworkSettings.load(
        {**varied.model_dump(), **architecture.model_dump(), "structures": structures_of(VOLUMES)}, "arguments"
    )
    # Remove the scores of an earlier run of this name: if this run fails, they must not be taken for its scores.
    shutil.rmtree(RESULTS / network.name, ignore_errors=True)
    samples = [stage_samples(network.ratio, part) for part in ("train", "validation")]
    notes = _notes(training, inference, samples[0])
    start = read_start(given.pretrained_run, network) if given.pretrained_run else None
    notes |= {"origin": start.origin} if start else {}
    folder = state_folder(network, training, inference, given.pretrained_run)
    notice = states.unused([other for other in states.folders(network.name) if other != folder])
    if notice and ranks.is_first():
        print(notice, file=sys.stderr)
    with ranks.held_by_first(exclusive_folder(folder)):
        trained = train(network, training, inference, *samples, folder, start=start.weights if start else None)
        if ranks.is_first():
            _write(trained, network, inference, notes)
            shutil.rmtree(folder)


def _write(trained: Trained, network: NetworkSettings, inference: InferenceSettings, notes: dict[str, Any]) -> None:
    finished = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    duration = {"seconds": round(trained.seconds, 3), "finished": finished, "ranks": ranks.count(), **facts(network)}
    out = RUNS / network.name
    model = trained.model if isinstance(trained.model, Network) else trained.model.networks[0]
    write_table(out / HISTORY_FILE, trained.history)
    write_text(out / NETWORK_FILE, json.dumps(describe(network, inference.window, model), indent=1) + "\n")
    write_text(DURATIONS / f"{network.name}.json", json.dumps(duration, indent=1) + "\n")
    save_model(out / MODEL_FILE, trained.model, notes)


if __name__ == "__main__":
    main(run, sys.argv[1:])
