"""Tables 1 to 5: networks at each sparsity ratio, with our scores and the printed ones.

In the frames, missing runs are nan, and ratios are spelled `ratio2_` because `R2` is a metric.
"""

from collections.abc import Sequence

import pandas as pd

from sparsessp.paper.published import ALL, PRINTED_METRICS, printed_ratios, published, rows
from sparsessp.reporting.document.model import Emphasis, Inline, Row, Table, Words, number_column, text_column
from sparsessp.reporting.labels import DINOV2, Labels
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import SD, mean
from sparsessp.reporting.tables.formats import NO_RESULT, best_of, compared, symbol
from sparsessp.reporting.tables.networks import networks

NUMBERS = (1, 2, 3, 4, 5)
_HEADERS = {
    "approach": "Approach",
    "interpolation": "Interp.",
    "topology": "Topology",
    "projection": "Proj. space",
    "schedule": "Training",
    "backbone": "Backbone",
}
# The columns by which the paper distinguishes a table's rows.
_KEYS = {
    1: ["approach", "interpolation", "topology"],
    2: ["projection", "topology"],
    3: ["approach", "topology"],
    4: ["topology", "schedule"],
    5: ["backbone", "topology"],
}
_TITLES = {
    1: "Interpolation: where the missing planes are filled in",
    2: "Projection space between 2D and 3D, on DoDNet",
    3: "Topologies, with prefix interpolation and 3D projection",
    4: "Longer training of DoDNet (1x: the usual budget)",
    5: "2D backbones of TSNs, with prefix interpolation and 3D projection",
}


def frame(number: int, results: Results) -> pd.DataFrame:
    """Return one row per network, with columns for each planned ratio of the table.

    Args:
        number: The table's number in the paper.
        results: Scores and labels.

    Returns:
        The paper's rows in the paper's order, then those of other methods and backbones. Columns `ratio2_experiment`,
        `ratio2_MSE` (ours), with several seeds `ratio2_MSE_sd`, if the paper has scores of these structures
        `ratio2_MSE_paper` etc.
    """
    lines = []
    for network in networks(number, results):
        line: dict[str, object] = dict(network.names)
        for ratio in shown_ratios(number, results.labels):
            run = network.experiment(ratio)
            line[f"ratio{ratio}_experiment"] = run
            for metric in PRINTED_METRICS:
                line |= ours(results, run, metric, f"ratio{ratio}_{metric}")
                if results.labels.paper_scores:
                    printed = published(network.paper, ratio, metric) if network.paper else float("nan")
                    line[f"ratio{ratio}_{metric}_paper"] = printed
        lines.append(line)
    return pd.DataFrame(lines)


def ours(results: Results, run: str, metric: str, header: str, group: str = ALL) -> dict[str, object]:
    """Return our mean under `header`, and with several seeds their standard deviation."""
    found: dict[str, object] = {header: mean(results.summary, run, metric, group)}
    if results.labels.seeds > 1:
        found[f"{header}{SD}"] = mean(results.summary, run, metric + SD, group)
    return found


def shown_ratios(number: int, labels: Labels) -> list[int]:
    """Return the planned ratios of a table; for Tables 4 and 5 only those that the paper prints."""
    if number not in (4, 5):
        return list(labels.ratios)
    printed = {ratio for row in rows(number) for ratio in printed_ratios(row)}
    return [ratio for ratio in labels.ratios if ratio in printed]


def best_values(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Return the best value of each of these columns, and of the paper's columns next to them."""
    headers = [header for name in names for header in (name, f"{name}_paper") if header in frame]
    return {header: best_of(frame[header], header) for header in headers}


def shown(results: Results, *runs: str) -> bool:
    """Return whether a row is on the page: always next to the paper's scores, otherwise if a run of it is planned."""
    return results.labels.paper_scores or any(run in results.experiments for run in runs)


def table(number: int, frame: pd.DataFrame, results: Results) -> Table:
    """Return the table for the page."""
    ratios = shown_ratios(number, results.labels)
    scores = [f"ratio{ratio}_{metric}" for ratio in ratios for metric in PRINTED_METRICS]
    best = best_values(frame, scores)
    columns = [text_column(_HEADERS[key]) for key in _KEYS[number]]
    columns += [number_column(f"r = {ratio}", symbol(metric)) for ratio in ratios for metric in PRINTED_METRICS]
    lines = []
    for network, (_, values) in zip(networks(number, results), frame.iterrows(), strict=True):
        if not shown(results, *(values[f"ratio{ratio}_experiment"] for ratio in ratios)):
            continue
        cells = [*(Words(str(values[key])) for key in _KEYS[number]), *(compared(values, n, best) for n in scores)]
        lines.append(Row(tuple(cells), winner=network.winner and results.labels.paper_scores))
    stacked = len(ratios) > 1
    title = f"Table {number}. {_TITLES[number]}"
    caption = _caption(number, results, stacked)
    return Table(tuple(columns), tuple(lines), f"table{number}", title, caption, stacked)


def _caption(number: int, results: Results, stacked: bool) -> Inline:
    labels = results.labels
    notes = ["Bold: best value of the column."]
    if labels.paper_scores:
        notes.append("★: the paper's best row, by mean R² over its ratios.")
    if number in (1, 3):
        notes.append("K: RepMode's largest kernel (paper: 5).")
    if number == 5:
        notes += _backbone_notes(labels)
    return caption(labels, "below it" if stacked else "after it", notes)


def caption(labels: Labels, place: str, notes: list[str]) -> Inline:
    """Return the caption of a table of scores; the paper's, if shown, are printed at `place`."""
    if labels.seeds > 1:
        notes = [*notes, f"±: standard deviation over {labels.seeds} seeds."]
    if not labels.paper_scores:
        return f"({labels.setting}). Mean over {labels.test} test volumes. {' '.join(notes)}{NO_RESULT}"
    paper = Emphasis("the paper's, on real AllenCell images,")
    start = f"({labels.setting}). Mean over {labels.test} test volumes. Our score is first, "
    return (start, paper, f" {place}. {' '.join(notes)}{NO_RESULT}")


def _backbone_notes(labels: Labels) -> list[str]:
    notes = []
    if labels.backbone_divisor > 1:
        notes.append(f"Backbones are scaled down: 1/{labels.backbone_divisor} of their channels and fewer layers.")
    notes.append(f"Backbones with pretrained weights: {', '.join(labels.pretrained) or 'none'}.")
    if labels.backbone(DINOV2) != DINOV2:
        notes.append("Architecture only: DINOv2's architecture without its weights.")
    return notes
