"""How all figures look: colours that colour-blind readers can tell apart, a second mark that says it again."""

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette; black is the paper's best method.
METHODS = {
    "multinet": ("Multi-Net", "#999999"),
    "plain": ("plain", "#cccc44"),
    "tsns": ("TSNs", "#e69f00"),
    "condnet": ("CondNet", "#56b4e9"),
    "dodnet": ("DoDNet", "#009e73"),
    "repmode": ("RepMode", "#cc79a7"),
    "tgnet": ("TGNet", "#000000"),
}
TOPOLOGIES = {"3d": ("3D", "o"), "2d": ("2D", "^"), "2to3d": ("2-to-3D", "D"), "3to2d": ("3-to-2D", "s")}
RATIO_COLOURS = {1: "#999999", 2: "#0072b2", 4: "#e69f00", 8: "#d55e00"}
GREY = "#777777"


def canvas(width: float, height: float) -> Figure:
    """An empty white figure; inches."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def tidy(panels: Iterable[Axes]) -> None:
    """Light grid, no box."""
    for panel in panels:
        panel.grid(color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=10)


def say(panel: Axes, text: str, **more: Any) -> None:
    """Words in the middle of a panel that has nothing to show."""
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color=GREY, fontsize=10, **more)
