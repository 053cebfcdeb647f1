"""The state of a training belongs to its settings, code, data, torch and device, and to nothing else."""

from functools import cache
from pathlib import Path

import pytest
import torch

from pipeline.paths import SPLIT, VOLUMES, views
from pipeline.stages import train
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.errors import SparseSSPError
from sparsessp.schema import MANIFEST, VIEWS

NETWORK = NetworkSettings(method="tgnet", topology="2d", depth=8, width_3d=8, width_2d=8, groups=4)
TRAINING = TrainingSettings(iterations=2)
WINDOWS = InferenceSettings(window=32)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (VOLUMES / MANIFEST, views(2) / VIEWS, SPLIT):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return tmp_path


def folder(network=NETWORK, training=TRAINING, inference=WINDOWS):
    return train.state_folder(network, training, inference)


def test_the_same_run_finds_its_state_again(workspace):
    assert folder() == folder() and folder().parent == Path(".scratch")


def test_missing_local_weights_stop_the_stage_before_it_asks_the_hub(workspace):
    arguments = ["--method", "plain", "--topology", "2d", "--backbone", "resnet18", "--iterations", "1"]
    arguments += ["--weights", "weights.pth", "--watch", "weights.pth"]
    with pytest.raises(SparseSSPError, match=r"weights 'weights\.pth': no such file or folder in .*git add"):
        train.run(arguments)


def test_every_other_run_has_another_folder(workspace, monkeypatch, tmp_path):
    monkeypatch.setattr(train, "sources", cache(train.sources))
    seen = {folder()}

    def is_new(path):
        assert path not in seen
        seen.add(path)

    for change in ({"topology": "3d"}, {"blocks_2d": 2}, {"method": "plain"}, {"seed": 1}):
        is_new(folder(network=NETWORK.model_copy(update=change)))
    for change in ({"learning_rate": 1e-3}, {"iterations": 3}, {"gradient_clip": 1.0}):
        is_new(folder(training=TRAINING.model_copy(update=change)))
    is_new(folder(inference=InferenceSettings(window=48)))
    for path in (VOLUMES / MANIFEST, views(2) / VIEWS, SPLIT):
        path.write_text("other")
        is_new(folder())
    weights = tmp_path / "weights"
    weights.mkdir()
    pretrained = NETWORK.model_copy(update={"backbone": "resnet18", "weights": str(weights)})
    for content in ("weights", "other weights"):
        (weights / "model.safetensors").write_text(content)
        is_new(folder(network=pretrained))
    (tmp_path / "weights.pth").write_text("weights")
    is_new(folder(network=pretrained.model_copy(update={"weights": "weights.pth"})))
    monkeypatch.setattr(torch, "__version__", "0.0")
    is_new(folder())
    monkeypatch.setenv("SPARSESSP_DEVICE", "meta")
    is_new(folder())
    code = tmp_path / "code"
    for source in train.sources("train", "tgnet", "native"):
        (code / source).parent.mkdir(parents=True, exist_ok=True)
        (code / source).write_bytes((train.ROOT / source).read_bytes())
    monkeypatch.setattr(train, "ROOT", code)
    assert folder() in seen  # the same code in another clone, which may share the scratch folder
    (code / "sparsessp" / "data" / "crops.py").write_text("# other code\n")
    is_new(folder())
