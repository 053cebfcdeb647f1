"""R2 against a cost, with the Pareto front; used by several figures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sparsessp.reporting.figures.drawing import canvas, say, tidy
from sparsessp.reporting.names import GREY, TOPOLOGIES, in_order, method_colour, method_name


def front(cost: Sequence[float], score: Sequence[float]) -> list[int]:
    """Return the positions of the points that no other point beats in both cost and score, by rising cost."""
    best, kept = -np.inf, []
    for k in sorted(range(len(cost)), key=lambda k: (cost[k], -score[k])):
        if score[k] > best:
            best = score[k]
            kept.append(k)
    return kept


def cost_figure(costs: pd.DataFrame, ratios: Sequence[int], cost: str, words: str) -> Figure:
    """Draw R2 against a cost with the Pareto front, one panel per ratio.

    Args:
        costs: From `runs.costs`, or a frame with its columns and a measured cost.
        ratios: Planned ratios.
        cost: Column of the x axis.
        words: Label of the x axis.
    """
    costs = costs[costs["ratio"].isin(ratios)]
    figure = canvas(max(7.0, 4.4 * len(ratios)), 5.6)
    panels = figure.subplots(1, len(ratios), squeeze=False, sharey=True)[0]
    for panel, ratio in zip(panels, ratios, strict=True):
        here = costs[(costs["ratio"] == ratio) & costs[cost].notna() & costs["R2"].notna()].reset_index(drop=True)
        kept = here.loc[front(here[cost].tolist(), here["R2"].tolist())]
        panel.step(kept[cost], kept["R2"], where="post", color=GREY, linewidth=1.5, linestyle="--", zorder=2)
        panel.plot(kept[cost], kept["R2"], "o", color="none", markeredgecolor=GREY, markersize=17, zorder=2)
        for x, y, method, topology in zip(here[cost], here["R2"], here["method"], here["topology"], strict=True):
            panel.plot(x, y, TOPOLOGIES[topology][1], color=method_colour(method), markersize=8, zorder=3)
        if here.empty:
            say(panel, "no result")
        else:
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.xaxis.set_minor_formatter(NullFormatter())
        panel.margins(x=0.16, y=0.14)
        panel.set_title(f"r = {ratio}", fontsize=12)
        panel.set_xlabel(words, fontsize=10)
    panels[0].set_ylabel("R², mean over test volumes", fontsize=10)
    tidy(panels)
    methods = in_order(costs["method"])
    topologies = [key for key in TOPOLOGIES if key in set(costs["topology"])]
    handles = [
        *(Line2D([], [], color=method_colour(m), marker="o", linestyle="", label=method_name(m)) for m in methods),
        *(
            Line2D([], [], color=GREY, marker=TOPOLOGIES[t][1], linestyle="", label=TOPOLOGIES[t][0])
            for t in topologies
        ),
        Line2D([], [], color=GREY, marker="o", fillstyle="none", markersize=13, linestyle="--", label="Pareto front"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    return figure
