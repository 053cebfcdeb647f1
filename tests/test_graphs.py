"""Steps that are recorded once and replayed: the same training as step by step, with the losses read later."""

import gc
import weakref
from functools import partial

import pytest
import torch
from helpers.fields import make_field

from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.errors import SparseSSPError
from sparsessp.learning.graphs import CHECK_EVERY, WARM_UP, DirectRecorder, GraphedStep
from sparsessp.learning.training import _Run, backward, optimiser, train_step
from sparsessp.networks.blocks import ResidualBlock
from sparsessp.networks.fused.choice import Path, forced
from sparsessp.networks.network import build

SMALL = {"depth": 4, "width_3d": 4, "width_2d": 4, "groups": 2, "embedding": 32, "blocks_3d": 1, "repmode_kernel": 3}
TRAINING = TrainingSettings(
    iterations=8, batch=2, patch=16, learning_rate=1e-3, schedule="one_cycle", gradient_clip=0.5
)
WINDOWS = InferenceSettings(window=16, overlap=0.0)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(autouse=True)
def _on_a_cpu(request, monkeypatch):
    """Tests without the marker run on a CPU, also on a machine with a GPU."""
    if not request.node.get_closest_marker("gpu"):
        monkeypatch.setenv("SPARSESSP_DEVICE", "cpu")


class FailingRecorder(DirectRecorder):
    """Fails as torch does when something in a step cannot be part of a graph."""

    def record(self, step):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


def settings(method="dodnet", topology="3to2d"):
    return NetworkSettings(method=method, topology=topology, ratio=2, **SMALL)


def batches(count, device="cpu"):
    random = torch.Generator().manual_seed(0)
    for _ in range(count):
        view, target = (torch.randn(2, 1, d, 16, 16, generator=random).to(device) for d in (2, 4))
        yield view, target, torch.randint(12, (2,), generator=random).to(device)


def graphed(network, adam, recorder, micro_batch=2, clip=0.5):
    step = partial(backward, network, adam, micro_batch=micro_batch)
    return GraphedStep(step, adam, clip, 1e6, recorder)


def trained(network, make_step, device="cpu"):
    """Losses and weights after eight steps at a falling learning rate."""
    adam = optimiser(network.to(device).train(), TRAINING)
    step = make_step(network, adam)
    losses = []
    for number, batch in enumerate(batches(8, device)):
        adam.param_groups[0]["lr"] = 1e-3 / (1 + number)
        losses.append(float(step(*batch)))
        # As schedules and saved states expect.
        assert isinstance(adam.param_groups[0]["lr"], float) and not adam.param_groups[0]["capturable"]
    return [torch.tensor(losses), *(weight.detach().clone() for weight in network.parameters())]


