"""Crops and windows stay on the grid of imaged planes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparsessp.config import NetworkSettings
from sparsessp.crops import Patch, batch, crop
from sparsessp.dataset import Sample
from sparsessp.inference import gaussian, predict, starts


def ramp(planes, ratio, phase=0, size=8):
    """A sample whose voxels hold the number of their plane."""
    stack = np.broadcast_to(np.arange(planes, dtype=np.float32)[:, None, None], (planes, size, size))
    return Sample("ramp", "dna", 4, stack[phase::ratio], stack, ratio, phase)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from((1, 2, 4, 8)), st.integers(16, 50), st.integers(0, 500), st.booleans())
def test_imaged_planes_stand_where_inference_puts_them(ratio, planes, seed, middle):
    sample = ramp(planes, ratio, ratio // 2 if middle else 0)
    view, target = crop(sample, Patch(16, 8, "zyx"), np.random.default_rng(seed))
    assert view.shape == (16 // ratio, 8, 8) and target.shape == (16, 8, 8)
    # A volume may end before its last block does; such planes are padded and prove nothing.
    inside = min(len(view), (planes - sample.phase) // ratio)
    assert np.array_equal(view[:inside, 0, 0], target[sample.phase :: ratio, 0, 0][:inside])


def test_both_directions_of_z_occur():
    crops = [crop(ramp(48, 4), Patch(16, 8, "z"), np.random.default_rng(i))[1][:, 0, 0] for i in range(30)]
    assert {float(np.sign(c[1] - c[0])) for c in crops} == {1.0, -1.0}


def test_an_epoch_visits_each_sample_once_and_is_a_function_of_its_numbers(samples):
    patch = Patch(16, 24, "yx")
    tasks = torch.cat([batch(samples, patch, 7, step, 1)[2] for step in range(3)])
    assert sorted(tasks.tolist()) == sorted(s.task for s in samples)
    late, again = batch(samples, patch, 7, 5, 2), batch(samples, patch, 7, 5, 2)
    assert all(torch.equal(a, b) for a, b in zip(late, again, strict=True))


class Echo(nn.Module):
    """Predicts each imaged plane plus one, over its whole block; remembers the planes it was shown."""

    def __init__(self, ratio, depth=16):
        super().__init__()
        self.settings = NetworkSettings(method="plain", topology="3d", ratio=ratio, depth=depth)
        self.weight = nn.Parameter(torch.ones(1))
        self.seen = set()

    def forward(self, view, task):
        self.seen |= {float(v) for v in view.unique()}
        return view.repeat_interleave(self.settings.ratio, dim=2) + self.weight


@settings(deadline=None, max_examples=40)
@given(st.sampled_from((1, 2, 4, 8)), st.integers(3, 70), st.integers(5, 40), st.sampled_from((0.0, 0.25, 0.5)))
def test_windows_read_only_imaged_planes_and_blend_to_the_known_answer(ratio, planes, side, overlap):
    sample = ramp(planes, ratio, size=side)
    network = Echo(ratio)
    got = predict(network, sample.view_dHW, planes, 0, 16, overlap)
    expected = np.repeat(sample.view_dHW, ratio, axis=0)[:planes] + 1
    np.testing.assert_allclose(got, expected, rtol=1e-5)  # a weighted mean of equal numbers
    assert network.seen == {float(z) for z in range(0, planes, ratio)}
    assert len(network.seen) == -(-planes // ratio)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 64))
def test_windows_cover_the_axis(length, window, step):
    step = min(step, window)
    begin = starts(length, window, step)
    assert begin[0] == 0 and begin[-1] == max(length - window, 0)
    assert all(0 < b - a <= step for a, b in zip(begin, begin[1:], strict=False))


@pytest.mark.parametrize("size", (1, 8, 32, 128))
def test_gaussian_weights(size):
    weight = gaussian(size)
    assert weight.max() == weight[size // 2] == 1 and (weight > 0).all()
