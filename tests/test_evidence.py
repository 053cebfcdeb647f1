"""The page of claims and commands follows from the committed results."""

import json
import shutil

import pytest
from helpers.checkout import ROOT

from pipeline.committed import committed
from pipeline.evidence import __main__ as program
from pipeline.evidence.overrides import hydra, overrides
from pipeline.plan.composing import compose
from pipeline.plan.params import parse_params
from sparsessp.errors import SparseSSPError

DESK = ROOT / "docs/results/desk-xeon-2-cores"


def test_the_pages_match_the_committed_results(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    pages = program.pages()
    program.check(pages)
    copy = tmp_path / "evidence.md"
    copy.write_text(pages[program.PAGE].replace("undecided", "supported", 1))
    with pytest.raises(SparseSSPError, match="does not match the committed results"):
        program.check({copy: pages[program.PAGE]})


def test_every_table_figure_and_claim_of_each_result_has_a_row():
    content = json.loads((ROOT / program.DATA).read_text())["results"]
    assert content["reports"]["scale"] == "demo"
    for result in content.values():
        report, kinds = ROOT / result["report"], {"table": [], "figure": [], "claim": []}
        for row in result["rows"]:
            kinds[row["kind"]].append(row["file"])
            assert (ROOT / row["file"]).is_file() and (row["commands"] or row["verdict"] == "not run")
        claims = (report / "tables/claims.csv").read_text().splitlines()[1:]
        assert len(kinds["claim"]) == len(claims)
        assert len(kinds["figure"]) == len(list((report / "figures").iterdir()))
        assert len(kinds["table"]) >= 10


def test_results_are_discovered(monkeypatch, tmp_path):
    shutil.copytree(DESK, tmp_path / "docs/results/another")
    monkeypatch.chdir(tmp_path)
    assert [(result.name, result.current) for result in committed()] == [("another", False)]


def test_overrides_compose_the_same_settings():
    text = compose(
        ["scale=smoke", "structures=[dna]", "scale.budget.amount.topology_2d=3", "pretrained={resnet18: hub}"]
    )
    found = overrides(parse_params(text, "params.yaml"), text)
    assert compose(found) == text and set(found) == {
        "scale=smoke",
        "structures=[dna]",
        "scale.budget.amount.topology_2d=3",
        "pretrained={resnet18:hub}",
    }


def test_values_are_written_as_hydra_reads_them():
    assert hydra([{"a": [1, 0.5]}, None, True, "2d"]) == "[{a:[1,0.5]},null,true,2d]"
