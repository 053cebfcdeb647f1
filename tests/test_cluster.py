"""Scripts for clusters, GPUs that workers share, and the simulated length of a plan."""

import json
import os
import subprocess
import sys

import pytest
from helpers.checkout import BIN, ROOT, sh
from hypothesis import given
from hypothesis import strategies as st
from test_recovery import TRAININGS, forget_trainings

from pipeline import states
from pipeline.paths import DURATIONS
from pipeline.run_plan.cluster import Cluster, array_script, provider, read_cluster, worker_script
from pipeline.run_plan.engine import Losses
from pipeline.run_plan.jobs import Job, Stage
from pipeline.run_plan.simulate import in_seconds, simulate
from sparsessp.errors import SparseSSPError

FILE = """
provider: slurm
partition: gpu
account: my-project
walltime: "24:00:00"
memory: 32
cores: 8
gpus: 1
setup: |
  module load cuda
options:
  constraint: a100
"""
JOBS = [Job(name, (Stage(f"train@{name}", "", (), ""), Stage(f"evaluate@{name}", "", (), ""))) for name in "ab"]


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    return read_cluster(path)


def test_the_script_of_a_worker_asks_for_what_the_file_says(cluster):
    lines = worker_script(cluster, "the command").splitlines()
    asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert {"partition=gpu", "account=my-project", "constraint=a100", "mem=32g", "cpus-per-task=8"} <= asked
    assert {"gpus-per-node=1", "time=1440", "nodes=1"} <= asked and "exclusive" not in asked
    assert lines.index("module load cuda") < lines.index("export OMP_NUM_THREADS=8") < lines.index("the command")


def test_the_array_has_a_task_for_each_job(cluster):
    script = array_script(cluster, JOBS)
    assert "#SBATCH --array=0-1\n" in script and "#SBATCH --mem=32G\n" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    with pytest.raises(SparseSSPError, match="provider = 'lsf'; --print-script is only for slurm"):
        array_script(Cluster(provider="lsf"), JOBS)


@pytest.mark.parametrize(
    ("text", "says"),
    (
        ("walltime: 12 h", "walltime"),
        ("memory: 0", "memory"),
        ("partitions: gpu", "unknown key 'partitions'.*allowed: provider, partition"),
        ("provider: ssh", "provider"),
        ("- gpu", "expected lines KEY: VALUE"),
    ),
)
def test_a_bad_file_is_named_with_key_and_what_is_allowed(tmp_path, text, says):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(SparseSSPError, match=f"cluster.yaml: .*{says}"):
        read_cluster(path)


def test_a_missing_file_and_an_option_that_parsl_lacks_are_named(tmp_path):
    with pytest.raises(SparseSSPError, match="cluster.yaml: the file is missing"):
        read_cluster(tmp_path / "cluster.yaml")
    with pytest.raises(SparseSSPError, match="slurm: .*'colour'"):
        provider(Cluster(options={"colour": "red"}), 1)


CLAIM = """
import sys
from pathlib import Path
from pipeline.run_plan.pool import claim_gpu
print(claim_gpu(["3", "5"], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_workers_spread_over_the_gpus_and_free_them_when_they_end(tmp_path):
    def worker():
        return subprocess.Popen(
            [sys.executable, "-c", CLAIM, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    processes, found = [], []
    for _ in range(3):
        processes.append(worker())
        found.append(processes[-1].stdout.readline().strip())
    assert found == ["3", "5", "3"]
    processes[1].kill()
    processes[1].communicate()
    processes[1] = worker()
    assert processes[1].stdout.readline().strip() == "5"
    for process in processes:
        process.communicate("")


def test_a_lost_worker_costs_a_retry_only_if_the_training_made_no_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_SCRATCH", str(tmp_path))
    cost = Losses()
    state = states.folder("a", 64 * "0") / "state.pt"
    state.parent.mkdir()
    found = []
    for saved in (None, 10, 20, 20, 30, None):
        if saved is None:
            state.unlink(missing_ok=True)
        else:
            state.touch()
            os.utime(state, (saved, saved))
        found.append(cost(Exception(), {"args": (JOBS[0],), "fail_cost": sum(found)}))
    assert found == [1, 0, 0, 1, 0, 1]
    assert cost(Exception(), {"args": (JOBS[1],), "fail_cost": 0}) == 1  # every job has its own states
    assert cost(Exception(), {"args": (["a"],), "fail_cost": 0}) == 1  # the estimate of costs, which has no state


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=30), st.integers(1, 40))
def test_a_simulated_plan_ends_within_the_bounds_of_list_scheduling(costs, workers):
    found = simulate(dict(enumerate(costs)), workers)
    least = max(max(costs), sum(costs) / workers)
    assert least * (1 - 1e-9) <= found.seconds <= sum(costs) / workers + max(costs) * (1 + 1e-9)
    assert found.utilisation == pytest.approx(sum(costs) / workers / found.seconds)
    assert ("longest" in found.limit) == (max(costs) >= 0.95 * found.seconds)


def test_runs_that_were_not_measured_are_estimated_from_their_operations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert in_seconds({"a": 10.0, "b": 40.0}) == ({}, 0)
    DURATIONS.mkdir(parents=True)
    (DURATIONS / "a.json").write_text(json.dumps({"seconds": 5}))
    assert in_seconds({"a": 10.0, "b": 40.0}) == ({"a": 5.0, "b": 20.0}, 1)


def test_previews_change_nothing_and_a_task_of_the_array_does_its_job(clone):
    forget_trainings(clone)
    before = (clone / "dvc.lock").read_bytes()
    runner = (sys.executable, "-m", "pipeline.run_plan")
    shown = sh(clone, *runner, "--dry-run").stdout
    names = [name.partition("@")[2] for name in TRAININGS]
    assert all(f"train@{name}, evaluate@{name}" in shown for name in names) and "pipeline.run_plan.pool" in shown
    assert "1 of 2 runs measured" not in sh(clone, *runner, "--simulate", "1,2").stdout
    script = clone / "array.sh"
    script.write_text(sh(clone, *runner, "--print-script").stdout)
    assert (clone / "dvc.lock").read_bytes() == before
    order = [name for name in script.read_text().splitlines() if name.startswith("  'train@")]
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1", "PATH": f"{BIN}:{os.environ['PATH']}"}
    subprocess.run(["bash", "array.sh"], cwd=clone, env=environment, check=True, capture_output=True)
    done = order[1].strip(" '").split()
    assert "up to date" in sh(clone, "dvc", "status", *done).stdout
