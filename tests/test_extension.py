"""A method or a backbone is one new file: added in a copy of the repository, planned, trained and reported there."""

import re
import sys

import chaos
import numpy as np
import pandas as pd
from helpers.checkout import sh

METHOD = '''"""Loud: a task's own gain on the plain head's output."""

from torch import nn

from sparsessp.networks.blocks import per_channel
from sparsessp.networks.method import Method, OneHot, PlainHead


class Gain(PlainHead):
    """Plain head, weighed."""

    def __init__(self, norm, n, ci, co, tasks):
        super().__init__(norm, n, ci, co)
        self.gain = nn.Linear(tasks, co)

    def forward(self, x_BC, bottleneck_BC, code):
        y_BC = super().forward(x_BC, bottleneck_BC, None)
        return y_BC * per_channel(1 + self.gain(code), y_BC)


class Loud(Method):
    first_conditioned = "head"

    def code(self):
        return OneHot(self.tasks)

    def head(self, n, ci, co, bottleneck):
        return Gain(self.norm(None, ci), n, ci, co, self.tasks)
'''

BACKBONE = '''"""Dots: pooled pixels."""

from torch import nn

from sparsessp.networks.backbone import Backbone, FeatureMap


class Dots(Backbone):
    def __init__(self, channels, divisor):
        super().__init__()
        width = 32 // divisor
        self.feature_maps = tuple(FeatureMap(width, 2 ** (level - 1), level) for level in (2, 3, 4, 5))
        self.point = nn.Conv2d(channels, width, 1)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)

    def forward(self, x_BCHW):
        maps = [self.pool(self.point(x_BCHW))]
        for _ in self.feature_maps[1:]:
            maps.append(self.pool(maps[-1]))
        return maps
'''

PLAN = (
    "scale=smoke",
    "structures=[dna]",
    "plan.grid=[{method: [loud], topology: [2d], backbone: [native, dots]}]",
    "scale.budget.amount.topology_2d=30",
    chaos.SAVE_OFTEN,
)
RUNS = ("loud-2d-prefix-r2", "loud-2d-prefix-dots-r2")


def test_a_method_and_a_backbone_are_one_file_each(clone):
    networks = clone / "sparsessp" / "networks"
    (networks / "methods" / "loud.py").write_text(METHOD)
    (networks / "backbones" / "dots.py").write_text(BACKBONE)
    sources = (clone / "artifacts" / "code" / "train" / "tgnet-native.txt").read_text()
    sh(clone, sys.executable, "-m", "pipeline.compose", *PLAN)
    out = sh(clone, "dvc", "repro").stdout
    ran = {line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")}
    assert ran == {"code", "check", *(f"{stage}@{name}" for stage in ("train", "evaluate") for name in RUNS), "report"}
    # No other method's training would run again.
    assert (clone / "artifacts" / "code" / "train" / "tgnet-native.txt").read_text() == sources
    for name in RUNS:
        losses = pd.read_csv(clone / "artifacts" / "runs" / name / "history.csv")["training_mse"]
        assert losses[-10:].mean() < losses[:10].mean(), name
    reports = clone / "reports"
    for table, name in ((3, RUNS[0]), (5, RUNS[1])):
        row = pd.read_csv(reports / "tables" / f"table{table}.csv").set_index("ratio2_experiment").loc[name]
        assert row["approach"] == "Loud" and np.isfinite(row["ratio2_R2"])
    # matplotlib writes each text of an SVG as a comment next to its outlines.
    panels = re.findall(r"<!-- (Loud.*?) -->", (reports / "figures" / "figure4.svg").read_text())
    assert panels == ["Loud", "Loud, Dots"]
