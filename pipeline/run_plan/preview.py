"""What a run would do: its order, its scripts, and how long it takes on so many workers."""

from collections.abc import Mapping, Sequence

from pipeline.plan.params import Params
from pipeline.run_plan.cluster import Cluster, array_script, environment, worker_script
from pipeline.run_plan.engine import POOL
from pipeline.run_plan.jobs import LOGS, Job
from pipeline.run_plan.recording import Pipeline
from pipeline.run_plan.simulate import in_seconds, table
from pipeline.run_plan.worker import costs
from sparsessp.errors import SparseSSPError


def order(jobs: Sequence[Job], params: Params) -> tuple[list[Job], dict[str, float]]:
    """Return the jobs, longest first, and the estimated operations of each."""
    found = costs([job.name for job in jobs if job.name in params.experiments])
    return sorted(jobs, key=lambda job: -found.get(job.name, 0.0)), found


def dry_run(params: Params, chains: Mapping[str, Sequence[str]], cluster: Cluster | None) -> str:
    """Return the jobs in the order in which they start, and the script of a worker."""
    jobs, _ = order(Pipeline().outdated(chains), params)
    script = worker_script(cluster, f"{POOL} ...") if cluster else f"{environment(threads=1)}\n{POOL} ..."
    stages = [f"{number:4}  {', '.join(stage.name for stage in job.stages)}" for number, job in enumerate(jobs, 1)]
    return "\n".join(["Jobs, in the order in which they start:", *stages, "", "Script of each worker:", script])


def print_script(params: Params, chains: Mapping[str, Sequence[str]], cluster: Cluster | None) -> str:
    """Return the jobs as one sbatch array.

    Raises:
        SparseSSPError: Nothing is left to run.
    """
    jobs, _ = order(Pipeline().outdated(chains), params)
    if not jobs:
        raise SparseSSPError("every run is up to date, so there is no script to print")
    LOGS.mkdir(parents=True, exist_ok=True)  # SLURM discards output whose folder is missing
    return array_script(cluster or Cluster(), jobs)


def simulation(params: Params, gpus: Sequence[int]) -> str:
    """Return how long all trainings of the plan take on each of these numbers of GPUs.

    Raises:
        SparseSSPError: No training has been measured.
    """
    seconds, measured = in_seconds(costs(list(params.experiments)))
    if not measured:
        raise SparseSSPError(
            "artifacts/durations has no duration of a run of this plan; run one training first, such as "
            f"`dvc repro train@{next(iter(params.experiments))}`"
        )
    return table(seconds, gpus, measured, widest=params.scale.training.batch)
