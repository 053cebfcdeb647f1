"""One contract for every method, topology, interpolation, projection and ratio."""

import os
import subprocess
import sys
from itertools import product

import pytest
import torch
from helpers.checkout import ROOT
from helpers.precision import float64, same
from torch.nn import functional as F

from sparsessp.config import METHODS, RATIOS, TOPOLOGIES, ExperimentSettings, NetworkSettings
from sparsessp.costs.counted import macs, meta_network, parameters, shapes
from sparsessp.errors import SparseSSPError
from sparsessp.networks.backbone import Backbone
from sparsessp.networks.blocks import fold, one_hot, unfold
from sparsessp.networks.convolution import convolve, crop_to_reachable_taps, subsample
from sparsessp.networks.dynamic_head import DynamicHead
from sparsessp.networks.interpolation import Postfix
from sparsessp.networks.members import load_class
from sparsessp.networks.method import Method, load_method
from sparsessp.networks.network import build

SMALL = {"depth": 8, "width_3d": 8, "width_2d": 8, "groups": 4, "embedding": 64, "blocks_3d": 1, "repmode_kernel": 3}
AXES = tuple(product(TOPOLOGIES, ("prefix", "postfix", "none"), ("3d", "2d"), RATIOS))


def legal():
    """The combinations that the settings accept."""
    found = []
    for axes in AXES:
        values = dict(zip(("topology", "interpolation", "projection", "ratio"), axes, strict=True))
        try:
            ExperimentSettings.load({"method": "plain", **values}, "test")
        except SparseSSPError:
            continue
        found.append(values)
    return found


