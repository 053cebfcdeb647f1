"""Comparison of two reports: changes, noise, folders and git revisions."""

import json
import sys

import numpy as np
import pytest
from helpers.checkout import ROOT, sh

from pipeline import compare as program
from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS

VOLUMES = [f"v{i:02d}" for i in range(24)]


def report(folder, runs, volumes=VOLUMES):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({name: float(np.mean(r2)) for name, r2 in runs.items()}))
    lines = [",".join(["volume", "structure", *runs])]
    lines += [",".join([v, KEYS[i % 12], *(f"{r2[i]:.5f}" for r2 in runs.values())]) for i, v in enumerate(volumes)]
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    return str(folder)


@pytest.fixture
def sides(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.normal(0.3, 0.2, 24)
    a = {"kept": base, "better": base, "noisy": base, "gone": base}
    b = {
        "kept": base,
        "better": base + 0.1 + rng.normal(0, 0.02, 24),
        "noisy": base + rng.normal(0, 0.1, 24),
        "new": base,
    }
    return report(tmp_path / "a", a), report(tmp_path / "b", b)


def rows(capsys, *arguments):
    program.run([*arguments, "--json"])
    return {row["run"]: row for row in json.loads(capsys.readouterr().out)}


def test_a_shift_exceeds_the_noise_and_chance_does_not(sides, capsys):
    found = rows(capsys, *sides)
    assert {name: row["change"] for name, row in found.items()} == {
        "kept": "same",
        "better": "changed",
        "noisy": "changed",
        "gone": "removed",
        "new": "added",
    }
    assert found["better"]["outside_noise"] is True and found["noisy"]["outside_noise"] is False
    assert found["better"]["low"] < found["better"]["difference"] < found["better"]["high"]
    assert found["better"]["difference"] == pytest.approx(0.1, abs=0.02) and found["kept"]["outside_noise"] is None
    program.run([*sides])
    output = capsys.readouterr().out
    assert "5 runs: 2 changed, 1 added, 1 removed, 1 same; 1 outside noise" in output and "kept" not in output
    program.run([*sides, "--all"])
    assert "kept" in capsys.readouterr().out


def test_other_volumes_and_older_reports_have_differences_without_noise(sides, tmp_path, capsys):
    other = report(tmp_path / "other", {"better": np.linspace(0, 1, 24)}, [f"w{i}" for i in range(24)])
    assert rows(capsys, sides[0], other)["better"]["outside_noise"] is None
    old = tmp_path / "old"
    old.mkdir()
    (old / "metrics.json").write_text('{"better": {"MSE": 0.9, "MAE": 0.5, "R2": 0.25}}')
    found = rows(capsys, str(old), sides[0])["better"]
    assert found["a_R2"] == 0.25 and found["low"] is None and found["change"] == "changed"


def test_one_volume_of_each_structure_has_no_interval(tmp_path, capsys):
    r2 = np.linspace(0.1, 0.5, 12)
    sides = [report(tmp_path / name, {"run": r2 + shift}, VOLUMES[:12]) for name, shift in (("a", 0), ("b", 0.1))]
    found = rows(capsys, *sides)["run"]
    assert found["change"] == "changed" and found["low"] is None and found["outside_noise"] is None
    program.run([*sides])
    assert "1 without an interval" in capsys.readouterr().out


def test_a_revision_means_the_report_committed_in_it(sides, tmp_path):
    here = tmp_path / "repository"
    sh(tmp_path, "git", "init", "--quiet", str(here))
    (here / "reports").mkdir()
    for name in ("metrics.json", "scores.csv"):
        (here / "reports" / name).write_text((tmp_path / "a" / name).read_text())
    sh(here, "git", "add", "reports")
    sh(here, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "report")
    command = (sys.executable, "-m", "pipeline.compare", "HEAD", sides[1])
    assert "1 outside noise" in sh(here, *command, PYTHONPATH=str(ROOT)).stdout
    refused = sh(here, *command[:-2], "nowhere", ok=False, PYTHONPATH=str(ROOT))
    assert refused.returncode == 1 and "'nowhere' is neither a folder nor a git revision" in refused.stderr


@pytest.mark.parametrize("name", ("metrics.json", "scores.csv"))
def test_a_broken_file_is_named(sides, tmp_path, name):
    (tmp_path / "a" / name).write_text("[1, 2")
    with pytest.raises(SparseSSPError, match=f"{name}: not a"):
        program.run([*sides])
    with pytest.raises(SparseSSPError, match="there is no report"):
        program.run([str(tmp_path)])
