"""Model files and prediction in Python: cards, spacing, pixels, planes and wrong inputs."""

import json
import re

import numpy as np
import pytest
import torch
from helpers.checkout import ROOT
from helpers.models import STRUCTURES, VOXEL_UM, card_of, saved_model, stack

import sparsessp
from sparsessp.__main__ import run
from sparsessp.application.card import ModelCard, mean_scores
from sparsessp.application.grid import fit_stack, model_view
from sparsessp.data.microscope import stack as microscope
from sparsessp.data.samples import write_table
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints
from sparsessp.learning.bands import predict_bands
from sparsessp.learning.inference import predict

R = 8
SPARSE = (R * VOXEL_UM[0], *VOXEL_UM[1:])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model") / "model.pt", ratio=R)


@pytest.fixture(scope="module")
def model(path):
    return sparsessp.load_model(path)


def test_bands_join_to_the_prediction_of_the_whole_volume(model):
    for shape in ((3, 20, 50), (5, 70, 33), (1, 40, 16)):
        view = stack(shape).astype(np.float32)
        for planes in (shape[0] * R, shape[0] * R - 3):
            expected = predict(model.network, view, planes, [4, 10], 32, 0.5)
            bands = list(predict_bands(model.network, view, planes, [4, 10], 32, 0.5))
            joined = np.concatenate([band.values for band in bands], axis=2)
            assert [band.first for band in bands] == sorted({band.first for band in bands})
            np.testing.assert_allclose(joined, expected, atol=1e-5)


def test_nine_planes_give_65_to_72_that_align_with_the_dense_stack(model):
    dense = stack((72, 20, 24))
    found = model.predict(dense[::R], SPARSE, ["dna", "nucleolus"])
    assert found.shape[0] == 2 and 65 <= found.shape[1] <= 72 and found.shape[2:] == (20, 24)
    np.testing.assert_array_equal(found, model.predict(dense, VOXEL_UM, ["dna", "nucleolus"]))
    # Planes of the prediction are those of the dense stack, however many it has.
    assert model.predict(dense[:67], VOXEL_UM, "dna").shape == (1, 67, 20, 24)


def test_a_prediction_does_not_depend_on_the_other_structures(model):
    light = stack((4, 16, 20))
    several = model.predict(light, SPARSE)
    assert len(several) == len(STRUCTURES)
    for row, key in zip(several, STRUCTURES, strict=True):
        np.testing.assert_allclose(model.predict(light, SPARSE, key)[0], row, atol=1e-5)


def test_brightness_and_type_of_the_light_do_not_matter(model):
    light = stack((4, 16, 20)) * 100 + 1000
    expected = model.predict(light, SPARSE, "dna")
    for same in (light.round().astype(np.uint16), light * 3 + 7, torch.from_numpy(light)):
        found = model.predict(same, SPARSE, "dna")
        assert type(found) is type(same)
        np.testing.assert_allclose(np.asarray(found), expected, atol=0.02)  # uint16 rounds by up to 0.005 std


def test_other_pixels_are_resampled_to_the_models_and_back(model):
    z, y, x = SPARSE
    found = model.predict(stack((4, 60, 80)), (z, y / 2, x / 2), "dna")
    assert found.shape == (1, 32, 60, 80)
    # A pattern that is smooth at both sizes is predicted alike.
    rows, columns = np.meshgrid(np.linspace(0, 3, 30), np.linspace(0, 2, 40), indexing="ij")
    fine = np.meshgrid(np.linspace(0, 3, 60), np.linspace(0, 2, 80), indexing="ij")
    coarse_light = np.stack([np.sin(rows + k) * np.cos(columns) for k in range(4)])
    fine_light = np.stack([np.sin(fine[0] + k) * np.cos(fine[1]) for k in range(4)])
    a = model.predict(coarse_light, SPARSE, "dna")[0, :, ::29, ::39]
    b = model.predict(fine_light, (z, y / 2, x / 2), "dna")[0, :, ::59, ::79]
    np.testing.assert_allclose(a, b, atol=0.05)


def test_augmentation_is_equivariant_and_reports_its_spread(model):
    light = stack((4, 32, 32))
    mean, spread = model.predict_with_spread(light, SPARSE, ["dna"])
    turned, turned_spread = model.predict_with_spread(np.rot90(light, axes=(1, 2)), SPARSE, ["dna"])
    np.testing.assert_allclose(np.rot90(mean, axes=(2, 3)), turned, atol=1e-5)
    np.testing.assert_allclose(np.rot90(spread, axes=(2, 3)), turned_spread, atol=1e-4)
    assert spread.max() > 0 and np.array_equal(model.predict(light, SPARSE, ["dna"], tta=True), mean)


