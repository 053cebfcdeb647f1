"""Fine-tuning: runs that start from the weights of a model file."""

import pytest
import torch
import yaml
from helpers.fields import make_field
from helpers.models import card_of, saved_model

from pipeline.plan.composing import compose
from pipeline.plan.params import parse_params
from pipeline.plan.starting import start_from
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints
from sparsessp.learning.pretrained import differences, read_start
from sparsessp.learning.training import train
from sparsessp.networks.network import build

SCALE = [
    "scale=smoke",
    "scale.network={depth: 16, width_3d: 4, width_2d: 4, groups: 4, embedding: 16, blocks_3d: 2, repmode_kernel: 5, "
    "backbone_divisor: 1}",
    "tables=[3,7]",
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("models") / "base.pt", ratio=2)


def planned(*overrides):
    return parse_params(compose([*SCALE, *overrides]), "test")


def test_matching_runs_start_from_the_file_and_depend_on_it_and_the_others_do_not(file):
    params = planned("ratio=[2,4]", "seeds=[0,1]", "methods=[tgnet,condnet]", f"pretrained_run={file}")
    started = {name for name, item in params.experiments.items() if item.pretrained_run}
    assert started == {"tgnet-3to2d-prefix-r2", "tgnet-3to2d-prefix-r2-s1"}
    for name, item in params.experiments.items():
        expected = str(file) if name in started else None
        assert item.pretrained_run == expected and (item.watch == str(file)) == (name in started)


@pytest.mark.parametrize(
    ("overrides", "said"),
    (
        (("ratio=4", "methods=[tgnet]"), "tgnet-3to2d-prefix-r4: ratio is 2 in the file and 4 in the run"),
        (("methods=[condnet]",), "condnet-3to2d-prefix-r2: method is tgnet in the file and condnet in the run"),
        (("scale.network.embedding=32",), "embedding is 16 in the file and 32 in the run"),
        (("pretrained=true",), "give one of the two"),
    ),
)
def test_a_plan_in_which_nothing_matches_is_refused_with_what_differs(file, overrides, said):
    with pytest.raises(SparseSSPError, match=said):
        planned(*overrides, f"pretrained_run={file}")


def test_a_file_that_is_missing_or_not_a_model_is_refused(tmp_path):
    other = tmp_path / "other.pt"
    other.write_text("no model")
    for path, said in ((tmp_path / "none.pt", "is missing"), (other, "not an intact checkpoint")):
        with pytest.raises(SparseSSPError, match=said):
            planned("methods=[tgnet]", f"pretrained_run={path}")


def test_an_output_of_the_pipeline_is_refused():
    with pytest.raises(SparseSSPError, match="python -m pipeline.package tgnet-3to2d-prefix-r2"):
        planned("pretrained_run=artifacts/runs/tgnet-3to2d-prefix-r2/model.pt")


def test_settings_in_which_no_run_starts_from_the_file_are_not_valid(file):
    values = yaml.safe_load(compose([*SCALE, "methods=[tgnet]", "tables=[7]"]))
    values["pretrained_run"] = str(file)
    with pytest.raises(SparseSSPError, match="no planned run matches"):
        parse_params(yaml.safe_dump(values), "test")
    assert start_from({"a": {}}, None, (), False) == {"a": {}}


def test_training_starts_from_the_weights_and_keeps_their_origin(file, tmp_path):
    network = card_of(file).network.model_copy(update={"seed": 5})
    start = read_start(file, network)
    samples = [make_field(task) for task in (4, 10)]
    frozen = TrainingSettings(iterations=1, batch=1, patch=24, learning_rate=1e-12)
    windows = InferenceSettings(window=24, overlap=0)
    trained = train(network, frozen, windows, samples, samples[:1], tmp_path, progress=False, start=start.weights)
    saved = checkpoints.load_model(file).state_dict()
    for name, weight in trained.model.state_dict().items():
        torch.testing.assert_close(weight, saved[name], rtol=0, atol=1e-6)
    assert not all(
        torch.equal(a, b) for a, b in zip(build(network, 5).state_dict().values(), saved.values(), strict=True)
    )

    checkpoints.save_model(tmp_path / "tuned.pt", trained.model, {"origin": start.origin})
    card = card_of(tmp_path / "tuned.pt")
    assert card.origin.name == "tgnet-3to2d-prefix-r2" and card.origin.data.licence == "CC-BY"
    assert card.origin.sha256 in card.markdown() and "base.pt" in card.markdown() and "CC-BY" in card.markdown()


def test_a_training_refuses_the_weights_for_other_structures(file):
    own = card_of(file).network.model_copy(update={"structures": ("Lamp1", "dna")})
    with pytest.raises(SparseSSPError, match="structures is actin_filament, .* in the file and Lamp1, dna in the run"):
        read_start(file, own)
    assert differences(own, own.model_copy(update={"seed": 3, "precision": "mixed", "budget_percent": 200})) == []


def test_a_model_file_keeps_the_structures_of_its_dataset(tmp_path):
    settings = NetworkSettings(
        method="tgnet",
        topology="3to2d",
        depth=8,
        width_3d=4,
        width_2d=4,
        groups=4,
        embedding=16,
        structures=("nucleolus", "Lamp1"),
    )
    path = tmp_path / "model.pt"
    checkpoints.save_model(path, build(settings), {"trained": ["Lamp1"]})
    assert checkpoints.load_model(path).settings == settings == card_of(path).network
    assert len(build(settings.model_copy(update={"method": "multinet"})).networks) == 2
    with pytest.raises(SparseSSPError, match="each structure once"):
        NetworkSettings.load(settings.model_dump() | {"structures": ("a", "a")}, "test")
