"""Trainings of a report repeated with a new seed: tiny networks, really trained."""

import random
import re
import shutil

import pandas as pd
import pytest

from pipeline.committed import Committed
from pipeline.paths import SPLIT, VOLUMES
from pipeline.plan.composing import compose
from pipeline.plan.params import parse_params
from pipeline.verify import __main__ as program
from pipeline.verify.numbers import read_long
from pipeline.verify.rerun import judge, prepare, r2_by_setting, rerun, train_again
from sparsessp.errors import SparseSSPError
from sparsessp.schema import MANIFEST
from sparsessp.support.files import sha256

PLAN = ("scale=smoke", "structures=[dna]", "seeds=[0,1,2]", "plan.grid=[{method:[plain],topology:[2d]}]")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of three seeds: its settings, its scores and the checksums of its data."""
    base = tmp_path_factory.mktemp("rerun")
    (base / "report").mkdir()
    text = compose(PLAN)
    (base / "params.yaml").write_text(text)
    params = parse_params(text, "params.yaml")
    prepare(base, params, [2], {})
    runs = {name: train_again(base, params, run) for name, run in params.experiments.items()}
    columns = {name: scores.set_index("volume")["r2"].round(5) for name, scores in runs.items()}
    first = next(iter(runs.values())).set_index("volume")["structure"]
    pd.DataFrame({"structure": first, **columns}).to_csv(base / "report/scores.csv")
    stated = {"volumes, manifest.csv with": base / VOLUMES / MANIFEST, "split, split.csv": base / SPLIT}
    rows = [f"| {name} | sha256 `{sha256(path)}` |\n" for name, path in stated.items()]
    (base / "report/README.md").write_text("".join(rows))
    return base / "report"


def test_a_new_training_falls_within_the_spread_of_the_report(report, monkeypatch, tmp_path):
    monkeypatch.chdir(report.parent)  # which has the volumes
    monkeypatch.setenv("SPARSESSP_SCRATCH", str(tmp_path))
    [found] = rerun(Committed.of(report), read_long(report), 1, random.Random(1))
    assert found.state == "ok" and found.subject.startswith("plain-2d-prefix-r2-s") and "from 3 seeds" in found.detail
    assert not list(tmp_path.iterdir())


def test_scores_that_no_training_gives_are_found(report, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SPARSESSP_SCRATCH", str(tmp_path / "scratch"))
    tampered = shutil.copytree(report, tmp_path / "report")
    shutil.copy(report.parent / "params.yaml", tmp_path)
    scores = pd.read_csv(tampered / "scores.csv")
    scores.iloc[:, 2:] += 0.5
    scores.to_csv(tampered / "scores.csv", index=False)
    monkeypatch.chdir(report.parent)
    with pytest.raises(SystemExit, match="1"):
        program.run([str(tampered), "--rerun", "1"])
    assert re.search(r"^differs  plain-2d-prefix-r2-s\d+: R2 .* outside ", capsys.readouterr().out, re.MULTILINE)


def test_prepared_volumes_are_used_and_another_split_is_noted(report, tmp_path, monkeypatch):
    params = parse_params((report.parent / "params.yaml").read_text(), "params.yaml")
    stated = Committed.of(report).checksums() | {SPLIT.name: "0" * 64}
    monkeypatch.chdir(report.parent)
    found = prepare(tmp_path, params, [2], stated)
    assert (tmp_path / VOLUMES).is_symlink() and not VOLUMES.is_symlink()
    assert [(item.state, item.subject) for item in found] == [("note", SPLIT.name)]


def test_one_seed_states_no_spread():
    assert judge("run", 0.2, [0.3]).state == "note"


def test_the_interval_is_that_of_a_new_observation():
    assert judge("run", 0.3 + 0.049, [0.29, 0.3, 0.31]).state == "ok"  # 4.303 * 0.01 * sqrt(1 + 1/3)
    assert judge("run", 0.3 + 0.050, [0.29, 0.3, 0.31]).state == "differs"


def test_runs_are_grouped_by_setting_without_the_references(report):
    params = parse_params((report.parent / "params.yaml").read_text(), "params.yaml")
    found = r2_by_setting(read_long(report), params)
    assert {name: len(values) for name, values in found.items()} == {"plain-2d-prefix-r2": 3}


def test_more_settings_than_the_report_has_are_refused(report):
    with pytest.raises(SparseSSPError, match="allowed: 1 to 1"):
        rerun(Committed.of(report), read_long(report), 2, random.Random(0))
