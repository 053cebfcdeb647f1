"""How stages run: alone, not longer than DVC, with dvc.lock kept whole, and with one line of what went wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from helpers.checkout import ROOT, sh

from pipeline import keeper
from sparsessp.errors import SparseSSPError
from sparsessp.support import command_line

ENTRY = """\
  {name}:
    cmd: python -m pipeline.{name}
    outs:
    - path: artifacts/{name}
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
"""
WHOLE = "schema: '2.0'\nstages:\n" + "".join(ENTRY.format(name=name) for name in ("fetch", "split", "train"))


@pytest.fixture
def root(tmp_path):
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(WHOLE)
    (tmp_path / "locks").mkdir()
    return tmp_path


def wait_for(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("torn", ("", WHOLE[:90], WHOLE[: WHOLE.index("    outs")], WHOLE[:-4], WHOLE[: -len("\n")]))
def test_a_torn_dvc_lock_is_put_back_once_dvc_is_dead(root, torn):
    dvc = subprocess.Popen(["sleep", "100"])
    environment = {"PYTHONPATH": str(ROOT)}
    script = f"from pathlib import Path; from pipeline import keeper; keeper.start(Path('.'), Path('locks'), {dvc.pid})"
    for _ in range(2):  # each stage does so; one keeper is enough
        sh(root, sys.executable, "-c", script, **environment)
    (root / "dvc.lock").write_text(torn)
    (root / ".dvc" / "tmp" / "rwlock").write_text('{"write": {')
    dvc.kill()
    dvc.wait()
    wait_for(lambda: (root / "dvc.lock").read_text() == WHOLE and not list((root / "locks").iterdir()))
    assert not (root / ".dvc" / "tmp" / "rwlock").exists()


def test_a_whole_dvc_lock_is_left_alone(root):
    more = WHOLE + ENTRY.format(name="evaluate")
    (root / ".dvc" / "tmp" / "dvc.lock.kept").write_text(WHOLE)
    (root / "dvc.lock").write_text(more)
    assert keeper.mend(root, since_copy=True) == [] and (root / "dvc.lock").read_text() == more
    # Fewer stages may be another commit's, unless nobody but DVC can have written them.
    fewer = "schema: '2.0'\nstages:\n" + ENTRY.format(name="fetch")
    (root / "dvc.lock").write_text(fewer)
    assert keeper.mend(root) == [] and (root / "dvc.lock").read_text() == fewer
    assert keeper.mend(root, since_copy=True) and (root / "dvc.lock").read_text() == WHOLE


@pytest.mark.parametrize(("note", "stays"), (({}, True), ({"write": {"a": {"pid": 0, "cmd": "dvc"}}}, False)))
def test_files_that_dead_processes_claim_are_free_again(root, note, stays):
    rwlock = root / ".dvc" / "tmp" / "rwlock"
    dead = subprocess.Popen(["true"])
    dead.wait()
    for info in note.get("write", {}).values():
        info["pid"] = dead.pid
    rwlock.write_text(json.dumps(note))
    keeper.mend(root)
    assert rwlock.exists() == stays
    # Who lives keeps what it claims.
    living = {"read": {"a": [{"pid": os.getpid(), "cmd": "dvc"}, {"pid": dead.pid, "cmd": "dvc"}]}}
    rwlock.write_text(json.dumps(living))
    keeper.mend(root)
    assert json.loads(rwlock.read_text()) == living


def stage(folder, code, shell=False, orphan=False, **environment):
    """Start a stage whose script runs `code`, as DVC would; or as if DVC were gone, in a group of its own."""
    (folder / ".dvc" / "tmp").mkdir(parents=True, exist_ok=True)
    script = f"import sys, os, time\nfrom pathlib import Path\nfrom pipeline.stage import main\n{code}\nmain(run, [])"
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
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 30)
    child = int((tmp_path / "pid").read_text())
    os.kill(child, 0)
    dvc.kill()
    dvc.wait()

    def gone():  # or dead, where nobody reaps it
        return not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE

    wait_for(gone)
    reason = (tmp_path / "artifacts" / "failures" / "train@x.txt").read_text()
    assert "killed" in reason


def test_a_stage_whose_dvc_is_gone_before_it_looks_does_not_begin(tmp_path):
    process = stage(tmp_path, "def run(_): Path('trace').touch()", orphan=True)
    assert "is gone" in process.communicate()[0] and process.returncode == 1
    assert not (tmp_path / "trace").exists()


def test_a_stage_waits_for_the_one_that_still_runs(tmp_path):
    code = "def run(_):\n    with open('log', 'a') as log:\n        for word in ('begins', 'ends'):\n"
    code += "            log.write(word + '\\n'); log.flush(); time.sleep(0.5)"
    both = [stage(tmp_path, code) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert (tmp_path / "log").read_text().split() == ["begins", "ends"] * 2
    assert any("waiting for another process" in text for text in said)
    assert not list((tmp_path / "artifacts" / "failures").iterdir())


@pytest.mark.parametrize(
    ("raised", "said"),
    (
        ("SparseSSPError('ratio = 3 is not allowed')", "error: ratio = 3 is not allowed\n"),
        ("OSError(28, 'No space left on device', 'a.tiff')", "error: a.tiff: No space left on device; make room"),
        ("PermissionError(13, 'Permission denied', 'a.tiff')", "error: a.tiff: Permission denied; give the right"),
        ("MemoryError('Unable to allocate 9 GiB')", "error: out of memory (Unable to allocate 9 GiB); close"),
        ("KeyboardInterrupt", "interrupted\n"),
    ),
)
def test_a_failure_is_one_line_and_stays_as_the_reason(tmp_path, raised, said):
    code = f"from sparsessp.errors import SparseSSPError\ndef run(_):\n    raise {raised}"
    process = stage(tmp_path, code)
    told = process.communicate()[0]
    assert process.returncode == 1 and told.startswith(said) and told.count("\n") == 1
    reason = (tmp_path / "artifacts" / "failures" / "train@x.txt").read_text()
    assert reason in told or "killed" in reason
    again = stage(tmp_path, "def run(_): pass")
    assert again.communicate()[0] == "" and again.returncode == 0
    assert not list((tmp_path / "artifacts" / "failures").iterdir())


def test_a_fault_of_the_program_keeps_its_traceback():
    assert command_line.explain(KeyError("x")) is None
    assert command_line.explain(SparseSSPError("x")) == "x"
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    with pytest.raises(KeyError):
        command_line.main(lambda _: {}["x"], [])
    assert signal.getsignal(signal.SIGINT) is before
