"""Stage profile: costs of the networks of Table 6, counted at the paper's size and measured at this scale.

Example:
  python -m pipeline.stages.profile --depth 16 --width_3d 8 --width_2d 16 --groups 4 --embedding 64 --patch 24 \
      --window 48

SPARSESSP_DEVICE sets the device.
"""

import sys
from collections.abc import Sequence

import pandas as pd
from tqdm import tqdm

from pipeline.paths import PROFILE
from pipeline.running import main
from sparsessp.config import ArchitectureSettings, InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.costs.counted import count_macs, meta_network, parameters
from sparsessp.costs.measured import profile
from sparsessp.data.samples import write_table
from sparsessp.paper.published import printed_ratios, rows
from sparsessp.schema import PROFILE_COLUMNS
from sparsessp.support.command_line import parser, settings
from sparsessp.support.device import facts


def run(arguments: Sequence[str]) -> None:
    """Profile the network of each row."""
    options = parser(
        "pipeline.stages.profile", __doc__, ArchitectureSettings, TrainingSettings, InferenceSettings
    ).parse_args(arguments)
    options.epochs, options.iterations = None, 1  # the settings require a budget, although nothing is trained
    architecture, training, inference = (
        settings(model, options) for model in (ArchitectureSettings, TrainingSettings, InferenceSettings)
    )
    conditions = {
        **facts(architecture),
        "planes": architecture.depth,
        "window": inference.window,
        "batch": training.batch,
        "patch": training.patch,
    }
    lines = []
    for row in tqdm(rows(6), "profile", unit="network"):
        varied = row.settings(*printed_ratios(row)).model_dump()
        full = meta_network(NetworkSettings(**varied))  # all other settings default to the paper's
        counted = count_macs(full)
        found = profile(NetworkSettings(**varied, **architecture.model_dump()), training, inference.window)
        lines.append(
            {
                "experiment": full.settings.name,
                "gmacs": counted.total / 1e9,
                "module_gmacs": counted.modules / 1e9,
                "parameters": parameters(full),
                "infer_s_per_iter": found.inference.seconds,
                "infer_mem_mib": found.inference.mib,
                "train_iter_per_s": 1 / found.training.seconds,
                "train_mem_mib": found.training.mib,
                **conditions,
            }
        )
    write_table(PROFILE, pd.DataFrame(lines, columns=PROFILE_COLUMNS))


if __name__ == "__main__":
    main(run, sys.argv[1:])
