"""What runs in a worker: the stages of one job after another, in a process that imports torch once."""

import gc
import importlib
import os
import shlex
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from pipeline.run_plan import receipts
from pipeline.run_plan.jobs import Job, Outcome, Stage, log
from pipeline.running import guarded, refuse_links
from pipeline.sources import ROOT
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import explain
from sparsessp.support.files import sha256
from sparsessp.support.processes import end_with_parent

_STAGES = "pipeline.stages."
_FINISHED = "Finished stage "  # a line of the log


def work(job: Job) -> Outcome:
    """Run the stages of a job until one fails; their output goes to the job's log.

    Stages that a worker finished before it was killed are not repeated.
    """
    os.chdir(ROOT)
    _end_with_pool()
    start, reason = time.monotonic(), None
    path = log(job.name)
    done = _finished(path)
    try:
        with _output_to(path):
            for stage in job.stages[len(done) :]:
                reason = _attempt(stage)
                if reason is not None:
                    break
                receipts.write(stage)
                print(f"{_FINISHED}{stage.name}", flush=True)
                done.append(stage.name)
    except OSError as error:
        reason = explain(error)
    return Outcome(tuple(done), reason, time.monotonic() - start)


def _finished(path: Path) -> list[str]:
    """Return the stages that a log names as finished; the runner deletes the logs of earlier runs."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.removeprefix(_FINISHED) for line in lines if line.startswith(_FINISHED)]


def _attempt(stage: Stage) -> str | None:
    """Run one stage; returns why it failed, or None."""
    module, arguments = parse(stage.command)
    try:
        with guarded(stage.name):
            refuse_links(())
            if changed := changed_sources(stage.code):
                raise SparseSSPError(f"{changed[0]} changed while the plan ran; run it again")
            print(f"Running stage '{stage.name}' in process {os.getpid()}:\n> {stage.command}", flush=True)
            receipts.remove(stage.name)
            for path in map(Path, stage.outputs):
                _remove(path)
            importlib.import_module(module).run(arguments)
    except (Exception, SystemExit) as error:
        text = explain(error) if isinstance(error, Exception) else str(error)
        if text is None:
            traceback.print_exc()
            return f"{type(error).__name__}: {error}"
        print(f"error: {text}", file=sys.stderr)
        return text
    finally:
        _release_memory()
    return None


def parse(command: str) -> tuple[str, list[str]]:
    """Return the module and the arguments of a stage's command.

    Raises:
        SparseSSPError: It does not run a module of pipeline.stages with python -m.
    """
    words = shlex.split(command)
    if words[:2] != ["python", "-m"] or not words[2].startswith(_STAGES):
        raise SparseSSPError(f"dvc.yaml: cmd = {command!r}; a worker runs only `python -m {_STAGES}STAGE ARGUMENTS`")
    return words[2], words[3:]


def changed_sources(code: str) -> list[str]:
    """Return the source files that differ from a list that stage code made of them."""
    lines = Path(code).read_text(encoding="utf-8").splitlines()
    listed = [line.split("  ", 1) for line in lines]
    return [name for checksum, name in listed if not (ROOT / name).is_file() or sha256(ROOT / name) != checksum]


def _remove(path: Path) -> None:
    """Remove an earlier output, as DVC does; it may be a link into DVC's cache."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _release_memory() -> None:
    """Leave the next job a process without the networks of this one."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send all output to a file, also that of libraries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(number) for number in (1, 2)]
    with path.open("ab") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)


@cache
def _end_with_pool() -> None:
    """End this worker as soon as the pool that started it is gone."""
    end_with_parent()


def costs(names: Sequence[str]) -> dict[str, float]:
    """Estimate the multiply-accumulates of each of these experiments, which order them by duration.

    An experiment that fails here has cost 0; its training will say why.
    """
    os.chdir(ROOT)
    from pipeline.plan.estimate import amount, network_settings, runs
    from pipeline.plan.params import read_params
    from sparsessp.costs.counted import macs, meta_network

    params = read_params()
    patch = params.scale.training.patch
    steps = {name: run.iterations or 1 for name, run in params.experiments.items()}
    with suppress(Exception):
        table = runs(params, amount(params)).set_index("name")
        steps = (table["iterations"] + table["equivalents"]).to_dict()
    found = dict.fromkeys(names, 0.0)
    for name in names:
        # An exception may be one that cannot be sent to the runner.
        with suppress(Exception):
            network = meta_network(network_settings(params, params.experiments[name]))
            found[name] = float(steps[name]) * macs(network, patch, patch)
    return found
