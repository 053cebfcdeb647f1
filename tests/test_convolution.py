"""Convolutions on a CPU: as torch's own, with gradients of their own, and in bfloat16 only where that is sound."""

from itertools import product

import pytest
import torch
from torch.nn import functional as F

from sparsessp.config import NetworkSettings, TrainingSettings
from sparsessp.device import half_able
from sparsessp.networks.convolution import convolve, convolve_each
from sparsessp.networks.methods.repmode import MixtureConv
from sparsessp.networks.network import build
from sparsessp.training import learn, optimiser

CONVOLVE = {2: F.conv2d, 3: F.conv3d}


def gradients(function, *leaves):
    """Result and gradients of a function, for a gradient of the result that tells all its voxels apart."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    y = function(*leaves)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).sin().reshape(y.shape)
    return (y.detach(), *torch.autograd.grad((y * weights).sum(), leaves))


@pytest.mark.parametrize("n", (2, 3))
@pytest.mark.parametrize("kernel", (1, 3, 5))
@pytest.mark.parametrize("stride", (1, 2))
def test_result_and_gradients_are_those_of_torch(n, kernel, stride):
    weight = torch.randn(4, 3, *[kernel] * n, dtype=torch.float64)
    for size in product((1, 2, 5, 9), repeat=n):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        ours = gradients(lambda x, w: convolve(x, w, stride), x, weight)
        theirs = gradients(lambda x, w: CONVOLVE[n](x, w, stride=stride, padding=kernel // 2), x, weight)
        for got, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kernel", (3, 5))
def test_each_sample_has_its_kernel(kernel):
    x, kernels = torch.randn(3, 2, 4, 6, 6), torch.randn(3, 5, 2, *[kernel] * 3)
    together = convolve_each(x, kernels.unbind())
    alone = [F.conv3d(part, own, padding=kernel // 2) for part, own in zip(x.split(1), kernels, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)  # float32 sums in another order


@pytest.mark.parametrize(("n", "box", "stride"), list(product((2, 3), (3, 5), (1, 2))))
def test_pooling_is_that_of_torch(n, box, stride):
    mixture = MixtureConv(n, 2, 2, 5, stride, tasks=3)
    pool = F.avg_pool3d if n == 3 else F.avg_pool2d
    for size in product((1, 2, 5), repeat=n):
        x = torch.randn(2, 3, *size)
        expected = pool(F.pad(x, [box // 2] * (2 * n)), box, stride)
        torch.testing.assert_close(mixture._pooled(x, box), expected)


def fill_freed_memory():
    """Leave nan in memory of all sizes that the next allocations get."""
    sizes = [2**k for k in range(8, 22)] + list(range(16, 1024, 16))
    blocks = [torch.full((size,), float("nan")) for size in sizes for _ in range(8)]
    del blocks


@pytest.mark.parametrize("stride", (1, 2))
def test_halved_products_are_those_of_rounded_numbers_whatever_memory_held(stride):
    """In bfloat16 torch 2.13 computes some of them from memory that nobody wrote."""
    generator = torch.Generator().manual_seed(0)
    for ci, co, size in product((1, 16, 32), (1, 32), ((1, 2, 2), (2, 4, 4), (4, 8, 8), (3, 7, 1), (8, 16, 16))):
        for kernel in (3, 5):
            x = torch.randn(2, ci, *size, generator=generator)
            weight = torch.randn(co, ci, *[kernel] * 3, generator=generator)
            exact = gradients(lambda x, w, s=stride: convolve(x, w, s), x, weight)
            fill_freed_memory()
            halved = gradients(lambda x, w, s=stride: convolve(x, w, s, halved=True), x, weight)
            for got, expected in zip(halved, exact, strict=True):
                # A bfloat16 has 8 bits; of a sum of products of rounded numbers the error is a few of their last.
                assert (got - expected).abs().max() <= 2e-2 * expected.abs().max(), (ci, co, size, kernel)


@pytest.mark.skipif(
    not half_able(NetworkSettings(method="repmode", topology="3d", precision="mixed")), reason="the CPU lacks bfloat16"
)
def test_mixed_training_of_repmode_learns_as_float32_does():
    small = {"depth": 8, "width_3d": 8, "width_2d": 8, "groups": 4, "embedding": 64, "blocks_3d": 1}
    view = torch.randn(4, 1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    target, task = view.repeat_interleave(2, dim=2), torch.tensor([0, 5, 5, 7])
    losses = {}
    for precision in ("float32", "mixed"):
        settings = NetworkSettings(method="repmode", topology="3d", repmode_kernel=5, precision=precision, **small)
        network = build(settings).train()
        adam = optimiser(network, TrainingSettings(iterations=1, learning_rate=1e-3))
        losses[precision] = [learn(network, adam, view, target, task, len(task)) for _ in range(12)]
    assert losses["mixed"] != losses["float32"]
    assert losses["mixed"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["mixed"][-1] < 0.7 * losses["mixed"][0]
