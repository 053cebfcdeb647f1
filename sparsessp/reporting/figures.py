"""Figure 4: how R2 falls as the sparsity ratio grows, ours beside the paper's."""

import io
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsessp.config import RATIOS
from sparsessp.paper.published import PublishedRow, printed_ratios, published, rows
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.scores import mean

# The paper's blue and orange, in shades that colour-blind readers can tell apart; the marker says it again.
STYLES: dict[str, dict[str, Any]] = {
    "3D": {"color": "#d55e00", "marker": "o"},
    "3-to-2D": {"color": "#0072b2", "marker": "s"},
}
_SHIFT = {"3D": 0.96, "3-to-2D": 1.04}  # factors on the ratio, so that equal scores do not hide each other


def figure4(summary: pd.DataFrame, labels: Labels) -> Figure:
    """Draw one panel per method: 3D and 3-to-2D, prefix, ours over the paper's.

    Args:
        summary: Means of the runs, from `summarise`; runs without scores leave gaps.
        labels: Gives the declared ratios and what the title states.
    """
    networks = [row for row in rows(3) if row.topology in STYLES]
    approaches = list(dict.fromkeys(row.approach for row in networks))
    figure = Figure(figsize=(9, 6.2), dpi=150, layout="constrained", facecolor="white")
    figure.suptitle(f"Figure 4. R² against the sparsity ratio\n{labels.setting}", fontsize=13)
    panels = figure.subplots(2, 3, sharex=True, sharey=True).flat
    for approach, panel in zip(approaches, panels, strict=False):
        for row in networks:
            if row.approach == approach:
                _draw_network(panel, row, summary, labels)
        panel.set_title(labels.approach(approach), fontsize=11)
        panel.set_xscale("log", base=2)
        panel.set_xticks(RATIOS, [str(ratio) for ratio in RATIOS])
        panel.minorticks_off()
        panel.set_xlim(0.85, 9.4)
        panel.grid(color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("sparsity ratio r (every r-th plane is imaged)", fontsize=11)
    figure.supylabel("R², mean over test volumes", fontsize=11)
    _draw_legend(figure.axes[len(approaches)])
    # The legend stands below the third panel, which therefore shows its own ticks.
    figure.axes[len(approaches) - 3].tick_params(labelbottom=True)
    return figure


def _draw_network(panel: Axes, row: PublishedRow, summary: pd.DataFrame, labels: Labels) -> None:
    style, shift = STYLES[row.topology], _SHIFT[row.topology]
    printed = printed_ratios(row)
    paper = [published(row, ratio, "R2") for ratio in printed]
    panel.plot([ratio * shift for ratio in printed], paper, **style, **_PAPER)
    declared = sorted({1, *labels.ratios})
    ours = [mean(summary, row.experiment(ratio), "R2") for ratio in declared]
    panel.plot([ratio * shift for ratio in declared], ours, **style, **_OURS)


_OURS: dict[str, Any] = {"linewidth": 2, "markersize": 7}
_PAPER: dict[str, Any] = {
    "linewidth": 1.2,
    "markersize": 5,
    "linestyle": (0, (4, 2)),
    "markerfacecolor": "white",
    "alpha": 0.6,
}


def _draw_legend(panel: Axes) -> None:
    panel.set_axis_off()
    handles = [
        Line2D([], [], **style, **kind, label=f"{topology}, {whose}")
        for whose, kind in (("this run", _OURS), ("paper (real images)", _PAPER))
        for topology, style in STYLES.items()
    ]
    panel.legend(handles=handles, loc="center", fontsize=11, frameon=False, labelspacing=0.9, handlelength=3)


def render(figure: Figure, format: str) -> bytes:
    """The figure as a file's bytes, the same for the same figure: no date, no random ids.

    Args:
        figure: What to draw.
        format: `svg` or `png`.
    """
    buffer = io.BytesIO()
    nothing = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    # Letters as outlines: an SVG viewer without this font would shift and clip them.
    with matplotlib.rc_context({"svg.hashsalt": "sparsessp", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=format, metadata=nothing[format])
    return buffer.getvalue()
