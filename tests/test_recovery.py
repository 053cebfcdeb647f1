"""DVC and the pipeline together, with a real DVC: kills, failures, parallel runs, and hostile params."""

import os
import random
import shutil
import subprocess

import chaos
import pytest
from helpers.checkout import BIN, make_clone, sh

from sparsessp.support.yaml_files import dump_yaml, read_yaml

pytestmark = pytest.mark.slow

TGNET, PLAIN = "tgnet-3to2d-prefix-r2", "plain-2d-prefix-r2"
TRAININGS = (f"train@{TGNET}", f"train@{PLAIN}")


def ran(out):
    return [line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")]


def start(folder, *command):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ends_well(processes):
    for process in processes:
        out = process.communicate()[0]
        assert process.returncode == 0, out[-3000:]


def test_three_kills_change_no_byte(reproduced, tmp_path):
    """The long version is `make chaos`."""
    reference, seconds = reproduced
    clone = chaos.prepare(tmp_path / "disturbed", chaos.SMALL_PLAN)
    chaos.adopt(reference, clone)
    late = {stage: seconds[stage] for stage in (chaos.STARTING, *TRAININGS, "evaluate@tgnet-3to2d-prefix-r2")}
    tally = chaos.disturb(clone, late, 3, random.Random(0), say=lambda *_, **__: None)
    assert sum(tally.kills.values()) == tally.resumed == 3
    assert tally.faults == [] and chaos.differences(reference, clone) == []


@pytest.mark.parametrize("kept", (0, 0.5))
def test_an_incomplete_dvc_lock_that_dvc_refuses_is_checked_out_again(reproduced, clone, kept):
    sh(clone, "git", *chaos.AS_CHAOS, "commit", "--quiet", "-am", "results")
    content = (clone / "dvc.lock").read_bytes()
    (clone / "dvc.lock").write_bytes(content[: int(kept * len(content))])
    done = sh(clone, "dvc", "repro", ok=False)
    if done.returncode:  # half a file may be valid; then DVC finds what it lacks in its cache
        assert chaos.mend(clone, done.stdout + done.stderr) == "lockfiles"
        assert ran(sh(clone, "dvc", "repro").stdout) == []
    assert chaos.differences(reproduced[0], clone) == []


def test_an_incomplete_rwlock_of_dvc_is_removed(clone):
    (clone / ".dvc/tmp/rwlock").write_text('{"write": {')
    done = sh(clone, "dvc", "repro", "--force", "--single-item", "check", ok=False)
    assert chaos.mend(clone, done.stdout + done.stderr) == "rwlocks"
    sh(clone, "dvc", "repro", "--force", "--single-item", "check")


def test_dvcs_locks_for_network_file_systems_are_left_to_dvc(tmp_path):
    clone = make_clone(tmp_path / "clone")
    sh(clone, "dvc", "repro", "code")
    shutil.rmtree(clone / ".dvc" / "tmp")  # DVC's two kinds of locks do not mix
    sh(clone, "dvc", "config", "--local", "core.hardlink_lock", "true")
    for _ in range(2):
        assert ran(sh(clone, "dvc", "repro", "--force", "--single-item", "check").stdout) == ["check"]


def test_the_comparison_sees_a_changed_byte_a_missing_file_and_a_lost_entry(reproduced, clone):
    reference, _ = reproduced
    assert chaos.differences(reference, clone) == []
    (clone / "reports" / "metrics.json").write_text("{}")
    (clone / "artifacts" / "split.csv").unlink()
    lock = read_yaml(clone / "dvc.lock")
    del lock["stages"][TRAININGS[0]]
    (clone / "dvc.lock").write_text(dump_yaml(lock))
    listed = "\n".join(chaos.differences(reference, clone))
    assert "metrics.json" in listed and "split.csv" in listed and TRAININGS[0] in listed


def test_one_failure_does_not_stop_the_rest_and_the_report_says_which_and_why(reproduced, clone):
    method = clone / "sparsessp" / "networks" / "methods" / "plain.py"
    good = method.read_text()
    method.write_text(good + '\nfrom sparsessp.errors import SparseSSPError\nraise SparseSSPError("out of `luck`")\n')
    going = sh(clone, "dvc", "repro", "--keep-going", ok=False)
    assert going.returncode != 0 and "error: out of `luck`" in going.stderr
    assert {"train@plain-2d-prefix-r2"} <= set(ran(going.stdout)) and "report" not in ran(going.stdout)
    assert ran(sh(clone, "dvc", "repro", "--single-item", "report").stdout) == ["report"]
    page = (clone / "reports" / "README.md").read_text()
    assert "- `plain-2d-prefix-r2`: failed: `out of 'luck'`" in page
    assert "**1 of 2** planned runs" in page
    method.write_text(good)
    # What did not fail is not run again, and nothing of the failure stays.
    assert "train@tgnet-3to2d-prefix-r2" not in ran(sh(clone, "dvc", "repro").stdout)
    assert chaos.differences(reproduced[0], clone) == []


def forget_trainings(clone):
    """As if nothing had been trained: neither the lock file nor the run cache knows a result."""
    for name in ("runs", "results"):
        shutil.rmtree(clone / "artifacts" / name)
    shutil.rmtree(clone / ".dvc" / "cache" / "runs")
    lock = read_yaml(clone / "dvc.lock")
    lock["stages"] = {k: v for k, v in lock["stages"].items() if not k.startswith(("train@", "evaluate@"))}
    (clone / "dvc.lock").write_text(dump_yaml(lock))


def test_parallel_trainings_in_one_workspace_equal_sequential_ones(reproduced, clone):
    forget_trainings(clone)
    names = [name for name in sh(clone, "dvc", "stage", "list", "--name-only").stdout.split() if "train@" in name]
    assert sorted(names) == sorted(TRAININGS)
    ends_well([start(clone, "dvc", "--wait-for-lock", "repro", "--single-item", name) for name in names])
    sh(clone, "dvc", "repro")
    assert chaos.differences(reproduced[0], clone) == []


def test_two_clones_that_share_a_cache_have_the_same_results(reproduced, tmp_path):
    clones = []
    for name in "ab":
        folder = chaos.prepare(tmp_path / name, chaos.SMALL_PLAN)
        sh(folder, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
        clones.append(folder)
    ends_well([start(folder, "dvc", "repro", TRAININGS[1]) for folder in clones])
    have = [chaos.sums(folder) for folder in clones]
    assert have[0] == have[1] and f"artifacts/runs/{PLAIN}/model.pt" in have[0]
    expected = chaos.sums(reproduced[0])
    assert {name: expected[name] for name in have[0] if name.startswith("artifacts")} == {
        name: value for name, value in have[0].items() if name.startswith("artifacts")
    }
    locks = [chaos.locked(folder) for folder in (reproduced[0], *clones)]
    assert all(lock[TRAININGS[1]] == locks[0][TRAININGS[1]] for lock in locks)


def test_a_full_or_read_only_cache_is_named_and_space_or_permission_is_enough(reproduced, clone, small_disk):
    sh(clone, "dvc", "cache", "dir", "--local", str(small_disk))
    shutil.rmtree(clone / "artifacts" / "volumes")
    full = sh(clone, "dvc", "repro", "fetch", ok=False).stderr  # DVC may go on without a copy in the cache
    assert "No space left on device" in full and "Traceback" not in full
    sh(clone, "mount", "-o", "remount,size=50m", str(small_disk))
    sh(clone, "dvc", "repro", "fetch")
    shutil.rmtree(clone / "artifacts" / "volumes")
    sh(clone, "dvc", "checkout", "fetch")  # all of it is in the cache now
    shutil.rmtree(clone / "artifacts" / "views")
    sh(clone, "mount", "-o", "remount,ro", str(small_disk))
    bound = sh(clone, "dvc", "repro", "resample", ok=False)
    assert bound.returncode != 0 and "Read-only file system" in bound.stderr and "Traceback" not in bound.stderr
    sh(clone, "mount", "-o", "remount,rw", str(small_disk))
    assert "fetch" not in ran(sh(clone, "dvc", "repro", "resample").stdout)
    assert chaos.differences(reproduced[0], clone) == []


@pytest.mark.parametrize(
    ("key", "value"),
    (
        ("data.source.catalogue", "data/synthetic.yaml; touch trace"),
        ("data.source.size", "$(touch trace)"),
        ("data.source.`touch trace`", "x"),
        ("scale.training.schedule", "one_cycle\ntouch trace"),
        ("ratios", ["2; touch trace"]),
        ("experiments.x; touch trace #", {"method": "tgnet"}),
    ),
)
def test_values_in_params_never_run_as_commands(clone, key, value):
    path = clone / "params.yaml"
    params = read_yaml(path)
    *folders, last = key.split(".")
    place = params
    for name in folders:
        place = place[name]
    place[last] = value
    path.write_text(dump_yaml(params))
    assert sh(clone, "dvc", "repro", "--keep-going", ok=False).returncode != 0
    assert not list(clone.rglob("trace"))
