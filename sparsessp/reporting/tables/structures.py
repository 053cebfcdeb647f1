"""Table 7: the baseline, dense Multi-Net, and sparse TGNet 3-to-2D, by structure."""

import pandas as pd

from sparsessp.paper.published import ALL, DELTA_IMP, PRINTED_METRICS, STRUCTURE_MEAN, printed_ratios, published, rows
from sparsessp.reporting.document.model import Row, Table, Words, number_column, text_column
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.comparisons import best_values, caption, ours, shown
from sparsessp.reporting.tables.formats import compared, group_name, symbol
from sparsessp.reporting.tables.networks import paper_names
from sparsessp.structures import task_codes


def groups(results: Results) -> tuple[str, ...]:
    """Return the rows of the table: structures of the dataset, then means."""
    return (*task_codes(results.scores["structure"]), ALL, STRUCTURE_MEAN, DELTA_IMP)


def frame(results: Results) -> pd.DataFrame:
    """Return dense Multi-Net, then TGNet 3-to-2D at each planned ratio.

    Returns:
        One row per run. Columns `experiment`, `ratio`, then `actin_filament_MSE` (ours),
        `actin_filament_MSE_paper` (if the paper has scores of these structures) and so on for each of `groups`.
    """
    lines = []
    for row in rows(7):
        (ratio,) = printed_ratios(row)
        if row.approach != "Multi-Net" and ratio not in results.labels.ratios:
            continue
        run = row.experiment(ratio)
        line: dict[str, object] = {**paper_names(row, results.labels), "experiment": run, "ratio": ratio}
        for group in groups(results):
            for metric in PRINTED_METRICS:
                line |= ours(results, run, metric, f"{group}_{metric}", group)
                if results.labels.paper_scores:
                    line[f"{group}_{metric}_paper"] = published(row, ratio, metric, group)
        lines.append(line)
    return pd.DataFrame(lines)


def table(frame: pd.DataFrame, results: Results) -> Table:
    """Return the transposed table, one row per structure, because the paper's 42 columns would not fit a page."""
    metrics = ("R2", "MSE", "MAE")
    runs = [values for _, values in frame.iterrows() if shown(results, values["experiment"])]
    columns = [text_column("Structure")]
    for run in runs:
        columns += [number_column(run["approach"], f"r = {run['ratio']}", symbol(metric)) for metric in metrics]
    lines = []
    for group in groups(results):
        names = [f"{group}_{metric}" for metric in metrics]
        best = best_values(frame, names)
        cells = [compared(run, name, best) for run in runs for name in names]
        lines.append(Row((Words(group_name(group)), *cells)))
    notes = [
        "Bold: best run of the row.",
        "All: mean over test volumes, as in the paper.",
        "ΔImp: improvement of All over the baseline, Multi-Net at r = 1.",
    ]
    if results.labels.paper_scores:
        notes.append("The paper's mean of structures is computed from its printed values.")
    if results.labels.paper_scores and 4 in results.labels.ratios:
        notes.append("The paper's Tight Junction R² at r = 4 is shown as printed; the MSE implies about .31.")
    title = "Table 7. Structures: dense Multi-Net and sparse TGNet 3-to-2D"
    text = caption(results.labels, "below it", notes)
    return Table(tuple(columns), tuple(lines), "table7", title, text, stacked=True)
