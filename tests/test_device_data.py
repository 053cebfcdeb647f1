"""Volumes, crops and scores on a GPU: the same code, run on a CPU."""

import gc
import weakref
from dataclasses import astuple

import numpy as np
import pytest
import torch

from sparsessp.data.crops import Ahead, Crops, Patch, Pool, cut
from sparsessp.errors import SparseSSPError
from sparsessp.learning import device_scores as device_scores_module
from sparsessp.learning.device_scores import device_scores, score_tensor
from sparsessp.learning.inference import padded
from sparsessp.learning.metrics import plane_errors, score, score_planes

CPU = torch.device("cpu")


def test_a_pool_of_more_voxels_than_32_bits_count_is_indexed_rightly():
    # In bytes, of which only those of the last stack are ever touched.
    pool = Pool([(2**11, 2**10, 2**10), (3, 4, 5)], CPU, torch.int8)
    assert len(pool.voxels) == 2**31 + 60
    stack = np.arange(60).reshape(3, 4, 5)
    pool.put(1, stack)
    box = pool.boxes(torch.tensor([1]), torch.tensor([[1, 1, 2]]), (2, 3, 3), torch.tensor([[True, False, True]]))
    assert np.array_equal(box[0].numpy(), cut(stack, (1, 1, 2), (2, 3, 3), (True, False, True)))


@pytest.mark.parametrize("other", ({"keep": True}, {"ahead": 2}))
def test_crops_are_the_same_wherever_they_are_cut(samples, other):
    patch = Patch(16, 24, "zyx")
    plain, changed = Crops(samples, patch, 7, CPU), Crops(samples, patch, 7, CPU, **other)
    for step in (0, 1, 2, 3, 7, 8, 1):  # a run that resumes jumps
        for got, expected in zip(changed.batch(step, 2), plain.batch(step, 2), strict=True):
            assert torch.equal(got, expected)


def test_a_pool_is_freed_with_its_crops(samples):
    """Multi-Net trains twelve networks one after the other; garbage collection may come too late for the next."""
    gc.disable()
    try:
        crops = Crops(samples, Patch(16, 24, "zyx"), 7, CPU, keep=True)
        crops.batch(0, 2)
        pool = weakref.ref(crops.pools[0])
        del crops
        assert pool() is None
    finally:
        gc.enable()


def test_an_error_of_a_batch_that_is_read_ahead_appears_at_its_step():
    def read(step, _size):
        if step == 2:
            raise OSError("disk failed")
        return step

    ahead = Ahead(read, 2)
    assert [ahead(0, 1), ahead(1, 1)] == [0, 1]
    with pytest.raises(OSError, match="disk failed"):
        ahead(2, 1)


@pytest.mark.parametrize("other", ({}, {"keep": True}, {"ahead": 2}))
def test_float16_volumes_round_the_crops_wherever_they_are_cut(samples, other):
    patch = Patch(16, 24, "zyx")
    plain = Crops(samples, patch, 7, CPU).batch(0, 2)
    rounded = Crops(samples, patch, 7, CPU, dtype=torch.float16, **other).batch(0, 2)
    for got, expected in zip(rounded[:2], plain[:2], strict=True):
        assert got.dtype == torch.float32 and torch.equal(got, expected.half().float())
        assert not torch.equal(got, expected)


def test_a_padded_tensor_equals_a_padded_array():
    stack = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    for sizes in ((2, 3, 4), (5, 3, 9)):
        assert torch.equal(padded(torch.from_numpy(stack), sizes), padded(stack, sizes))


def test_scores_on_a_device_are_those_of_arrays(monkeypatch):
    monkeypatch.setattr(device_scores_module, "_AT_ONCE", 100)  # two planes
    random = np.random.default_rng(0)
    target = random.standard_normal((5, 6, 7)).astype(np.float32) + 10
    for prediction in (target + random.standard_normal(target.shape).astype(np.float32), np.full_like(target, 3)):
        got, *planes = device_scores(torch.from_numpy(prediction), torch.from_numpy(target))
        assert astuple(got) == pytest.approx(astuple(score(prediction, target)), rel=1e-12)
        np.testing.assert_allclose(planes, plane_errors(prediction, target), rtol=1e-12)
        # On a CPU they are the same bits.
        assert score_tensor(torch.from_numpy(prediction), target)[0] == score_planes(prediction, target)[0]
    with pytest.raises(SparseSSPError, match="the target is constant .3.; R2 is undefined"):
        device_scores(torch.from_numpy(target), torch.full(target.shape, 3.0))
    with pytest.raises(SparseSSPError, match=r"shape \(2, 6, 7\), its target \(5, 6, 7\)"):
        device_scores(torch.from_numpy(target[:2]), torch.from_numpy(target))
