"""Triton kernels: the same results and gradients as plain torch, through Triton's interpreter on a CPU.

  pip install "sparsessp[gpu-tests]" && TRITON_INTERPRET=1 python -m pytest tests/test_fused.py

On a machine with a GPU the kernels run there instead, and TRITON_INTERPRET is not needed.
"""

import os
import subprocess
import sys
import warnings
from importlib.util import find_spec

import pytest
import torch
from helpers.checkout import ROOT

from sparsessp.config import NetworkSettings
from sparsessp.networks.blocks import Norm, ResidualBlock, Site
from sparsessp.networks.fused import gate, norm, upsampling
from sparsessp.networks.fused.choice import Path, forced
from sparsessp.networks.fused.launch import FORMATS
from sparsessp.networks.method import Method
from sparsessp.networks.methods.tsns import ConditionalNorm
from sparsessp.networks.network import build

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TRITON = find_spec("triton") is not None
HERE = torch.device("cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu")
run = pytest.mark.skipif(
    not TRITON or HERE.type == "cpu" and not INTERPRETED,
    reason="needs a GPU, or triton and TRITON_INTERPRET=1 (pip install 'sparsessp[gpu-tests]')",
)


@pytest.fixture(autouse=True)
def _float32_convolutions():
    """On a GPU, convolutions use TF32 by default, whose results depend on the layout."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of torch prefer another name of this setting
        torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = True


def noise(*shape, dtype=torch.float32, mean=0.0):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).add(mean)
    return x.to(HERE, dtype, memory_format=FORMATS.get(len(shape), torch.preserve_format))


def outcomes(ours, theirs, *leaves):
    """Results and gradients of two functions, for a loss that weights each voxel differently."""
    found = []
    for function in (ours, theirs):
        own = [leaf.detach().clone().requires_grad_() for leaf in leaves]
        y = function(*own)
        weights = torch.linspace(-3, 3, y.numel(), device=HERE).sin().reshape(y.shape)
        found.append((y.detach(), *torch.autograd.grad((y.float() * weights).sum(), own)))
    return found


@run
@pytest.mark.parametrize("samples", (None, 2), ids=("affine per channel", "affine per sample"))
@pytest.mark.parametrize(
    ("shape", "groups", "slope"),
    (
        ((2, 6, 3, 5, 7), 3, 0.0),  # channels that are no power of two
        ((1, 8, 1, 9), 8, 0.01),  # one channel per group, one row
        ((2, 4, 2, 1, 1), 1, 0.0),  # two voxels
        ((2, 1, 33, 65), 1, 0.0),  # more voxels than a block
        ((3, 64, 2, 2), 16, 0.0),
    ),
)
def test_norm_and_activation_are_those_of_torch(shape, groups, slope, samples):
    affine = [noise(shape[0], shape[1]) for _ in range(2)] if samples else [noise(shape[1]), noise(shape[1]) + 0.5]
    sizes = (groups, 1e-5, slope)
    pairs = outcomes(
        lambda *leaves: norm.NormAct.apply(*leaves, *sizes)[0],
        lambda *leaves: norm.reference(*leaves, *sizes),
        noise(*shape),
        *affine,
    )
    for got, expected in zip(*pairs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert all(features.is_contiguous(memory_format=FORMATS[len(shape)]) for features in pairs[0][:2])


@run
def test_the_sums_of_many_blocks_are_added_up(monkeypatch):
    monkeypatch.setattr(norm, "_TILE", 16)
    monkeypatch.setattr(norm, "_PROGRAMS", 6)  # three per sample, which loop
    sizes = (2, 1e-5, 0.0)
    pairs = outcomes(
        lambda *leaves: norm.NormAct.apply(*leaves, *sizes)[0],
        lambda *leaves: norm.reference(*leaves, *sizes),
        *(noise(2, 4, 5, 11), noise(4), noise(4)),
    )
    for got, expected in zip(*pairs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@run
def test_the_gradient_of_another_use_of_the_input_is_added():
    sizes = (2, 1e-5, 0.0)
    leaves = (noise(2, 4, 5, 3), noise(4), noise(4))

    def ours(*leaves):
        y, x = norm.NormAct.apply(*leaves, *sizes)
        return y * x + x

    pairs = outcomes(ours, lambda x, *affine: norm.reference(x, *affine, *sizes) * x + x, *leaves)
    for got, expected in zip(*pairs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    x = leaves[0].requires_grad_()
    norm.NormAct.apply(x, *leaves[1:], *sizes)[1].sum().backward()  # the norm itself is not used
    assert torch.equal(x.grad, torch.ones_like(x))


@run
def test_a_mean_far_from_zero_costs_no_precision():
    x, one = noise(2, 4, 9, 9, mean=1000.0), torch.ones(4, device=HERE)
    got = norm.NormAct.apply(x, one, 0 * one, 2, 1e-5, 1.0)[0]
    expected = norm.reference(x.double(), one.double(), 0 * one.double(), 2, 1e-5, 1.0)
    torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-3)


@run
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16))
def test_half_precision_features_are_normalised_in_float32(dtype):
    x, scale, shift = noise(2, 4, 3, 8, 8, dtype=dtype), noise(4), noise(4)
    (got, *gradients), (expected, *theirs) = outcomes(
        lambda *leaves: norm.NormAct.apply(*leaves, 2, 1e-5, 0.0)[0],
        lambda x, *affine: norm.reference(x.float(), *affine, 2, 1e-5, 0.0),
        *(x, scale, shift),
    )
    assert got.dtype == gradients[0].dtype == dtype
    assert gradients[1].dtype == torch.float32
    torch.testing.assert_close(got.float(), expected, rtol=1e-2, atol=1e-2)
    for a, b in zip(gradients, theirs, strict=True):
        torch.testing.assert_close(a.float(), b.float(), rtol=2e-2, atol=2e-2)


@run
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
@pytest.mark.parametrize("shape", ((2, 6, 3, 5, 7), (1, 1, 33, 65), (3, 64, 2, 2)))
def test_channel_attention_is_that_of_torch(shape, dtype):
    (got, *gradients), (expected, *theirs) = outcomes(
        gate.Gated.apply,
        lambda x, weight: gate.reference(x.float(), weight),
        noise(*shape, dtype=dtype),
        noise(*shape[:2]),
    )
    assert got.dtype == gradients[0].dtype == dtype and gradients[1].dtype == torch.float32
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 0.1}
    for a, b in zip((got, *gradients), (expected, *theirs), strict=True):
        torch.testing.assert_close(a.float(), b.float(), **close)


@run
@pytest.mark.parametrize("skip", (False, True))
@pytest.mark.parametrize(
    ("small", "large"),
    (
        ((3, 4), (6, 8)),
        ((3, 4), (5, 7)),
        ((1, 2), (1, 3)),
        ((1, 1), (2, 2)),
        ((2, 3, 4), (4, 6, 8)),
        ((2, 1, 3), (3, 1, 6)),
        ((1, 5, 2), (1, 9, 4)),
    ),
)
def test_upsampling_is_that_of_torch(small, large, skip):
    leaves = [noise(2, 3, *small)] + [noise(2, 3, *large)] * skip
    pairs = outcomes(
        lambda x, s=None: upsampling.Upsample.apply(x, s, large),
        lambda x, s=None: upsampling.reference(x, large, s),
        *leaves,
    )
    for got, expected in zip(*pairs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert pairs[0][0].is_contiguous(memory_format=FORMATS[2 + len(large)])


@run
def test_blocks_that_end_inside_a_row_are_right(monkeypatch):
    monkeypatch.setattr(upsampling, "_TILE", 64)
    large = (3, 5, 7)
    pairs = outcomes(
        lambda x: upsampling.Upsample.apply(x, None, large),
        lambda x: upsampling.reference(x, large, None),
        noise(2, 3, 2, 3, 4),
    )
    for got, expected in zip(*pairs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@run
def test_a_size_that_more_than_doubles_stays_plain():
    with forced(Path.FUSED):
        x = noise(1, 2, 3, 3)
        torch.testing.assert_close(upsampling.upsample(x, (9, 9)), upsampling.reference(x, (9, 9), None))


@run
@pytest.mark.parametrize("module", (Norm(2, 4), ConditionalNorm(4, 6)))
def test_both_norms_of_the_networks_are_fused(module):
    module, code = module.to(HERE), noise(2, 6)
    with forced(Path.FUSED):
        got = norm.norm_act(module, noise(2, 4, 6, 5), code, slope=0.01)
    assert got.grad_fn.name() == "NormActBackward" and norm._OPERATION.usable
    torch.testing.assert_close(got, torch.nn.functional.leaky_relu(module(noise(2, 4, 6, 5), code), 0.01))


@run
def test_norms_are_fused_in_prediction_too():
    module, x = Norm(2, 4).to(HERE), noise(2, 4, 6, 5)
    with forced(Path.FUSED), torch.inference_mode():
        got = norm.norm_act(module, x.clone())
    assert norm._OPERATION.usable
    torch.testing.assert_close(got, module(x).relu())


@run
def test_a_fused_network_learns_as_a_plain_one():
    small = {"depth": 2, "width_3d": 2, "width_2d": 4, "groups": 2, "embedding": 16, "blocks_3d": 1}
    network = build(NetworkSettings(method="tsns", topology="2d", ratio=2, **small)).to(HERE)
    found = []
    for path in (Path.FUSED, Path.PLAIN):
        network.zero_grad()
        with forced(path):
            y = network(noise(1, 1, 1, 17, 17), torch.tensor([7], device=HERE))
            y.square().mean().backward()
        found.append([y.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-4)


@run
def test_the_norm_is_checked_under_activation_checkpointing(monkeypatch, capsys):
    """Its first use is inside a checkpointed block, which counts the tensors that are saved."""
    monkeypatch.setattr(norm._OPERATION, "usable", None)
    plain = Method(NetworkSettings(method="plain", topology="2d", groups=2))
    block = ResidualBlock(plain, Site("encoder", 2), 4, 4).to(HERE).train()
    block.checkpointing = True
    with forced(Path.FUSED):
        block(noise(1, 4, 3, 3), None).square().mean().backward()
    assert norm._OPERATION.usable and not capsys.readouterr().err
    assert all(weight.grad is not None for weight in block.parameters())


@run
def test_fused_features_are_bfloat16_between_layers():
    small = {"depth": 2, "width_3d": 4, "width_2d": 4, "groups": 2, "embedding": 16, "blocks_3d": 1}
    network, found = build(NetworkSettings(method="tgnet", topology="3to2d", ratio=2, **small)).to(HERE), []
    for name, module in network.named_modules():
        if name != "code":
            module.register_forward_hook(lambda _module, _inputs, y: found.append(getattr(y, "dtype", None)))
    with forced(Path.FUSED), torch.autocast(HERE.type, torch.bfloat16), torch.no_grad():
        network(noise(1, 1, 1, 17, 17), torch.tensor([7], device=HERE))
    assert len(found) > 40 and set(found) - {None} == {torch.bfloat16}


@pytest.mark.skipif(not TRITON, reason="needs triton (pip install 'sparsessp[gpu-tests]')")
@pytest.mark.parametrize("sizes", ((), pytest.param(("paper",), marks=pytest.mark.slow)), ids=("small", "paper"))
def test_all_kernels_compile_for_a_gpu(tmp_path, sizes):
    """Also where sizes are 1, which Triton compiles as constants; the interpreter would not notice a mistake there."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "tests/helpers/compile_kernels.py", *sizes],
        env={**environment, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["32" if sizes else "12", "kernels", "compiled"]
