"""Forest plot of the claims: the effect and interval of each, and the paper's effect."""

import textwrap

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsessp.reporting.figures.drawing import canvas, tidy
from sparsessp.reporting.names import GREY

# The verdict is also printed in words, so that it does not depend on colour.
_VERDICTS = {"supported": "#0072b2", "contradicted": "#d55e00", "undecided": GREY, "not run": GREY}
_REACH = 4  # times the largest effect; longer intervals, such as those of two comparisons, are cut off


def forest(claims: pd.DataFrame) -> Figure:
    """Draw the claims whose effect is in R2, one per line.

    Args:
        claims: From `claims.claims`.
    """
    frame = claims[(claims["unit"] == "R2") & (claims["possible"] > 0)].reset_index(drop=True)
    figure = canvas(9.6, 1.5 + 0.5 * len(frame))
    panel = figure.subplots()
    reach = _REACH * frame[["effect", "paper_effect"]].abs().max(axis=None)
    cut = False
    for line, row in enumerate(frame.itertuples()):
        colour = _VERDICTS[row.verdict]
        low, high = max(row.low, -reach), min(row.high, reach)
        panel.plot([low, high], [line, line], color=colour, linewidth=3, solid_capstyle="butt")
        for end, limit, marker in ((low, row.low, "<"), (high, row.high, ">")):
            if abs(limit) > reach:
                panel.plot(end, line, marker, color=colour, markersize=9)
                cut = True
        panel.plot(row.effect, line, "o", color=colour, markersize=8)
        panel.plot(row.paper_effect, line, "D", color="white", markeredgecolor="black", markersize=6, zorder=3)
        panel.text(
            1.02, line, row.verdict, transform=panel.get_yaxis_transform(), va="center", color=colour, fontsize=10
        )
    panel.axvline(0, color="black", linewidth=1)
    panel.set_yticks(range(len(frame)), [textwrap.fill(text, 40) for text in frame["claim"]])
    panel.set_ylim(len(frame) - 0.5, -0.5)
    panel.set_xlabel("effect in R²; positive if the claim holds", fontsize=10)
    tidy([panel])
    handles = [
        Line2D([], [], color=GREY, marker="o", markersize=8, linewidth=3, label="this run, with interval"),
        Line2D([], [], color="white", marker="D", markeredgecolor="black", markersize=6, label="paper (real images)"),
    ]
    if cut:
        handles.append(Line2D([], [], color=GREY, marker=">", markersize=9, linestyle="", label="interval continues"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    return figure
