"""The runner: workers end where plain `dvc repro` ends, whatever is killed, fails or changes on the way."""

import os
import re
import shutil
import signal
import sys
import time
from types import SimpleNamespace

import chaos
import psutil
import pytest
from helpers.checkout import sh
from test_recovery import TRAININGS, forget_trainings, ran, start

from pipeline.run_plan import progress, worker
from pipeline.run_plan.jobs import Outcome, log
from sparsessp.errors import SparseSSPError
from sparsessp.support.yaml_files import read_yaml

RUNNER = (sys.executable, "-m", "pipeline.run_plan", "--workers", "2")
NAMES = tuple(name.partition("@")[2] for name in TRAININGS)


@pytest.fixture
def clone(reproduced, tmp_path):
    """A copy of `reproduced` without trainings."""
    folder = tmp_path / "clone"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    forget_trainings(folder)
    return folder


def wait_for(condition, process, seconds=600):
    until = time.monotonic() + seconds
    while True:
        ended = process.poll() is not None  # before the look, after which it may end
        if condition():
            return
        assert not ended, process.stdout.read()
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def said(clone, name, text):
    path = clone / log(name)
    return path.exists() and text in path.read_text(errors="replace")


def works_in(clone):
    """Whether a process works in the clone."""
    return str(clone) in [found.info["cwd"] for found in psutil.process_iter(["cwd"])]


def wait_until_nothing_works_in(clone, seconds=300):
    until = time.monotonic() + seconds
    while works_in(clone):
        assert time.monotonic() < until, "a process runs on"
        time.sleep(0.2)


def lengthen(clone):
    """Train long enough to be met, with a state after each step."""
    longer = [f"scale.budget.amount.topology_{name}=20" for name in ("2d", "3to2d")]
    sh(clone, sys.executable, "-m", "pipeline.compose", *chaos.SMALL_PLAN, *longer)


def test_two_workers_end_as_one_stage_after_another(reproduced, clone):
    done = sh(clone, *RUNNER).stdout
    assert "2 of 2 experiments to run" in done and "[2/2]" in done and "reports/index.html" in done
    assert chaos.differences(reproduced[0], clone) == []
    trained = [name for name in reproduced[1] if name.startswith(("train@", "evaluate@"))]
    assert [name for name in read_yaml(clone / "dvc.lock")["stages"] if name in trained] == trained
    assert ran(sh(clone, "dvc", "repro").stdout) == []
    assert "0 of 2 experiments to run" in sh(clone, *RUNNER).stdout


def test_results_in_dvcs_cache_are_checked_out_instead_of_computed(reproduced, clone):
    shutil.copytree(reproduced[0] / ".dvc" / "cache" / "runs", clone / ".dvc" / "cache" / "runs")
    assert "0 of 2 experiments to run" in sh(clone, *RUNNER).stdout
    assert chaos.differences(reproduced[0], clone) == []


def test_a_failure_stops_no_other_and_the_status_and_the_report_name_it(clone):
    method = clone / "sparsessp" / "networks" / "methods" / "plain.py"
    method.write_text(
        method.read_text() + '\nfrom sparsessp.errors import SparseSSPError\nraise SparseSSPError("no")\n'
    )
    done = sh(clone, *RUNNER, ok=False)
    assert done.returncode == 1 and "plain-2d-prefix-r2 failed: no" in done.stdout, done.stdout
    assert "tgnet-3to2d-prefix-r2 done" in done.stdout and "1 failed" in done.stdout
    assert "**1 of 2** planned runs" in (clone / "reports" / "README.md").read_text()
    assert said(clone, "plain-2d-prefix-r2", "error: no")


def processes_of(clone, name):
    """Processes that have run stages of this job, in order."""
    path = clone / log(name)
    return re.findall(r"in process (\d+)", path.read_text(errors="replace")) if path.exists() else []


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGKILL))
def test_after_the_end_of_the_runner_nothing_runs_on_and_the_next_call_finishes(reproduced, clone, number):
    process = start(clone, *RUNNER)
    wait_for(lambda: any(said(clone, name, "Running stage 'train") for name in NAMES), process)
    process.send_signal(number)
    wait_until_nothing_works_in(clone)
    out = process.communicate()[0]
    if number == signal.SIGINT:
        assert process.returncode == 1 and "interrupted" in out and "Traceback" not in out, out
    sh(clone, *RUNNER)
    assert chaos.differences(reproduced[0], clone) == []


# A runner that is killed right after the training of a job: what is left to do is printed by the next.
TRAIN = """
from dataclasses import replace
from pipeline.run_plan.recording import Pipeline
from pipeline.run_plan.worker import work
(job,) = Pipeline().unfinished({{"{name}": ("train@{name}", "evaluate@{name}")}})
assert work(replace(job, stages=job.stages[:1])).reason is None
"""
LEFT = """
from pipeline.run_plan.recording import Pipeline
for job in Pipeline().unfinished({{"{name}": ("train@{name}", "evaluate@{name}")}}):
    print(*(stage.name for stage in job.stages))
"""


