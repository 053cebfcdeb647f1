"""Trained models in other formats give the same numbers; wrong options are named."""

import numpy as np
import pytest
import tifffile
import torch
from helpers.models import VOXEL_UM, saved_model, stack

import sparsessp
from sparsessp.__main__ import run
from sparsessp.application.export.network import ExportedNetwork
from sparsessp.application.grid import fit_stack, model_view
from sparsessp.errors import SparseSSPError

R, WINDOW = 8, 32


def one_window(path):
    """A stack of exactly one window, and its prediction in Python."""
    model = sparsessp.load_model(path)
    light = stack((model.card.network.depth // model.card.network.ratio, WINDOW, WINDOW))
    spacing = (model.card.network.ratio * VOXEL_UM[0], *VOXEL_UM[1:])
    view = model_view(light, fit_stack(model.card, light.shape, spacing, "a test"), "a test")
    return view, model.predict(light, spacing)


def from_onnx(path, view_BDHW):
    from onnxruntime import InferenceSession

    return InferenceSession(str(path)).run(None, {"transmitted_light": view_BDHW[:, None].astype(np.float32)})[0]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("method", "topology"), [("dodnet", "2d"), ("repmode", "3to2d"), ("condnet", "3d"), ("multinet", "2to3d")]
)
def test_torchscript_predicts_what_the_model_predicts(tmp_path, method, topology):
    path = saved_model(tmp_path / "model.pt", method=method, topology=topology)
    run(["export", str(path), "--format", "torchscript", "--output", str(tmp_path / "exported.ts")])
    view, expected = one_window(path)
    traced = torch.jit.load(str(tmp_path / "exported.ts"))
    for batch, tolerance in ((1, 1e-5), (3, 1e-4)):  # torch sums batches of other sizes in another order
        found = traced(torch.from_numpy(np.stack([view] * batch)[:, None])).detach().numpy()
        np.testing.assert_allclose(found[-1], expected, rtol=0, atol=tolerance)


def test_exported_structures_are_those_asked_for_in_their_order(tmp_path):
    model = sparsessp.load_model(saved_model(tmp_path / "model.pt", ratio=R))
    view = torch.from_numpy(stack((2, WINDOW, WINDOW)))[None, None]
    both = ExportedNetwork(model.network, model.tasks(["nucleolus", "dna"]))(view)
    for place, key in enumerate(("nucleolus", "dna")):
        torch.testing.assert_close(ExportedNetwork(model.network, model.tasks(key))(view)[:, 0], both[:, place])


@pytest.mark.slow
def test_onnx_takes_any_batch_and_size_also_with_merged_kernels(tmp_path):
    """RepMode crops its kernels to the image, which an exported network must not do."""
    path = saved_model(tmp_path / "model.pt", method="repmode", topology="2d")
    run(["export", str(path), "--format", "onnx", "--structures", "dna", "--output", str(tmp_path / "a.onnx")])
    view, expected = one_window(path)
    np.testing.assert_allclose(from_onnx(tmp_path / "a.onnx", view[None])[0], expected[:1], rtol=0, atol=1e-5)
    model = sparsessp.load_model(path)
    exported = ExportedNetwork(model.network, model.tasks("dna"))
    larger = stack((3, 8, 48, 64))
    with torch.no_grad():
        inside = exported(torch.from_numpy(larger)[:, None]).numpy()
    np.testing.assert_allclose(from_onnx(tmp_path / "a.onnx", larger), inside, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "bioimageio"], "needs --sample STACK"),
        (["--format", "onnx", "--sample", "a.tif"], "takes no --sample"),
        (["--format", "onnx", "--structures", "golgi_apparatus"], "unknown to the model"),
        (["--format", "torchscript", "--output", "{model}"], "exists; give --overwrite"),
    ],
)
def test_wrong_options_are_named(tmp_path, arguments, message):
    path = saved_model(tmp_path / "model.pt")
    with pytest.raises(SparseSSPError, match=message):
        run(["export", str(path), *(text.format(model=path) for text in arguments)])


def test_a_sample_smaller_than_a_window_is_refused_before_anything_is_exported(tmp_path):
    path = saved_model(tmp_path / "model.pt", ratio=R)
    tifffile.imwrite(tmp_path / "sample.tif", stack((2, 20, 40)))
    arguments = ["--format", "bioimageio", "--sample", str(tmp_path / "sample.tif"), "--spacing", "2.32,0.29,0.29"]
    with pytest.raises(SparseSSPError, match=r"\(2, 20, 40\) voxels .* at least \(2, 32, 32\)"):
        run(["export", str(path), *arguments, "--output", str(tmp_path / "a.zip")])
    assert not (tmp_path / "a.zip").exists()
