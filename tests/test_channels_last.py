"""What a GPU computes in another way or another layout than a CPU, run on a CPU."""

from itertools import product

import pytest
import torch
from helpers.precision import float64, same
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sparsessp.config import METHODS, NetworkSettings
from sparsessp.networks.blocks import Norm, ResidualBlock, global_average, unfold
from sparsessp.networks.convolution import subsample
from sparsessp.networks.fused import choice, fastest, norm
from sparsessp.networks.fused.choice import FusedOperation, Path, forced
from sparsessp.networks.fused.fastest import Fastest
from sparsessp.networks.fused.launch import FORMATS
from sparsessp.networks.merging import merge_experts
from sparsessp.networks.methods import repmode
from sparsessp.networks.methods.repmode import MixtureConv
from sparsessp.networks.network import build

SMALL = {"depth": 4, "width_3d": 4, "width_2d": 4, "groups": 2, "embedding": 32, "blocks_3d": 1, "repmode_kernel": 3}
SINGLE = [method for method in METHODS if method != "multinet"]  # Multi-Net's networks are those of plain


def settings(method, topology, **changed):
    return NetworkSettings(method=method, topology=topology, ratio=2, **{**SMALL, **changed})


def outcome(network, path):
    """Prediction and gradients of all weights."""
    view = torch.randn(3, 1, 2, 32, 32, generator=torch.Generator().manual_seed(0)).to(next(network.parameters()).dtype)
    network.zero_grad()
    with forced(path):
        y = network(view, torch.tensor([0, 7, 7]))
        (y * torch.linspace(-3, 3, y.numel(), dtype=y.dtype).sin().view(y.shape)).sum().backward()
    return [y.detach(), *(weight.grad.clone() for weight in network.parameters() if weight.grad is not None)]


# Both mixed topologies have every kind of layer.
NETWORKS = [("plain", "2d"), ("plain", "3d"), *product(SINGLE, ("3to2d", "2to3d"))]


@pytest.mark.parametrize(("method", "topology"), NETWORKS)
def test_the_channels_last_network_computes_the_same(method, topology):
    network = float64(build(settings(method, topology)))
    for got, expected in zip(outcome(network, Path.CHANNELS_LAST), outcome(network, Path.PLAIN), strict=True):
        same(got, expected)


def is_channels_last(y):
    """With one channel or one voxel all layouts are the same."""
    if y.dim() not in FORMATS or y.shape[1] == 1 or y[0, 0].numel() == 1:
        return True
    return y.is_contiguous(memory_format=FORMATS[y.dim()])


@pytest.fixture
def two_threads():
    """With one thread, torch computes small convolutions on a CPU in contiguous layout."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


# float32, because torch has no channels-last 3D convolution in float64 on a CPU.
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("method", "topology"), NETWORKS)
def test_features_stay_channels_last(method, topology):
    network = build(settings(method, topology))
    wrong = []

    def check(name, module, y):
        # The stem's input has one channel, and so no layout; `norm_act` restores the layout after norms.
        exempt = name == "encoder.stem" or isinstance(module, nn.GroupNorm) or hasattr(module, "scale_and_shift")
        if isinstance(y, torch.Tensor) and not exempt and not is_channels_last(y):
            wrong.append(name)

    for name, module in network.named_modules():
        module.register_forward_hook(lambda module, _inputs, y, name=name: check(name, module, y))
    outcome(network, Path.CHANNELS_LAST)
    assert not wrong
    if method == "plain" and topology == "3d":
        for weight in network.parameters():
            weight.data = weight.data.clone(memory_format=torch.contiguous_format)
        outcome(network, Path.PLAIN)
        assert wrong  # so the check can fail


@pytest.mark.parametrize(
    ("operation", "size"),
    (
        (global_average, (4, 5)),
        (global_average, (2, 4, 5)),
        (lambda x: subsample(x, 2), (4, 5)),
        (lambda x: subsample(x, 2), (2, 4, 5)),
        (lambda x: unfold(x, 3), (4, 5)),
    ),
)
def test_gradients_stay_channels_last(operation, size):
    x = torch.randn(2, 6, *size).contiguous(memory_format=FORMATS[2 + len(size)]).requires_grad_()
    gradients = []
    for path in (Path.CHANNELS_LAST, Path.PLAIN):
        with forced(path):
            y = operation(x)
            weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
            weights = weights.contiguous(memory_format=FORMATS.get(y.dim(), torch.contiguous_format))
            gradients.append(torch.autograd.grad(y, x, weights)[0])
    torch.testing.assert_close(*gradients)
    assert is_channels_last(gradients[0]) and not is_channels_last(gradients[1])


class Waits(TorchDispatchMode):
    """Collects operations that move tensors between devices; those that read a value fail on the meta device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        if len({tensor.device.type for tensor in tensors}) > 1:
            self.found.append(str(function))
        return result


