"""What the released code's sampling inside each window would have added to the scores."""

import pandas as pd

from sparsessp.reporting.document.model import Code, Format, Number, Row, Table, Words, number_column, text_column
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.formats import NO_RESULT, SCORE

_PLANES = Format(1)


def frame(results: Results) -> pd.DataFrame:
    """Return one row per run that was scored so, in means over test volumes.

    Returns:
        `experiment`; `imaged` and `read`, planes of a test volume that the view has and that the windows would have
        read; `R2`, `R2_window_sampling` and their `difference`.
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
    """Return the table of the page."""
    headers = ("Planes imaged", "Planes read", "R²", "R², window-wise", "Difference")
    lines = []
    for row in frame.itertuples():
        scores = (Number(value, SCORE) for value in (row.R2, row.R2_window_sampling, row.difference))
        planes = (Number(row.imaged, _PLANES), Number(row.read, _PLANES))
        lines.append(Row((Words(Code(row.experiment)), *planes, *scores)))
    caption = (
        "The released code drops planes window by window. A last window that is moved back to fit starts between "
        "imaged planes and reads others, which a microscope would not have taken. Mean over test volumes: planes that "
        "the view has, planes that those windows would have read, R² with each. No other number of this report is "
        f"sampled so.{NO_RESULT}"
    )
    title = "What sampling inside each window would have added."
    return Table((text_column("Run"), *map(number_column, headers)), tuple(lines), "window_sampling", title, caption)
