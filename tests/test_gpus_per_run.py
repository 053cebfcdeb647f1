"""Several processes per training: from the option of the runner to the train stage, and in the simulation of a plan."""

import json
import os
import shutil
import sys

import pytest
from helpers.checkout import ROOT, sh
from hypothesis import given
from hypothesis import strategies as st
from test_recovery import TRAININGS, forget_trainings, ran

from pipeline.paths import DURATIONS
from pipeline.ranks import RANKS, launch, wanted_ranks
from pipeline.run_plan.__main__ import _options
from pipeline.run_plan.cluster import Cluster, array_script, environment
from pipeline.run_plan.engine import local
from pipeline.run_plan.jobs import Job, Stage
from pipeline.run_plan.simulate import DOUBLING, fastest, in_seconds, simulate, speedup, table
from sparsessp.errors import SparseSSPError


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=20), st.integers(1, 64), st.integers(1, 8))
def test_the_chosen_width_is_never_slower_than_one_gpu_per_run(costs, gpus, widest):
    seconds = dict(enumerate(costs))
    found = fastest(seconds, gpus, widest)
    assert found.seconds <= simulate(seconds, gpus).seconds
    assert found.width <= min(gpus, widest) and found == simulate(seconds, gpus, found.width)
    assert 0 < found.utilisation <= 1 + 1e-9


def test_gpus_that_would_be_idle_shorten_the_longest_run():
    seconds = {"long": 80.0, "short": 10.0}
    assert fastest(seconds, 1, 8).width == 1
    two = fastest({"long": 80.0, "short": 70.0}, 4, 8)
    assert two.width == 2 and two.seconds == pytest.approx(80 / DOUBLING)
    assert fastest(seconds, 16, widest=4).width == 4  # a batch of four crops has no more shares
    many = table(seconds, [1, 64], measured=2, widest=8).splitlines()
    assert "the number of GPUs" in many[2] and "the longest run, long" in many[3] and str(DOUBLING) in many[-1]


def test_the_measured_time_of_several_processes_counts_as_that_of_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DURATIONS.mkdir(parents=True)
    (DURATIONS / "a.json").write_text(json.dumps({"seconds": 5, "ranks": 2}))
    assert in_seconds({"a": 10.0})[0] == {"a": 5 * speedup(2)}


def test_the_option_reaches_the_workers_and_their_shares_of_threads_and_gpus(monkeypatch):
    monkeypatch.setenv(RANKS, "1")
    assert RANKS not in environment(threads=8) and "export OMP_NUM_THREADS=8" in environment(threads=8)
    options = _options(["--gpus", "0,1,2,3", "--gpus-per-run", "2"])
    assert options.workers == 2
    lines = environment(threads=8).splitlines()
    assert f"export {RANKS}=2" in lines and "export OMP_NUM_THREADS=4" in lines
    assert "export RUN_PLAN_GPUS=0,1:2,3 " in local(2, options.gpus).executors[0].provider.worker_init
    job = Job("a", (Stage("train@a", "", (), ""),))
    assert "#SBATCH --gpus-per-node=2\n" in array_script(Cluster(gpus=1), [job])
    with pytest.raises(SparseSSPError, match="--gpus = 0,1,2: not divisible into groups of 2"):
        _options(["--gpus", "0,1,2"])


@pytest.mark.parametrize("text", ("0", "two", "-1", "1.5"))
def test_a_number_of_processes_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(RANKS, text)
    with pytest.raises(SparseSSPError, match=f"{RANKS} = '{text}'; allowed: numbers from 1"):
        wanted_ranks()


def test_one_gpu_for_several_processes_is_refused(monkeypatch):
    monkeypatch.setenv("SPARSESSP_DEVICE", "cuda:1")
    with pytest.raises(SparseSSPError, match="SPARSESSP_DEVICE = 'cuda:1'.*each process needs a GPU.*cuda, cpu"):
        launch("pipeline.stages.train", [], 2)


@pytest.mark.slow
def test_the_error_of_a_process_is_that_of_the_stage(monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SparseSSPError, match="^arguments: key 'method' is missing"):
        launch("pipeline.stages.train", ["--batch", "2"], 2)
    assert "error: arguments: key 'method' is missing" in capfd.readouterr().err


def test_two_processes_for_each_run_end_as_a_plan_that_is_up_to_date(reproduced, tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(reproduced[0], clone, symlinks=True)
    forget_trainings(clone)
    names = [name.partition("@")[2] for name in TRAININGS]
    before = {name: (reproduced[0] / "artifacts/runs" / name / "history.csv").read_text() for name in names}
    done = sh(clone, sys.executable, "-m", "pipeline.run_plan", "--gpus-per-run", "2", "--workers", "2").stdout
    assert "[2/2]" in done, done
    assert ran(sh(clone, "dvc", "repro").stdout) == []
    for name in names:
        duration = json.loads((clone / DURATIONS / f"{name}.json").read_text())
        assert duration["ranks"] == 2 and duration["threads"] == 1
        rows = [
            [float(number) for number in text.splitlines()[-1].split(",")[1:]]
            for text in (before[name], (clone / "artifacts/runs" / name / "history.csv").read_text())
        ]
        assert rows[0] == pytest.approx(rows[1], rel=1e-3)
    scratch = clone / ".scratch"
    assert not scratch.exists() or not [path for path in scratch.iterdir() if path.name.startswith(tuple(names))]
    assert RANKS not in os.environ