LEGAL = legal()
# Each topology with each interpolation and projection once, the ratios in turn.
COVERING = [LEGAL[i] | {"ratio": RATIOS[i // len(RATIOS) % len(RATIOS)]} for i in range(0, len(LEGAL), len(RATIOS))]


def test_exactly_the_sensible_combinations_are_legal():
    for topology, interpolation, projection, ratio in AXES:
        encoder, decoder = TOPOLOGIES[topology]
        expected = not (interpolation == "none" and decoder == 3) and not (projection == "2d" and encoder == decoder)
        values = {"topology": topology, "interpolation": interpolation, "projection": projection, "ratio": ratio}
        assert (values in LEGAL) == expected


# Multi-Net's networks are those of plain.
@pytest.mark.parametrize("method", [method for method in METHODS if method != "multinet"])
def test_every_weight_of_every_legal_combination_has_a_gradient(method):
    """All combinations for plain; how a method conditions blocks does not depend on the ratio, so fewer for others."""
    tasks = torch.tensor([0, 5, 5])
    side = 32 if method == "tsns" else 16  # instance norm needs more than one voxel at the lowest level
    for values in LEGAL if method == "plain" else COVERING:
        settings = NetworkSettings(method=method, **values, **SMALL)
        network = build(settings)
        view = torch.randn(3, 1, settings.depth // settings.ratio, side, side)
        output = network(view, tasks)
        assert output.shape == (3, 1, settings.depth, side, side), settings.name
        output.square().mean().backward()
        for name, weight in network.named_parameters():
            assert weight.grad is not None and weight.grad.isfinite().all(), f"{settings.name}: {name}"


def test_a_method_is_the_one_subclass_of_method_in_its_file():
    names = {method: type(load_method(NetworkSettings(method=method, topology="2d"))).__name__ for method in METHODS}
    assert {name: names[name] for name in ("condnet", "dodnet", "repmode", "tgnet", "tsns")} == {
        "condnet": "CondNet",
        "dodnet": "DoDNet",
        "repmode": "RepMode",
        "tgnet": "TGNet",
        "tsns": "TSNs",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("", "subclasses of Backbone defined there: none; exactly one is needed"),
        ("class A(Backbone):\n    pass\n", "defined there: none"),  # abstract
        ("class A(Backbone):\n    forward = abs\nclass B(A):\n    pass\n", "defined there: A, B"),
    ),
)
def test_a_file_without_exactly_one_backbone_is_named(tmp_path, monkeypatch, text, message):
    import sparsessp.networks.backbones

    (tmp_path / "odd.py").write_text(f"from sparsessp.networks.backbone import Backbone\n{text}")
    monkeypatch.setattr(sparsessp.networks.backbones, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "sparsessp.networks.backbones.odd", raising=False)
    with pytest.raises(SparseSSPError, match=rf"backbones/odd\.py: .*{message}"):
        load_class("backbones", "odd", Backbone)


def test_an_imported_class_is_not_one_of_the_file(tmp_path, monkeypatch):
    import sparsessp.networks.methods

    (tmp_path / "odd.py").write_text(
        "from sparsessp.networks.method import Method\n"
        "from sparsessp.networks.methods.plain import Plain\n"
        "class Odd(Method):\n    pass\n"
    )
    monkeypatch.setattr(sparsessp.networks.methods, "__path__", [*sparsessp.networks.methods.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "sparsessp.networks.methods.odd", raising=False)
    assert load_class("methods", "odd", Method).__name__ == "Odd"


@pytest.mark.slow
def test_every_legal_combination_fits_together_at_full_width():
    """Without a method: whether channels and depths divide does not depend on it; `test_costs` builds each method."""
    for values in COVERING:
        network = meta_network(NetworkSettings(method="plain", **values))
        assert shapes(network)[-1] == ("prediction", (1, 32, 128, 128))


# GMACs and millions of parameters for one 32 x 128 x 128 patch, computed by hand, layer by layer; 3d, 3to2d, 2to3d, 2d.
COSTS = {
    "plain": ((113.75, 17.29), (76.17, 16.20), (40.07, 4.44), (1.93, 3.19)),
    "dodnet": ((113.94, 17.33), (76.22, 17.05), (40.26, 4.48), (1.98, 4.04)),
    "tsns": ((114.77, 18.84), (76.24, 17.76), (41.08, 6.00), (2.00, 4.75)),
    "condnet": ((114.80, 17.30), (76.18, 16.21), (41.12, 4.46), (1.94, 3.20)),
    "tgnet": ((114.96, 17.59), (76.29, 17.31), (41.27, 4.66), (2.04, 4.23)),
    "repmode": ((525.23, 98.38), (347.36, 90.68), (183.78, 20.44), (5.35, 12.56)),
}


@pytest.mark.parametrize("method", COSTS)
def test_costs(method):
    for topology, (gmacs, millions) in zip(("3d", "3to2d", "2to3d", "2d"), COSTS[method], strict=True):
        network = meta_network(NetworkSettings(method=method, topology=topology))
        # The values have two decimals.
        assert macs(network) / 1e9 == pytest.approx(gmacs, abs=0.0051)
        assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.0101)


def test_one_hot_codes_have_a_mean_square_of_one():
    codes = one_hot(torch.arange(12), 12)
    assert torch.equal(codes > 0, torch.eye(12, dtype=torch.bool))
    torch.testing.assert_close(codes.square().mean(1), torch.ones(12))


def test_adam_moves_predicted_weights_about_as_far_as_others():
    """Unless the controller's inputs are scaled, by a hundred learning rates per step, which stalls training."""
    rate = 1e-3
    head = DynamicHead(groups=4, n=2, ci=16, co=8, bottleneck=256, tasks=12)
    bottleneck, code = torch.randn(4, 256, 2, 2), one_hot(torch.arange(4), 12)
    predicted = {}
    head.controller.register_forward_hook(lambda module, args, output: predicted.update(weights=output.detach()))
    adam = torch.optim.Adam(head.parameters(), lr=rate)
    x = torch.randn(4, 16, 8, 8)
    F.mse_loss(head(x, bottleneck, code), torch.randn(4, 8, 8, 8)).backward()
    before = predicted["weights"]
    adam.step()
    head(x, bottleneck, code)
    assert 0 < (predicted["weights"] - before).abs().mean() < 20 * rate


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_only_a_2d_encoder_before_a_3d_decoder_gets_a_channel_per_plane(topology):
    settings = NetworkSettings(method="plain", topology=topology, **{**SMALL, "width_2d": 8, "depth": 16})
    encoder, decoder = settings.dimensions
    first = build(settings).encoder.levels[0].channels
    assert first == (16 if (encoder, decoder) == (2, 3) else 8)


def test_fold_is_channel_major_and_undone_by_unfold():
    x = torch.arange(2 * 3 * 4 * 1 * 1).reshape(2, 3, 4, 1, 1)
    assert fold(x)[0, :, 0, 0].tolist() == list(range(12))
    assert torch.equal(unfold(fold(x), 4), x)
    with pytest.raises(SparseSSPError, match="12.*5"):
        unfold(fold(x), 5)


def test_an_indivisible_depth_is_refused_with_both_values():
    settings = NetworkSettings(method="plain", topology="2to3d", depth=16, width_2d=24, groups=4, embedding=64)
    with pytest.raises(SparseSSPError, match="24 .*16"):
        build(settings)


@pytest.mark.parametrize("kernel", (3, 5))
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_repmode_kernel_is_the_gated_sum_of_its_experts(topology, kernel):
    settings = {**SMALL, "repmode_kernel": kernel}
    network = build(NetworkSettings(method="repmode", topology=topology, **settings)).double()
    conv = network.decoder.blocks[0].conv1
    convolve, pool = (F.conv3d, F.avg_pool3d) if conv.n == 3 else (F.conv2d, F.avg_pool2d)
    x = torch.randn(1, conv.convs[0].shape[1], *[9] * conv.n, dtype=torch.float64)
    code = one_hot(torch.tensor([5]), 12).double()
    experts = [convolve(x, w, padding=w.shape[-1] // 2) for w in conv.convs]
    experts += [pool(convolve(x, w), k, 1, k // 2) for w, k in zip(conv.pools, (3, 5), strict=False)]
    gates = conv.gate(code).view(len(experts), -1).softmax(0)
    expected = sum(g.view(1, -1, *[1] * conv.n) * y for g, y in zip(gates, experts, strict=True))
    merged = convolve(x, conv.kernels(code)[0], padding=kernel // 2)
    same(merged, expected)


@pytest.mark.parametrize("kernel", (1, 3, 5))
@pytest.mark.parametrize("stride", (1, 2))
def test_cropping_a_kernel_to_its_reachable_taps_changes_nothing(kernel, stride):
    weight = torch.randn(2, 3, *[kernel] * 3, dtype=torch.float64)
    for size in product((1, 2, 3, 6), repeat=3):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        kept = crop_to_reachable_taps(weight, size)
        assert kept.shape[2:] == tuple(min(kernel, 2 * n - 1) for n in size)
        torch.testing.assert_close(convolve(x, kept, stride), F.conv3d(x, weight, stride=stride, padding=kernel // 2))


@pytest.mark.parametrize("n", (2, 3))
def test_a_strided_1x1_convolution_is_one_of_the_subsampled_image(n):
    conv = F.conv2d if n == 2 else F.conv3d
    weight = torch.randn(5, 3, *[1] * n, dtype=torch.float64)
    for size in product((1, 2, 5), repeat=n):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        expected = conv(x, weight, stride=2)
        torch.testing.assert_close(conv(subsample(x, 2), weight), expected)
        torch.testing.assert_close(convolve(x, weight, 2), expected)


@pytest.mark.slow
def test_training_on_several_threads_does_not_write_out_of_bounds():
    """In a subprocess: torch's strided 1x1 convolution wrote out of bounds there, which killed the process."""
    script = (
        "import torch; torch.set_num_threads(2)\n"
        "from sparsessp.config import NetworkSettings\n"
        "from sparsessp.networks.network import build\n"
        f"small = {SMALL}\n"
        "for method, topology in (('repmode', '2d'), ('plain', '2d'), ('tgnet', '2to3d')):\n"
        "    network = build(NetworkSettings(method=method, topology=topology, **small))\n"
        "    for _ in range(5):\n"
        "        network(torch.randn(3, 1, 4, 32, 32), torch.tensor([0, 5, 5])).square().mean().backward()\n"
    )
    # Waiting threads sleep: next to other tests, two that spin take minutes.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env=environment)


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_does_not_depend_on_its_batch_nor_on_the_mode(method):
    network = float64(build(NetworkSettings(method=method, topology="3to2d", **SMALL)))
    view, tasks = torch.randn(4, 1, 4, 32, 32, dtype=torch.float64), torch.tensor([3, 0, 3, 7])
    with torch.no_grad():
        together = network(view, tasks)
        one_by_one = torch.cat([network(view[i : i + 1], tasks[i : i + 1]) for i in range(4)])
        evaluated = network.eval()(view, tasks)
    same(together, one_by_one)
    assert torch.equal(together, evaluated)


@pytest.mark.parametrize("ratio", RATIOS)
def test_postfix_keeps_a_constant_at_both_ends(ratio):
    postfix = Postfix(NetworkSettings(method="plain", topology="3d", ratio=ratio))
    constant = torch.full((2, 1, 32 // ratio, 3, 4), 3.0)
    assert torch.equal(postfix.after(constant), torch.full((2, 1, 32, 3, 4), 3.0))


@pytest.mark.parametrize("ratio", RATIOS)
def test_postfix_starts_as_linear_interpolation_between_the_imaged_planes(ratio):
    postfix = Postfix(NetworkSettings(method="plain", topology="3d", ratio=ratio))
    dense = torch.arange(32.0).reshape(1, 1, 32, 1, 1).expand(1, 1, 32, 3, 3)
    imaged = dense[:, :, ::ratio]
    # After the last imaged plane there is nothing to interpolate to: its values are repeated.
    assert torch.equal(postfix.after(imaged), dense.clamp(max=imaged.max()))


@pytest.mark.parametrize("ratio", [r for r in RATIOS if r > 1])
def test_postfix_has_no_shaded_ends_with_any_weights(ratio):
    """A constant gives the same block of r planes everywhere."""
    postfix = Postfix(NetworkSettings(method="plain", topology="3d", ratio=ratio)).double()
    torch.nn.init.normal_(postfix.deconvolution.weight)
    blocks = postfix.after(torch.ones(1, 1, 32 // ratio, 5, 5, dtype=torch.float64))[0, 0, :, 2, 2]
    same(blocks.unflatten(0, (-1, ratio)), blocks[:ratio].expand(32 // ratio, -1))


def test_dense_views_make_interpolations_coincide():
    view, task = torch.randn(1, 1, 8, 32, 32), torch.tensor([2])
    outputs = [
        build(NetworkSettings(method="tgnet", topology="3to2d", interpolation=mode, ratio=1, **SMALL), seed=1)(
            view, task
        )
        for mode in ("prefix", "postfix", "none")
    ]
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


def test_building_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    build(NetworkSettings(method="plain", topology="2d", **SMALL), seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
