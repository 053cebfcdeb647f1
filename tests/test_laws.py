"""Laws that hold for any input: sampling, windows, folding, crops, splits, scores and the plan."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.fields import make_field
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.plan.grid import expand, ratios_in_use
from sparsessp.config import METHODS, RATIOS, TOPOLOGIES, ExperimentSettings
from sparsessp.data.crops import Crops, Patch
from sparsessp.data.splits import PARTS, split
from sparsessp.data.volumes import sparse_view, zscore
from sparsessp.data.windows import window_starts
from sparsessp.errors import SparseSSPError
from sparsessp.learning.inference import gaussian
from sparsessp.learning.metrics import delta_imp, plane_errors, score
from sparsessp.networks.projection import fold, unfold

LAW = settings(deadline=None, max_examples=60)
FLOATS = st.floats(-1e3, 1e3, width=32)
STACKS = st.tuples(*[st.integers(1, 5)] * 3).flatmap(lambda shape: arrays(np.float32, shape, elements=FLOATS))


@LAW
@given(STACKS, st.sampled_from(RATIOS), st.sampled_from(RATIOS))
def test_sampling_twice_is_sampling_once(stack, first, second):
    assert np.array_equal(sparse_view(sparse_view(stack, first), second), sparse_view(stack, first * second))


@LAW
@given(STACKS, st.floats(0.1, 50), st.floats(-100, 100))
def test_zscore_forgets_scale_and_offset(stack, scale, offset):
    wide = stack.astype(np.float64)
    if np.ptp(wide) < 1e-3:
        return
    once, mean, std = zscore(wide, "x")
    assert abs(float(once.mean(dtype=np.float64))) < 1e-3 and float(once.std(dtype=np.float64)) == pytest.approx(
        1, 1e-3
    )
    np.testing.assert_allclose(zscore(scale * wide + offset, "x")[0], once, atol=1e-3)
    np.testing.assert_allclose(once * std + mean, wide, atol=1e-3 * (1 + abs(wide).max()))


@LAW
@given(st.integers(1, 300), st.integers(1, 64), st.floats(0, 0.99))
def test_windows_lie_inside_cover_everything_and_leave_no_weight_at_zero(length, window, overlap):
    length = max(length, window)
    weight = np.zeros(length)
    for first in window_starts(length, window, overlap):
        assert 0 <= first <= length - window
        weight[first : first + window] += gaussian(window)
    assert (weight > 0).all()


@LAW
@given(*[st.integers(1, 4)] * 5)
def test_folding_loses_nothing_and_keeps_each_channels_planes_together(batch, channels, depth, rows, columns):
    x = torch.arange(batch * channels * depth * rows * columns).reshape(batch, channels, depth, rows, columns)
    folded = fold(x)
    assert folded.shape == (batch, channels * depth, rows, columns) and torch.equal(unfold(folded, depth), x)
    for channel in range(channels):
        assert torch.equal(folded[:, channel * depth : (channel + 1) * depth], x[:, channel])


@LAW
@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 20))
def test_the_named_samples_are_those_of_the_batch_and_epochs_are_fair(count, size, step):
    samples = [make_field(task, shape=(4, 6, 6)) for task in range(count)]
    crops = Crops(samples, Patch(4, 4, "zyx"), 7, torch.device("cpu"))
    named = [sample.task for sample in crops.chosen(step, size)]
    assert named == crops.batch(step, size)[2].tolist()
    order = [sample.task for sample in crops.chosen(0, 3 * count)]
    assert [sorted(order[i : i + count]) for i in range(0, 3 * count, count)] == [list(range(count))] * 3


@LAW
@given(st.integers(3, 60), st.integers(0, 2**32 - 1))
def test_a_split_is_a_partition_that_its_seed_decides(count, seed):
    manifest = pd.DataFrame({"volume": [f"v{i}" for i in range(count)], "structure": "dna"})
    once = split(manifest, seed=seed)
    assert once.equals(split(manifest, seed=seed)) and set(once["part"]) == set(PARTS)
    assert once["volume"].tolist() == manifest["volume"].tolist()


@LAW
@given(st.data(), STACKS)
def test_scores_ignore_the_order_of_voxels_and_scale_with_the_data(data, target):
    target = target.astype(np.float64)
    noise = data.draw(arrays(np.float64, target.shape, elements=st.floats(-100, 100)))
    if np.ptp(target) < 1e-2:
        with pytest.raises(SparseSSPError, match="constant"):
            score(noise, np.full_like(target, target.flat[0]))
        return
    prediction = target + noise
    found = score(prediction, target)
    assert found.r2 <= 1 and -1 - 1e-9 <= found.pearson <= 1 + 1e-9 and found.mae**2 <= found.mse * (1 + 1e-9)
    assert found.mse == pytest.approx(score(target, prediction).mse) if np.ptp(prediction) else True
    turned = score(np.flip(prediction).copy(), np.flip(target).copy())
    assert (turned.mse, turned.mae, turned.r2) == pytest.approx((found.mse, found.mae, found.r2), rel=1e-6, abs=1e-9)
    twice = score(2 * prediction, 2 * target)
    assert twice.mse == pytest.approx(4 * found.mse) and twice.r2 == pytest.approx(found.r2, rel=1e-6, abs=1e-9)
    error, variation = plane_errors(prediction, target)
    assert 1 - error.mean() / variation.mean() == pytest.approx(found.r2, rel=1e-6, abs=1e-9)


@LAW
@given(st.floats(0.01, 2), st.floats(0.01, 2), st.sampled_from(("mse", "mae", "r2")))
def test_an_improvement_is_positive_when_better_and_zero_when_equal(ours, base, metric):
    gain = delta_imp(ours, base, metric)
    assert delta_imp(base, base, metric) == 0
    assert (gain > 0) == (ours > base if metric == "r2" else ours < base)


LEGAL = []
for values in product(METHODS, TOPOLOGIES, ("prefix", "postfix", "none"), ("3d", "2d"), RATIOS):
    try:
        keys = ("method", "topology", "interpolation", "projection", "ratio")
        LEGAL.append(ExperimentSettings(**dict(zip(keys, values, strict=True))))
    except ValueError:
        continue


def test_different_experiments_have_different_names():
    assert len({experiment.name for experiment in LEGAL}) == len(LEGAL) > 400


@LAW
@given(
    st.lists(st.sampled_from(LEGAL), min_size=1, max_size=8),
    st.lists(st.sampled_from(RATIOS), min_size=1, max_size=4, unique=True),
    st.sampled_from(("epochs", "iterations")),
    st.data(),
)
def test_a_plan_lists_each_run_once_with_its_budget(wanted, ratios, unit, data):
    budget = {"unit": unit, "amount": {**{f"topology_{key}": i for i, key in enumerate(TOPOLOGIES, 1)}, "multinet": 9}}
    grid = [
        {key: [value] for key, value in item.model_dump().items() if key not in ("weights", "seed")} for item in wanted
    ]
    for entry in grid:
        if data.draw(st.booleans()):
            del entry["ratio"]
    planned = expand(ratios, "all", "all", grid, budget)
    assert planned == expand(ratios, "all", "all", grid + grid, budget)
    for name, run in planned.items():
        rebuilt = ExperimentSettings(**{key: run[key] for key in ExperimentSettings.model_fields})
        assert rebuilt.name == name and run[unit] == budget["amount"].get(
            run["method"], budget["amount"][f"topology_{run['topology']}"]
        )
    asked = [ratios if "ratio" not in entry else entry["ratio"] for entry in grid]
    assert ratios_in_use(planned) == sorted({ratio for of_entry in asked for ratio in of_entry})
    methods = data.draw(st.lists(st.sampled_from(METHODS), min_size=1, unique=True))
    chosen = {name for name, run in planned.items() if run["method"] in methods}
    if chosen:
        assert set(expand(ratios, "all", methods, grid, budget)) == chosen
    else:
        with pytest.raises(SparseSSPError, match="no experiment"):
            expand(ratios, "all", methods, grid, budget)
