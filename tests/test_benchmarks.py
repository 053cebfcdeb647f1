"""The straightforward implementation computes the same as the project, and the benchmark prints its table."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.precision import float64, same
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from benchmarks import __main__ as program
from benchmarks import cases, machine, straightforward, timing
from benchmarks.variants import variants
from sparsessp.config import METHODS, NetworkSettings, TrainingSettings
from sparsessp.costs.counted import macs, meta_network
from sparsessp.data.crops import Crops, Patch
from sparsessp.data.samples import load_samples, make_views, write_table
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, write_volume
from sparsessp.errors import SparseSSPError
from sparsessp.learning.inference import predict
from sparsessp.learning.training import optimiser, train_step
from sparsessp.networks.network import build
from sparsessp.schema import MANIFEST
from sparsessp.structures import STRUCTURES

SMALL = {"depth": 8, "width_3d": 8, "width_2d": 8, "groups": 4, "embedding": 64, "blocks_3d": 1}
# RepMode with both kernels, each in 2D and 3D encoders and decoders; the others differ in layout only.
NETWORKS = [("repmode", topology, kernel) for topology in ("2to3d", "3to2d") for kernel in (3, 5)]
NETWORKS += [(method, "3to2d", 3) for method in METHODS if method != "repmode"] + [("plain", "3d", 3)]
TASKS = torch.tensor([3, 0, 3, 7])
TRAINING = TrainingSettings(iterations=1)


def pair(method, topology="3d", kernel=3):
    network = build(NetworkSettings(method=method, topology=topology, repmode_kernel=kernel, **SMALL))
    return network, straightforward.convert(network)


def batch(dtype, side=16):
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 1, 4, side, side), (4, 1, 8, side, side))
    return [torch.randn(*shape, generator=generator, dtype=dtype) for shape in shapes]


@pytest.mark.parametrize(("method", "topology", "kernel"), NETWORKS)
def test_both_networks_have_the_same_loss_and_gradients(method, topology, kernel):
    """In float64, where rounding does not decide the sign of a ReLU's input, so that no CPU needs more tolerance."""
    ours, theirs = (float64(network.train()) for network in pair(method, topology, kernel))
    # Instance norm needs more than one voxel at the lowest level.
    view, target = batch(torch.float64, side=32 if method == "tsns" else 16)
    losses = [F.mse_loss(network(view, TASKS), target) for network in (ours, theirs)]
    same(*losses)
    for loss in losses:
        loss.backward()
    gradients = {name: weight.grad for name, weight in theirs.named_parameters() if weight.grad is not None}
    assert gradients.keys() == {name for name, weight in ours.named_parameters() if weight.grad is not None}
    scale = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    for name, weight in ours.named_parameters():
        if name in gradients:
            # Relative to all gradients: a bias before an instance norm has none but rounding.
            assert (weight.grad - gradients[name]).norm() <= 1e-10 * scale, name


@pytest.mark.parametrize("method", ("repmode", "tgnet"))
def test_a_training_step_has_the_same_loss(method):
    ours, theirs = pair(method)
    view, target = batch(torch.float32)
    trainer = straightforward.Trainer(theirs, TRAINING.learning_rate)
    adam = optimiser(ours.train(), TRAINING)
    for _ in range(2):
        loss = train_step(ours, adam, view, target, TASKS, len(TASKS))
        # float32 sums in another order; the second loss shows that both moved their weights alike.
        assert loss == pytest.approx(trainer.step(view, target, TASKS), rel=1e-4)


