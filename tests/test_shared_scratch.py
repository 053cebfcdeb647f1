"""A scratch folder that several clones and experiments share."""

import os
import subprocess
import sys

from helpers.archives import make_collection
from helpers.checkout import ROOT
from helpers.server import Server
from test_allencell import Lab

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
