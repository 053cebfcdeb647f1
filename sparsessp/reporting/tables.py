"""The paper's tables, ours beside the printed numbers: frames, and their CSV text.

All frames are machine-readable: nan is a missing run, and headers never need a unit explained except
ratios, which are written `ratio2_` (the score R2 is a column of its own). What people read is in page.py.
"""

from collections.abc import Mapping

import pandas as pd

from sparsessp.paper.published import (
    ALL,
    DELTA_IMP,
    METRICS,
    STRUCTURE_MEAN,
    PublishedRow,
    printed_ratios,
    published,
    rows,
)
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.scores import SD, linear, mean
from sparsessp.structures import KEYS

COMPARISONS = (1, 2, 3, 4, 5)  # tables of one form: a row per network, a column group per ratio
GROUPS = (*KEYS, ALL, STRUCTURE_MEAN, DELTA_IMP)
TGNET = "tgnet-3to2d-prefix"  # the paper's best setting; its runs add the ratio


def comparison(table: int, summary: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Table 1 to 5: one row per network, at each declared ratio that the paper's plan has of it.

    Args:
        table: The table's number in the paper.
        summary: Means of the runs, from `summarise`.
        labels: Gives the ratios and RepMode's kernel.

    Returns:
        The paper's rows in the paper's order. Columns `ratio2_experiment`, then `ratio2_MSE`
        (ours), with several seeds `ratio2_MSE_sd`, `ratio2_MSE_paper` and so on.
    """
    lines = []
    for row in rows(table):
        line: dict[str, object] = _names(row, labels)
        for ratio in shown_ratios(table, labels):
            line[f"ratio{ratio}_experiment"] = row.experiment(ratio)
            for metric in METRICS:
                line |= _ours(summary, row.experiment(ratio), metric, f"ratio{ratio}_{metric}", labels)
                line[f"ratio{ratio}_{metric}_paper"] = published(row, ratio, metric)
        lines.append(line)
    return pd.DataFrame(lines)


def shown_ratios(table: int, labels: Labels) -> list[int]:
    """Declared ratios that a table has: Tables 4 and 5 only those that the paper prints, the others all."""
    if table not in (4, 5):
        return list(labels.ratios)
    printed = {ratio for row in rows(table) for ratio in printed_ratios(row)}
    return [ratio for ratio in labels.ratios if ratio in printed]


def _ours(
    summary: pd.DataFrame, run: str, metric: str, header: str, labels: Labels, group: str = ALL
) -> dict[str, object]:
    """Our mean under `header`; with several seeds their standard deviation too."""
    found: dict[str, object] = {header: mean(summary, run, metric, group)}
    if labels.seeds > 1:
        found[f"{header}{SD}"] = mean(summary, run, metric + SD, group)
    return found


def table7(summary: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Table 7: dense Multi-Net, then TGNet 3-to-2D at each declared ratio, by structure.

    Returns:
        One row per run. Columns `experiment`, `ratio`, then `actin_filament_MSE` (ours),
        `actin_filament_MSE_paper` and so on for each of `GROUPS`.
    """
    lines = []
    for row in rows(7):
        (ratio,) = printed_ratios(row)
        if row.approach != "Multi-Net" and ratio not in labels.ratios:
            continue
        line: dict[str, object] = {**_names(row, labels), "experiment": row.experiment(ratio), "ratio": ratio}
        for group in GROUPS:
            for metric in METRICS:
                line |= _ours(summary, row.experiment(ratio), metric, f"{group}_{metric}", labels, group)
                line[f"{group}_{metric}_paper"] = published(row, ratio, metric, group)
        lines.append(line)
    return pd.DataFrame(lines)


def baseline(
    summary: pd.DataFrame, scores: pd.DataFrame, labels: Labels, ceilings: Mapping[str, float] | None
) -> pd.DataFrame:
    """R2 by structure of the linear baseline and of TGNet 3-to-2D, and what noise leaves possible.

    Args:
        summary: Means of the runs, from `summarise`.
        scores: The same runs by volume: their mix of structures weighs the ceiling of `all`.
        labels: Gives the ratios.
        ceilings: Structure -> R2 of a perfect prediction, below 1 because targets are noisy.

    Returns:
        One row per structure, `all` and `structure_mean`. Columns `linear_ratio2_R2`,
        `tgnet_ratio2_R2` and so on; with ceilings also `ceiling_R2`.
    """
    groups = [*KEYS, ALL, STRUCTURE_MEAN]
    frame = pd.DataFrame({"structure": groups})
    for ratio in labels.ratios:
        frame[f"linear_ratio{ratio}_R2"] = [mean(summary, linear(ratio), "R2", group) for group in groups]
        frame[f"tgnet_ratio{ratio}_R2"] = [mean(summary, f"{TGNET}-r{ratio}", "R2", group) for group in groups]
    if ceilings is not None:
        volumes = scores.drop_duplicates("volume")["structure"]
        possible = {key: ceilings.get(key, float("nan")) for key in KEYS}
        possible[ALL] = volumes.map(possible).mean(skipna=False)
        possible[STRUCTURE_MEAN] = pd.Series([possible[key] for key in volumes.unique()]).mean(skipna=False)
        frame["ceiling_R2"] = [possible[group] for group in groups]
    return frame


def _names(row: PublishedRow, labels: Labels) -> dict[str, object]:
    return {
        "approach": labels.approach(row.approach),
        "topology": row.topology,
        "interpolation": row.interpolation,
        "projection": row.projection,
    } | _more_names(row, labels)


def _more_names(row: PublishedRow, labels: Labels) -> dict[str, object]:
    if row.backbone:
        return {"backbone": labels.backbone(row.backbone)}
    if row.epochs:
        return {"schedule": f"{row.settings(2).budget_percent / 100:.3g}x", "epochs_paper": int(row.epochs)}
    return {}


def number(value: float, decimals: int = 4) -> str:
    """A score with fixed decimals, never `-0.0000`; empty for nan."""
    return "" if pd.isna(value) else f"{value:z.{decimals}f}"


def decimals(header: str) -> int:
    """Decimals of a column or group: percentages have two, scores four as in the paper."""
    return 2 if header.startswith(DELTA_IMP) else 4


def csv_text(frame: pd.DataFrame) -> str:
    """The frame as CSV: the same results give the same bytes; a missing run is an empty cell."""
    texts = frame.copy()
    for header in frame.select_dtypes("float").columns:
        texts[header] = [number(value, decimals(header)) for value in frame[header]]
    return texts.to_csv(index=False, lineterminator="\n")
