"""One contract for every method, topology, interpolation, projection and ratio there is."""

from itertools import product

import pytest
import torch

from sparsessp.config import METHODS, RATIOS, TOPOLOGIES, ExperimentSettings, NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.networks.method import load_method
from sparsessp.networks.network import build
from sparsessp.resources import meta_network
from sparsessp.structures import STRUCTURES

INTERPOLATIONS = ("prefix", "postfix", "none")
PROJECTIONS = ("3d", "2d")
KEYS = ("method", "topology", "interpolation", "projection", "ratio")


def _legal():
    legal = []
    for values in product(METHODS, TOPOLOGIES, INTERPOLATIONS, PROJECTIONS, RATIOS):
        choice = dict(zip(KEYS, values, strict=True))
        try:
            legal.append(ExperimentSettings.load(choice, "contract"))
        except SparseSSPError:
            continue
    return legal


LEGAL = _legal()
built: set[str] = set()
every_legal = pytest.mark.parametrize("experiment", LEGAL, ids=lambda e: e.name)


def test_exactly_the_expected_combinations_are_legal():
    expected = {
        (method, topology, interpolation, projection, ratio)
        for method, topology, interpolation, projection, ratio in product(
            METHODS, TOPOLOGIES, INTERPOLATIONS, PROJECTIONS, RATIOS
        )
        if (interpolation != "none" or topology in ("2d", "3to2d"))  # a 3D decoder creates no planes
        and (projection == "3d" or topology in ("2to3d", "3to2d"))  # only hybrids project
    }
    assert {tuple(getattr(e, key) for key in KEYS) for e in LEGAL} == expected
    assert len({e.name for e in LEGAL}) == len(LEGAL), "two experiments share a name"


def _trained(network, tasks):
    """The parameters that these tasks train: a method with a network per structure trains theirs only."""
    settings = network.settings
    if load_method(settings).per_structure:
        return [(f"{t}.{name}", weight) for t in set(tasks) for name, weight in network.networks[t].named_parameters()]
    return list(network.named_parameters())


@every_legal
def test_builds_predicts_and_learns(experiment, small_settings):
    settings = small_settings(**experiment.model_dump())
    network = build(settings)
    tasks = [3, 0, 3]
    view = torch.randn(3, 1, settings.depth // settings.ratio, 32, 32, generator=torch.Generator().manual_seed(0))
    output = network(view, torch.tensor(tasks))
    assert output.shape == (3, 1, settings.depth, 32, 32)
    assert output.isfinite().all()
    output.square().mean().backward()
    for name, weight in _trained(network, tasks):
        assert weight.grad is not None, f"{name} is never used"
        assert weight.grad.isfinite().all(), name
    built.add(experiment.name)


@every_legal
def test_full_width_shape(experiment):
    settings = NetworkSettings(**experiment.model_dump())
    network = meta_network(settings)
    view = torch.zeros(1, 1, 32 // settings.ratio, 128, 128, device="meta")
    with torch.no_grad():
        output = network(view, torch.zeros(1, dtype=torch.int64, device="meta"))
    assert output.shape == (1, 1, 32, 128, 128)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("method", METHODS)
def test_a_batch_of_all_tasks_moves_every_parameter(method, topology, small_settings):
    settings = small_settings(method=method, topology=topology)
    network = build(settings)
    tasks = list(range(len(STRUCTURES)))
    generator = torch.Generator().manual_seed(0)
    view = torch.randn(len(tasks), 1, settings.depth // settings.ratio, 32, 32, generator=generator)
    network(view, torch.tensor(tasks)).square().mean().backward()
    still = [name for name, weight in _trained(network, tasks) if not weight.grad.any()]
    assert not still


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_is_predicted_alike_alone_and_in_a_mixed_batch(method, small_settings):
    settings = small_settings(method=method, topology="3to2d")
    network = build(settings).eval()
    tasks = torch.tensor([7, 1, 7, 11])
    view = torch.randn(4, 1, settings.depth // settings.ratio, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = network(view, tasks)
        alone = torch.cat([network(view[i : i + 1], tasks[i : i + 1]) for i in range(4)])
    # Same sums in another order, float32, some thirty layers deep: 1e-6 to 1e-5 in values near 1.
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "plain"])
def test_the_task_matters(method, small_settings):
    settings = small_settings(method=method, topology="3to2d")
    network = build(settings).eval()
    view = torch.randn(1, 1, settings.depth // settings.ratio, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first, second = (network(view, torch.tensor([task])) for task in (0, 11))
    # A task that is not read gives bit-equal outputs.
    assert (first - second).abs().max() > 1e-4


def test_plain_is_told_no_task(small_settings):
    network = build(small_settings(method="plain")).eval()
    view = torch.randn(1, 1, 8, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(network(view, torch.tensor([0])), network(view, torch.tensor([11])))


def test_every_combination_was_built(request, capsys):
    """Last in the file: counts what the tests above really built."""
    chosen = {item.nodeid for item in request.session.items if test_builds_predicts_and_learns.__name__ in item.nodeid}
    if len(chosen) < len(LEGAL):
        pytest.skip("only a part of the contract was selected")
    with capsys.disabled():
        print(f"\nbuilt {len(built)} combinations")
    # 3 + 2 + 4 + 6 choices of interpolation and projection for 2d, 3d, 2to3d and 3to2d.
    assert len(built) == len(METHODS) * 15 * len(RATIOS)
