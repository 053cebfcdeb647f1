"""Several processes that train one network together: two ranks on a CPU, through gloo, equal a single process."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from helpers.fields import make_field

from sparsessp.config import METHODS, InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.data.crops import Crops, Patch
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints, ranks
from sparsessp.learning.training import _Run, backward, optimiser, train
from sparsessp.networks.blocks import ResidualBlock
from sparsessp.networks.network import build
from sparsessp.structures import STRUCTURES

NETWORK = NetworkSettings(
    method="dodnet",
    topology="3to2d",
    depth=8,
    width_3d=4,
    width_2d=8,
    groups=4,
    embedding=64,
    blocks_3d=1,
    repmode_kernel=3,
    backbone_divisor=16,
)
# A batch of three is shared out unequally.
TRAINING = TrainingSettings(iterations=4, batch=3, patch=24, learning_rate=1e-4, validate_every=1)
# Float sums in another order: of the gradient of a batch, relative to its norm, and of losses after some steps. Weights
# differ more, because Adam moves a weight whose gradient is nothing but rounding as far as any other.
GRADIENT, LOSS, WEIGHTS = 1e-5, 1e-4, 0.1
WINDOWS = InferenceSettings(window=24, overlap=0.25)
TASKS = (0, 3, 10)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A function that calls another one in two ranks, and returns the result of each."""
    context = multiprocessing.get_context("forkserver")
    # Imported once for both ranks; the first optimiser would import torch._dynamo.
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    with ProcessPoolExecutor(2, context) as pool:

        def call(function, *arguments):
            store = tmp_path_factory.mktemp("store") / "file"
            calls = [pool.submit(_in_rank, number, store, function, *arguments) for number in range(2)]
            return [call.result(timeout=600) for call in calls]

        yield call


def _in_rank(number, store, function, *arguments):
    torch.set_num_threads(1)
    backend = "gloo"
    if torch.cuda.device_count() > 1:
        torch.cuda.set_device(number)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, f"file://{store}", rank=number, world_size=2)
    try:
        return function(*arguments)
    finally:
        dist.destroy_process_group()


def trained(folder, network=NETWORK, training=TRAINING):
    """Train, and return what a test compares."""
    samples = [make_field(task, (8, 24, 24)) for task in TASKS]
    model, history, _ = train(network, training, WINDOWS, samples, samples, folder, progress=False)
    return history, {name: weight.numpy() for name, weight in model.state_dict().items()}


def assert_close(found, expected, network=NETWORK):
    history, weights = found
    assert history["iteration"].tolist() == expected[0]["iteration"].tolist()
    for column in ("training_mse", "validation_mse"):
        np.testing.assert_allclose(history[column], expected[0][column], rtol=LOSS)
    initial = {name: weight.numpy() for name, weight in build(network).state_dict().items()}
    moved, differing = (
        np.sqrt(sum(np.square(weight - other[name]).sum() for name, weight in expected[1].items()))
        for other in (initial, weights)
    )
    assert differing < WEIGHTS * moved


@pytest.mark.parametrize("method", ("dodnet", "multinet"))
def test_two_ranks_train_like_one_within_the_stated_tolerance(together, tmp_path, method):
    network = NETWORK.model_copy(update={"method": method})
    first, second = together(trained, tmp_path / "two", network)
    assert_close(first, trained(tmp_path / "one", network), network)
    for name, weight in first[1].items():  # the ranks never drift apart
        assert np.array_equal(weight, second[1][name]), name


