"""Training is reproducible, resumable bit for bit, and stops at a loss that is no number."""

import numpy as np
import pandas as pd
import pytest
import torch
from fields import make_field

from sparsessp import checkpoints
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.errors import SparseSSPError
from sparsessp.training import train

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
    return train(network, training, WINDOWS, samples, judges or samples[:1], tmp_path, progress=False)


class Interrupting(list):
    """Validation samples that are cut off at the second look."""

    looks = 0

    def __iter__(self):
        self.looks += 1
        if self.looks == 2:
            raise KeyboardInterrupt
        return super().__iter__()


def test_an_interrupted_run_ends_bit_equal_to_an_undisturbed_one(tmp_path, samples):
    whole, history = run(tmp_path / "a", samples)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", samples, judges=Interrupting(samples[:1]))
    assert checkpoints.load(tmp_path / "b" / "state.pt")["done"] < TRAINING.iterations
    resumed, resumed_history = run(tmp_path / "b", samples)
    pd.testing.assert_frame_equal(history, resumed_history, check_exact=True)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_same_run_same_bytes(tmp_path, samples):
    for name in "ab":
        network, _ = run(tmp_path / name, samples)
        checkpoints.save_model(tmp_path / f"{name}.pt", network, {})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert checkpoints.load_model(tmp_path / "a.pt").settings == NETWORK


def test_it_learns(tmp_path):
    samples = [make_field(3, ratio=1)]
    training = TRAINING.model_copy(update={"iterations": 40, "learning_rate": 5e-3, "validate_every": 5})
    network = NETWORK.model_copy(update={"method": "plain", "topology": "3d", "ratio": 1})
    _, history = run(tmp_path, samples, network, training)
    # The target is a fixed filter of the light, and its variance is 1.
    assert history["validation_mse"].min() < 0.8


def test_multinet_trains_a_network_for_each_structure(tmp_path, samples):
    network = NETWORK.model_copy(update={"method": "multinet", "topology": "3d"})
    model, history = run(tmp_path, samples, network, judges=samples)
    assert list(history["structure"].unique()) == [s.structure for s in samples]
    assert history.groupby("structure")["iteration"].max().unique().tolist() == [2]  # 6 steps among 3
    view = torch.randn(2, 1, 4, 32, 32)
    together = model(view, torch.tensor([0, 10]))
    assert torch.equal(together[1:], model.networks[10](view[1:], torch.tensor([10])))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path, samples):
    broken = [
        type(s)(s.volume, s.structure, s.task, s.view_dHW * np.float32(1e30), s.target_DHW, 2, 0) for s in samples
    ]
    with pytest.raises(SparseSSPError, match=r"dodnet-3to2d-prefix-r2.*iteration 1.*learning_rate"):
        run(tmp_path, broken)


def test_checkpoints_run_no_code_and_name_a_broken_file(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"weights": Interrupting()}, path)
    with pytest.raises(SparseSSPError, match="model.pt"):
        checkpoints.load(path)
    checkpoints.save(path, {"a": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SparseSSPError, match="model.pt"):
        checkpoints.load(path)
