"""What DVC knows: which stages have to run, and where their results are recorded.

The functions of DVC that `dvc repro` calls decide and record here, too, so that it has nothing to do afterwards. A
finished stage goes to DVC's cache at once, where a later run finds it; dvc.lock is written at the end, in the order of
`dvc repro`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError

from pipeline.paths import CODE
from pipeline.run_plan import receipts
from pipeline.run_plan.jobs import Job, Stage
from pipeline.run_plan.worker import changed_sources
from sparsessp.errors import SparseSSPError

_PIPELINE = "dvc.yaml"


@contextmanager
def _errors() -> Iterator[None]:
    """Report an error of DVC as one that a user can fix."""
    try:
        yield
    except DvcException as error:
        raise SparseSSPError(f"DVC: {error}") from error


class Pipeline:
    """The stages of dvc.yaml."""

    def __init__(self) -> None:
        with _errors():
            self._repo = Repo(_wait_for_lock=True)
            with lock_repo(self._repo):
                graph = get_active_graph(self._repo.index.graph)
                order = plan_repro(graph, collect_stages(self._repo, [_PIPELINE]))
        self._stages = {stage.addressing: stage for stage in order if isinstance(stage, PipelineStage)}
        self._inputs: dict[str, dict[str, str | None]] = {}
        self._finished: set[str] = set()

    def outdated(self, chains: Mapping[str, Sequence[str]]) -> list[Job]:
        """Return the stages that would run now, as far as DVC can tell; nothing is changed.

        Args:
            chains: As for `unfinished`.
        """
        jobs = []
        with _errors(), lock_repo(self._repo):
            for name, names in chains.items():
                stages = [self._stages[stage] for stage in names]
                first = next((i for i, stage in enumerate(stages) if stage.changed()), len(stages))
                if stages[first:]:
                    jobs.append(Job(name, tuple(map(_as_stage, stages[first:]))))
        return jobs

    def unfinished(self, chains: Mapping[str, Sequence[str]]) -> list[Job]:
        """Return the stages that have to run; what they wrote before is removed.

        Results of the same command and dependencies that DVC has in its cache are checked out instead. Those that a
        worker of a killed runner finished are put there.

        Args:
            chains: Names of stages that run one after the other, by name of the job.
        """
        jobs = []
        with _errors(), lock_repo(self._repo):
            for name, names in chains.items():
                todo: list[PipelineStage] = []
                for stage in map(self._stages.__getitem__, names):
                    if not todo and not stage.changed():
                        continue
                    if not todo and self._adopt(stage):
                        continue
                    stage.remove_outs(ignore_remove=False, force=False)
                    if todo or not self._restore(stage):
                        todo.append(stage)
                for stage in todo:
                    self._inputs[stage.addressing] = self._checksums(stage, todo)
                if todo:
                    first, *others = todo
                    sent = replace(_as_stage(first), inputs=self._inputs[first.addressing])
                    jobs.append(Job(name, (sent, *map(_as_stage, others))))
        return jobs

    def keep(self, name: str) -> str | None:
        """Put the results of a finished stage into DVC's cache, unless what it read has changed since it began.

        Returns:
            What changed, or None.
        """
        stage = self._stages[name]
        before = self._inputs[name]
        with _errors(), lock_repo(self._repo):
            now = self._checksums(stage)
            changed = [path for path, checksum in before.items() if now[path] != checksum]
            changed += changed_sources(_code(stage))
            if changed:
                stage.remove_outs(ignore_remove=False, force=False)
                return changed[0]
            self._save(stage)
        return None

    def record(self) -> None:
        """Write what was kept to dvc.lock."""
        finished = [stage for name, stage in self._stages.items() if name in self._finished]
        if finished:
            with _errors(), lock_repo(self._repo):
                finished[0].dvcfile.dump_stages(finished, update_pipeline=False)

    def _adopt(self, stage: PipelineStage) -> bool:
        """Put what a worker of a killed runner finished into DVC's cache, if nothing has changed since."""
        receipt = receipts.read(stage.addressing)
        if receipt is None or changed_sources(_code(stage)):
            return False
        if receipt != receipts.content(stage.cmd, self._checksums(stage), list(map(str, stage.outs))):
            return False
        self._save(stage)
        return True

    def _restore(self, stage: PipelineStage) -> bool:
        """Check out the results from DVC's cache, if they are there."""
        try:
            self._repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            return False
        self._save(stage)
        return True

    def _save(self, stage: PipelineStage) -> None:
        stage.save()
        stage.commit()
        receipts.remove(stage.addressing)
        self._finished.add(stage.addressing)

    def _checksums(self, stage: PipelineStage, company: Sequence[PipelineStage] = ()) -> dict[str, str | None]:
        """Return the checksum of each dependency, without the outputs of stages that still have to run."""
        written = {out.fs_path for other in company for out in other.outs}
        read = [dep for dep in stage.deps if dep.fs_path not in written]
        for dep in read:
            dep.save()
        return {str(dep): dep.hash_info.value for dep in read}


def _as_stage(stage: PipelineStage) -> Stage:
    return Stage(stage.addressing, stage.cmd, tuple(map(str, stage.outs)), _code(stage))


def _code(stage: PipelineStage) -> str:
    """Return the list of a stage's source files, on which it depends."""
    return next(path for path in map(str, stage.deps) if path.startswith(f"{CODE}/"))
