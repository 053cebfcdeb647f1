"""Scores of the planned runs, read from one CSV file per run into one tidy frame, and their means."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from sparsessp.errors import SparseSSPError
from sparsessp.learning.metrics import delta_imp
from sparsessp.paper.published import ALL, DELTA_IMP, PRINTED_METRICS, STRUCTURE_MEAN
from sparsessp.schema import EXTRA_METRICS, SCORE_COLUMNS, SCORES_FILE
from sparsessp.structures import in_order, task_codes

BASE = "multinet-3d-prefix-r1"  # the baseline of the relative improvement
TGNET = "tgnet-3to2d-prefix"  # the paper's best setting, without the ratio
TGNET_3D = "tgnet-3d-prefix"
_NUMBERS = SCORE_COLUMNS[2:]
SD = "_sd"  # suffix of a metric: its standard deviation over seeds
_SEED_SUFFIX = re.compile(r"-s\d+$")


def read_scores(path: Path) -> pd.DataFrame:
    """Return the scores of one run, one row per test volume.

    Raises:
        SparseSSPError: The file is malformed; the message names it.
    """
    try:
        frame = pd.read_csv(
            path, dtype=dict.fromkeys(SCORE_COLUMNS[:2], str) | dict.fromkeys(_NUMBERS, float), keep_default_na=False
        )
    except ValueError as error:  # includes pandas' parser errors and text that is not UTF-8
        raise SparseSSPError(f"{path}: not a table of scores: {error}") from None
    if tuple(frame.columns) != SCORE_COLUMNS:
        raise SparseSSPError(f"{path}: columns are {', '.join(frame.columns)}; expected {', '.join(SCORE_COLUMNS)}")
    if frame.empty:
        raise SparseSSPError(f"{path}: no volumes")
    if (frame["structure"] == "").any():
        raise SparseSSPError(f"{path}: a volume has no structure")
    if not np.isfinite(frame[list(_NUMBERS)].to_numpy()).all():
        raise SparseSSPError(f"{path}: a score is not finite")
    twice = frame.loc[frame["volume"].duplicated(), "volume"]
    if len(twice):
        raise SparseSSPError(f"{path}: volume {twice.iloc[0]!r} is listed twice")
    return frame


def load_scores(results: Path, names: Iterable[str]) -> pd.DataFrame:
    """Return the scores of the named runs that have any.

    Args:
        results: Folder with `<name>/scores.csv`; files of other runs are ignored.
        names: Planned runs, in the order of the result.

    Returns:
        Column `experiment`, then `SCORE_COLUMNS`, one row per run and volume.

    Raises:
        SparseSSPError: A file is malformed, or its volumes differ from those of the other runs, so that means
            cannot be compared.
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
            raise SparseSSPError(f"{path}: its volumes ({len(frame)}) are not those of {other} ({len(parts[0])})")
        parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["experiment", *SCORE_COLUMNS])


def _volumes(frame: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(frame["volume"], frame["structure"], strict=True))


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the means of each run, one row per run, in the order of `scores`.

    Returns:
        Columns (group, metric), with the metrics `PRINTED_METRICS` and `EXTRA_METRICS`. Groups: each structure; `all`,
        the mean over test volumes, as in the paper; `structure_mean`, the mean over structures; `delta_imp_percent`,
        the improvement of `all` over dense Multi-Net. nan where undefined.
    """
    metrics = [*PRINTED_METRICS, *EXTRA_METRICS]
    scores = scores.rename(columns=dict(zip(_NUMBERS, metrics, strict=True)))
    order = scores["experiment"].unique()
    per_structure = scores.groupby(["experiment", "structure"])[metrics].mean()
    groups = {key: per_structure.xs(key, level="structure") for key in in_order(scores["structure"])}
    groups[ALL] = scores.groupby("experiment")[metrics].mean()
    groups[STRUCTURE_MEAN] = per_structure.groupby("experiment").mean()
    if BASE in order:
        groups[DELTA_IMP] = _improvement(groups[ALL], groups[ALL])
    columns = pd.MultiIndex.from_product([[*task_codes(scores["structure"]), ALL, STRUCTURE_MEAN, DELTA_IMP], metrics])
    return pd.concat(groups, axis=1).reindex(index=order, columns=columns)


def setting(experiment: str) -> str:
    """Return the name of a run without its seed."""
    return _SEED_SUFFIX.sub("", experiment)


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the means of each setting over its seeds, one row per setting, from the result of `summarise`.

    Returns:
        As `summarise`, with further columns for the standard deviations (n - 1) over seeds, named with `SD`; they are
        nan for one seed. The improvement is that of the mean over the mean of the baseline; its standard deviation
        is that of the improvements of single runs over the mean of the baseline.
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
    """Return the improvement over dense Multi-Net in percent; nan if its R2 is not positive.

    Relative to zero, an improvement is undefined; relative to a negative R2, it would have the wrong sign.
    """
    columns = {}
    for metric in PRINTED_METRICS:
        base = bases.at[BASE, metric]
        values = everything[metric]
        columns[metric] = [delta_imp(value, base, metric.lower()) if base > 0 else np.nan for value in values]
    return pd.DataFrame(columns, index=everything.index)


def mean(summary: pd.DataFrame, experiment: str, metric: str, group: str = ALL) -> float:
    """Return one mean of `summarise`, or nan for a run without scores."""
    return float(summary.at[experiment, (group, metric)]) if experiment in summary.index else float("nan")
