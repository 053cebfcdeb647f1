"""Training is reproducible, resumes bit for bit, and stops when the loss diverges."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.fields import make_field

from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints
from sparsessp.learning.training import _Run, train, train_step
from sparsessp.networks.network import build

NETWORK = NetworkSettings(
    method="dodnet",
    topology="3to2d",
    depth=8,
    width_3d=8,
    width_2d=8,
    groups=4,
    embedding=64,
    blocks_3d=1,
    repmode_kernel=3,
)
TRAINING = TrainingSettings(
    iterations=6, batch=2, patch=24, learning_rate=1e-3, schedule="one_cycle", validate_every=1, flip="zyx"
)
WINDOWS = InferenceSettings(window=32, overlap=0.25)


def run(tmp_path, samples, network=NETWORK, training=TRAINING, judges=None):
    return train(network, training, WINDOWS, samples, judges or samples[:1], tmp_path, progress=False)[:2]


class Interrupting(list):
    """Validation samples that are cut off at a look, the second by default."""

    looks, last = 0, 2

    def __iter__(self):
        self.looks += 1
        if self.looks == self.last:
            raise KeyboardInterrupt
        return super().__iter__()


def test_an_interrupted_run_ends_bit_equal_to_an_undisturbed_one(tmp_path, samples):
    undisturbed, history = run(tmp_path / "a", samples)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", samples, judges=Interrupting(samples[:1]))
    assert checkpoints.load(tmp_path / "b" / "state.pt")["done"] < TRAINING.iterations
    resumed, resumed_history = run(tmp_path / "b", samples)
    pd.testing.assert_frame_equal(history, resumed_history, check_exact=True)
    for (name, a), b in zip(undisturbed.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("torn", (("state.pt",), ("state.pt", "previous-state.pt")))
def test_a_run_with_damaged_states_says_so_and_ends_bit_equal(tmp_path, samples, capsys, torn):
    undisturbed, history = run(tmp_path / "a", samples)
    judges = Interrupting(samples[:1])
    judges.last = 3
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", samples, judges=judges)
    for name in torn:
        path = tmp_path / "b" / name
        path.write_bytes(path.read_bytes()[:-1])
    resumed, resumed_history = run(tmp_path / "b", samples)
    said = capsys.readouterr().err
    assert "trying previous-state.pt" in said and ("starts again" in said) == (len(torn) == 2)
    pd.testing.assert_frame_equal(history, resumed_history, check_exact=True)
    for a, b in zip(undisturbed.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_same_run_same_bytes(tmp_path, samples):
    for name in "ab":
        network, _ = run(tmp_path / name, samples)
        checkpoints.save_model(tmp_path / f"{name}.pt", network, {})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert checkpoints.load_model(tmp_path / "a.pt").settings == NETWORK


def test_training_reduces_the_validation_error(tmp_path):
    samples = [make_field(3, ratio=1)]
    training = TRAINING.model_copy(update={"iterations": 40, "learning_rate": 5e-3, "validate_every": 5})
    network = NETWORK.model_copy(update={"method": "plain", "topology": "3d", "ratio": 1})
    _, history = run(tmp_path, samples, network, training)
    # The target is a fixed filter of the light, and its variance is 1.
    assert history["validation_mse"].min() < 0.8


def test_validation_may_have_windows_of_its_own(tmp_path, samples):
    less = TRAINING.model_copy(update={"validate_overlap": 0.25})
    histories = [
        train(NETWORK, training, InferenceSettings(window=16, overlap=overlap), samples, samples[:1], folder).history
        for training, overlap, folder in (
            (TRAINING, 0.25, tmp_path / "a"),
            (less, 0.5, tmp_path / "b"),
            (TRAINING, 0.5, tmp_path / "c"),
        )
    ]
    pd.testing.assert_frame_equal(histories[0], histories[1], check_exact=True)
    assert (histories[0]["validation_mse"] != histories[2]["validation_mse"]).all()


def test_multinet_trains_a_network_for_each_structure(tmp_path, samples):
    network = NETWORK.model_copy(update={"method": "multinet", "topology": "3d"})
    model, history = run(tmp_path, samples, network, judges=samples)
    assert list(history["structure"].unique()) == [s.structure for s in samples]
    assert history.groupby("structure")["iteration"].max().unique().tolist() == [2]  # 6 steps among 3
    view = torch.randn(2, 1, 4, 32, 32)
    together = model(view, torch.tensor([0, 10]))
    assert torch.equal(together[1:], model.networks[10](view[1:], torch.tensor([10])))


def test_multinet_resumes_with_the_interrupted_structure(tmp_path, samples):
    network = NETWORK.model_copy(update={"method": "multinet", "topology": "3d"})
    undisturbed, history = run(tmp_path / "a", samples, network, judges=samples)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", samples, network, judges=Interrupting(samples))
    first = tmp_path / "b" / f"{samples[0].structure}.pt"
    assert sorted((tmp_path / "b").glob("[!p]*.pt")) == [first] and checkpoints.load(first)["done"] == 2
    before = first.read_bytes()
    resumed, resumed_history = run(tmp_path / "b", samples, network, judges=samples)
    assert first.read_bytes() == before  # not trained again
    pd.testing.assert_frame_equal(history, resumed_history, check_exact=True)
    for (name, a), b in zip(undisturbed.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_another_seed_is_another_training(tmp_path, samples):
    weights = [
        run(tmp_path / str(seed), samples, NETWORK.model_copy(update={"seed": seed}))[0].state_dict() for seed in (0, 1)
    ]
    assert any(not torch.equal(a, b) for a, b in zip(*(found.values() for found in weights), strict=True))


def test_a_nan_loss_stops_the_run(tmp_path, samples):
    broken = [
        type(s)(s.volume, s.structure, s.task, s.view_dHW * np.float32(1e30), s.target_DHW, 2, 0) for s in samples
    ]
    with pytest.raises(SparseSSPError, match=r"dodnet-3to2d-prefix-r2.*iteration 1, on crops of .*_000.*learning_rate"):
        run(tmp_path, broken)


@pytest.mark.parametrize("rate", (1e6, 1e30))
def test_a_loss_that_explodes_stops_the_run_and_the_last_good_state_is_kept(tmp_path, samples, rate):
    training = TRAINING.model_copy(update={"schedule": "constant", "iterations": 2})
    run(tmp_path, samples, training=training)
    state = checkpoints.load(tmp_path / "state.pt")
    assert state["done"] == 2
    # The same run continues with weights that its next step throws away.
    state["optimiser"]["param_groups"][0]["lr"] = rate
    state["scheduler"]["base_lrs"] = state["scheduler"]["_last_lr"] = [rate]
    checkpoints.save_state(tmp_path / "state.pt", state)
    with pytest.raises(SparseSSPError, match=r"iteration [34].*the state of iteration [23] is kept in .*state.pt"):
        run(tmp_path, samples, training=training.model_copy(update={"iterations": 8}))
    kept = checkpoints.load(tmp_path / "state.pt")
    assert all(weights.isfinite().all() for weights in kept["best"].values()) and np.isfinite(kept["best_mse"])


def test_clipping_limits_the_norm_and_keeps_the_direction(samples):
    network = build(NETWORK, 0).train()
    view = torch.from_numpy(samples[0].view_dHW[None, None, :4, :24, :24].copy())
    target = torch.from_numpy(samples[0].target_DHW[None, None, :8, :24, :24].copy())
    gradients = []
    for clip in (0.0, 1e-3):
        train_step(network, torch.optim.Adam(network.parameters(), lr=0.0), view, target, torch.tensor([0]), 1, clip)
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    free, cut = (gradient.double() for gradient in gradients)
    assert cut.norm() == pytest.approx(1e-3, rel=1e-3) and free.norm() > 1e-2
    assert torch.cosine_similarity(free, cut, dim=0) == pytest.approx(1, abs=1e-5)


def test_same_run_same_state(tmp_path, samples):
    for name in "ab":
        run(tmp_path / name, samples)
        state = checkpoints.load(tmp_path / name / "state.pt")
        assert state.pop("seconds") > 0
        checkpoints.save(tmp_path / f"{name}.pt", state)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_two_runs_on_cuda_agree_within_the_stated_tolerance(tmp_path, samples):
    weights = [run(tmp_path / name, samples)[0].state_dict() for name in "ab"]
    for a, b in zip(*(found.values() for found in weights), strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=5e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_too_little_gpu_memory_halves_the_micro_batch_or_says_what_does(tmp_path, samples, capsys):
    training = TRAINING.model_copy(update={"batch": 64, "patch": 32, "iterations": 2})
    undisturbed, _ = run(tmp_path / "undisturbed", samples, training=training)
    needed = torch.cuda.max_memory_allocated()
    share = 0.6 * needed / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        less, _ = run(tmp_path / "less", samples, training=training)
        assert "continuing with micro_batch 32, the batch stays 64" in capsys.readouterr().err
        for a, b in zip(undisturbed.state_dict().values(), less.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=0.05, atol=5e-3)
        with pytest.raises(SparseSSPError, match="micro_batch to auto or below or set checkpointing.*patch .now 32"):
            run(tmp_path / "fixed", samples, training=training.model_copy(update={"micro_batch": 64}))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_running_out_of_memory_halves_the_micro_batch_and_keeps_the_batch(tmp_path, samples, capsys):
    """As the GPU's allocator reports it, from a block that takes one crop at a time."""
    network = build(NETWORK, 0)

    def narrow(_module, inputs):
        if len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    run_ = _Run(network, TRAINING, WINDOWS, samples, samples[:1], tmp_path / "state.pt", "all", progress=False)
    hook = network.register_forward_pre_hook(narrow)
    before = run_._step()
    assert run_.micro_batch == 1 and "micro_batch 1, the batch stays 2" in capsys.readouterr().err
    hook.remove()
    undisturbed = _Run(
        build(NETWORK, 0), TRAINING, WINDOWS, samples, samples[:1], tmp_path / "b.pt", "all", progress=False
    )
    assert before == pytest.approx(undisturbed._step(), rel=1e-5)
    network.register_forward_pre_hook(lambda *_: narrow(None, [[0, 0]]))
    with pytest.raises(SparseSSPError, match="iteration 2 with micro_batch 1; set checkpointing to true or lower"):
        run_._step()