def test_a_finished_training_is_kept_if_the_runner_is_killed_unless_something_changed(clone, tmp_path):
    name = NAMES[1]
    sh(clone, sys.executable, "-c", TRAIN.format(name=name))
    read = (f"artifacts/runs/{name}/history.csv", "artifacts/split.csv", "sparsessp/networks/methods/plain.py")
    for number, changed in enumerate((None, *read)):
        copy = shutil.copytree(clone, tmp_path / str(number), symlinks=True)
        if changed:
            (copy / changed).write_text((copy / changed).read_text() + "\n")
        left = sh(copy, sys.executable, "-c", LEFT.format(name=name)).stdout.split()
        assert left == [f"train@{name}"] * bool(changed) + [f"evaluate@{name}"], changed


def test_a_killed_worker_is_replaced_and_changes_no_byte(reproduced, clone):
    process = start(clone, *RUNNER)
    wait_for(lambda: any(processes_of(clone, name) for name in NAMES), process)
    name = next(name for name in NAMES if processes_of(clone, name))
    first = processes_of(clone, name)[0]
    os.kill(int(first), signal.SIGKILL)
    out = process.communicate(timeout=900)[0]
    assert process.returncode == 0, out
    assert first in processes_of(clone, name)[:-1], out
    assert chaos.differences(reproduced[0], clone) == []
    wait_until_nothing_works_in(clone)


def test_results_of_code_that_changed_meanwhile_are_not_recorded(clone):
    lengthen(clone)
    process = start(clone, *RUNNER)
    wait_for(lambda: said(clone, NAMES[1], "Running stage 'train"), process)
    # At its end, because a worker may import it just now, and would find a file that is rewritten empty.
    with (clone / "sparsessp" / "networks" / "methods" / "plain.py").open("a") as method:
        method.write("# changed\n")
    out = process.communicate()[0]
    assert process.returncode == 1 and "plain.py changed while the plan ran, so the result was not recorded" in out, out
    assert "tgnet-3to2d-prefix-r2 done" in out, out
    stages = read_yaml(clone / "dvc.lock")["stages"]
    assert TRAININGS[0] in stages and TRAININGS[1] not in stages
    assert not (clone / "artifacts" / "runs" / NAMES[1]).exists()


# A worker that gets to a job after the code changed.
LATE = """
from pathlib import Path
from pipeline.run_plan.recording import Pipeline
from pipeline.run_plan.worker import work
(job,) = Pipeline().unfinished({{"{name}": ("train@{name}", "evaluate@{name}")}})
method = Path("sparsessp/networks/methods/plain.py")
method.write_text(method.read_text() + "# changed\\n")
print(work(job))
"""


def test_a_job_does_not_start_if_its_code_changed_while_it_waited(clone):
    said = sh(clone, sys.executable, "-c", LATE.format(name=NAMES[1])).stdout
    assert "done=(), reason='sparsessp/networks/methods/plain.py changed while the plan ran; run it again'" in said
    assert not (clone / "artifacts" / "runs" / NAMES[1]).exists()


def test_a_command_that_is_no_stage_is_refused():
    assert worker.parse("python -m pipeline.stages.train --name 'a b'") == ("pipeline.stages.train", ["--name", "a b"])
    for command in ("echo python -m pipeline.stages.train", "python -m os", "python"):
        with pytest.raises(SparseSSPError, match="dvc.yaml: cmd"):
            worker.parse(command)


@pytest.mark.parametrize(
    ("seconds", "text"),
    ((0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3725, "1 h 02 min")),
)
def test_durations_read_well(seconds, text):
    assert progress.duration(seconds) == text


@pytest.fixture
def no_time_passes(monkeypatch):
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))


@pytest.mark.usefixtures("no_time_passes")
def test_progress_counts_names_failures_and_estimates_the_time_left(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = progress.Progress({"long": 30.0, "short": 10.0, "other": 10.0}, workers=2)
    table.finished("long", Outcome((), None, 40.0))
    table.finished("short", Outcome((), "no", 20.0))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("[1/3] long done (40.0 s), 0 s, about 40 s left")
    assert second.startswith("[2/3] short failed: no (20.0 s), 0 s, about 12 s left")  # (20 + 10 * 20 / 40) / 2


@pytest.mark.usefixtures("no_time_passes")
def test_the_table_of_running_jobs_counts_them_and_shows_their_last_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_EVERY", 0)
    table = progress.Progress(dict.fromkeys(("long", "shorter", "failed", "queued"), 1.0), workers=2)
    log("long").parent.mkdir(parents=True)
    for name, text in (("long", "1/9\r 2/9\r"), ("shorter", "1/5\n")):
        log(name).write_text(text)
    table.finished("failed", Outcome((), "no", 20.0))
    table.running()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "2 running, 1 queued, 0 done, 1 failed, 0 s, about 30 s left",
        "  long     2/9",
        "  shorter  1/5",
    ]


def test_the_last_state_of_a_progress_bar_is_the_last_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log("a").parent.mkdir(parents=True)
    log("a").write_text("Running stage\n> command\n  0%\r 50%|#####\r")
    assert progress.last_line("a") == "50%|#####"