@pytest.mark.parametrize(("method", "topology"), [*NETWORKS, ("tgnet", "3d"), ("dodnet", "2d")])
@pytest.mark.parametrize("interpolation", ("prefix", "postfix"))
def test_no_operation_of_a_step_waits_for_its_device(method, topology, interpolation):
    """A CUDA graph could not record it. The meta device stands for the GPU."""
    network = build(settings(method, topology, interpolation=interpolation)).train().to("meta")
    view, target = (torch.randn(3, 1, planes, 32, 32, device="meta") for planes in (2, 4))
    with forced(Path.CHANNELS_LAST), Waits() as waits:
        prediction = network(view, torch.zeros(3, dtype=torch.int64, device="meta"))
        nn.functional.mse_loss(prediction.float(), target).backward()
        clip_grad_norm_(network.parameters(), 0.5)
    assert not waits.found


def test_the_check_for_waits_would_notice_them():
    x = torch.zeros(3, device="meta")
    with Waits() as waits:
        x + torch.arange(3).to("meta")
    assert waits.found == ["aten._to_copy.default"]
    with pytest.raises(RuntimeError, match="meta"):
        x.sum().item()


@pytest.mark.parametrize(("method", "topology"), NETWORKS)
def test_features_are_bfloat16_between_layers(method, topology):
    network, found = build(settings(method, topology)), {}
    for name, module in network.named_modules():
        if not (name == "code" or "norm" in name):  # of plain torch, which normalises in float32
            module.register_forward_hook(lambda _module, _inputs, y, name=name: found.update({name: y}))
    with forced(Path.CHANNELS_LAST), torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(2, 1, 2, 32, 32), torch.tensor([0, 7]))
    features = {name: y.dtype for name, y in found.items() if isinstance(y, torch.Tensor)}
    assert len(features) > 40 and set(features.values()) == {torch.bfloat16}


def test_the_layout_check_would_notice_a_contiguous_feature():
    x = torch.randn(2, 3, 4, 4)
    assert not x.is_contiguous(memory_format=FORMATS[4])
    with forced(Path.CHANNELS_LAST):
        assert choice.channels_last(x).is_contiguous(memory_format=FORMATS[4])
    assert choice.channels_last(x) is x


@pytest.mark.parametrize("backbone", ("resnet18",))
def test_a_backbone_computes_the_same(backbone):
    network = float64(build(settings("plain", "2to3d", backbone=backbone, backbone_divisor=16)))
    network.eval()
    for got, expected in zip(outcome(network, Path.CHANNELS_LAST), outcome(network, Path.PLAIN), strict=True):
        same(got, expected)


@pytest.mark.parametrize(("n", "kernel"), ((2, 3), (2, 5), (3, 3), (3, 5)))
def test_experts_merged_in_place_equal_padded_experts(n, kernel):
    mixture = MixtureConv(n, 2, 3, kernel, 1, tasks=4).double()
    code = torch.eye(4).double()[[0, 2, 2]]
    leaves = [*mixture.convs, *mixture.pools, mixture.gate.weight]
    ours = merge_experts(mixture._gates(code), mixture.convs, mixture.pools, torch.float64)
    theirs = mixture.kernels(code).unbind()
    found = []
    for kernels in (ours, theirs):
        loss = sum(
            (k * torch.linspace(-3, 3, k.numel()).sin().view(k.shape) * (i + 1)).sum() for i, k in enumerate(kernels)
        )
        found.append([torch.stack(list(kernels)).detach(), *torch.autograd.grad(loss, leaves)])
    for got, expected in zip(*found, strict=True):
        same(got, expected)


def test_experts_are_merged_in_the_type_of_the_features():
    mixture = MixtureConv(3, 2, 3, 5, 1, tasks=4)
    merged = merge_experts(mixture._gates(torch.eye(4)), mixture.convs, mixture.pools, torch.bfloat16)
    assert {kernel.dtype for kernel in merged} == {torch.bfloat16}
    torch.testing.assert_close(torch.stack(merged).float(), mixture.kernels(torch.eye(4)), rtol=0.03, atol=3e-3)
    torch.stack(merged).float().sum().backward()
    assert all(weight.grad.dtype == torch.float32 for weight in mixture.parameters() if weight.grad is not None)


