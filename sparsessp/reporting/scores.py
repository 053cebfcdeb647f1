"""Scores of the declared runs: from one CSV a run to one tidy frame, and its means."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from sparsessp.errors import SparseSSPError
from sparsessp.learning.metrics import delta_imp
from sparsessp.paper.published import ALL, DELTA_IMP, PRINTED_METRICS, STRUCTURE_MEAN
from sparsessp.schema import EXTRA_METRICS, SCORE_COLUMNS, SCORES_FILE
from sparsessp.structures import KEYS

BASE = "multinet-3d-prefix-r1"
TGNET = "tgnet-3to2d-prefix"  # the paper's best setting; its runs add the ratio
TGNET_3D = "tgnet-3d-prefix"
_NUMBERS = SCORE_COLUMNS[2:]
SD = "_sd"  # behind a metric: its standard deviation over seeds
_SEED_SUFFIX = re.compile(r"-s\d+$")


def read_scores(path: Path) -> pd.DataFrame:
    """One run's scores, one row per test volume.

    Raises:
        SparseSSPError: The file is not such a table; the message names it.
    """
    try:
        frame = pd.read_csv(
            path, dtype=dict.fromkeys(SCORE_COLUMNS[:2], str) | dict.fromkeys(_NUMBERS, float), keep_default_na=False
        )
    except ValueError as error:  # also pandas' own parser errors, and text that is not UTF-8
        raise SparseSSPError(f"{path}: not a table of scores: {error}") from None
    if tuple(frame.columns) != SCORE_COLUMNS:
        raise SparseSSPError(f"{path}: columns are {', '.join(frame.columns)}; expected {', '.join(SCORE_COLUMNS)}")
    if frame.empty:
        raise SparseSSPError(f"{path}: holds no volume")
    unknown = sorted(set(frame["structure"]) - set(KEYS))
    if unknown:
        raise SparseSSPError(f"{path}: structure {unknown[0]!r} is unknown; allowed: {', '.join(KEYS)}")
    if not np.isfinite(frame[list(_NUMBERS)].to_numpy()).all():
        raise SparseSSPError(f"{path}: a score is not finite")
    twice = frame.loc[frame["volume"].duplicated(), "volume"]
    if len(twice):
        raise SparseSSPError(f"{path}: volume {twice.iloc[0]!r} is listed twice")
    return frame


def load_scores(results: Path, names: Iterable[str]) -> pd.DataFrame:
    """Scores of those of the named runs that have any.

    Args:
        results: Folder with `<name>/scores.csv`; files of other runs there are not looked at.
        names: Declared runs, in the order wanted.

    Returns:
        Column `experiment`, then `SCORE_COLUMNS`, one row per run and volume.

    Raises:
        SparseSSPError: A file is malformed, or scores other volumes than the runs before it: such
            scores are left from another data set, and their means cannot be compared.
    """
    parts: list[pd.DataFrame] = []
    for name in names:
        path = results / name / SCORES_FILE
        if not path.exists():
            continue
        frame = read_scores(path)
        frame.insert(0, "experiment", name)
        if parts and _volumes(frame) != _volumes(parts[0]):
            other = results / parts[0]["experiment"].iloc[0] / SCORES_FILE
            raise SparseSSPError(f"{path}: scores {len(frame)} volumes that are not the {len(parts[0])} of {other}")
        parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["experiment", *SCORE_COLUMNS])


def _volumes(frame: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(frame["volume"], frame["structure"], strict=True))


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Means of each run, one row a run, in the order of `scores`.

    Returns:
        Columns (group, metric), with the metrics `PRINTED_METRICS` and `EXTRA_METRICS`. Groups: each structure; `all`,
        the mean over test volumes, as in the paper; `structure_mean`, the mean over structures; `delta_imp_percent`,
        the improvement of `all` over dense Multi-Net. nan where undefined.
    """
    metrics = [*PRINTED_METRICS, *EXTRA_METRICS]
    scores = scores.rename(columns=dict(zip(_NUMBERS, metrics, strict=True)))
    order = scores["experiment"].unique()
    per_structure = scores.groupby(["experiment", "structure"])[metrics].mean()
    groups = {key: per_structure.xs(key, level="structure") for key in KEYS if key in set(scores["structure"])}
    groups[ALL] = scores.groupby("experiment")[metrics].mean()
    groups[STRUCTURE_MEAN] = per_structure.groupby("experiment").mean()
    if BASE in order:
        groups[DELTA_IMP] = _improvement(groups[ALL], groups[ALL])
    columns = pd.MultiIndex.from_product([[*KEYS, ALL, STRUCTURE_MEAN, DELTA_IMP], metrics])
    return pd.concat(groups, axis=1).reindex(index=order, columns=columns)


def setting(experiment: str) -> str:
    """Name of a run without its seed."""
    return _SEED_SUFFIX.sub("", experiment)


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Means of each setting over its seeds, one row a setting, from `summarise`'s row a run.

    Returns:
        As `summarise`, and behind each metric, with `SD`, its standard deviation over seeds (n - 1), nan of one.
        The improvement over dense Multi-Net is of the mean over the mean; its deviation is that of each
        run's over the mean.
    """
    settings = pd.Index([setting(name) for name in runs.index], name=runs.index.name)
    grouped = runs.groupby(settings, sort=False)
    means, spread = grouped.mean(), grouped.std(ddof=1)
    if BASE in means.index:
        base = means.loc[[BASE], ALL]
        improved = _improvement(pd.concat([means[ALL], runs[ALL].rename(index="run {}".format)]), base)
        for metric in PRINTED_METRICS:
            means[DELTA_IMP, metric] = improved[metric].iloc[: len(means)]
            each = pd.Series(improved[metric].iloc[len(means) :].to_numpy(), settings)
            spread[DELTA_IMP, metric] = each.groupby(level=0, sort=False).std(ddof=1)
    spread.columns = pd.MultiIndex.from_tuples([(group, metric + SD) for group, metric in spread.columns])
    return pd.concat([means, spread], axis=1)


def _improvement(everything: pd.DataFrame, bases: pd.DataFrame) -> pd.DataFrame:
    """Improvement over dense Multi-Net in percent; nan for an R2 whose baseline is not above zero.

    A share of nothing is undefined, and a share of a negative R2 would call better what is worse.
    """
    columns = {}
    for metric in PRINTED_METRICS:
        base = bases.at[BASE, metric]
        values = everything[metric]
        columns[metric] = [delta_imp(value, base, metric.lower()) if base > 0 else np.nan for value in values]
    return pd.DataFrame(columns, index=everything.index)


def mean(summary: pd.DataFrame, experiment: str, metric: str, group: str = ALL) -> float:
    """One number of `summarise`, or nan for a run without scores."""
    return float(summary.at[experiment, (group, metric)]) if experiment in summary.index else float("nan")
