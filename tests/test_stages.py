"""How stages run: one at a time, no longer than DVC, and with a one-line reason when they fail."""

import io
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from helpers.checkout import ROOT

from sparsessp.errors import SparseSSPError
from sparsessp.support import command_line


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def stage(folder, code, shell=False, orphan=False, **environment):
    """Start a stage whose script runs `code`, as DVC would; or as if DVC were gone, in a new process group."""
    script = f"import sys, os, time\nfrom pathlib import Path\nfrom pipeline.running import main\n{code}\nmain(run, [])"
    (folder / "script.py").write_text(script)
    command = [sys.executable, "script.py"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DVC_STAGE": "train@x",
        "DVC_ROOT": str(folder),
        **environment,
    }
    return subprocess.Popen(
        ["/bin/sh", "-c", f"{' '.join(command)}; exit $?"] if shell else command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=orphan,
    )


@pytest.mark.parametrize("shell", (False, True))
def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path, shell):
    code = "def run(_):\n    Path('pid').write_text(str(os.getpid()))\n    time.sleep(100)"
    helper = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
    helper += f"from pathlib import Path; from test_stages import stage\nstage(Path('.'), {code!r}, {shell}).wait()"
    dvc = subprocess.Popen([sys.executable, "-c", helper], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    child = int((tmp_path / "pid").read_text())
    os.kill(child, 0)
    dvc.kill()
    dvc.wait()

    def gone():  # or dead, where nobody reaps it
        return not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE

    wait_for(gone)
    reason = (tmp_path / "artifacts" / "failures" / "train@x.txt").read_text()
    assert "killed" in reason


def test_a_stage_whose_dvc_has_already_ended_does_not_start(tmp_path):
    process = stage(tmp_path, "def run(_): Path('trace').touch()", orphan=True)
    assert "is gone" in process.communicate()[0] and process.returncode == 1
    assert not (tmp_path / "trace").exists()


def test_a_stage_waits_for_the_one_that_still_runs(tmp_path):
    log = tmp_path / "log"
    code = "def run(_):\n    with open('log', 'a') as log:\n        log.write('begins\\n'); log.flush()\n"
    code += "        until = time.monotonic() + 120\n"
    code += "        while not Path('go').exists() and time.monotonic() < until:\n            time.sleep(0.02)\n"
    code += "        log.write('ends\\n')"
    first = stage(tmp_path, code)
    wait_for(lambda: log.exists() and log.read_text())
    second = stage(tmp_path, code)
    assert "waiting for another process" in second.stdout.readline()
    assert log.read_text().split() == ["begins"]
    (tmp_path / "go").touch()
    assert [process.communicate()[0] for process in (first, second)] == ["", ""]
    assert log.read_text().split() == ["begins", "ends"] * 2
    assert not list((tmp_path / "artifacts" / "failures").iterdir())


@pytest.mark.parametrize(
    ("raised", "said"),
    (
        ("SparseSSPError('ratio = 3 is not allowed')", "error: ratio = 3 is not allowed\n"),
        ("OSError(28, 'No space left on device', 'a.tiff')", "error: a.tiff: No space left on device; free some space"),
        (
            "PermissionError(13, 'Permission denied', 'a.tiff')",
            "error: a.tiff: Permission denied; grant the permission",
        ),
        ("MemoryError('Unable to allocate 9 GiB')", "error: out of memory (Unable to allocate 9 GiB); close"),
        ("KeyboardInterrupt", "interrupted\n"),
    ),
)
def test_a_failure_is_one_line_and_is_kept_as_the_reason(tmp_path, raised, said):
    code = f"from sparsessp.errors import SparseSSPError\ndef run(_):\n    raise {raised}"
    process = stage(tmp_path, code)
    output = process.communicate()[0]
    assert process.returncode == 1 and output.startswith(said) and output.count("\n") == 1
    reason = (tmp_path / "artifacts" / "failures" / "train@x.txt").read_text()
    assert reason in output or "killed" in reason
    again = stage(tmp_path, "def run(_): pass")
    assert again.communicate()[0] == "" and again.returncode == 0
    assert not list((tmp_path / "artifacts" / "failures").iterdir())


@pytest.mark.parametrize("name", ("artifacts", "artifacts/runs", "reports"))
def test_outputs_behind_a_symbolic_link_are_refused_before_the_stage_works(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    process = stage(tmp_path, "def run(_): Path('trace').touch()")
    said = process.communicate()[0]
    assert process.returncode == 1 and said.startswith(f"error: {name} is a symbolic link") and "dvc cache dir" in said
    assert not (tmp_path / "trace").exists() and not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("module", ("stages.train", "stages.check", "compose"))
def test_a_python_without_the_packages_says_so_in_one_line(module):
    # -S leaves out site-packages.
    done = subprocess.run([sys.executable, "-S", "-m", f"pipeline.{module}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert "pydantic" in done.stderr and ".venv/bin/activate" in done.stderr


def test_a_bug_keeps_its_traceback():
    assert command_line.explain(KeyError("x")) is None
    assert command_line.explain(SparseSSPError("x")) == "x"
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    with pytest.raises(KeyError):
        command_line.main(lambda _: {}["x"], [])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_terminal_without_a_character_shows_a_question_mark(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    command_line.main(lambda _: print("R² of 1 µm"), [])
    assert shown.getvalue() == b"R? of 1 ?m\n"
