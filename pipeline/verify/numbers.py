"""Recompute means, tables and claims of a report from its scores by volume.

`scores.csv` holds R2 with five decimals. MSE and MAE of the tables are compared with `tables/runs.csv`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.verify.model import Check, judged
from sparsessp.errors import SparseSSPError
from sparsessp.paper.published import ALL, DELTA_IMP, STRUCTURE_MEAN
from sparsessp.reporting.claims import claims
from sparsessp.reporting.scores import SD, TGNET, over_seeds
from sparsessp.schema import REPORT_MEANS_FILE, REPORT_SCORES_FILE, SCORE_COLUMNS, Z_PROFILE, linear_regression

ROUNDED = 1e-4  # half a unit of the fourth decimal of a table, and the rounding of the scores
SPREAD = 2e-4  # standard deviations and intervals double the rounding of the scores
CHANCE = 2e-3  # a p-value moves in steps of 2e-4, and Holm's adjustment multiplies it by the number of claims
_CLAIM_VALUES = {"effect": ROUNDED, "paper_effect": ROUNDED, "low": SPREAD, "high": SPREAD}
_CLAIM_VALUES |= {"p": CHANCE, "p_holm": 10 * CHANCE}
_CLAIM_FACTS = ("comparisons", "possible", "seeds", "verdict")


def read(path: Path) -> pd.DataFrame:
    """Return a CSV file.

    Raises:
        SparseSSPError: The file is missing or malformed.
    """
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise SparseSSPError(f"{path}: the file is missing") from None
    except ValueError as error:
        raise SparseSSPError(f"{path}: not a table: {error}") from None


def read_long(report: Path) -> pd.DataFrame:
    """Return the scores by run and volume; columns `experiment` and `SCORE_COLUMNS`, of which only R2 is known."""
    wide = read(report / REPORT_SCORES_FILE)
    for column in SCORE_COLUMNS[:2]:
        if column not in wide:
            raise SparseSSPError(f"{report / REPORT_SCORES_FILE}: column {column!r} is missing")
    names = [name for name in wide.columns if name not in SCORE_COLUMNS[:2]]
    try:
        scores = wide.melt(SCORE_COLUMNS[:2], names, "experiment", "r2").astype({"r2": float})
    except ValueError as error:
        raise SparseSSPError(f"{report / REPORT_SCORES_FILE}: a score is not a number: {error}") from None
    return scores.reindex(columns=["experiment", *SCORE_COLUMNS])


def check_means(report: Path, runs: pd.DataFrame) -> list[Check]:
    """Compare `metrics.json` with the mean score of each run."""
    path = report / REPORT_MEANS_FILE
    try:
        printed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SparseSSPError(f"{path}: not readable: {error}") from None
    names = list(dict.fromkeys([*printed, *runs.index]))
    differences = []
    for name in names:
        expected = runs[ALL, "R2"].get(name, np.nan)
        found = printed.get(name, np.nan)
        if not _same(found, expected, 1e-5):
            differences.append(f"{name}: {_text(found)}, the scores give {_text(expected)}")
    return judged(REPORT_MEANS_FILE, differences, f"{len(names)} means")


def check_tables(report: Path, runs: pd.DataFrame) -> list[Check]:
    """Compare the scores in the tables with the means of the runs."""
    tables = report / "tables"
    printed = read(tables / "runs.csv")
    settings = over_seeds(_with_errors(runs, printed))
    checks = _compare("tables/runs.csv", _runs_cells(printed, runs))
    for number in range(1, 6):
        checks += _compare(f"tables/table{number}.csv", _ratio_cells(read(tables / f"table{number}.csv"), settings))
    checks += _compare("tables/table7.csv", _structure_cells(read(tables / "table7.csv"), settings))
    for name in ("references", "further_scores"):
        checks += _compare(f"tables/{name}.csv", _named_cells(read(tables / f"{name}.csv"), settings))
    return checks


def check_claims(report: Path, scores: pd.DataFrame, plates: Mapping[str, str] | None) -> list[Check]:
    """Compare the claims with the same tests on the scores.

    Intervals depend on which volumes share a plate, which a report does not say. Without `plates` they are compared
    only if every test volume is independent.
    """
    printed = read(report / "tables" / "claims.csv")
    ratios = sorted({int(found) for name in scores["experiment"] for found in re.findall(r"^linear-r(\d+)$", name)})
    expected = claims(scores, read(report / "tables" / "table6.csv"), ratios, plates)
    if len(printed) != len(expected):
        return [Check("differs", "tables/claims.csv", f"{len(printed)} claims, this code tests {len(expected)}")]
    shared = plates is None and printed["volumes"].max() < scores["volume"].nunique()
    values = {key: limit for key, limit in _CLAIM_VALUES.items() if not shared or key in ("effect", "paper_effect")}
    facts = [key for key in _CLAIM_FACTS if not shared or key != "verdict"]
    differences = []
    for (_, found), (_, wanted) in zip(printed.iterrows(), expected.iterrows(), strict=True):
        name = found["claim"]
        wrong = [key for key, limit in values.items() if not _same(found[key], wanted[key], limit)]
        wrong += [key for key in facts if _plain(found[key]) != _plain(wanted[key])]
        differences += [f"{name!r}, {key}: {_text(found[key])}, the scores give {_text(wanted[key])}" for key in wrong]
    checks = judged("tables/claims.csv", differences, f"{len(printed)} claims tested again")
    if shared:
        checks.append(Check("note", "tables/claims.csv", "intervals not tested again, the plates are unknown"))
    return checks


Cell = tuple[str, float, float, float]  # place, printed, expected, tolerance


def _runs_cells(printed: pd.DataFrame, runs: pd.DataFrame) -> Iterator[Cell]:
    for _, row in printed.iterrows():
        name = row["experiment"]
        for column, group in (("R2", ALL), ("structure_mean_R2", STRUCTURE_MEAN)):
            yield f"{name}, {column}", row[column], runs[group, "R2"].get(name, np.nan), ROUNDED
    for name in runs.index.difference(printed["experiment"]):
        yield f"{name}, R2", np.nan, runs.at[name, (ALL, "R2")], ROUNDED


def _ratio_cells(printed: pd.DataFrame, settings: pd.DataFrame) -> Iterator[Cell]:
    for _, row in printed.iterrows():
        for column in printed.columns:
            if not (match := re.fullmatch(r"(ratio\d+)_((?:MSE|MAE|R2)(?:_sd)?)", column)):
                continue
            name = row[f"{match[1]}_experiment"]
            if isinstance(name, str):
                yield f"{name}, {column}", row[column], _value(settings, name, ALL, match[2]), _limit(match[2])


def _structure_cells(printed: pd.DataFrame, settings: pd.DataFrame) -> Iterator[Cell]:
    for _, row in printed.iterrows():
        for group in settings.columns.unique(0).drop(DELTA_IMP):
            for metric in ("R2", "R2" + SD):
                column, name = f"{group}_{metric}", row["experiment"]
                if metric.endswith(SD) and column not in printed:  # one seed
                    continue
                yield f"{name}, {column}", row[column], _value(settings, name, group, metric), _limit(metric)


def _named_cells(printed: pd.DataFrame, settings: pd.DataFrame) -> Iterator[Cell]:
    for _, row in printed.iterrows():
        for column in printed.columns:
            if match := re.fullmatch(r"(linear_|tgnet_|)ratio(\d+)_R2", column):
                name = linear_regression(int(match[2])) if match[1] == "linear_" else f"{TGNET}-r{match[2]}"
            elif column == "z_profile_R2":
                name = Z_PROFILE
            else:
                continue
            group = row["structure"]
            yield f"{group}, {column}", row[column], _value(settings, name, group, "R2"), ROUNDED


def _with_errors(runs: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with MSE and MAE from the table of runs, because `scores.csv` holds R2 only."""
    runs, known = runs.copy(), printed.set_index("experiment")
    for metric in ("MSE", "MAE"):
        runs[ALL, metric] = known[metric].reindex(runs.index)
    return runs


def _compare(subject: str, cells: Iterator[Cell]) -> list[Check]:
    differences, count = [], 0
    for place, found, expected, limit in cells:
        count += not pd.isna(expected)
        if not _same(found, expected, limit):
            differences.append(f"{place}: {_text(found)}, the scores give {_text(expected)}")
    return judged(subject, differences, f"{count} values")


def _value(settings: pd.DataFrame, name: str, group: str, metric: str) -> float:
    known = name in settings.index and (group, metric) in settings.columns
    return float(settings.at[name, (group, metric)]) if known else float("nan")


def _limit(metric: str) -> float:
    return SPREAD if metric.endswith(SD) else ROUNDED


def _same(found: float, expected: float, limit: float) -> bool:
    if pd.isna(found) or pd.isna(expected):
        return bool(pd.isna(found) and pd.isna(expected))
    return isinstance(found, (int, float)) and abs(found - expected) <= limit


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else "" if pd.isna(value) else f"{float(value):g}"


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else "nothing" if pd.isna(value) else f"{value:.5g}"
