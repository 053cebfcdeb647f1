"""A scratch folder that several clones and experiments share."""

import os
import subprocess
import sys

from helpers.checkout import ROOT

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