@pytest.mark.parametrize("recorder", (DirectRecorder, FailingRecorder))
@pytest.mark.parametrize(
    ("method", "topology", "micro_batch", "checkpointing", "path"),
    (
        ("dodnet", "3to2d", 2, False, Path.PLAIN),
        ("tgnet", "2d", 1, True, Path.PLAIN),
        ("repmode", "2d", 2, False, Path.CHANNELS_LAST),
    ),
)
def test_replayed_steps_train_as_single_ones(method, topology, micro_batch, checkpointing, path, recorder, capsys):
    networks = [build(settings(method, topology)) for _ in range(2)]
    for module in (module for network in networks for module in network.modules()):
        if isinstance(module, ResidualBlock):
            module.checkpointing = checkpointing
    with forced(path):
        replayed = trained(networks[0], lambda *a: graphed(*a, recorder(), micro_batch))
        single = trained(networks[1], lambda n, a: partial(train_step, n, a, micro_batch=micro_batch, clip=0.5))
    for got, expected in zip(replayed, single, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    warned = "without a CUDA graph, which is slower (operation not permitted when stream is capturing)"
    assert (warned in capsys.readouterr().err) == (recorder is FailingRecorder)


@pytest.mark.parametrize("bad", (1, WARM_UP + 2))
def test_an_unstable_step_changes_no_weight(bad):
    network = build(settings()).train()
    step = graphed(network, optimiser(network, TRAINING), DirectRecorder())
    for number, (view, target, task) in enumerate(batches(WARM_UP + 4)):
        before = [weight.detach().clone() for weight in network.parameters()]
        loss = step(view, target * (float("nan") if number == bad else 1), task)
        same = [torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
        assert all(same) == (number == bad) == bool(loss.isnan())


def test_adam_is_capturable_on_a_gpu_only():
    """torch warns of capturable steps that are not captured."""
    network, seen = build(settings()).train(), []
    adam = optimiser(network, TRAINING)
    step = graphed(network, adam, DirectRecorder())
    adam.register_step_pre_hook(
        lambda *_: seen.append((adam.param_groups[0]["lr"], adam.param_groups[0]["capturable"]))
    )
    for batch in batches(WARM_UP + 1):
        step(*batch)
    found = [(isinstance(rate, torch.Tensor), capturable) for rate, capturable in seen]
    assert found == [*[(False, False)] * WARM_UP, (True, False)]


def make_run(folder, samples, training=TRAINING):
    return _Run(
        build(settings(), 0), training, WINDOWS, samples, samples[:1], folder / "state.pt", "all", progress=False
    )


def with_replay(run):
    run.step = graphed(run.network, run.optimiser, DirectRecorder())
    return run


@pytest.fixture
def fields():
    return [make_field(task, (8, 16, 16)) for task in (0, 3, 10)]


def test_a_run_of_replayed_steps_has_the_same_history(tmp_path, fields):
    training = TRAINING.model_copy(update={"validate_every": 3})
    single, _ = make_run(tmp_path / "a", fields, training).finish()
    replayed, _ = with_replay(make_run(tmp_path / "b", fields, training)).finish()
    assert len(single) == 2 and list(single["iteration"]) == list(replayed["iteration"])
    for column in ("training_mse", "validation_mse"):
        assert replayed[column].to_list() == pytest.approx(single[column].to_list(), rel=1e-3)


def test_a_finished_run_leaves_nothing_on_the_device(tmp_path, fields):
    run = with_replay(make_run(tmp_path, fields, TRAINING.model_copy(update={"iterations": WARM_UP + 1})))
    run.finish()
    assert run.step is None and all(weight.grad is None for weight in run.network.parameters())
    held = [weakref.ref(each) for each in (run.optimiser, run.crops, run.scheduler)]
    gc.collect()  # of a step that was replayed without a graph, and refers to itself
    gc.disable()
    try:
        del run
        assert [each() for each in held] == [None] * 3
    finally:
        gc.enable()


def test_a_loss_that_is_read_later_still_names_its_step_and_volumes(tmp_path, fields):
    training = TRAINING.model_copy(update={"batch": 1, "iterations": 2 * CHECK_EVERY, "validate_every": 100})
    run = with_replay(make_run(tmp_path, fields, training))
    bad = run.crops.chosen(4, 1)[0]
    # Its target is finite in training of real data; here the fifth step, and every later one on this volume, fails.
    steps = [step for step in range(CHECK_EVERY) if run.crops.chosen(step, 1)[0] is bad]
    bad.target_DHW[:] = float("inf")
    with pytest.raises(SparseSSPError, match=rf"iteration {steps[0] + 1}, on crops of {bad.volume};"):
        run.finish()
    assert run.done == CHECK_EVERY


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("method", ("dodnet", "tgnet", "tsns", "condnet", "repmode"))
def test_a_cuda_graph_trains_as_single_steps(method, capsys):
    replayed, single = (
        trained(build(settings(method)), make, "cuda")
        for make in (
            lambda n, a: GraphedStep(partial(backward, n, a, micro_batch=2), a, 0.5, 1e6),
            lambda n, a: partial(train_step, n, a, micro_batch=2, clip=0.5),
        )
    )
    assert "warning" not in capsys.readouterr().err
    for got, expected in zip(replayed, single, strict=True):
        torch.testing.assert_close(got, expected, rtol=0.05, atol=5e-3)


@pytest.mark.gpu
@GPU
@pytest.mark.filterwarnings("ignore")  # of CUDA calls that the recording made invalid
def test_a_recording_that_fails_leaves_the_gpu_usable(capsys):
    def backward_and_wait(network, adam, *batch, micro_batch):
        loss = backward(network, adam, *batch, micro_batch=micro_batch)
        loss.item()
        return loss

    failed, single = (
        trained(build(settings()), make, "cuda")
        for make in (
            lambda n, a: GraphedStep(partial(backward_and_wait, n, a, micro_batch=2), a, 0.5, 1e6),
            lambda n, a: partial(train_step, n, a, micro_batch=2, clip=0.5),
        )
    )
    assert "warning: training runs without a CUDA graph" in capsys.readouterr().err
    torch.cuda.empty_cache()
    for got, expected in zip(failed, single, strict=True):
        torch.testing.assert_close(got, expected, rtol=0.05, atol=5e-3)
