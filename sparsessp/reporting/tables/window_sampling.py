"""Scores with the released code's sampling inside each window."""

import pandas as pd

from sparsessp.reporting.document.model import Code, Format, Number, Row, Table, Words, number_column, text_column
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.formats import NO_RESULT, SCORE

_PLANES = Format(1)


def frame(results: Results) -> pd.DataFrame:
    """Return one row per run that was also scored with this sampling; means over test volumes.

    Returns:
        `experiment`; `imaged`, the planes of the view; `read`, the planes that the windows read; `R2`,
        `R2_window_sampling` and their `difference`.
    """
    lines = []
    for name in results.evidence.names:
        found = results.evidence.window_sampling(name)
        if found is not None:
            imaged, read, ours, theirs = found[["imaged", "read", "r2", "r2_window_sampling"]].mean()
            lines.append((name, imaged, read, ours, theirs, theirs - ours))
    columns = ["experiment", "imaged", "read", "R2", "R2_window_sampling", "difference"]
    return pd.DataFrame(lines, columns=columns)


def table(frame: pd.DataFrame) -> Table:
    """Return the table for the page."""
    headers = ("Planes imaged", "Planes read", "R²", "R², window-wise", "Difference")
    lines = []
    for row in frame.itertuples():
        scores = (Number(value, SCORE) for value in (row.R2, row.R2_window_sampling, row.difference))
        planes = (Number(row.imaged, _PLANES), Number(row.read, _PLANES))
        lines.append(Row((Words(Code(row.experiment)), *planes, *scores)))
    caption = (
        "The released code samples planes inside each window. The last window is moved back to fit, so it can start "
        "between two imaged planes and read planes that the microscope would not have taken. Means over test volumes: "
        "planes that were imaged, planes that such windows read, and R² with each sampling. No other score in this "
        f"report uses this sampling.{NO_RESULT}"
    )
    title = "Effect of sampling inside each window."
    return Table((text_column("Run"), *map(number_column, headers)), tuple(lines), "window_sampling", title, caption)
