"""Figure 4: R2 against the sparsity ratio, ours and the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsessp.config import RATIOS
from sparsessp.paper.published import printed_ratios, published
from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.drawing import canvas, tidy
from sparsessp.reporting.names import TOPOLOGIES, TOPOLOGY_COLOURS, backbone_name, method_name
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import mean
from sparsessp.reporting.tables.networks import Network, added, in_paper, networks

TITLE = "Figure 4: R² against the sparsity ratio"
FORMAT = "svg"
_PAPER_TOPOLOGIES = ("3d", "3to2d")
# Factors on the ratio, so that markers with equal scores do not overlap.
_SHIFT = {"3d": 0.96, "3to2d": 1.04, "2d": 1.0, "2to3d": 1.02}
_OURS: dict[str, Any] = {"linewidth": 2, "markersize": 7}
_PAPER: dict[str, Any] = {
    "linewidth": 1.2,
    "markersize": 5,
    "linestyle": (0, (4, 2)),
    "markerfacecolor": "white",
    "alpha": 0.6,
}


@dataclass(frozen=True)
class _Panel:
    """One panel: its title and the networks drawn in it, by topology."""

    title: str
    lines: Mapping[str, Network]


def draw(results: Results) -> Figure:
    """Draw one panel per method, and one per backbone that is not in the paper."""
    panels = _panels(results)
    height = -(-(len(panels) + 1) // 3)
    figure = canvas(9, 0.6 + 2.8 * height)
    figure.suptitle(f"Figure 4. R² against the sparsity ratio\n{results.labels.setting}", fontsize=13)
    axes = list(figure.subplots(height, 3, sharex=True, sharey=True).flat)
    for panel, content in zip(axes, panels, strict=False):
        for topology, network in content.lines.items():
            _draw_network(panel, topology, network, results)
        panel.set_title(content.title, fontsize=11)
        panel.set_xscale("log", base=2)
        panel.set_xticks(RATIOS, [str(ratio) for ratio in RATIOS])
        panel.minorticks_off()
        panel.set_xlim(0.85, 9.4)
    tidy(axes)
    figure.supxlabel("sparsity ratio r (every r-th plane is imaged)", fontsize=11)
    figure.supylabel("R², mean over test volumes", fontsize=11)
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    drawn = [topology for content in panels for topology in content.lines]
    _draw_legend(axes[len(panels)], drawn, results.labels.paper_scores)
    for panel in axes[len(panels) - 3 : len(panels)]:  # the lowest panel of each column
        panel.tick_params(labelbottom=True)
    return figure


def _panels(results: Results) -> list[_Panel]:
    keys = dict.fromkeys(network.settings.method for network in networks(3, results))
    found = []
    for method in keys:
        lines = {
            network.settings.topology: network
            for network in networks(3, results)
            if network.settings.method == method and network.settings.topology in _PAPER_TOPOLOGIES
        }
        found.append(_Panel(results.labels.approach(method_name(method)), lines))
    new = [item for item in added(results) if not in_paper(item.backbone) and item.interpolation == "prefix"]
    for method, backbone in dict.fromkeys((item.method, item.backbone) for item in new):
        lines = {item.topology: Network({}, item) for item in new if (item.method, item.backbone) == (method, backbone)}
        found.append(_Panel(f"{method_name(method)}, {backbone_name(backbone)}", lines))
    return found


def _draw_network(panel: Axes, topology: str, network: Network, results: Results) -> None:
    style, shift = _style(topology), _SHIFT[topology]
    if network.paper and results.labels.paper_scores:
        printed = printed_ratios(network.paper)
        paper = [published(network.paper, ratio, "R2") for ratio in printed]
        panel.plot([ratio * shift for ratio in printed], paper, **style, **_PAPER)
    declared = sorted({1, *results.labels.ratios})
    ours = [mean(results.summary, network.experiment(ratio), "R2") for ratio in declared]
    panel.plot([ratio * shift for ratio in declared], ours, **style, **_OURS)


def _style(topology: str) -> dict[str, Any]:
    return {"color": TOPOLOGY_COLOURS[topology], "marker": TOPOLOGIES[topology][1]}


def _draw_legend(panel: Axes, topologies: list[str], paper: bool) -> None:
    shown = [key for key in TOPOLOGIES if key in topologies]
    handles = [Line2D([], [], **_style(key), **_OURS, label=f"{TOPOLOGIES[key][0]}, this run") for key in shown]
    handles += [
        Line2D([], [], **_style(key), **_PAPER, label=f"{TOPOLOGIES[key][0]}, paper (real images)")
        for key in shown
        if key in _PAPER_TOPOLOGIES and paper
    ]
    panel.legend(handles=handles, loc="center", fontsize=11, frameon=False, labelspacing=0.9, handlelength=3)


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels = results.labels
    paper = "; light dashed lines, open markers: the paper's scores, on real AllenCell images"
    return (
        Strong("Figure 4. R² against the sparsity ratio, 3D and 3-to-2D topologies, prefix interpolation"),
        f" ({labels.setting}). Mean over {labels.test} test volumes. Solid lines, filled markers: this run"
        f"{paper if labels.paper_scores else ''}. A ratio without a filled marker has no result. Markers are shifted "
        "slightly along the axis so that they do not hide each other.",
    )
