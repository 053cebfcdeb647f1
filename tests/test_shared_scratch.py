"""A scratch folder that several clones and experiments share."""

import os
import signal
import subprocess
import sys
import time

import chaos
import pytest
from helpers.archives import make_collection
from helpers.checkout import BIN, ROOT, make_clone, sh
from helpers.server import Server
from test_allencell import Lab, write_catalogue

from pipeline import states
from sparsessp.support.processes import exclusive_folder

HOLD = """
import shutil, sys, time
from pathlib import Path
from sparsessp.support.processes import exclusive_folder
folder, trace = Path(sys.argv[1]), Path(sys.argv[2])
with exclusive_folder(folder):
    (folder / "state").touch(exist_ok=False)  # fails where another process works
    time.sleep(0.2)
    with trace.open("a") as lines:
        lines.write("done\\n")
    shutil.rmtree(folder)
"""


def test_one_process_at_a_time_works_in_a_folder_that_each_removes(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run"), str(tmp_path / "trace")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "trace").read_text().split() == ["done"] * 3
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_state_stays_and_an_empty_one_is_removed(tmp_path):
    with exclusive_folder(tmp_path / "a" / "run"):
        assert (tmp_path / "a" / "run").is_dir()
    assert not (tmp_path / "a" / "run").exists()
    with exclusive_folder(tmp_path / "b"):
        (tmp_path / "b" / "state").touch()
    assert (tmp_path / "b" / "state").exists()


ACQUIRE = """
import sys
from pathlib import Path
from sparsessp.data.allencell.dataset import acquire
from sparsessp.data.allencell.settings import AcquisitionSettings
catalogue, out, scratch = map(Path, sys.argv[1:4])
acquire(catalogue, ("nucleolus",), out, scratch, AcquisitionSettings(accept_terms=True, voxel=sys.argv[4]))
"""


def test_clones_that_prepare_one_archive_at_a_time_with_other_settings_get_what_each_gets_alone(tmp_path):
    folder = make_collection(tmp_path / "web", {"fibrillarin": 4}, (6, 60, 70), dna=False)

    def start(place, voxel, scratch):
        lab = Lab(tmp_path / place / voxel, server)
        command = [sys.executable, "-c", ACQUIRE, lab.catalogue, lab.out, tmp_path / scratch, voxel]
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})

    both = ("paper", "metadata")
    with Server(folder) as server:
        alone = [start("alone", voxel, f"scratch of {voxel}") for voxel in both]
        together = [start("together", voxel, "shared scratch") for voxel in both]
        assert [process.wait() for process in alone + together] == [0] * 4
    files = {path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone").rglob("*.tiff")}
    assert len(files) == 2 * 4
    for path in files:
        assert (tmp_path / "alone" / path).read_bytes() == (tmp_path / "together" / path).read_bytes()


def test_a_workspace_without_checksums_uses_the_prepared_images_until_the_source_changes(tmp_path):
    folder = make_collection(tmp_path / "web", {"fibrillarin": 4}, (6, 45, 55), dna=False)
    with Server(folder) as server:
        first, second, third = (Lab(tmp_path / name, server) for name in "abc")
        second.scratch = third.scratch = first.scratch
        first.acquire(("nucleolus",))
        second.acquire(("nucleolus",))
        assert first.asked() == ["fibrillarin.tar.gz"]
        locks = [lab.catalogue.with_suffix(".lock") for lab in (first, second)]
        assert locks[0].read_bytes() == locks[1].read_bytes()
        later = make_collection(tmp_path / "later", {"fibrillarin": 4}, (6, 50, 50), dna=False) / "fibrillarin.tar.gz"
        (folder / "fibrillarin.tar.gz").write_bytes(later.read_bytes())
        third.acquire(("nucleolus",))
        assert first.asked() == ["fibrillarin.tar.gz"] * 2


def as_options(overrides):
    return [word for override in overrides for word in ("-S", override)]


@pytest.mark.slow
def test_an_experiment_in_a_temporary_folder_does_not_download_again_what_another_downloaded(tmp_path):
    folder = make_collection(tmp_path / "web", {"fibrillarin": 4}, (6, 45, 55), dna=False)
    clone = make_clone(tmp_path / "clone")
    with Server(folder) as server:
        write_catalogue(clone / "data" / "small.yaml", folder, server.url)
        sh(clone, "dvc", "commit", "--quiet", "--force", "data.dvc")
        sh(clone, "git", "add", "--all")
        sh(clone, "git", *chaos.AS_CHAOS, "commit", "--quiet", "-m", "catalogue")
        settings = ("data=allencell", "data.source.catalogue=data/small.yaml", "structures=[nucleolus]", "scale=smoke")
        options = as_options((*settings, "data.source.accept_terms=true"))
        for _ in range(2):
            sh(clone, "dvc", "exp", "run", "--temp", "--force", *options, "fetch", **author())
        assert len(server.sent("fibrillarin.tar.gz")) == 1


def author():
    """Environment variables that name the author of DVC's commits."""
    return {f"GIT_{role}_{key}": "chaos" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def test_a_training_killed_in_a_temporary_folder_resumes_in_the_next(clone):
    name, longer = "plain-2d-prefix-r2", "scale.budget.amount.topology_2d=60"
    command = ["dvc", "exp", "run", "--temp", *as_options((*chaos.SMALL_PLAN, longer)), f"train@{name}"]
    environment = {**os.environ, **author(), "PATH": f"{BIN}:{os.environ['PATH']}"}
    with (clone.parent / "said.txt").open("w+") as said:
        process = subprocess.Popen(command, cwd=clone, env=environment, stdout=said, stderr=said, process_group=0)
        while not list((clone / ".scratch").glob(f"{name}-*/state.pt")):
            assert process.poll() is None, (clone.parent / "said.txt").read_text()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    again = sh(clone, *command, **author())
    assert "resuming from iteration" in again.stdout + again.stderr
    assert not list((clone / ".scratch").glob(f"{name}-*"))


def test_states_that_nobody_uses_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_SCRATCH", str(tmp_path))
    old, held = (states.folder("plain-2d-prefix-r2", digit * 64) for digit in "ab")
    other = states.folder("plain-2d-prefix-r28", 64 * "a")
    for folder in (old, held, other, tmp_path / "allencell"):
        folder.mkdir()
        (folder / "state.pt").write_bytes(bytes(1000))
    assert states.folders("plain-2d-prefix-r2") == [old, held] and states.folders() == [old, held, other]
    with exclusive_folder(held):
        notice = states.unused(states.folders("plain-2d-prefix-r2"))
        assert str(old) in notice and str(held) not in notice and "1 unfinished trainings take 0.0 MB" in notice
        assert states.unused([held]) is None


def test_the_last_state_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_SCRATCH", str(tmp_path))
    assert states.last_saved("a") == 0
    for digit, seconds in (("1", 10), ("2", 30), ("3", 20)):
        path = states.folder("a", digit * 64) / "state.pt"
        path.parent.mkdir()
        path.touch()
        os.utime(path, (seconds, seconds))
    assert states.last_saved("a") == 30
