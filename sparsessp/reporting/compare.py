"""Comparison of two reports: which runs were added, removed or changed, and whether a change exceeds the noise.

The noise is that of the test volumes only. One run on each side gives no estimate of the variance of training, so
another seed alone may cause a change that exceeds this noise.
"""

import io
import json

import numpy as np
import pandas as pd

from sparsessp.errors import SparseSSPError
from sparsessp.reporting.bootstrap import Bootstrap, holm, interval, p_value

_LEVEL = 0.05
COLUMNS = ("run", "change", "a_R2", "b_R2", "difference", "low", "high", "p_holm", "outside_noise")


def read_means(text: str, source: str) -> dict[str, float]:
    """Return the mean R2 of each run from the text of metrics.json.

    Raises:
        SparseSSPError: It is not such a file; the message names `source`.
    """
    try:
        values = json.loads(text)
        # Earlier reports stored all three scores of a run.
        return {name: float(value["R2"] if isinstance(value, dict) else value) for name, value in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SparseSSPError(f"{source}: not a JSON file of R2 by run ({error!r})") from None


def read_volumes(text: str, source: str) -> pd.DataFrame:
    """Return R2 by test volume and structure (index) and run (columns) from the text of scores.csv.

    Raises:
        SparseSSPError: It is not such a file; the message names `source`.
    """
    try:
        frame = pd.read_csv(io.StringIO(text)).set_index(["volume", "structure"])
        return frame.astype(float)
    except (KeyError, ValueError) as error:  # pandas' parser errors too
        raise SparseSSPError(f"{source}: not a table of R2 by volume ({error})") from None


def compare(
    a: dict[str, float],
    b: dict[str, float],
    a_volumes: pd.DataFrame | None = None,
    b_volumes: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare two reports run by run.

    Args:
        a: Mean R2 by run of the first report.
        b: The same for the second report.
        a_volumes: R2 by test volume of the first report from `read_volumes`, if it has them.
        b_volumes: The same for the second report.

    Returns:
        One row per run, columns `COLUMNS`; `change` is added, removed, changed or same. Where both reports have scores
        of the same volumes, `low` and `high` are the 95 % interval of the difference, by a paired bootstrap over
        volumes, stratified by structure; `outside_noise` says whether the p-value, adjusted by Holm's method over all
        changed runs, is below 0.05. Otherwise, or with one volume per structure, they are nan and None.
    """
    lines = [_line(name, a.get(name), b.get(name)) for name in [*a, *(name for name in b if name not in a)]]
    paired = a_volumes is not None and b_volumes is not None and set(a_volumes.index) == set(b_volumes.index)
    if paired:
        b_volumes = b_volumes.loc[a_volumes.index]
        for line in lines:
            name = line["run"]
            if line["change"] == "changed" and name in a_volumes and name in b_volumes:
                line |= _noise(a_volumes[name], b_volumes[name])
    frame = pd.DataFrame(lines, columns=list(COLUMNS)).astype({"outside_noise": object})
    tested = frame["p_holm"].notna()
    if tested.any():
        adjusted = holm(frame.loc[tested, "p_holm"].to_numpy())
        frame.loc[tested, "p_holm"] = adjusted
        frame.loc[tested, "outside_noise"] = (adjusted < _LEVEL).tolist()
    return frame


def _line(name: str, a: float | None, b: float | None) -> dict[str, object]:
    change = "added" if a is None else "removed" if b is None else "same" if a == b else "changed"
    nan = float("nan")
    a, b = nan if a is None else a, nan if b is None else b
    line = dict.fromkeys(COLUMNS, nan)
    return line | {"run": name, "change": change, "a_R2": a, "b_R2": b, "difference": b - a, "outside_noise": None}


def _noise(a: pd.Series, b: pd.Series) -> dict[str, float]:
    """Return the interval and p-value of the mean difference, paired by volume."""
    volumes = [name for name, _ in a.index]
    structures = [structure for _, structure in a.index]
    rows = {"experiment": "difference", "volume": volumes, "structure": structures, "r2": (b - a).to_numpy()}
    draws = Bootstrap(pd.DataFrame(rows)).mean("difference")[1:]
    low, high = interval(draws)
    return {"low": low, "high": high, "p_holm": p_value(draws)}


def text(frame: pd.DataFrame, everything: bool = False) -> str:
    """Return the comparison as text: one line per changed, added or removed run (or per run), and a summary."""
    shown = frame if everything else frame[frame["change"] != "same"]
    width = max([len("run"), *map(len, shown["run"])])
    head = (
        f"{'run':<{width}}  {'change':<8}  {'R2 A':>8}  {'R2 B':>8}  {'B - A':>8}  {'95 % interval':>20}  outside noise"
    )
    lines = [head] if len(shown) else []
    for row in shown.to_dict("records"):
        numbers = "  ".join(_number(row[key]) for key in ("a_R2", "b_R2", "difference"))
        span = "–" if np.isnan(row["low"]) else f"{row['low']:+.4f} to {row['high']:+.4f}"
        verdict = {None: "–", True: "yes", False: "no"}[row["outside_noise"]]
        lines.append(f"{row['run']:<{width}}  {row['change']:<8}  {numbers}  {span:>20}  {verdict}")
    counts = frame["change"].value_counts()
    found = ", ".join(f"{counts.get(key, 0)} {key}" for key in ("changed", "added", "removed", "same"))
    outside = sum(value is True for value in frame["outside_noise"])
    unknown = sum((frame["change"] == "changed") & frame["low"].isna())
    lines += [
        f"{len(frame)} runs: {found}; {outside} outside noise"
        + (
            f", {unknown} without an interval (scores of the same volumes, several per structure, are needed)"
            if unknown
            else ""
        ),
        "Interval: 95 % interval of a paired bootstrap over test volumes, stratified by structure. Outside noise: "
        "p below 0.05 after Holm's adjustment over the changed runs. The noise is that of the test volumes only; "
        "training with another seed may change a score by more.",
    ]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{'–':>8}" if np.isnan(value) else f"{value:8.4f}"