@pytest.mark.parametrize(
    ("change", "said"),
    (
        ({"stack_DHW": stack((16, 20))}, "planes x rows x columns"),
        ({"stack_DHW": stack((4, 16, 20)) > 0}, "planes x rows x columns"),
        ({"stack_DHW": stack((1, 16, 20))}, "a single plane"),
        ({"stack_DHW": np.zeros((4, 16, 20))}, "every voxel is 0.*transmitted-light"),
        (
            {"stack_DHW": np.where(stack((4, 16, 20)) > 3, np.nan, stack((4, 16, 20)))},
            "NaN or infinite pixels, .*; replace",
        ),
        ({"spacing_um": (1.0, 0.29)}, "expected z, y, x"),
        ({"spacing_um": (0.0, 0.29, 0.29)}, "each above 0"),
        (
            {"spacing_um": (1.0, 0.29, 0.29)},
            "1 µm apart; the model was trained for 2.32 µm.*1.16 µm is nearest.*--force",
        ),
        ({"spacing_um": (5.0, 0.29, 0.29)}, "2.32 µm is nearest"),
        ({"spacing_um": (2.32, 290.0, 290.0)}, "in micrometres"),
        ({"structures": ["eye"]}, "'eye' is unknown to the model; this model predicts: dna, nucleolus"),
        ({"structures": ["desmosome"]}, "'desmosome' is unknown to the model"),
        ({"structures": []}, "no structure is given"),
    ),
)
def test_a_wrong_input_is_refused_in_one_line_that_says_what_to_do(model, change, said):
    with pytest.raises(SparseSSPError, match=said) as caught:
        model.predict(**{"stack_DHW": stack((4, 16, 20)), "spacing_um": SPARSE, "structures": "dna"} | change)
    assert "\n" not in str(caught.value)


def test_force_treats_another_spacing_as_the_trained_one(model):
    light = stack((4, 16, 20))
    forced = model.predict(light, (3.0, *VOXEL_UM[1:]), "dna", force=True)
    np.testing.assert_array_equal(forced, model.predict(light, SPARSE, "dna"))
    fit = fit_stack(model.card, light.shape, (3.0, *VOXEL_UM[1:]), "it", force=True)
    assert fit.voxel_um[0] == 3.0 / R and "forced" in fit.notes[0]


def test_normalisation_is_that_of_training(model):
    light = stack((4, 16, 20)) * 7 + 3
    view = model_view(light, fit_stack(model.card, light.shape, SPARSE, "it"), "it")
    assert view.mean() == pytest.approx(0, abs=1e-6) and view.std() == pytest.approx(1, abs=1e-6)


def test_the_card_describes_the_model(path, capsys):
    run(["inspect", str(path)])
    page = capsys.readouterr().out
    for word in ("tgnet-3to2d-prefix-r8", "dna, nucleolus", "2.32 µm", "0.29 x 0.29 x 0.29 µm", "CC-BY", "z-scored"):
        assert word in page
    assert "| DNA | 2 | 0.500 |" in page and "simulated" in page
    run(["inspect", str(path), "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["scores"][0] == {"structure": "dna", "volumes": 2, "r2": 0.5, "pearson": 0.75, "mse": 0.5}
    card = ModelCard.load({key: value for key, value in facts.items() if key not in ("name", "normalisation")}, "card")
    assert card == card_of(path)


def test_a_folder_of_a_run_and_a_url_load_the_same_model(path, model, tmp_path, monkeypatch):
    from helpers.server import Server

    assert sparsessp.load_model(path.parent).card == model.card
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Server(path.parent) as server:
        assert sparsessp.load_model(f"{server.url}/model.pt").card == model.card
        with pytest.raises(SparseSSPError, match="nothing.pt: the model cannot be downloaded.*404"):
            sparsessp.load_model(f"{server.url}/nothing.pt")
        url = f"{server.url}/model.pt"
    assert sparsessp.load_model(url).card == model.card  # from the cache: the server is gone
    assert len(list(tmp_path.rglob("*.pt*"))) == 1


def test_a_model_of_another_version_or_without_a_voxel_size_says_what_to_do(path, tmp_path):
    content = checkpoints.load(path)
    checkpoints.save(tmp_path / "new.pt", content | {"format": 2, "version": "9.0"})
    with pytest.raises(SparseSSPError, match="model format 2.*reads format 1.*9.0"):
        sparsessp.load_model(tmp_path / "new.pt")
    del content["voxel_um"]
    checkpoints.save(tmp_path / "old.pt", content)
    with pytest.raises(SparseSSPError, match="voxel size.*pipeline.package"):
        sparsessp.load_model(tmp_path / "old.pt").predict(stack((4, 16, 20)), SPARSE)
    with pytest.raises(SparseSSPError, match="gone.pt: the file is missing"):
        sparsessp.load_model(tmp_path / "gone.pt")


def test_scores_are_means_over_the_volumes_of_a_structure(tmp_path):
    import pandas as pd

    rows = [("a", "dna", 0.4, 0.0, 0.6, 0.7, 0.0), ("b", "dna", 0.6, 0.0, 0.4, 0.8, 0.0)]
    table = pd.DataFrame(rows, columns=["volume", "structure", "mse", "mae", "r2", "pearson", "r2_affine"])
    write_table(tmp_path / "scores.csv", table)
    assert mean_scores(table) == [{"structure": "dna", "volumes": 2, "r2": 0.5, "pearson": 0.75, "mse": 0.5}]


def test_the_example_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    guide = (ROOT / "docs/your-own-images.md").read_text()
    example = re.search(r"```python\n(.*?)```", guide, re.DOTALL).group(1)
    saved_model(tmp_path / "model.pt")
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert capsys.readouterr().out.strip() == "(1, 18, 64, 64)"


def test_the_guide_names_options_that_exist(capsys):
    guide = (ROOT / "docs/your-own-images.md").read_text()
    for command in ("predict", "plan-acquisition", "export"):
        with pytest.raises(SystemExit):
            run([command, "--help"])
    with pytest.raises(SystemExit):
        microscope.run(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", guide)) <= known
