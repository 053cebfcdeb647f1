"""A method or a backbone is one new file: added in a copy of the repository, planned and trained there."""

import sys

import pytest
from helpers.checkout import make_clone, sh

pytestmark = pytest.mark.slow

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

TRAIN = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from helpers.fields import make_field
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.learning.training import train
network = NetworkSettings(method="loud", topology="2d", backbone="dots", depth=8, width_3d=8, width_2d=8, groups=4,
                          embedding=64, backbone_divisor=8)
training = TrainingSettings(iterations=30, batch=2, patch=24, learning_rate=3e-3, validate_every=10)
samples = [make_field(0), make_field(3)]
model, history, _ = train(network, training, InferenceSettings(window=32), samples, samples[:1], Path("state"), False)
print(*history["training_mse"])
"""


def test_a_method_and_a_backbone_are_one_file_each(tmp_path):
    folder = make_clone(tmp_path / "sparsessp")
    networks = folder / "sparsessp" / "networks"
    (networks / "methods" / "loud.py").write_text(METHOD)
    (networks / "backbones" / "dots.py").write_text(BACKBONE)
    plan = "plan.grid=[{method: [loud, plain], topology: [2d], backbone: [dots, native], only_ratios: [2]}]"
    sh(folder, sys.executable, "-m", "pipeline.compose", "scale=smoke", plan)
    listed = sh(folder, "dvc", "stage", "list", "--name-only").stdout.split()
    assert {"train@loud-2d-prefix-dots-r2", "train@loud-2d-prefix-r2", "evaluate@plain-2d-prefix-dots-r2"} <= set(
        listed
    )
    losses = [float(text) for text in sh(folder, sys.executable, "-c", TRAIN).stdout.split()]
    assert losses[-1] < losses[0]
    # Its list of sources is unchanged by them: no other run's stage would run again.
    sources = sh(folder, sys.executable, "-c", "from pipeline.sources import sources; print(sources('train'))").stdout
    assert "backbone.py" in sources and "dots" not in sources