def test_mixed_precision_is_float32_on_a_cpu(tmp_path, samples):
    """torch computes some bfloat16 convolutions on a CPU from uninitialised memory, so none is used."""
    plain, mixed = (
        run(tmp_path / precision, samples, NETWORK.model_copy(update={"precision": precision}))[1]
        for precision in ("float32", "mixed")
    )
    assert plain.equals(mixed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # what torch.compile imports
def test_without_a_compiler_a_compiled_run_warns_and_continues(tmp_path, samples, capfd, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (str(tmp_path / "no-such-compiler"),))
    training = TRAINING.model_copy(update={"iterations": 2, "compile": True})
    compiled, _ = run(tmp_path / "a", samples, training=training)
    said = capfd.readouterr().err
    assert "torch.compile failed, continuing without it" in said and "compiler" in said.lower()
    plain, _ = run(tmp_path / "b", samples, training=training.model_copy(update={"compile": False}))
    for (name, a), b in zip(compiled.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_duration_of_an_interrupted_run_includes_both_parts(tmp_path, samples):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, samples, judges=Interrupting(samples[:1]))
    state = checkpoints.load(tmp_path / "state.pt")
    checkpoints.save(tmp_path / "state.pt", {**state, "seconds": 1000.0})
    trained = train(NETWORK, TRAINING, WINDOWS, samples, samples[:1], tmp_path, progress=False)
    assert 1000 < trained.seconds < 1060
