"""Variance of the test targets compared with the paper's."""

import pandas as pd

from sparsessp.data.allencell.fingerprint import TOLERANCE
from sparsessp.reporting.document.model import (
    WHOLE,
    Format,
    Number,
    PaperNumber,
    Row,
    Strong,
    Table,
    Words,
    number_column,
    text_column,
)
from sparsessp.reporting.tables.formats import group_name

_VARIANCE, _DIFFERENCE = Format(3), Format(3, signed=True)


def table(frame: pd.DataFrame) -> Table:
    """Return the table for the page, from the frame of `fingerprint.fingerprint`."""
    lines = []
    for row in frame.itertuples():
        numbers = (Number(row.volumes, WHOLE), Number(row.variance, _VARIANCE), PaperNumber(row.published, _VARIANCE))
        within = Words("yes") if row.within else Words(Strong("no"))
        lines.append(Row((Words(group_name(row.structure)), *numbers, Number(row.difference, _DIFFERENCE), within)))
    headers = map(number_column, ("Test volumes", "Variance", "The paper's", "Difference"))
    caption = (
        "The paper's variance is MSE / (1 - R²) in its Table 7, which is the same for all its runs. Tolerance of the "
        f"difference: {TOLERANCE}."
    )
    title = "Variance of the test targets after z-scoring and zooming."
    columns = (text_column("Structure"), *headers, text_column("Within tolerance"))
    return Table(columns, tuple(lines), "fingerprint", title, caption)
