"""Packaging: a run's model file with its scores, data and revision added."""

import json
import shutil

import pandas as pd
import pytest
from helpers.checkout import ROOT
from helpers.models import saved_model, stack

import sparsessp
from pipeline import package
from pipeline.plan.composing import compose
from sparsessp.__main__ import run as command
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints

NAME = "tgnet-3to2d-prefix-r2"


@pytest.fixture
def workplace(tmp_path, monkeypatch, request):
    """A folder with one trained run, as the stages leave it."""
    chosen = compose([f"data={getattr(request, 'param', 'synthetic')}"])
    (tmp_path / "params.yaml").write_text(chosen)
    monkeypatch.chdir(tmp_path)
    path = saved_model(tmp_path / "artifacts/runs" / NAME / "model.pt")
    content = checkpoints.load(path)
    checkpoints.save(path, {k: v for k, v in content.items() if k not in ("data", "scores", "revision")})
    shutil.copytree(ROOT / "data", tmp_path / "data")
    return tmp_path


def evaluated(folder):
    rows = [("a", "dna", 0.4, 0.1, 0.6, 0.7, 0.0), ("b", "dna", 0.6, 0.1, 0.4, 0.8, 0.0)]
    path = folder / "artifacts/results" / NAME / "scores.csv"
    path.parent.mkdir(parents=True)
    columns = ["volume", "structure", "mse", "mae", "r2", "pearson", "r2_affine"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("workplace", "licence", "citation", "simulated"),
    (("synthetic", "BSD-3-Clause", "", True), ("allencell", "allencell.org", "Ounkomol", False)),
    indirect=["workplace"],
)
def test_a_packaged_model_carries_scores_and_the_terms_of_its_data(workplace, licence, citation, simulated, capsys):
    evaluated(workplace)
    package.run([NAME])
    target = workplace / "artifacts/models" / f"{NAME}.pt"
    assert str(target.relative_to(workplace)) in capsys.readouterr().out
    command(["inspect", str(target), "--json"])
    card = json.loads(capsys.readouterr().out)
    assert card["scores"] == [{"structure": "dna", "volumes": 2, "r2": 0.5, "pearson": 0.75, "mse": 0.5}]
    assert licence in card["data"]["licence"] and citation in (card["data"]["citation"] or "")
    assert card["data"]["simulated"] == simulated
    light = stack((8, 16, 16))
    for path in (target, target.parents[1] / "runs" / NAME):
        assert sparsessp.load_model(path).predict(light, (0.58, 0.29, 0.29), "dna").shape == (1, 16, 16, 16)


def test_a_run_that_was_not_evaluated_or_trained_is_not_packaged(workplace):
    for name, missing in ((NAME, "scores.csv"), ("other", "model.pt")):
        with pytest.raises(SparseSSPError, match=f"{missing}: the file is missing"):
            package.run([name])
    assert not (workplace / "artifacts/models").exists()
