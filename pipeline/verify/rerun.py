"""Train some runs of a report again with a new seed, and compare their scores with the spread over its seeds."""

import contextlib
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.committed import Committed, read_text
from pipeline.paths import RESULTS, SPLIT, VOLUMES, scratch
from pipeline.plan.data import ArchivesSource, image_lists
from pipeline.plan.grid import local_file
from pipeline.plan.params import Experiment, Params, parse_params
from pipeline.verify.model import Check
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.scores import read_scores, setting
from sparsessp.schema import MANIFEST, SCORES_FILE
from sparsessp.support.files import sha256

LEVEL = 0.95
_SEEDS = 2**31  # seeds are drawn from this many


def rerun(result: Committed, scores: pd.DataFrame, count: int, rng: random.Random) -> list[Check]:
    """Train `count` settings of the report again with one new seed, in a temporary folder.

    Args:
        result: The report and its settings.
        scores: Scores of the report by run and volume.
        count: Number of settings to train.
        rng: Chooses the settings and the seed.

    Raises:
        SparseSSPError: The settings are not valid for this code, or fewer than `count` were scored.
    """
    params = parse_params(read_text(result.params), str(result.params))
    known = r2_by_setting(scores, params)
    if not 1 <= count <= len(known):
        raise SparseSSPError(f"--rerun {count}: {result.report} has {len(known)} settings; allowed: 1 to {len(known)}")
    seed = next(seed for seed in iter(lambda: rng.randrange(1, _SEEDS), None) if seed not in params.seeds)
    chosen = [params.experiments[name].model_copy(update={"seed": seed}) for name in rng.sample(sorted(known), count)]
    scratch().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rerun-", dir=scratch().resolve()) as folder:
        checks = prepare(Path(folder), params, sorted({run.ratio for run in chosen}), result.checksums())
        for run in chosen:
            found = train_again(Path(folder), params, run)
            if set(found["volume"]) != set(scores["volume"]):
                checks.append(Check("differs", run.name, "scored on other test volumes than the report"))
            else:
                checks.append(judge(run.name, float(found["r2"].mean()), known[setting(run.name)]))
    return checks


def r2_by_setting(scores: pd.DataFrame, params: Params) -> dict[str, list[float]]:
    """Return the mean R2 with each seed of the planned settings, by the name of the setting's run with seed 0."""
    means = scores.groupby("experiment", sort=False)["r2"].mean()
    found: dict[str, list[float]] = {}
    for name in params.experiments:
        if name in means.index:
            found.setdefault(setting(name), []).append(float(means[name]))
    return found


def judge(name: str, found: float, known: Sequence[float]) -> Check:
    """Compare a score with the interval that contains a new seed's score in 95 % of cases (Student's t)."""
    count, mean = len(known), float(np.mean(known))
    if count < 2:
        return Check("note", name, f"R2 {found:.4f}; {mean:.4f} in the report, which has one seed and states no spread")
    half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * np.std(known, ddof=1) * np.sqrt(1 + 1 / count)
    inside = abs(found - mean) <= half
    where = f"{'within' if inside else 'outside'} {mean - half:.4f} to {mean + half:.4f}"
    text = f"R2 {found:.4f}, {where}, the {100 * LEVEL:.0f} % interval of a new seed from {count} seeds"
    return Check("ok" if inside else "differs", name, text)


def prepare(folder: Path, params: Params, ratios: Sequence[int], stated: Mapping[str, str]) -> list[Check]:
    """Write volumes, split and sparse views to `folder`; prepared volumes of this checkout are used if they match.

    Raises:
        SparseSSPError: The volumes come from archives and are not prepared.
    """
    from pipeline.stages import fetch, resample, split  # they import torch

    source, here = params.data.source, VOLUMES.resolve()
    if (here / MANIFEST).is_file() and sha256(here / MANIFEST) == stated.get(MANIFEST):
        (folder / VOLUMES).parent.mkdir(parents=True)
        (folder / VOLUMES).symlink_to(here, target_is_directory=True)
    elif isinstance(source, ArchivesSource):
        raise SparseSSPError(f"{VOLUMES}: not the volumes of the report; prepare them with `dvc repro split`")
    lists = {key: str(Path(name).resolve()) for key, name in image_lists(source).items()}
    with contextlib.chdir(folder):
        if not VOLUMES.exists():
            fetch.run(arguments(source.model_dump() | lists))
        split.run(arguments(params.data.split.model_dump()))
        for ratio in ratios:
            resample.run(["--ratio", str(ratio)])
        files = {MANIFEST: VOLUMES / MANIFEST, SPLIT.name: SPLIT}
        other = [name for name, path in files.items() if stated.get(name) not in (None, sha256(path))]
    return [Check("note", name, "differs from the report's: other code, packages or processor") for name in other]


def train_again(folder: Path, params: Params, run: Experiment) -> pd.DataFrame:
    """Train and score one run in `folder`, which `prepare` filled; return its scores by volume."""
    from pipeline.stages import evaluate, train  # they import torch

    scale = params.scale
    if (weights := local_file(run.weights)) is not None:
        run = run.model_copy(update={"weights": str(Path(weights).resolve())})
    own = run.model_dump(exclude={"watch"}, exclude_none=True)
    settings = own | scale.network.model_dump() | scale.training.model_dump(exclude_none=True)
    windows = arguments(scale.inference.model_dump())
    with contextlib.chdir(folder):
        train.run([*arguments(settings), *windows])
        evaluate.run(["--experiment", run.name, *windows])
        return read_scores(RESULTS / run.name / SCORES_FILE)


def arguments(values: Mapping[str, Any]) -> list[str]:
    """Return settings as the options of a stage, as dvc.yaml passes them."""
    found: list[str] = []
    for key, value in values.items():
        if isinstance(value, bool):
            found.append(f"--{key}" if value else f"--no-{key}")
        elif isinstance(value, list | tuple):
            found += [f"--{key}", *map(str, value)]
        elif value is not None:
            found += [f"--{key}", str(value)]
    return found