def test_an_operation_that_fails_is_given_up_with_one_warning(capsys):
    operation = FusedOperation("an operation", lambda device: 0.0)
    calls = []

    def fused():
        calls.append(1)
        raise RuntimeError("no kernel image\nmore lines")

    x = torch.zeros(1)
    assert operation(x.device, lambda: x, lambda: None) is x
    for _ in range(3):
        assert operation(x.device, fused, lambda: "plain") == "plain"
    assert len(calls) == 1
    assert capsys.readouterr().err == (
        "warning: an operation uses plain torch, which is slower on a GPU (no kernel image)\n"
    )


@pytest.mark.parametrize("error", (0.5, float("nan")))
def test_an_operation_that_differs_from_plain_torch_is_never_used(capsys, error):
    operation = FusedOperation("an operation", lambda device: error)
    assert operation(torch.device("cpu"), lambda: "fused", lambda: "plain") == "plain"
    assert f"differ from plain torch's by {error}" in capsys.readouterr().err


def test_too_little_memory_does_not_give_an_operation_up():
    operation = FusedOperation("an operation", lambda device: 0.0)

    def fused():
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        operation(torch.device("cpu"), fused, lambda: "plain")
    assert operation.usable


def test_a_norm_without_scale_and_shift_stays_plain(monkeypatch):
    monkeypatch.setattr(norm, "_OPERATION", None)  # calling it would fail
    own = nn.GroupNorm(2, 4)
    x = torch.randn(1, 4, 3, 3)
    with forced(Path.FUSED):
        got = norm.norm_act(lambda x, code: own(x), x)
        torch.testing.assert_close(got, own(x).relu())
        with pytest.raises(TypeError):
            norm.norm_act(Norm(2, 4), x)


@pytest.fixture
def ways(monkeypatch):
    """RepMode's choice without what it measured before, and the ways that it measures from now on."""
    monkeypatch.setattr(repmode, "fastest", Fastest())
    measured = []

    def seconds(way, x, weights):
        measured.append(way)
        return real(way, x, weights)

    real = fastest._seconds
    monkeypatch.setattr(fastest, "_seconds", seconds)
    return measured


def mixed(mixture, x, tasks=(0, 2, 2)):
    """Output of a mixture on the path of a GPU, and the gradients of input and experts."""
    x = x.detach().clone().requires_grad_()
    with forced(Path.CHANNELS_LAST):
        y = mixture(x, (torch.eye(4, dtype=x.dtype)[list(tasks)], torch.arange(len(tasks))))
    return [y.detach(), *torch.autograd.grad((y * y).sum(), [x, *mixture.parameters()])]


@pytest.mark.parametrize(("kernel", "stride", "size"), ((3, 1, 2), (5, 2, 3)))
def test_the_ways_of_a_mixture_are_measured_once_for_each_shape_and_compute_the_same(ways, kernel, stride, size):
    mixture = MixtureConv(3, 4, 4, kernel, stride, tasks=4).double()
    x = torch.randn(3, 4, size, size, size, dtype=torch.float64)
    first = mixed(mixture, x)
    assert len(ways) == 3
    with forced(Path.PLAIN):
        mixture(x, (torch.eye(4).double()[:3], torch.arange(3)))
    mixed(mixture, x + 1)
    assert len(ways) == 3  # known already, and a CPU's own path measures nothing
    (key,) = repmode.fastest.chosen
    for name in ("one by one", "grouped", "by expert"):
        repmode.fastest.chosen[key] = name
        for got, expected in zip(mixed(mixture, x), first, strict=True):
            same(got, expected)
    mixed(mixture, torch.randn(3, 4, 20, 20, 20, dtype=torch.float64))
    assert len(ways) == 5  # where images outweigh kernels, expert by expert is not tried


def test_the_ways_are_measured_under_activation_checkpointing_without_changing_gradients(ways):
    outcomes = []
    for checkpointing in (False, True):
        repmode.fastest.chosen.clear()
        network = float64(build(settings("repmode", "3to2d")))
        for block in network.modules():
            if isinstance(block, ResidualBlock):
                block.checkpointing = checkpointing
        outcomes.append(outcome(network.train(), Path.CHANNELS_LAST))
    assert ways
    for got, expected in zip(*outcomes, strict=True):
        same(got, expected)


def test_a_way_that_runs_out_of_memory_is_not_chosen():
    def large(x):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    weight = torch.ones(3, requires_grad=True)
    ways = {"large": large, "small": lambda x: x * weight}
    chooser = Fastest()
    assert torch.equal(chooser(ways, torch.ones(3), [weight]), torch.ones(3))
    assert list(chooser.chosen.values()) == ["small"] and weight.grad is None
