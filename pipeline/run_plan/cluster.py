"""Workers on a cluster: what is asked of its scheduler, and the scripts that ask for it."""

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from parsl import providers
from parsl.launchers import SimpleLauncher
from parsl.providers.base import ExecutionProvider
from pydantic import Field

from pipeline.ranks import RANKS, wanted_ranks
from pipeline.run_plan.jobs import BIN, LOGS, Job
from pipeline.sources import ROOT
from sparsessp.config import Settings
from sparsessp.errors import SparseSSPError
from sparsessp.support.yaml_files import read_yaml

_PROVIDERS = {
    "slurm": "SlurmProvider",
    "lsf": "LSFProvider",
    "pbspro": "PBSProProvider",
    "torque": "TorqueProvider",
    "gridengine": "GridEngineProvider",
    "condor": "CondorProvider",
}


class Cluster(Settings):
    """Resources of one worker, from a YAML file; docs/cluster.md has an example."""

    provider: Literal["slurm", "lsf", "pbspro", "torque", "gridengine", "condor"] = Field(
        default="slurm", description="Scheduler"
    )
    partition: str | None = Field(default=None, description="Partition (slurm)")
    account: str | None = Field(default=None, description="Account to charge (slurm)")
    walltime: str = Field(
        default="12:00:00", pattern=r"^\d+:[0-5]\d:[0-5]\d$", description="Time limit of a worker, HH:MM:SS"
    )
    memory: int | None = Field(default=None, ge=1, description="Memory of a worker in GB (slurm)")
    cores: int = Field(default=4, ge=1, description="CPU cores of a worker, and its number of threads")
    gpus: int = Field(default=0, ge=0, le=1, description="GPUs of a worker (slurm), times --gpus-per-run")
    setup: str = Field(default="", description="Shell lines before a worker starts, such as module load")
    options: dict[str, Any] = Field(default_factory=dict, description="Further arguments of Parsl's provider")


def read_cluster(path: Path) -> Cluster:
    """Read the YAML file of a cluster.

    Raises:
        SparseSSPError: The file is missing or invalid.
    """
    if not path.is_file():
        raise SparseSSPError(f"{path}: the file is missing; docs/cluster.md has an example")
    values = read_yaml(path) or {}
    if not isinstance(values, dict):
        raise SparseSSPError(f"{path}: expected lines KEY: VALUE; allowed keys: {', '.join(Cluster.model_fields)}")
    return Cluster.load(values, str(path), strict=True)


def environment(threads: int) -> str:
    """Return the shell commands before a worker starts, whose trainings share its threads among their processes."""
    variables = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), max(1, threads // wanted_ranks()))
    variables |= {RANKS: wanted_ranks()} if wanted_ranks() > 1 else {}
    return "\n".join(
        [
            f"cd {shlex.quote(str(ROOT))}",
            f'export PATH={shlex.quote(str(BIN))}:"$PATH" PYTHONPATH={shlex.quote(str(ROOT))}',
            *(f"export {name}={value}" for name, value in variables.items()),
            "export TQDM_MININTERVAL=2",
        ]
    )


def provider(cluster: Cluster, workers: int) -> ExecutionProvider:
    """Return Parsl's provider: each worker is a job of the scheduler.

    Raises:
        SparseSSPError: The provider does not accept the settings.
    """
    arguments: dict[str, Any] = {
        "walltime": cluster.walltime,
        "worker_init": "\n".join(filter(None, [cluster.setup.rstrip("\n"), environment(cluster.cores)])),
        "init_blocks": workers,
        "max_blocks": workers,
        "launcher": SimpleLauncher(),
    }
    if cluster.provider == "slurm":
        arguments |= {
            "partition": cluster.partition,
            "account": cluster.account,
            "mem_per_node": cluster.memory,
            "cores_per_node": cluster.cores,
            "gpus_per_node": cluster.gpus * wanted_ranks() or None,
            "exclusive": False,
        }
    try:
        return getattr(providers, _PROVIDERS[cluster.provider])(**arguments | cluster.options)
    except Exception as error:  # of Parsl's checks of types and names
        raise SparseSSPError(f"{cluster.provider}: {error}") from error


def worker_script(cluster: Cluster, command: str) -> str:
    """Return the script that Parsl submits for each worker, without submitting it."""
    made = provider(cluster, 1)
    with tempfile.TemporaryDirectory() as folder:
        made.script_dir = folder
        # Parsl's base class does not declare the method, with which all its schedulers submit.
        made.execute_wait = lambda *_, **__: (0, "Submitted batch job 0\n", "")  # type: ignore[attr-defined]
        made.submit(command, 1)
        return max(Path(folder).iterdir(), key=lambda path: path.stat().st_size).read_text(encoding="utf-8")


def array_script(cluster: Cluster, jobs: Sequence[Job]) -> str:
    """Return one sbatch array that runs a job in each of its tasks, by plain DVC and without Parsl.

    Raises:
        SparseSSPError: The scheduler is not SLURM.
    """
    if cluster.provider != "slurm":
        raise SparseSSPError(f"provider = {cluster.provider!r}; --print-script is only for slurm")
    wanted = {
        "job-name": "sparsessp",
        "array": f"0-{len(jobs) - 1}",
        "output": f"{LOGS}/slurm-%A-%a.txt",
        "time": cluster.walltime,
        "nodes": 1,
        "cpus-per-task": cluster.cores,
        "partition": cluster.partition,
        "account": cluster.account,
        "mem": cluster.memory and f"{cluster.memory}G",
        "gpus-per-node": cluster.gpus * wanted_ranks() or None,
    }
    stages = [" ".join(stage.name for stage in job.stages) for job in jobs]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH --{key}={value}" for key, value in wanted.items() if value is not None),
            "# Submit in the folder of dvc.yaml, after: dvc repro split resample; afterwards: dvc repro",
            *cluster.setup.splitlines(),
            environment(cluster.cores),
            "JOBS=(",
            *(f"  {shlex.quote(names)}" for names in stages),
            ")",
            "for stage in ${JOBS[$SLURM_ARRAY_TASK_ID]}; do",
            '  dvc --wait-for-lock repro --single-item "$stage" || exit 1',
            "done",
            "",
        ]
    )