@pytest.mark.parametrize("method", ("repmode", "multinet", "tgnet", "plain"))
def test_predictions_are_equal_one_by_one_and_several_at_once(method):
    ours, theirs = pair(method, kernel=5)
    view = np.random.default_rng(0).standard_normal((9, 40, 50), np.float32)
    expected = np.stack([straightforward.predict(theirs, view, 17, task, 32) for task in (7, 3, 0)])
    # float32 sums in another order, 20 layers deep
    np.testing.assert_allclose(predict(ours, view, 17, (7, 3, 0), 32), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(predict(ours, view, 17, 3, 32), expected[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ("repmode", "dodnet"))
def test_the_straightforward_network_is_contiguous_throughout_and_a_copy(method):
    ours, theirs = pair(method)
    outputs = []
    for module in theirs.modules():
        module.register_forward_hook(lambda _m, _i, out: outputs.append(out))
    theirs(torch.randn(2, 1, 4, 32, 32), TASKS[:2])
    images = [out for out in outputs if torch.is_tensor(out) and out.dim() == 5]
    assert len(images) > 40 and all(image.is_contiguous() for image in images)
    assert not {w.data_ptr() for w in ours.parameters()} & {w.data_ptr() for w in theirs.parameters()}


@pytest.fixture
def folders(tmp_path):
    """Three fields of different shapes, one smaller than a crop."""
    rows = []
    rng = np.random.default_rng(0)
    for structure, shape in zip(STRUCTURES, ((24, 40, 33), (17, 20, 36), (30, 32, 32)), strict=False):
        path = tmp_path / "volumes" / f"{structure.key}.ome.tiff"
        voxels = rng.standard_normal((2, *shape), np.float32)
        write_volume(path, Volume(voxels, (TRANSMITTED_LIGHT, structure.key), (0.3, 0.3, 0.3), {"source": "noise"}))
        rows.append({"volume": structure.key, "structure": structure.key, "path": path.name, "sha256": ""})
    write_table(tmp_path / "volumes" / MANIFEST, pd.DataFrame(rows))
    write_table(tmp_path / "splits.csv", pd.DataFrame(rows).assign(part="train"))
    make_views(tmp_path / "volumes", tmp_path / "views", 2, progress=False)
    return tmp_path


def test_both_data_paths_give_the_same_crops(folders):
    patch = Patch(16, 24, "zyx")
    samples = load_samples(folders / "volumes", folders / "views", folders / "splits.csv", "train")
    crops = Crops(samples, patch, 5, torch.device("cpu"))
    files = straightforward.FieldCrops(folders / "volumes", folders / "views", 2, patch, 5)
    batches = list(straightforward.loader(files, 4, 5))
    assert len(batches) == 5
    for step, expected in enumerate(batches):
        for ours, theirs in zip(crops.batch(step, 4), expected, strict=True):
            assert torch.equal(ours, theirs)


@given(st.integers(1, 9), st.sampled_from((1, 3, 5)), st.integers(1, 2))
def test_taps_inside_the_image_are_what_a_convolution_of_ones_sums(size, kernel, stride):
    y = F.conv1d(torch.ones(1, 1, size), torch.ones(1, 1, kernel), stride=stride, padding=kernel // 2)
    assert machine.taps_inside(size, y.shape[2], kernel, stride, kernel // 2) == y.sum()


def test_operations_leave_out_the_zeros_around_an_image():
    settings = NetworkSettings(method="dodnet", topology="3d", **SMALL)
    total, head = machine.operations(settings, 32)
    counted = 2 * macs(meta_network(settings), 32, 32)
    assert 0 < head < total and 0.5 * counted < total < counted


def test_the_ratio_is_that_of_neighbours_in_time():
    ours, theirs = iter((1.0, 2.0, 3.0)), iter((4.0, 4.0, 15.0))
    assert timing.alternate(ours.__next__, theirs.__next__, 3) == timing.Pair(2, 4, 4)


def test_peak_memory_is_that_of_the_call_alone():
    held = np.ones(2**24)  # the other process must not inherit it
    assert timing.peak_bytes(np.ones, 2**23) == pytest.approx(held.nbytes / 2, rel=0.1)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(cases.SIZES, "small", cases.Size(8, 8, 32, (10, 40, 40), (8, 32), (1, 1), 2, 2, batch=2))
    monkeypatch.setitem(machine._GEMM, "cpu", 256)
    monkeypatch.setitem(machine._COPIED, "cpu", 2**20)


@pytest.mark.slow  # starts a dozen processes
def test_rows_are_printed_as_json(tiny, capsys):
    program.run(["--json", "--only", "train-dodnet", "data", "training"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["unit"] for row in rows] == ["s", "GB", "crops/s", "% of step", "% of training"]
    for row in rows:
        assert list(row) == ["name", "unit", "ours", "straightforward", "ratio", "bound"]
        better = row["straightforward"] / row["ours"]
        # The waits are medians of three ratios, the others of one.
        if not row["unit"].startswith("%"):
            assert row["ratio"] == pytest.approx(1 / better if row["unit"] == "crops/s" else better)


def test_the_table_names_the_machine_first(tiny, capsys):
    program.run(["--only", "predict-twelve"])
    out = capsys.readouterr().out.splitlines()
    assert "torch" in out[0] and "GFLOP/s" in out[1]
    assert out[3].startswith("|") and len({len(line) for line in out[3:]}) == 1 and len(out) == 6


def test_a_case_that_fails_does_not_lose_the_others(tiny, capsys, monkeypatch):
    def broken(size, machine):
        raise RuntimeError("an illegal memory access\nmore")

    monkeypatch.setitem(cases.CASES, "train-dodnet", broken)
    with pytest.raises(SparseSSPError, match=r"not measured: train-dodnet \(an illegal memory access\)"):
        program.run(["--only", "train-dodnet", "predict-dodnet-2d"])
    assert "predict one structure, dodnet 2d" in capsys.readouterr().out


def test_variants_of_a_step_are_measured(tiny, monkeypatch):
    monkeypatch.setattr("benchmarks.variants._NETWORKS", (("dodnet", "2d"),))
    lines = list(variants(cases.SIZES["small"], machine.measure("mixed")))
    assert len(lines) == 2 + 2  # plain and channels-last
    assert {line.count("|") for line in lines} == {6} and all("| no |" in line for line in lines[2:])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_paper_size_is_refused_without_cuda():
    with pytest.raises(SparseSSPError, match="paper.*CUDA.*small, full"):
        program.run(["--size", "paper"])


def test_unknown_cases_are_named():
    with pytest.raises(SparseSSPError, match="train-everything"):
        program.run(["--only", "train-everything"])
