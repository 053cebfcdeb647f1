"""One contract for every backbone of Table 5; invalid backbones and weights are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.checkout import ROOT

from sparsessp.config import BACKBONES, NATIVE, ExperimentSettings, InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.costs.counted import meta_network, parameters, shapes
from sparsessp.errors import SparseSSPError
from sparsessp.learning.training import train
from sparsessp.networks.backbone import Backbone
from sparsessp.networks.network import build

SMALL = {"depth": 8, "width_3d": 8, "width_2d": 8, "groups": 4, "embedding": 64, "blocks_3d": 1, "repmode_kernel": 3}
OTHERS = [name for name in BACKBONES if name != NATIVE]
# Millions of parameters of the backbone with 32 input channels, as timm and transformers report them.
MILLIONS = {"resnet18": 11.3, "swin_base": 86.8, "vit_base": 91.4, "dinov2_base": 90.9, "vit_large": 310.8}


def small(backbone, **varied):
    return NetworkSettings(**{"method": "tsns", "topology": "2d", "backbone": backbone, **SMALL, **varied})


def tiny(backbone, **varied):
    return small(backbone, backbone_divisor=16, **varied)


@pytest.mark.parametrize("backbone", OTHERS)
def test_at_full_size_it_is_the_network_of_table_5(backbone):
    for topology in ("2d", "2to3d"):
        network = meta_network(NetworkSettings(method="tsns", topology=topology, backbone=backbone))
        if backbone in MILLIONS:
            assert parameters(network.encoder.backbone) / 1e6 == pytest.approx(MILLIONS[backbone], abs=0.06)
        found = dict(shapes(network))
        native = dict(shapes(meta_network(NetworkSettings(method="tsns", topology=topology))))
        assert found == native


@pytest.mark.parametrize("backbone", OTHERS)
def test_every_legal_combination_learns(backbone):
    for topology, interpolation in (("2d", "prefix"), ("2d", "none"), ("2to3d", "postfix")):
        network = build(tiny(backbone, topology=topology, interpolation=interpolation))
        assert isinstance(network.encoder.backbone, Backbone)
        for rows, columns in ((32, 48), (20, 20)):  # 20 is not divisible by the token size
            output = network(torch.randn(2, 1, 4, rows, columns), torch.tensor([0, 5]))
            assert output.shape == (2, 1, 8, rows, columns)
        output.square().mean().backward()
        for name, weight in network.named_parameters():
            assert weight.grad is not None and weight.grad.isfinite().all(), f"{network.settings.name}: {name}"


@pytest.mark.parametrize("backbone", OTHERS)
def test_its_levels_are_those_of_the_native_encoder(backbone):
    networks = build(tiny(backbone)), build(tiny(NATIVE))
    assert networks[0].encoder.levels == networks[1].encoder.levels
    for rows, columns in ((64, 48), (37, 22)):
        levels = [[f.shape for f in n.encoder(torch.randn(1, 8, rows, columns), None)] for n in networks]
        assert levels[0] == levels[1]


@pytest.mark.parametrize("backbone", OTHERS)
def test_same_seed_same_weights(backbone):
    before = torch.random.get_rng_state()
    one, same, other = (build(tiny(backbone), seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.values(), same.values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.parametrize(
    ("values", "message"),
    (
        (
            {"topology": "3d", "backbone": "resnet18"},
            "'resnet18' with topology '3d'.*allowed.*2d, 2to3d",
        ),
        ({"topology": "3to2d", "backbone": "vit_base"}, "this encoder is 3D"),
        ({"topology": "2d", "backbone": "vgg"}, "backbone = 'vgg'.*allowed: .*native.*swin_base"),
        ({"topology": "2d", "weights": "hub"}, "weights 'hub' with backbone 'native'"),
        ({"topology": "2d", "backbone": "resnet18", "weights": "-x"}, "not starting with -"),
    ),
)
def test_invalid_settings_are_refused_with_the_reason(values, message):
    with pytest.raises(SparseSSPError, match=message):
        ExperimentSettings.load({"method": "tsns", **values}, "test")


def test_names():
    def name(**values):
        return ExperimentSettings(method="tsns", topology="2d", **values).name

    assert name() == "tsns-2d-prefix-r2"
    assert name(backbone="swin_base", budget_percent=200, ratio=8, seed=1) == "tsns-2d-prefix-swin_base-budget200-r8-s1"


def saved(folder, backbone):
    """Weights of a network for colour images, in the format in which they are published."""
    if backbone == "resnet18":
        import importlib

        trained = importlib.import_module("sparsessp.networks.backbones.resnet18").ResNet18(3, 16)
        torch.save(trained.state_dict() | {"fc.bias": torch.zeros(3)}, folder / "resnet18.pth")
        return str(folder / "resnet18.pth"), trained
    trained = build(tiny(backbone, depth=4, ratio=1)).encoder.backbone.model
    trained.save_pretrained(folder)
    return str(folder), trained


@pytest.mark.parametrize("backbone", OTHERS)
def test_local_weights_are_loaded(tmp_path, samples, backbone):
    source, trained = saved(tmp_path, backbone)
    settings = tiny(backbone, weights=source)
    training = TrainingSettings(iterations=1, batch=2, patch=24, learning_rate=1e-30)
    model, *_ = train(settings, training, InferenceSettings(window=32), samples, samples[:1], tmp_path / "s", False)
    backbone_ = model.encoder.backbone
    have, ours = trained.state_dict(), getattr(backbone_, "model", backbone_).state_dict()
    first = next(name for name in ours if name.endswith(("projection.weight", "conv1.weight")))
    channels = have[first].shape[1]
    expected = have[first].repeat(1, 3, 1, 1)[:, :8] * (channels / 8)
    torch.testing.assert_close(ours[first], expected)
    for name, value in ours.items():
        if name != first and "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(value, have[name], msg=name)


@pytest.mark.parametrize("backbone", ("resnet18", "vit_base"))
def test_weights_that_cannot_be_used_are_named(tmp_path, backbone):
    network = build(tiny(backbone))
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SparseSSPError, match=f"weights '{tmp_path}'.*allowed: a local file or folder"):
        network.encoder.backbone.load(str(tmp_path))


def test_a_weight_file_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(SparseSSPError, match=r"evil\.pth"):
        build(tiny("resnet18")).encoder.backbone.load(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


def test_without_the_extra_only_resnet18_runs():
    script = (
        "import sys; sys.modules['transformers'] = None\n"
        "from sparsessp.config import NetworkSettings\n"
        "from sparsessp.errors import SparseSSPError\n"
        "from sparsessp.costs.counted import meta_network\n"
        "meta_network(NetworkSettings(method='tsns', topology='2d', backbone='resnet18'))\n"
        "try:\n    meta_network(NetworkSettings(method='tsns', topology='2d', backbone='swin_base'))\n"
        "except SparseSSPError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "transformers" in done.stdout and "pip install 'sparsessp[backbones]'" in done.stdout
