"""Stage report: tables, figures and the page, from the declared experiments and their results.

Example:
  python -m pipeline.report
"""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from pipeline.params import Params, read_params
from pipeline.plan import as_ratios
from pipeline.stage import REPORTS, RESULTS, SPLIT, VOLUMES
from sparsessp.arguments import main
from sparsessp.dataset import read_manifest, read_table
from sparsessp.reporting import Labels, write_report


def labels(params: Params, manifest: pd.DataFrame) -> Labels:
    """What the report has to say about the runs."""
    scale, parts = params.scale, read_table(SPLIT, ("volume", "part"))["part"].value_counts()
    voxel_z, voxel_y, voxel_x = manifest[["voxel_z_um", "voxel_y_um", "voxel_x_um"]].median()
    return Labels(
        dataset=params.data.name,
        size=params.data.source.size,
        simulated=params.data.simulated,
        voxel_um=(voxel_z, voxel_y, voxel_x),
        scale=scale.name,
        budget={key: f"{n} {scale.budget.unit}" for key, n in scale.budget.amount.items()},
        width=scale.network.width,
        repmode_kernel=scale.network.repmode_kernel,
        ratios=tuple(as_ratios(params.ratio)),
        patch=(scale.network.depth, scale.training.patch, scale.training.patch),
        train=int(parts["train"]),
        val=int(parts["validation"]),
        test=int(parts["test"]),
    )


def run(arguments: Sequence[str]) -> None:
    """Write the report."""
    argparse.ArgumentParser("python -m pipeline.report", description=__doc__).parse_args(arguments)
    params = read_params()
    manifest = read_manifest(VOLUMES)
    ceilings = manifest.groupby("structure")["ceiling"].mean().to_dict()
    experiments = {name: item.model_dump() for name, item in params.experiments.items()}
    write_report(REPORTS, experiments, RESULTS, labels(params, manifest), ceilings)


if __name__ == "__main__":
    main(run, sys.argv[1:])
