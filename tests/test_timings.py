"""The page of timings: everything that depends on the machine, and nothing else depends on it."""

import json

import pytest
from helpers.checkout import sh
from test_reporting import TGNET, files, labels, plan, put, report

from pipeline.provenance import circumstances, revision
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.document.model import DASH, Code
from sparsessp.reporting.durations import Circumstances, read_durations

EXPERIMENTS = {name: experiment for name, experiment in plan(2).items() if name.startswith("tgnet-3")}
DURATION = {
    "seconds": 90.0,
    "finished": "2026-01-02T03:04:05Z",
    "machine": "abacus",
    "device": "cpu",
    "threads": 2,
    "torch": "2.0",
    "precision": "float32",
}


def put_durations(folder, *names, **changes):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.json").write_text(json.dumps({**DURATION, **changes}))


def test_only_the_timings_depend_on_the_machine(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    written = {}
    for name, seconds in (("abacus", 60.0), ("slide rule", 7200.0)):
        put_durations(tmp_path / name, *EXPERIMENTS, machine=name, seconds=seconds)
        where = Circumstances({"git revision": f"of {name}"}, tmp_path / name)
        reports = tmp_path / f"reports {name}"
        report(reports, EXPERIMENTS, tmp_path / "results", labels(), provenance={"seeds": "0"}, circumstances=where)
        written[name] = files(reports)
        timings = (reports / "timings.md").read_text()
        assert name in timings and f"| git revision | of {name} |" in timings
        assert (reports / "timings.html").read_text().count(name) >= 2
        assert "| seeds | 0 |" in (reports / "README.md").read_text()
    one, other = written.values()
    assert {name for name in one if one[name] != other[name]} == {"timings.md", "timings.html"}
    assert b"2 of 2, 4 h 00 min in total" in other["timings.md"] and b"2 of 2, 2 min in total" in one["timings.md"]


def test_links_between_html_pages_lead_to_html(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    report(tmp_path, EXPERIMENTS, tmp_path / "results", labels())
    assert 'href="timings.html"' in (tmp_path / "index.html").read_text()
    assert 'href="index.html#table-6"' in (tmp_path / "timings.html").read_text()
    timings = (tmp_path / "timings.md").read_text()
    assert "0 of 2" in timings and "No training has recorded its duration" in timings


def test_an_invalid_duration_is_named(tmp_path):
    put_durations(tmp_path, TGNET, seconds="long")
    with pytest.raises(SparseSSPError, match=f"{TGNET}.json.*seconds"):
        read_durations(tmp_path, EXPERIMENTS)


def test_a_revision_with_changes_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision() == DASH
    (tmp_path / "reports").mkdir()
    for name in ("code.py", "dvc.lock", "params.yaml", "reports/README.md"):
        (tmp_path / name).write_text("1")
    sh(tmp_path, "git", "init", "-q")
    sh(tmp_path, "git", "add", ".")
    sh(tmp_path, "git", "-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "one")
    commit = sh(tmp_path, "git", "rev-parse", "HEAD").stdout.strip()
    for name in ("dvc.lock", "params.yaml", "reports/README.md"):
        (tmp_path / name).write_text("2")
    assert revision() == (Code(commit), "")
    (tmp_path / "code.py").write_text("2")
    assert revision() == (Code(commit), ", with uncommitted changes")
    assert {"git revision", "system", "packages"} <= set(circumstances())
