"""Stage report: tables, figures and the page, from the declared experiments and their results.

Example:
  python -m pipeline.stages.report
"""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from pipeline.paths import DURATIONS, PROFILE, REPORTS, RESULTS, RUNS, SPLIT, VOLUMES
from pipeline.plan.data import MicroscopeSource
from pipeline.plan.grid import as_ratios, as_weights
from pipeline.plan.params import Params, read_params
from pipeline.provenance import circumstances, inputs
from pipeline.running import clear_failure, failure, main
from sparsessp.config import TOPOLOGIES
from sparsessp.data.allencell.fingerprint import ceiling, fingerprint
from sparsessp.data.samples import read_manifest, read_table
from sparsessp.reporting.durations import Circumstances
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.report import write_report
from sparsessp.reporting.results import load_results
from sparsessp.schema import SCORES_FILE, VOXEL_COLUMNS, Z_PROFILE, linear_regression
from sparsessp.structures import KEYS


def labels(params: Params, manifest: pd.DataFrame) -> Labels:
    """Return the facts about the runs that captions state."""
    scale, parts = params.scale, read_table(SPLIT, ("volume", "part"))["part"].value_counts()
    voxel_z, voxel_y, voxel_x = manifest[list(VOXEL_COLUMNS)].median()
    amounts = {key.removeprefix("topology_"): n for key, n in scale.budget.amount.items()}
    passes = scale.training.batch / int(parts["train"]) if scale.budget.unit == "iterations" else 1
    return Labels(
        dataset=params.data.name,
        size=params.data.source.size if isinstance(params.data.source, MicroscopeSource) else None,
        simulated=params.data.simulated,
        voxel_um=(voxel_z, voxel_y, voxel_x),
        scale=scale.name,
        budget={key: f"{n} {scale.budget.unit}" for key, n in amounts.items()},
        epochs={key: n * passes for key, n in amounts.items() if key in TOPOLOGIES},
        batch=scale.training.batch,
        width_3d=scale.network.width_3d,
        width_2d=scale.network.width_2d,
        repmode_kernel=scale.network.repmode_kernel,
        backbone_divisor=scale.network.backbone_divisor,
        pretrained=tuple(as_weights(params.pretrained)),
        seeds=len(params.seeds),
        ratios=tuple(as_ratios(params.ratio)),
        patch=(scale.network.depth, scale.training.patch, scale.training.patch),
        start_file=params.pretrained_run,
        started=tuple(name for name, item in params.experiments.items() if item.pretrained_run),
        paper_scores=set(manifest["structure"]) <= set(KEYS),
        train=int(parts["train"]),
        val=int(parts["validation"]),
        test=int(parts["test"]),
    )


def known_ceilings(manifest: pd.DataFrame) -> dict[str, float] | None:
    """Return the R2 of a perfect prediction by structure: known for simulated images, estimated for real ones."""
    if "ceiling" in manifest:
        return manifest.groupby("structure")["ceiling"].mean().to_dict()
    if "target_variance" in manifest:
        return manifest["target_variance"].map(ceiling).groupby(manifest["structure"]).mean().to_dict()
    return None


def reasons(params: Params) -> dict[str, str]:
    """Return why runs have no scores, where their stages recorded a reason."""
    stages = {name: (f"train@{name}", f"evaluate@{name}") for name in params.experiments}
    stages |= {linear_regression(ratio): (f"linear_regression@{ratio}",) for ratio in params.ratios}
    stages[Z_PROFILE] = ("z_profile",)
    found = {}
    for name, names in stages.items():
        if (RESULTS / name / SCORES_FILE).exists():
            # DVC may have restored the scores from its cache without running the stage, which clears its reason.
            clear_failure(*names)
        elif (text := failure(*names)) is not None:
            found[name] = text
    return found


def run(arguments: Sequence[str]) -> None:
    """Write the report."""
    argparse.ArgumentParser("python -m pipeline.stages.report", description=__doc__).parse_args(arguments)
    params = read_params()
    manifest = read_manifest(VOLUMES)
    ceilings = known_ceilings(manifest)
    found = None
    if "target_variance" in manifest:
        test = read_table(SPLIT, ("volume", "part")).query("part == 'test'")
        found = fingerprint(manifest[manifest["volume"].isin(test["volume"])])
    experiments = {name: item.model_dump() for name, item in params.experiments.items()}
    # Fields of one plate look alike, so the claims' bootstrap draws them together.
    plates = manifest.set_index("volume")["plate"].to_dict() if "plate" in manifest else None
    results = load_results(
        experiments,
        RESULTS,
        labels(params, manifest),
        PROFILE,
        RUNS,
        ceilings=ceilings,
        fingerprint=found,
        reasons=reasons(params),
        clusters=plates,
        provenance=inputs(params),
        circumstances=Circumstances(circumstances(), DURATIONS),
    )
    write_report(REPORTS, results)


if __name__ == "__main__":
    main(run, sys.argv[1:])
