"""Crops and windows stay on the grid of imaged planes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparsessp.config import METHODS, NetworkSettings
from sparsessp.data.crops import Crops, Patch, Pool, cut, place
from sparsessp.data.samples import Sample
from sparsessp.data.windows import imaged_starts, window_starts
from sparsessp.learning import inference
from sparsessp.learning.inference import gaussian, predict, windows_at_once
from sparsessp.learning.window_sampling import planes_read, window_sampled
from sparsessp.networks.network import build


def ramp(planes, ratio, phase=0, size=8):
    """A sample whose voxels hold the number of their plane."""
    stack = np.broadcast_to(np.arange(planes, dtype=np.float32)[:, None, None], (planes, size, size))
    return Sample("ramp", "dna", 4, stack[phase::ratio], stack, ratio, phase)


CPU = torch.device("cpu")


def crop(sample, patch, rng):
    p = place(sample, patch, rng)
    sizes = (patch.depth // sample.ratio, patch.rows, patch.rows), (patch.depth, patch.rows, patch.rows)
    return cut(sample.view_dHW, p.view, sizes[0], p.flips), cut(sample.target_DHW, p.target, sizes[1], p.flips)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from((1, 2, 4, 8)), st.integers(16, 50), st.integers(0, 500), st.booleans())
def test_crops_align_imaged_planes_like_inference_windows(ratio, planes, seed, middle):
    sample = ramp(planes, ratio, ratio // 2 if middle else 0)
    view, target = crop(sample, Patch(16, 8, "zyx"), np.random.default_rng(seed))
    assert view.shape == (16 // ratio, 8, 8) and target.shape == (16, 8, 8)
    # A volume may end before its last block does; such planes are padded and prove nothing.
    inside = min(len(view), (planes - sample.phase) // ratio)
    assert np.array_equal(view[:inside, 0, 0], target[sample.phase :: ratio, 0, 0][:inside])


def test_both_directions_along_z_occur():
    crops = [crop(ramp(48, 4), Patch(16, 8, "z"), np.random.default_rng(i))[1][:, 0, 0] for i in range(30)]
    assert {float(np.sign(c[1] - c[0])) for c in crops} == {1.0, -1.0}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from((1, 2, 4, 8)), st.integers(16, 50), st.sampled_from((0.25, 0.5)), st.booleans())
def test_crops_can_keep_to_the_planes_at_which_windows_start(ratio, planes, overlap, middle):
    sample = ramp(planes, ratio, ratio // 2 if middle else 0)
    patch, rng = Patch(16, 8, "zyx", overlap), np.random.default_rng(planes)
    starts = {place(sample, patch, rng).view[0] for _ in range(100)}
    windows = imaged_starts(planes, 16, ratio, overlap)
    assert starts <= set(windows)
    # Every window that ends within the volume is trained on.
    assert starts >= {j for j in windows if j * ratio + 16 <= planes and j <= len(sample.view_dHW) - 16 // ratio}
    # The network sees no other windows: at any imaged plane there would be more.
    anywhere = {place(sample, Patch(16, 8, "zyx"), rng).view[0] for _ in range(200)}
    assert starts <= anywhere


def test_an_epoch_visits_each_sample_once_and_depends_on_seed_and_number_only(samples):
    patch = Patch(16, 24, "yx")
    crops = Crops(samples, patch, 7, CPU)
    tasks = torch.cat([crops.batch(step, 1)[2] for step in range(3)])
    assert sorted(tasks.tolist()) == sorted(s.task for s in samples)
    late, again = crops.batch(5, 2), Crops(samples, patch, 7, CPU).batch(5, 2)
    assert all(torch.equal(a, b) for a, b in zip(late, again, strict=True))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_gathered_crops_equal_sliced_ones(data):
    rng = np.random.default_rng(0)
    stacks = [rng.standard_normal((5, 7, 9)), rng.standard_normal((6, 4, 8))]
    stacks = [stack.astype(np.float32) for stack in stacks]
    size = data.draw(st.tuples(*[st.integers(1, 10)] * 3))
    chosen = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=4))
    starts = [tuple(data.draw(st.integers(0, n - 1)) for n in stacks[i].shape) for i in chosen]
    flips = [data.draw(st.tuples(*[st.booleans()] * 3)) for _ in chosen]
    for dtype in (torch.float32, torch.float16):
        pool = Pool([stack.shape for stack in stacks], CPU, dtype).fill(stacks)
        got = pool.boxes(torch.tensor(chosen), torch.tensor(starts), size, torch.tensor(flips))
        assert got.dtype == torch.float32
        for box, i, start, flip in zip(got, chosen, starts, flips, strict=True):
            exact = cut(stacks[i], start, size, flip)
            assert np.array_equal(box.numpy(), exact.astype(np.float16) if dtype == torch.float16 else exact)


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


@pytest.mark.parametrize("rows", (16, 40))
def test_a_result_that_does_not_fit_on_the_device_is_summed_in_slabs(monkeypatch, rows):
    """The logic of a GPU, with an artificial limit: sums may have as many rows as a window, or none at all."""
    view = np.random.default_rng(0).standard_normal((12, 40, 37)).astype(np.float32)
    expected = predict(Echo(2), view, 23, 0, 16, 0.25)
    asked = []

    def fits(_device, shape):
        asked.append(shape[2])
        return 16 <= shape[2] < rows

    monkeypatch.setattr(inference, "fits", fits)
    np.testing.assert_allclose(predict(Echo(2), view, 23, 0, 16, 0.25), expected, rtol=1e-5, atol=1e-5)
    assert len(asked) == 2 and asked[0] >= 40 and asked[1] == 16  # the whole volume, then a row of windows


def test_too_little_memory_for_all_windows_halves_them(samples):
    network, seen = Echo(2), []

    def narrow(_module, inputs):
        seen.append(len(inputs[0]))
        if len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    expected = predict(network, samples[0].view_dHW, 24, 0, 16)
    network.register_forward_pre_hook(narrow)
    assert np.array_equal(predict(network, samples[0].view_dHW, 24, 0, 16), expected)
    assert max(seen) > 1 and seen[-1] == 1


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


@pytest.mark.parametrize(("planes", "read"), ((65, (48, 24, 12)), (50, (25, 20, 10)), (64, (32, 16, 8))))
def test_window_sampling_reads_the_planes_that_the_released_code_read(planes, read):
    # For windows of 32 planes that overlap by half.
    for ratio, expected in zip((2, 4, 8), read, strict=True):
        network = Echo(ratio, depth=32)
        sample = ramp(planes, ratio, size=20)
        dense = ramp(planes, 1, size=20)
        got = window_sampled(network, lambda _, dense=dense: dense.view_dHW, 16, 0.5)(sample)
        assert len(network.seen) == planes_read(planes, 32, ratio, 0.5) == expected
        honest = predict(Echo(ratio, depth=32), sample.view_dHW, planes, 0, 16, 0.5)
        assert got.shape == honest.shape
        assert np.allclose(got, honest, rtol=1e-5) == (expected == -(-planes // ratio))


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 64), st.floats(0, 0.99))
def test_windows_cover_the_axis(length, window, overlap):
    begin = window_starts(length, window, overlap)
    assert begin[0] == 0 and begin[-1] == max(length - window, 0)
    assert all(0 < b - a <= max(1, window * (1 - overlap)) for a, b in zip(begin, begin[1:], strict=False))


@pytest.mark.parametrize("size", (1, 8, 32, 128))
def test_gaussian_weights(size):
    weight = gaussian(size)
    assert weight.max() == weight[size // 2] == 1 and (weight > 0).all()


def test_networks_in_2d_predict_more_windows_at_once_on_a_gpu():
    flat, deep = (NetworkSettings(method="plain", topology=topology, depth=32) for topology in ("2d", "3d"))
    assert [windows_at_once(s, 128, torch.device("cuda")) for s in (flat, deep)] == [64, 8]
    assert [windows_at_once(s, 128, torch.device("cpu")) for s in (flat, deep)] == [1, 1]
    assert windows_at_once(deep, 2048, torch.device("cuda")) == 1


@pytest.mark.parametrize("method", METHODS)
def test_several_structures_at_once_equal_one_by_one(method):
    sizes = {"depth": 8, "width_3d": 8, "width_2d": 8, "groups": 4, "embedding": 64, "blocks_3d": 1}
    network = build(NetworkSettings(method=method, topology="3to2d", repmode_kernel=3, **sizes))
    view = np.random.default_rng(1).standard_normal((5, 40, 33)).astype(np.float32)
    together = predict(network, view, 9, [3, 0, 7], 32)
    assert together.shape == (3, 9, 40, 33)
    for task, prediction in zip((3, 0, 7), together, strict=True):
        single = predict(network, view, 9, task, 32)
        np.testing.assert_allclose(prediction, single, atol=1e-5)
        # The network itself, on the one window that covers a corner alone.
        window = torch.from_numpy(view[None, None, :4, :32, :32])
        with torch.no_grad():
            expected = network(window, torch.tensor([task]))[0, 0, 0, 0, 0]
        assert single[0, 0, 0] == pytest.approx(float(expected), abs=1e-5)  # float32 sums in another order
