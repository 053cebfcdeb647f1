"""Table 7: the baseline, dense Multi-Net, and sparse TGNet 3-to-2D, by structure."""

import pandas as pd

from sparsessp.paper.published import ALL, DELTA_IMP, PRINTED_METRICS, STRUCTURE_MEAN, printed_ratios, published, rows
from sparsessp.reporting.document.model import Row, Table, Words, number_column, text_column
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.comparisons import caption, ours
from sparsessp.reporting.tables.formats import GROUP_NAMES, best_of, compared, symbol
from sparsessp.reporting.tables.networks import paper_names
from sparsessp.structures import KEYS

GROUPS = (*KEYS, ALL, STRUCTURE_MEAN, DELTA_IMP)


def frame(results: Results) -> pd.DataFrame:
    """Return dense Multi-Net, then TGNet 3-to-2D at each planned ratio.

    Returns:
        One row per run. Columns `experiment`, `ratio`, then `actin_filament_MSE` (ours),
        `actin_filament_MSE_paper` and so on for each of `GROUPS`.
    """
    lines = []
    for row in rows(7):
        (ratio,) = printed_ratios(row)
        if row.approach != "Multi-Net" and ratio not in results.labels.ratios:
            continue
        run = row.experiment(ratio)
        line: dict[str, object] = {**paper_names(row, results.labels), "experiment": run, "ratio": ratio}
        for group in GROUPS:
            for metric in PRINTED_METRICS:
                line |= ours(results, run, metric, f"{group}_{metric}", group)
                line[f"{group}_{metric}_paper"] = published(row, ratio, metric, group)
        lines.append(line)
    return pd.DataFrame(lines)


def table(frame: pd.DataFrame, results: Results) -> Table:
    """Return the transposed table, one row per structure, because the paper's 42 columns would not fit a page."""
    metrics = ("R2", "MSE", "MAE")
    runs = [values for _, values in frame.iterrows()]
    columns = [text_column("Structure")]
    for run in runs:
        columns += [number_column(run["approach"], f"r = {run['ratio']}", symbol(metric)) for metric in metrics]
    lines = []
    for group in GROUPS:
        names = [f"{group}_{metric}" for metric in metrics]
        best = {header: best_of(frame[header], header) for name in names for header in (name, f"{name}_paper")}
        cells = [compared(run, name, best) for run in runs for name in names]
        lines.append(Row((Words(GROUP_NAMES[group]), *cells)))
    notes = [
        "Bold: best run of the row.",
        "All: mean over test volumes, as in the paper.",
        "ΔImp: improvement of All over the baseline, Multi-Net at r = 1.",
        "The paper's mean of structures is computed from its printed values.",
    ]
    if 4 in results.labels.ratios:
        notes.append("The paper's Tight Junction R² at r = 4 is shown as printed; the MSE implies about .31.")
    title = "Table 7. Structures: dense Multi-Net and sparse TGNet 3-to-2D"
    text = caption(results.labels, "below it", notes)
    return Table(tuple(columns), tuple(lines), "table7", title, text, stacked=True)
