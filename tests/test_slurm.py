"""The runner on a real SLURM on this machine, of Debian's packages munge, slurmctld, slurmd and slurm-client."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress

import chaos
import pytest
from helpers.checkout import sh
from test_recovery import TRAININGS, forget_trainings, ran, start
from test_run_plan import processes_of, wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "squeue", "sbatch", "scancel", "scontrol")
NODES = ("n1", "n2")
NAMES = tuple(name.partition("@")[2] for name in TRAININGS)
CLUSTER = """
provider: slurm
walltime: "0:20:00"
cores: 1
"""
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(command, environment):
    """A daemon in the foreground."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM with two nodes of one core each, for this process and those that it starts."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.getuid() != 0:
        pytest.skip("SLURM's daemons need root")
    folder = tmp_path / "slurm"
    (folder / "state").mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, ports=free_ports(3)))
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    with ExitStack() as stack:
        for daemon in (
            ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files],
            ["slurmctld", "-D"],
            *(["slurmd", "-D", "-N", node] for node in NODES),
        ):
            process = stack.enter_context(running(daemon, os.environ))
            time.sleep(0.5)
            if process.poll() is not None:
                pytest.skip(f"{daemon[0]} does not start here: exit status {process.returncode}")
        until = time.monotonic() + 60
        while (states := asked("sinfo", "-h", "-N", "-o", "%N %T")) != {(node, "idle") for node in NODES}:
            if time.monotonic() > until:
                pytest.skip(f"SLURM does not start here: {states}")
            time.sleep(0.2)
        yield


def asked(*command):
    """The lines of the answer, as tuples of words."""
    answer = subprocess.run(command, capture_output=True, text=True).stdout
    return {tuple(line.split()) for line in answer.splitlines()}


def test_a_cancelled_job_and_a_drained_node_change_no_byte(slurm, reproduced, clone):
    forget_trainings(clone)
    (clone / "cluster.yaml").write_text(CLUSTER)
    runner = ("python", "-m", "pipeline.run_plan", "--provider", "cluster.yaml", "--workers", "2")
    process = start(clone, *runner)
    stopped = {}

    def both_began():
        """Whether both jobs have begun; the first is stopped until then, so that it does not end before."""
        for name in NAMES:
            if name not in stopped and (found := processes_of(clone, name)):
                os.kill(stopped.setdefault(name, int(found[0])), signal.SIGSTOP)
        return len(stopped) == len(NAMES)

    try:
        wait_for(both_began, process)
        before = {name: processes_of(clone, name) for name in NAMES}
        (cancelled, _), (_, drained) = sorted(asked("squeue", "-h", "-t", "RUNNING", "-o", "%i %N"))
        sh(clone, "scancel", cancelled)
        sh(clone, "scontrol", "update", f"nodename={drained}", "state=drain", "reason=test")
        wait_for(lambda: (cancelled,) not in asked("squeue", "-h", "-o", "%i"), process)
    finally:
        for number in stopped.values():
            with suppress(ProcessLookupError):  # of the cancelled job
                os.kill(number, signal.SIGCONT)
    out = process.communicate(timeout=900)[0]
    assert process.returncode == 0, out
    # The job that was cancelled was run once more, by another process.
    assert any(
        processes_of(clone, name)[: len(started)] == started and len(set(processes_of(clone, name))) == 2
        for name, started in before.items()
    ), out
    assert (drained, "drained") in asked("sinfo", "-h", "-N", "-o", "%N %T")
    assert chaos.differences(reproduced[0], clone) == []
    assert ran(sh(clone, "dvc", "repro").stdout) == []
    assert asked("squeue", "-h") == set()
