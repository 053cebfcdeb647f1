"""What a process of the pipeline imports, and what DVC rewrites after every stage."""

import sys

import pytest
import torch
from helpers.checkout import ROOT, sh
from torch.nn import functional as F
from torch.optim import Adam, lr_scheduler
from torch.utils.flop_counter import FlopCounterMode

from pipeline.plan.lockfile import forget_unplanned
from sparsessp.config import BACKBONES, METHODS, NetworkSettings
from sparsessp.costs.counted import describe, macs, meta_network
from sparsessp.learning.adam import EagerAdam
from sparsessp.networks.convolution import every_tap
from sparsessp.networks.network import Network
from sparsessp.support.yaml_files import read_yaml

TINY = {"depth": 8, "width_3d": 4, "width_2d": 8, "groups": 4, "embedding": 64, "blocks_3d": 1}
LOADED = "import sys, pipeline.stages.{}; print(*sorted(sys.modules))"
LIGHT = ", pipeline.stages.".join(("check", "code", "split", "resample", "linear_regression", "z_profile", "report"))
TRAIN = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, "tests")
import pipeline.stages.train, pipeline.stages.evaluate
print(*sorted(sys.modules))
from helpers.fields import make_field
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.costs.counted import describe
from sparsessp.learning.training import train
network = NetworkSettings(method="plain", topology="2d", depth=8, width_2d=4, groups=4, embedding=16)
training = TrainingSettings(iterations=2, patch=16, batch=2)
samples = [make_field(0, (8, 16, 16))]
with tempfile.TemporaryDirectory() as folder:
    trained = train(network, training, InferenceSettings(window=16), samples, samples, Path(folder), progress=False)
describe(network, 16, trained.model)
print(*sorted(sys.modules))
"""


def modules(script):
    """The modules in each line that a new interpreter prints."""
    return [set(line.split()) for line in sh(ROOT, sys.executable, "-c", script).stdout.splitlines()]


def test_stages_without_a_network_import_no_torch():
    [found] = modules(LOADED.format(LIGHT))
    assert found.isdisjoint({"torch", "dvc", "hydra", "transformers", "parsl"})


def test_a_training_imports_little_besides_torch():
    at_start, at_end = modules(TRAIN)
    assert at_start.isdisjoint({"scipy", "matplotlib", "requests", "dvc", "hydra", "transformers", "parsl"})
    assert "torch" in at_start and at_end.isdisjoint({"torch._dynamo", "sympy"})


COLLECTION = """
import gc, sys
sys.argv[0] = "{}"
import pipeline.stages
from pipeline.running import main
print(gc.isenabled())
main(lambda _: print(gc.isenabled()), [])
"""


@pytest.mark.parametrize(("start", "imports"), (("-m", "False"), ("-c", "True")))
def test_garbage_is_collected_in_a_stage_but_not_while_it_is_imported(start, imports):
    assert sh(ROOT, sys.executable, "-c", COLLECTION.format(start)).stdout.split() == [imports, "True"]


def adam_after_some_steps(cls):
    """The weights and the state of an optimiser that was saved and loaded on the way."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 1))
    adam = cls(network.parameters(), lr=0.01, betas=(0.9, 0.99), fused=True)
    schedule = lr_scheduler.OneCycleLR(adam, 0.01, total_steps=10, cycle_momentum=False)
    for _ in range(3):
        adam.zero_grad(set_to_none=True)
        F.mse_loss(network(torch.randn(4, 8)), torch.zeros(4, 1)).backward()
        adam.step()
        schedule.step()
        adam.load_state_dict(adam.state_dict())
    return network.state_dict(), adam.state_dict()


def test_the_optimiser_takes_the_steps_of_torchs_adam():
    ours, torchs = map(adam_after_some_steps, (EagerAdam, Adam))
    assert all(torch.equal(ours[0][name], torchs[0][name]) for name in torchs[0])
    assert str(ours[1]) == str(torchs[1])


@pytest.mark.parametrize(("method", "topology"), (("repmode", "3to2d"), ("tsns", "2to3d"), ("tgnet", "2d")))
def test_operations_are_those_of_torchs_counter(method, topology):
    network = meta_network(NetworkSettings(method=method, topology=topology, ratio=2, depth=8))
    with torch.no_grad(), every_tap(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 4, 32, 32, device="meta"), torch.zeros(1, dtype=torch.int64, device="meta"))
    assert macs(network, 32, 32) == counter.get_total_flops() // 2 > 0


@pytest.mark.parametrize(
    ("method", "backbone"),
    [*((method, "native") for method in METHODS), *(("plain", name) for name in BACKBONES if name != "native")],
)
def test_a_built_network_has_the_costs_of_one_on_the_meta_device(method, backbone):
    axes = {"method": method, "topology": "2d" if backbone == "native" else "2to3d", "backbone": backbone}
    settings = NetworkSettings(**axes, ratio=2, backbone_divisor=16, **TINY)
    assert describe(settings, 32, Network(settings).eval()) == describe(settings, 32)


def test_only_entries_of_planned_trainings_stay_in_the_lock_file(tmp_path):
    text = (ROOT / "dvc.lock").read_text()
    before = read_yaml(ROOT / "dvc.lock")["stages"]
    path = tmp_path / "dvc.lock"
    path.write_text(text)
    name = next(stage.partition("@")[2] for stage in before if stage.startswith("train@"))
    forget_unplanned(path, [name, 2])
    after = read_yaml(path)["stages"]
    assert after == {stage: before[stage] for stage in before if stage.partition("@")[2] in ("", name, "2")}
    assert "code" in after and f"train@{name}" in after and 4 < len(after) < len(before) / 2
    path.write_text(text)
    forget_unplanned(path, {stage.partition("@")[2] for stage in before})
    assert path.read_text() == text
    forget_unplanned(tmp_path / "none", [name])
    assert not (tmp_path / "none").exists()
