"""Line figures that the paper has not: error between imaged planes, cost, training, spread over volumes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from sparsessp.config import RATIOS
from sparsessp.paper.published import printed_ratios, rows
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.figures import STYLES
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.scores import linear, mean
from sparsessp.reporting.style import GREY, METHODS, RATIO_COLOURS, TOPOLOGIES, canvas, say, tidy
from sparsessp.reporting.tables import TGNET
from sparsessp.structures import STRUCTURES

_TGNET_3D = "tgnet-3d-prefix"


def by_plane(planes: pd.DataFrame, group: pd.Series | np.ndarray) -> pd.Series:
    """R2 of the planes of each group, all volumes together: 1 - their squared error / their variation."""
    sums = planes.groupby(group)[["squared_error", "variation"]].sum()
    return 1 - sums["squared_error"] / sums["variation"]


def planes_figure(evidence: Evidence, labels: Labels) -> Figure:
    """R2 by distance from the imaged plane (above), and by depth (below); a column per declared ratio."""
    figure = canvas(max(6.5, 3.4 * len(labels.ratios)), 6.4)
    panels = figure.subplots(2, len(labels.ratios), squeeze=False, sharey="row")
    for (above, below), ratio in zip(panels.T, labels.ratios, strict=True):
        lines = [
            (f"{_TGNET_3D}-r{ratio}", {**STYLES["3D"], "label": "TGNet 3D"}),
            (f"{TGNET}-r{ratio}", {**STYLES["3-to-2D"], "label": "TGNet 3-to-2D"}),
            (linear(ratio), {"color": GREY, "marker": "x", "linestyle": ":", "label": "linear regression"}),
        ]
        for name, style in lines:
            planes = evidence.planes(name)
            if planes is None:
                say_missing(above, name, evidence)
                continue
            near, deep = by_plane(planes, planes["plane"] % ratio), by_plane(planes, planes["plane"])
            above.plot(near.index, near, **style, linewidth=2, markersize=7)
            below.plot(deep.index, deep, **{**style, "marker": ""}, linewidth=2)
        above.set_title(f"r = {ratio}", fontsize=12)
        above.set_xlim(-0.3, max(ratio - 0.7, 0.7))
        above.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        above.set_xlabel("planes above the imaged plane", fontsize=10)
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        below.set_xlabel("plane of the volume, bottom to top", fontsize=10)
        tidy((above, below))
    for panel in panels[:, 0]:
        panel.set_ylabel("R² of these planes", fontsize=10)
    handles, names = panels[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False, fontsize=10)
    return figure


def say_missing(panel: Axes, name: str, evidence: Evidence) -> None:
    """Name a run that has nothing to draw, one below the other."""
    lines = len(panel.texts)
    panel.text(0.03, 0.04 + 0.09 * lines, f"{name}: no result", transform=panel.transAxes, color=GREY, fontsize=8)


def front(cost: Sequence[float], score: Sequence[float]) -> list[int]:
    """Positions of the points that no other beats in both cost and score, by rising cost."""
    best, kept = -np.inf, []
    for k in sorted(range(len(cost)), key=lambda k: (cost[k], -score[k])):
        if score[k] > best:
            best = score[k]
            kept.append(k)
    return kept


def cost_figure(costs: pd.DataFrame, ratios: Sequence[int], cost: str, words: str) -> Figure:
    """R2 against a cost, a panel per ratio, with the Pareto front.

    Args:
        costs: From `run_costs`, or such with measured costs.
        ratios: Declared ratios.
        cost: Column to draw along x.
        words: What it is.
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
            panel.plot(x, y, TOPOLOGIES[topology][1], color=METHODS[method][1], markersize=8, zorder=3)
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
    methods = [key for key in METHODS if key in set(costs["method"])]
    topologies = [key for key in TOPOLOGIES if key in set(costs["topology"])]
    handles = [
        *(Line2D([], [], color=METHODS[m][1], marker="o", linestyle="", label=METHODS[m][0]) for m in methods),
        *(
            Line2D([], [], color=GREY, marker=TOPOLOGIES[t][1], linestyle="", label=TOPOLOGIES[t][0])
            for t in topologies
        ),
        Line2D([], [], color=GREY, marker="o", fillstyle="none", markersize=13, linestyle="--", label="Pareto front"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    return figure


def run_costs(evidence: Evidence, summary: pd.DataFrame) -> pd.DataFrame:
    """Score and cost of every declared run whose network is known.

    Returns:
        Columns `experiment`, `method`, `topology`, `ratio`, `standard` (a network of Table 3, at any ratio), `R2`,
        `gmacs` of one patch, `parameters` of all its networks.
    """
    standard = {row.experiment(ratio) for row in rows(3) for ratio in RATIOS}
    lines = []
    for name in evidence.names:
        facts = evidence.network(name)
        if facts is None:
            continue
        settings = facts["settings"]
        lines.append(
            {
                "experiment": name,
                **{key: settings[key] for key in ("method", "topology", "ratio")},
                "standard": name in standard,
                "R2": mean(summary, name, "R2"),
                "gmacs": facts["gmacs"],
                "parameters": facts["parameters"] * facts.get("networks", 1),
            }
        )
    columns = ["experiment", "method", "topology", "ratio", "standard", "R2", "gmacs", "parameters"]
    return pd.DataFrame(lines, columns=columns).astype({"standard": bool})


def measured_costs(profile: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Score and measured cost of the networks of Table 6.

    Args:
        profile: From `costs.read_profile`.
        summary: Means of the runs, from `summarise`.

    Returns:
        Columns `method`, `topology`, `ratio`, `R2` and those of the profile; for `cost_figure`.
    """
    runs = [row.settings(*printed_ratios(row)) for row in rows(6)]
    frame = pd.DataFrame([run.model_dump(include={"method", "topology", "ratio"}) for run in runs])
    frame["R2"] = [mean(summary, run.name, "R2") for run in runs]
    return pd.concat([frame, profile.reindex([run.name for run in runs]).reset_index(drop=True)], axis=1)


def training_figure(evidence: Evidence, costs: pd.DataFrame, ratio: int) -> Figure:
    """Error during training at one ratio, a panel per topology: validation solid, training thin."""
    chosen = costs[costs["standard"] & (costs["ratio"] == ratio)]
    figure = canvas(9, 6.6)
    panels = figure.subplots(2, 2, sharey=True)
    for panel, (topology, (title, _)) in zip(panels.flat, TOPOLOGIES.items(), strict=True):
        runs = chosen[chosen["topology"] == topology]
        for name, method in zip(runs["experiment"], runs["method"], strict=True):
            history = evidence.history(name)
            if history is None or history["structure"].nunique() > 1:
                continue  # Multi-Net's twelve trainings are not one curve
            colour = METHODS[method][1]
            x = history["iteration"]
            panel.plot(x, history["training_mse"], color=colour, linewidth=1, linestyle=":")
            panel.plot(x, history["validation_mse"], color=colour, linewidth=2, marker=".", label=METHODS[method][0])
        if not panel.lines:
            say(panel, "no result")
        panel.set_title(title, fontsize=11)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        panel.set_xlim(left=0)
    tidy(panels.flat)
    for panel in panels[:, 0]:
        panel.set_ylabel("mean squared error", fontsize=10)
    for panel in panels[1]:
        panel.set_xlabel("iteration", fontsize=10)
    methods = [key for key in METHODS if key in set(chosen["method"])]
    handles = [
        *(Line2D([], [], color=METHODS[m][1], linewidth=2, label=METHODS[m][0]) for m in methods),
        Line2D([], [], color=GREY, linewidth=2, marker=".", label="validation volumes"),
        Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="training crops"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    return figure


def spread_figure(scores: pd.DataFrame, labels: Labels, ceilings: Mapping[str, float] | None) -> Figure:
    """R2 of every test volume, a row per structure: TGNet 3-to-2D at each ratio, and what noise leaves possible."""
    structures = [structure for structure in STRUCTURES if structure.key in set(scores["structure"])]
    figure = canvas(8.2, 1.6 + 0.48 * len(structures))
    panel = figure.subplots()
    ratios = [ratio for ratio in (1, *labels.ratios) if f"{TGNET}-r{ratio}" in set(scores["experiment"])]
    runs = {ratio: scores[scores["experiment"] == f"{TGNET}-r{ratio}"] for ratio in dict.fromkeys(ratios)}
    for row, structure in enumerate(structures):
        for place, (ratio, run) in enumerate(runs.items()):
            r2 = run.loc[run["structure"] == structure.key, "r2"]
            y = row + (place - (len(runs) - 1) / 2) * 0.7 / max(len(runs), 1)
            colour = RATIO_COLOURS[ratio]
            panel.plot(r2, np.full(len(r2), y), "o", color=colour, markersize=4.5, alpha=0.55, markeredgewidth=0)
            panel.plot(
                [r2.mean()] if len(r2) else [], [y] if len(r2) else [], "|", color=colour, markersize=13, mew=2.5
            )
        if ceilings and structure.key in ceilings:
            panel.plot([ceilings[structure.key]] * 2, [row - 0.42, row + 0.42], color="black", linewidth=1.2)
    panel.set_yticks(range(len(structures)), [structure.name for structure in structures])
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
