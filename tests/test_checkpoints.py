"""Model files and states of runs: whole or refused, the previous one behind the newest, and no code in either."""

import os
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsessp.config import NetworkSettings
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints
from sparsessp.networks.network import build

SETTINGS = NetworkSettings(
    method="tgnet", topology="2d", interpolation="none", depth=8, width_3d=4, width_2d=4, groups=4, embedding=8
)


def state(number):
    return {"done": number, "weights": torch.arange(50.0) + number}


@pytest.fixture
def two_states(tmp_path):
    path = tmp_path / "state.pt"
    for number in (1, 2):
        checkpoints.save_state(path, state(number))
    return path


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def fill_with_zeros(path):
    """As a file system may leave it after a power cut."""
    path.write_bytes(bytes(path.stat().st_size))


HARM = (cut_short, flip_a_bit, empty, fill_with_zeros)


def test_the_newest_state_is_taken_and_the_one_before_is_kept(two_states, capsys):
    assert checkpoints.load_state(two_states)["done"] == 2
    assert sorted(path.name for path in two_states.parent.iterdir()) == ["previous-state.pt", "state.pt"]
    two_states.unlink()  # as a kill between the two renames leaves it
    assert checkpoints.load_state(two_states)["done"] == 1
    assert not capsys.readouterr().err


@pytest.mark.parametrize("harm", HARM)
def test_a_bad_state_falls_back_to_the_one_before_and_says_so(two_states, harm, capsys):
    harm(two_states)
    found = checkpoints.load_state(two_states)
    assert found["done"] == 1 and torch.equal(found["weights"], state(1)["weights"])
    assert "state.pt" in (said := capsys.readouterr().err) and "trying previous-state.pt" in said


def test_without_a_good_state_it_starts_afresh_and_says_so(two_states, capsys):
    harmed = (two_states, two_states.with_name("previous-state.pt"))
    for path in harmed:
        cut_short(path)
    assert checkpoints.load_state(two_states) is None
    assert capsys.readouterr().err.count("not an intact checkpoint") == 2
    for path in harmed:
        path.unlink()
    assert checkpoints.load_state(two_states) is None
    assert not capsys.readouterr().err


def test_a_checkpoint_opens_in_torch_and_zip_tools(two_states):
    assert torch.load(two_states, weights_only=True)["done"] == 2
    with zipfile.ZipFile(two_states) as archive:
        assert len(archive.comment) == 64 and archive.testzip() is None


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_every_changed_byte_is_detected(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "model.pt"
    checkpoints.save(path, state(1))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(SparseSSPError, match=r"model\.pt.*not an intact checkpoint"):
        checkpoints.load(path)


class Harmful:
    """What a crafted file may hold: unpickling it runs a command."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("sealed", (False, True))
def test_loading_runs_no_code(tmp_path, sealed):
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    save = checkpoints.save if sealed else lambda path, content: torch.save(content, path)
    save(path, {"network": Harmful(trace), "structures": [], "weights": {}})
    with pytest.raises(SparseSSPError, match=r"model\.pt"):
        checkpoints.load_model(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the file is as harmful as it claims
    assert trace.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    (
        ({"weights": {}}, "weights do not fit"),
        ({"weights": None}, "expected network, structures, weights"),
        ({"structures": ["dna"]}, "weights do not fit"),
        ({"structures": "dna"}, "expected network, structures, weights"),
        ({"network": {"method": "tgnet"}}, "'topology' is missing"),
    ),
)
def test_a_file_that_is_not_a_model_is_named(tmp_path, change, said):
    path = tmp_path / "model.pt"
    checkpoints.save_model(path, build(SETTINGS, 0), change)
    with pytest.raises(SparseSSPError, match=rf"model\.pt.*{said}"):
        checkpoints.load_model(path)
