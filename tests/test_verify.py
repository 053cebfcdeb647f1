"""Verification of a committed report: it passes as committed, and every kind of tampering is found and named."""

import json
import re
import shutil

import pytest
from helpers.checkout import ROOT

from pipeline.verify import __main__ as program
from pipeline.verify.inputs import check_lock, md5
from sparsessp.errors import SparseSSPError

COMMITTED = ROOT / "docs" / "results" / "desk-xeon-2-cores"


@pytest.fixture
def result(tmp_path):
    """A copy of the committed result."""
    return shutil.copytree(COMMITTED, tmp_path / "result") / "report"


def differing(report):
    return [(item.subject, item.detail) for item in program.verify(report) if item.state == "differs"]


def replace_once(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_committed_result_passes(result, capsys, tmp_path):
    page = tmp_path / "page.md"
    program.run([str(result), "--page", str(page)])
    told = capsys.readouterr().out
    assert told.endswith("Nothing differs.\n") and "13 claims tested again" in told
    assert page.read_text().count("| ok |") == told.count("ok  ") > 10


def test_a_changed_table_cell_is_named_by_file_row_and_column(result):
    row = next(x for x in (result / "tables/table3.csv").read_text().splitlines() if "tgnet-3to2d-prefix-r2" in x)
    name, mse = re.search(r"(tgnet-3to2d-prefix-r2),(\d\.\d{4})", row).groups()
    replace_once(result / "tables/table3.csv", f"{name},{mse}", f"{name},{float(mse) - 0.01:.4f}")
    [(subject, detail)] = differing(result)
    assert subject == "tables/table3.csv" and detail.startswith("tgnet-3to2d-prefix-r2, ratio2_MSE: ")


def test_a_changed_score_is_found_in_every_mean_that_contains_it(result):
    lines = (result / "scores.csv").read_text().splitlines(keepends=True)
    cells = lines[1].split(",")
    cells[2] = f"{float(cells[2]) + 0.3:.5f}"
    (result / "scores.csv").write_text("".join([lines[0], ",".join(cells), *lines[2:]]))
    run, found = lines[0].split(",")[2], differing(result)
    named = {subject for subject, detail in found if detail.startswith(run)}
    assert {"metrics.json", "tables/runs.csv", "tables/table3.csv"} <= named


def test_a_changed_setting_is_named_by_file(result):
    replace_once(result.parent / "params.yaml", "learning_rate: ", "learning_rate: 1")
    assert [subject for subject, _ in differing(result)] == [str(result.parent / "params.yaml")]


def test_a_changed_verdict_is_named(result):
    replace_once(result / "tables/claims.csv", ",undecided,", ",supported,")
    [(subject, detail)] = differing(result)
    assert subject == "tables/claims.csv" and "verdict: supported, the scores give undecided" in detail


def test_missing_files_are_differences_and_do_not_hide_the_others(result):
    (result / "figures/figure4.svg").unlink()
    (result / "metrics.json").write_text("{")
    told = str(differing(result))
    assert "figures/figure4.svg is missing" in told and "metrics.json: not readable" in told


def test_a_difference_sets_the_exit_code(result, capsys):
    (result / "metrics.json").write_text(json.dumps({}))
    with pytest.raises(SystemExit, match="1"):
        program.run([str(result)])
    assert "lines differ" in capsys.readouterr().out


def test_a_folder_without_a_report_is_an_error(tmp_path):
    with pytest.raises(SparseSSPError, match="there is no report"):
        program.verify(tmp_path)


def test_dvc_lock_is_compared_with_the_files(tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/a.py").write_text("1\n")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/README.md").write_text("page\n")
    code, page = md5(tmp_path / "pipeline"), md5(tmp_path / "reports/README.md")
    lock = tmp_path / "dvc.lock"
    lock.write_text(
        f"stages:\n  code:\n    deps: [{{path: pipeline, md5: {code}}}]\n    outs: []\n"
        f"  report:\n    deps: []\n    outs: [{{path: reports/README.md, md5: {page}}}]\n"
    )
    assert [item.state for item in check_lock(lock, tmp_path)] == ["ok"]
    (tmp_path / "pipeline/a.py").write_text("2\n")
    assert [item.detail for item in check_lock(lock, tmp_path)] == ["pipeline has another checksum"]
    (tmp_path / "reports/README.md").unlink()
    assert "reports/README.md is missing" in str(check_lock(lock, tmp_path))
