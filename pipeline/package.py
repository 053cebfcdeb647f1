"""Package a trained run as one model file: weights, settings, scores, training data, licence and git revision.

Examples:
  python -m pipeline.package tgnet-3to2d-prefix-r2
  python -m pipeline.package tgnet-3to2d-prefix-r2 --output nucleus.pt
  sparsessp inspect artifacts/models/tgnet-3to2d-prefix-r2.pt
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.commands import command
from pipeline.paths import ARTIFACTS, RESULTS, RUNS, VOLUMES
from pipeline.plan.data import FolderSource
from pipeline.plan.params import DataParams, read_params
from pipeline.provenance import commit
from sparsessp.application.card import ModelCard, mean_scores
from sparsessp.data.allencell.catalogue import load_catalogue
from sparsessp.data.samples import read_table
from sparsessp.data.voxels import voxel_um
from sparsessp.learning import checkpoints
from sparsessp.schema import MODEL_FILE, SCORE_COLUMNS, SCORES_FILE
from sparsessp.support.command_line import main

MODELS = ARTIFACTS / "models"


def data_facts(data: DataParams) -> dict[str, Any]:
    """Return the `DataFacts` of the dataset that params.yaml names, as plain values."""
    if data.simulated:
        return {"name": data.name, "licence": "BSD-3-Clause, as this software.", "simulated": True}
    if isinstance(data.source, FolderSource):
        return {"name": data.name, "licence": data.licence or "Terms of use not stated."}
    terms = load_catalogue(Path(data.source.catalogue)).licence
    return {"name": data.name, "licence": f"{terms.text} {terms.url}", "citation": terms.citation}


def package(name: str, target: Path) -> ModelCard:
    """Write the model file of a run and return its card.

    Raises:
        SparseSSPError: The run was not trained or not evaluated.
    """
    source = RUNS / name / MODEL_FILE
    content = checkpoints.load(source)
    checkpoints.build_saved(content, str(source))
    scores = read_table(RESULTS / name / SCORES_FILE, SCORE_COLUMNS)
    if "voxel_um" not in content:  # trained before model files recorded it
        content["voxel_um"] = list(voxel_um(VOLUMES))
    content |= {"data": data_facts(read_params().data), "scores": mean_scores(scores), "revision": commit()}
    card = ModelCard.of(content, str(source))
    checkpoints.save(target, content)
    return card


def run(arguments: Sequence[str]) -> None:
    """Package one run."""
    parser = command("package", __doc__)
    parser.add_argument("name", metavar="NAME", help="name of a trained and evaluated run")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"model file (default {MODELS}/NAME.pt)")
    options = parser.parse_args(arguments)
    target = options.output or MODELS / f"{options.name}.pt"
    package(options.name, target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(run, sys.argv[1:])
