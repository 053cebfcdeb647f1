"""R2 by plane, to see whether the error grows between the imaged planes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.figures.drawing import canvas, tidy
from sparsessp.reporting.names import GREY, TOPOLOGIES, TOPOLOGY_COLOURS
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import TGNET, TGNET_3D
from sparsessp.schema import Z_PROFILE, linear_regression

TITLE = "R² by plane"
FORMAT = "svg"


def draw(results: Results) -> Figure | None:
    """Draw R2 by distance from the imaged plane (top) and by depth (bottom), one column per planned ratio."""
    evidence, labels = results.evidence, results.labels
    if all(evidence.planes(name) is None for name in evidence.names):
        return None
    figure = canvas(max(6.5, 3.4 * len(labels.ratios)), 6.4)
    panels = figure.subplots(2, len(labels.ratios), squeeze=False, sharey="row")
    for (above, below), ratio in zip(panels.T, labels.ratios, strict=True):
        lines = [
            (f"{TGNET_3D}-r{ratio}", {**_style("3d"), "label": "TGNet 3D"}),
            (f"{TGNET}-r{ratio}", {**_style("3to2d"), "label": "TGNet 3-to-2D"}),
            (linear_regression(ratio), {"color": GREY, "marker": "x", "linestyle": ":", "label": "linear regression"}),
            (Z_PROFILE, {"color": GREY, "marker": "+", "linestyle": "--", "label": "z-profile"}),
        ]
        for name, style in lines:
            planes = evidence.planes(name)
            if planes is None:
                _say_missing(above, name, evidence)
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
        figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False, fontsize=10)
    return figure


def _style(topology: str) -> dict[str, str]:
    return {"color": TOPOLOGY_COLOURS[topology], "marker": TOPOLOGIES[topology][1]}


def by_plane(planes: pd.DataFrame, group: pd.Series | np.ndarray) -> pd.Series:
    """Return the R2 of each group of planes over all volumes: 1 - squared error / variation."""
    sums = planes.groupby(group)[["squared_error", "variation"]].sum()
    return 1 - sums["squared_error"] / sums["variation"]


def _say_missing(panel: Axes, name: str, evidence: Evidence) -> None:
    """Print the name of a run without results, below earlier ones."""
    lines = len(panel.texts)
    panel.text(0.03, 0.04 + 0.09 * lines, f"{name}: no result", transform=panel.transAxes, color=GREY, fontsize=8)


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels = results.labels
    return (
        Strong("R² by plane: does error grow between the imaged planes?"),
        f" ({labels.setting}). R² of a group of planes over all {labels.test} test volumes: 1 − their squared error / "
        "the squared deviation of their targets from the mean of the volume. Top: by distance from the imaged plane, "
        "which is at 0; bottom: by position in the volume. Planes darker than the rest of the volume have a high R² by "
        "this definition, because it is enough to predict them as dark.",
    )
