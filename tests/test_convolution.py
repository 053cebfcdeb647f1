"""Convolutions on a CPU: the same results and gradients as torch's own."""

from itertools import product

import pytest
import torch
from helpers.precision import same
from torch.nn import functional as F

from sparsessp.networks.convolution import convolve, convolve_per_sample
from sparsessp.networks.pooling import pooled_by_products, pooled_by_sums

CONVOLVE = {2: F.conv2d, 3: F.conv3d}


def gradients(function, *leaves):
    """Result and gradients of a function, for a loss that weights each voxel differently."""
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
def test_each_sample_is_convolved_with_its_own_kernel(kernel):
    x = torch.randn(3, 2, 4, 6, 6, dtype=torch.float64)
    kernels = torch.randn(3, 5, 2, *[kernel] * 3, dtype=torch.float64)
    together = convolve_per_sample(x, kernels.unbind())
    one_by_one = [F.conv3d(part, own, padding=kernel // 2) for part, own in zip(x.split(1), kernels, strict=True)]
    same(together, torch.cat(one_by_one))


@pytest.mark.parametrize("pooled", (pooled_by_products, pooled_by_sums))
@pytest.mark.parametrize(("n", "box", "stride"), list(product((2, 3), (3, 5), (1, 2))))
def test_pooling_and_its_gradient_are_those_of_torch(n, box, stride, pooled):
    average = F.avg_pool3d if n == 3 else F.avg_pool2d
    for size in product((1, 2, 5), repeat=n):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        ours = gradients(lambda x: pooled(x, box, stride), x)
        theirs = gradients(lambda x: average(F.pad(x, [box // 2] * (2 * n)), box, stride), x)
        for got, expected in zip(ours, theirs, strict=True):
            same(got, expected)


def test_sums_of_a_pool_keep_type_and_layout_and_are_float32():
    x = torch.randn(2, 3, 4, 6, 6).contiguous(memory_format=torch.channels_last_3d)
    y = pooled_by_sums(x.bfloat16(), 5, 2)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=torch.channels_last_3d)
    same(y, pooled_by_products(x.bfloat16().double(), 5, 2).bfloat16())
