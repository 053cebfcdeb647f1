"""Table 6, ours beside the printed numbers: what is counted, and what the profile stage measured."""

from pathlib import Path

import pandas as pd

from sparsessp.data.samples import read_table
from sparsessp.paper.published import MEASURED, printed_ratios, published, rows
from sparsessp.reporting.labels import Labels

COUNTED = ("experiment", "gmacs", "module_gmacs", "parameters")
# Where and on what it was measured, the same in all rows.
CONDITIONS = ("machine", "device", "threads", "torch", "precision", "planes", "window", "batch", "patch")
COLUMNS = (*COUNTED, *MEASURED, *CONDITIONS)


def read_profile(path: Path | None) -> pd.DataFrame:
    """What the profile stage found, one row a network, by its experiment; without a file no rows.

    Raises:
        SparseSSPError: The file is not such a table.
    """
    if path is None or not path.exists():
        return pd.DataFrame(columns=COLUMNS).set_index("experiment")
    return read_table(path, COLUMNS).set_index("experiment")


def table6(profile: pd.DataFrame) -> pd.DataFrame:
    """Multiply-accumulates and parameters of the networks at the paper's size.

    Returns:
        The paper's rows in the paper's order; nan for a network without a profile. Columns `gmacs`,
        `gmacs_module` (as thop counts) and `gmacs_paper`, each followed by `..._over_3d`, its ratio to the
        3D row of the same method; `parameters`.
    """
    frame = _rows()
    found = profile.reindex(frame["experiment"]).reset_index()
    frame["gmacs"], frame["gmacs_module"] = found["gmacs"].astype(float), found["module_gmacs"].astype(float)
    frame["gmacs_paper"] = _printed("gmacs")
    frame = _with_ratios(frame)
    frame["parameters"] = found["parameters"].astype("Int64")
    return frame


def timings(profile: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Time and memory of an iteration at this run's scale.

    Returns:
        The paper's rows in the paper's order; nan for a network without a profile. Columns
        `infer_s_per_iter` and `infer_s_per_iter_paper`, each followed by `..._over_3d`, its ratio to the 3D
        row of the same method; so for each of `MEASURED`, then `CONDITIONS`.
    """
    frame = _rows()
    found = profile.reindex(frame["experiment"]).reset_index()
    frame["approach"] = [labels.approach(name) for name in frame["approach"]]
    for metric in MEASURED:
        frame[metric], frame[f"{metric}_paper"] = found[metric].astype(float), _printed(metric)
    return pd.concat([_with_ratios(frame), found[list(CONDITIONS)]], axis=1)


def _rows() -> pd.DataFrame:
    return pd.DataFrame(
        {"approach": row.approach, "topology": row.topology, "experiment": row.experiment(*printed_ratios(row))}
        for row in rows(6)
    )


def _printed(metric: str) -> list[float]:
    return [published(row, *printed_ratios(row), metric) for row in rows(6)]


def _with_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Put beside each number its ratio to that of the same method in 3D."""
    dense = frame[frame["topology"] == "3D"].set_index("approach")
    parts = [frame[["approach", "topology", "experiment"]]]
    for name in frame.columns[3:]:
        parts += [frame[name], (frame[name] / frame["approach"].map(dense[name])).rename(f"{name}_over_3d")]
    return pd.concat(parts, axis=1)
