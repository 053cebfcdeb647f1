"""Full disks, missing rights and too little memory, for real: one clear line, nothing half-written, the rest kept."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from helpers.checkout import ROOT

from pipeline.stages import fetch, resample
from sparsessp.learning import checkpoints
from sparsessp.support import command_line
from sparsessp.support.files import write_text

NOBODY = 65534
FETCH = ("--catalogue", str(ROOT / "data/synthetic.yaml"), "--size", "tiny", "--structures", "dna")


def save(folder, count):
    checkpoints.save_state(folder / "state.pt", {"weights": torch.arange(count)})


def refused(run, *words):
    """Run a script's function; it must end with one line that holds these words."""
    with pytest.raises(SystemExit) as caught:
        command_line.main(lambda _: run(), [])
    line = str(caught.value)
    assert line.startswith("error: ") and "\n" not in line and all(word in line for word in words), line


@contextmanager
def files_below(size):
    """No file may grow beyond `size` bytes, as on a disk that is full."""
    _, hard = old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_without_disk_space_the_old_state_is_kept(tmp_path):
    save(tmp_path, 10)
    old = (tmp_path / "state.pt").read_bytes()
    with files_below(100_000):
        refused(lambda: save(tmp_path, 1_000_000), "state.pt: File too large", "finished work is kept")
    assert (tmp_path / "state.pt").read_bytes() == old and names(tmp_path) == ["state.pt"]
    save(tmp_path, 1_000_000)  # there is room again
    assert (tmp_path / "previous-state.pt").read_bytes() == old


@pytest.mark.slow
def test_without_disk_space_volumes_and_views_are_named_and_not_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with files_below(20_000):
        refused(lambda: fetch.run(FETCH), "dna_00", "only a part was written", "free some space")
    assert names(tmp_path) == []
    fetch.run(FETCH)
    with files_below(20_000):
        refused(lambda: resample.run(["--ratio", "2"]), "dna_00", "only a part was written", "free some space")
    assert "views.csv" not in names(tmp_path) and "manifest.csv" in names(tmp_path)
    resample.run(["--ratio", "2"])
    assert "views.csv" in names(tmp_path) and not [name for name in names(tmp_path) if "partial" in name]


def test_a_full_disk_is_named_and_freeing_space_is_enough(small_disk):
    save(small_disk, 1000)
    (small_disk / "ballast").write_bytes(bytes(500_000))
    refused(lambda: save(small_disk, 20_000), "state.pt: No space left on device", "free some space")
    assert names(small_disk) == ["ballast", "state.pt"]
    (small_disk / "ballast").unlink()
    save(small_disk, 20_000)


def test_a_read_only_disk_is_named(small_disk):
    save(small_disk, 10)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused(lambda: save(small_disk, 20), "state.pt", "Read-only file system", "choose a writable folder")
    assert names(small_disk) == ["state.pt"]


def script(folder, text, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", text], cwd=folder, env=environment, capture_output=True, text=True, **options
    )


@pytest.fixture
def open_folder():
    """A folder that any user can reach, and own if root gives it."""
    folder = Path(tempfile.mkdtemp(prefix="sparsessp-limits-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


WRITE = """
from pathlib import Path
from sparsessp.support import command_line, files
command_line.main(lambda _: files.write_text(Path("manifest.csv"), "x"), [])
"""


def test_a_folder_without_write_permission_is_named(open_folder):
    open_folder.chmod(0o555)
    if os.getuid():
        refused(lambda: write_text(open_folder / "manifest.csv", "x"), "Permission denied", "grant the permission")
    else:  # rights do not bind root, who can be another user instead
        try:
            done = script(open_folder, WRITE, user=NOBODY, group=NOBODY, extra_groups=[])
        except PermissionError:
            pytest.skip("run by root, whom rights do not bind, with a Python that no other user may run")
        assert "Permission denied; grant the permission" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list(open_folder.iterdir())


TRAIN = """
import resource, sys
import numpy as np
sys.path.insert(0, %r)
from helpers.fields import make_field
from sparsessp.support import command_line
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.learning.training import train
from pathlib import Path

def run(_):
    samples = [make_field(0)]
    network = NetworkSettings(method="plain", topology="3d", depth=8, width_3d=8, width_2d=8, groups=4)
    training = TrainingSettings(iterations=1, batch=64, patch=512)
    now = 1024 * int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1])
    resource.setrlimit(resource.RLIMIT_AS, (now + (600 << 20), now + (600 << 20)))
    train(network, training, InferenceSettings(window=32), samples, samples, Path("scratch"), progress=False)

command_line.main(run, [])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the limit is set from Linux's account of memory")
@pytest.mark.slow
def test_too_little_memory_is_reported(tmp_path):
    done = script(tmp_path, TRAIN % str(ROOT / "tests"))
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert line.startswith("error: out of memory") and "smaller scale" in line, line