def gradients(methods):
    """Loss and gradients of the first batch, by method."""
    samples = [make_field(task, (8, 24, 24)) for task in TASKS]
    found = {}
    for method in methods:
        network = build(NETWORK.model_copy(update={"method": method})).train()
        crops = Crops(samples, Patch(8, 24, "zyx"), 0, torch.device("cpu"), share=ranks.share)
        loss = backward(network, optimiser(network, TRAINING), *crops.batch(0, 3), micro_batch=1)
        parts = [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
        found[method] = float(loss), torch.cat(parts).numpy()
    return found


def test_two_ranks_compute_the_gradients_of_the_whole_batch_for_every_method(together):
    methods = [method for method in METHODS if method != "multinet"]  # its networks are those of plain
    first, second = together(gradients, methods)
    for method, (loss, gradient) in gradients(methods).items():
        assert first[method][0] == second[method][0] == pytest.approx(loss, rel=1e-6), method
        assert np.array_equal(first[method][1], second[method][1]), method
        differing = np.linalg.norm(first[method][1] - gradient)
        assert differing < GRADIENT * np.linalg.norm(gradient), method


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_equal_one_within_the_stated_tolerance(together, tmp_path):
    """The other tests use GPUs, too, where there are two; this one is selected by its marker."""
    first, _ = together(trained, tmp_path / "two")
    assert_close(first, trained(tmp_path / "one"))


def interrupted(folder, last):
    """Train, and stop after so many iterations as if killed."""
    samples = [make_field(task, (8, 24, 24)) for task in TASKS]
    run = _Run(build(NETWORK), TRAINING, WINDOWS, samples, samples, folder / "state.pt", "all", progress=False)
    run._resume()
    while run.done < last:
        run._step()
        run._validate()
        run._save()
    return run.done


def test_a_run_resumes_with_another_number_of_ranks(together, tmp_path):
    assert together(interrupted, tmp_path / "a", 1) == [1, 1]
    assert interrupted(tmp_path / "a", 2) == 2
    assert checkpoints.load(tmp_path / "a" / "state.pt")["done"] == 2
    assert_close(together(trained, tmp_path / "a")[0], trained(tmp_path / "b"))


def run_out_of_memory_on_the_last_rank(folder):
    """As the GPU's allocator reports it, from a block of one rank that takes one crop at a time."""
    network = build(NETWORK)

    def narrow(_module, inputs):
        if len(inputs[0]) > 1 and ranks.rank() == ranks.count() - 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    samples = [make_field(task, (8, 24, 24)) for task in TASKS]
    run = _Run(network, TRAINING, WINDOWS, samples, samples, folder / "state.pt", "all", progress=False)
    hook = next(m for m in network.modules() if isinstance(m, ResidualBlock)).register_forward_pre_hook(narrow)
    losses = [float(run._step()) for _ in range(2)]
    hook.remove()
    return run.micro_batch, losses


def test_if_memory_runs_out_in_one_rank_all_repeat_the_step_with_half_as_many_crops(together, tmp_path):
    first, second = together(run_out_of_memory_on_the_last_rank, tmp_path)
    assert first[0] == second[0] == 1 and first[1] == second[1]
    samples = [make_field(task, (8, 24, 24)) for task in TASKS]
    single = _Run(build(NETWORK), TRAINING, WINDOWS, samples, samples, tmp_path / "b", "all", progress=False)
    assert first[1] == pytest.approx([single._step(), single._step()], rel=1e-5)


def explosion(folder):
    samples = [make_field(task, (8, 24, 24)) for task in TASKS]
    broken = [*samples[:2], replace(samples[2], view_dHW=samples[2].view_dHW * np.float32(1e30))]
    with pytest.raises(SparseSSPError) as caught:
        train(NETWORK, TRAINING, WINDOWS, broken, samples, folder, progress=False)
    return str(caught.value)


def test_a_loss_that_explodes_in_one_rank_stops_all_and_names_the_volumes_of_the_whole_batch(together, tmp_path):
    first, second = together(explosion, tmp_path)
    assert first == second and "iteration 1, on crops of" in first
    assert all(f"{STRUCTURES[task].key}_000" in first for task in TASKS)


def too_many(folder):
    with pytest.raises(SparseSSPError, match="batch 1 for 2 processes; each needs a crop"):
        trained(folder, training=TRAINING.model_copy(update={"batch": 1}))


def test_a_batch_smaller_than_the_number_of_ranks_is_refused(together, tmp_path):
    together(too_many, tmp_path)


def statistics(folder):
    """Running statistics of batch norms after a training, and whether files were written by another rank."""
    network = NETWORK.model_copy(update={"topology": "2d", "backbone": "resnet18"})
    _, weights = trained(folder / str(ranks.rank()), network)
    return {name: weight for name, weight in weights.items() if "running" in name}, folder.exists()


def test_only_the_first_rank_writes_and_batch_norms_have_the_same_statistics_in_all(together, tmp_path):
    (first, _), (second, _) = together(statistics, tmp_path)
    assert first and all(np.array_equal(value, second[name]) for name, value in first.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0"]


@pytest.mark.parametrize("count", (1, 2, 3, 5))
def test_shares_cover_a_batch_once_and_differ_by_at_most_one_crop(count, monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: count)
    for size in (count, 8, 13):
        parts = []
        for number in range(count):
            monkeypatch.setattr(ranks, "rank", lambda number=number: number)
            parts.append(list(range(size))[ranks.share(size)])
        assert sum(parts, []) == list(range(size))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_weights_without_a_gradient_do_not_depend_on_the_tasks_of_a_batch():
    """The ranks add up gradients in the order of the weights that have one."""
    for method in METHODS:
        if method == "multinet":
            continue
        network = build(NETWORK.model_copy(update={"method": method})).train()
        unused = []
        for task in (0, 7):
            network.zero_grad(set_to_none=True)
            network(torch.randn(1, 1, 4, 24, 24), torch.tensor([task])).sum().backward()
            unused.append([name for name, weight in network.named_parameters() if weight.grad is None])
        assert unused[0] == unused[1], method
