"""R2 of every test volume."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.drawing import canvas, tidy
from sparsessp.reporting.names import GREY, RATIO_COLOURS
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import TGNET
from sparsessp.structures import in_order, name_of

TITLE = "R² of every test volume"
FORMAT = "svg"


def draw(results: Results) -> Figure | None:
    """Draw one row per structure: TGNet 3-to-2D at each ratio, and the ceiling set by noise."""
    scores, labels, ceilings = results.scores, results.labels, results.ceilings
    if not scores["experiment"].str.startswith(TGNET).any():
        return None
    structures = in_order(scores["structure"])
    figure = canvas(8.2, 1.6 + 0.48 * len(structures))
    panel = figure.subplots()
    ratios = [ratio for ratio in (1, *labels.ratios) if f"{TGNET}-r{ratio}" in set(scores["experiment"])]
    runs = {ratio: scores[scores["experiment"] == f"{TGNET}-r{ratio}"] for ratio in dict.fromkeys(ratios)}
    for row, structure in enumerate(structures):
        for place, (ratio, run) in enumerate(runs.items()):
            r2 = run.loc[run["structure"] == structure, "r2"]
            y = row + (place - (len(runs) - 1) / 2) * 0.7 / max(len(runs), 1)
            colour = RATIO_COLOURS[ratio]
            panel.plot(r2, np.full(len(r2), y), "o", color=colour, markersize=4.5, alpha=0.55, markeredgewidth=0)
            panel.plot(
                [r2.mean()] if len(r2) else [], [y] if len(r2) else [], "|", color=colour, markersize=13, mew=2.5
            )
        if ceilings and structure in ceilings:
            panel.plot([ceilings[structure]] * 2, [row - 0.42, row + 0.42], color="black", linewidth=1.2)
    panel.set_yticks(range(len(structures)), [name_of(structure) for structure in structures])
    panel.set_ylim(len(structures) - 0.4, -0.6)
    panel.set_xlabel("R² of a test volume", fontsize=10)
    tidy([panel])
    handles = [
        Line2D([], [], color=RATIO_COLOURS[ratio], marker="o", linestyle="", label=f"TGNet 3-to-2D, r = {ratio}")
        for ratio in runs
    ]
    handles.append(Line2D([], [], color=GREY, marker="|", markersize=13, mew=2.5, linestyle="", label="mean"))
    if ceilings:
        handles.append(Line2D([], [], color="black", linewidth=1.2, label="ceiling set by noise"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    return figure


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels = results.labels
    ceiling = " Black lines: R² of a perfect prediction, below 1 because of noise." if results.ceilings else ""
    return (
        Strong("R² of every test volume by structure, TGNet 3-to-2D"),
        f" ({labels.setting}; {labels.test} test volumes). Dots: volumes; coloured bars: means.{ceiling}",
    )
