"""Display names, colours and markers of methods, topologies, backbones and sparsity ratios.

A method or backbone without an entry here gets a name made from its key and one of the spare colours.
"""

from collections.abc import Iterable
from zlib import crc32

from sparsessp.paper.published import rows

# Okabe and Ito's palette, which colour-blind readers can distinguish; black is the paper's best method.
_METHOD_STYLES = {
    "multinet": ("Multi-Net", "#999999"),
    "plain": ("Plain", "#cccc44"),
    "tsns": ("TSNs", "#e69f00"),
    "condnet": ("CondNet", "#56b4e9"),
    "dodnet": ("DoDNet", "#009e73"),
    "repmode": ("RepMode", "#cc79a7"),
    "tgnet": ("TGNet", "#000000"),
}
_SPARE_COLOURS = ("#d55e00", "#0072b2", "#7b3294", "#8c510a", "#35978f", "#c51b7d")
TOPOLOGIES = {"3d": ("3D", "o"), "2d": ("2D", "^"), "2to3d": ("2-to-3D", "D"), "3to2d": ("3-to-2D", "s")}
# The paper's blue and orange of Figure 4, in shades that colour-blind readers can distinguish.
TOPOLOGY_COLOURS = {"3d": "#d55e00", "2d": "#009e73", "2to3d": "#cc79a7", "3to2d": "#0072b2"}
RATIO_COLOURS = {1: "#999999", 2: "#0072b2", 4: "#e69f00", 8: "#d55e00"}
GREY = "#777777"


def method_name(key: str) -> str:
    """Return the name of a method: the paper's, or one made from its key."""
    return _METHOD_STYLES[key][0] if key in _METHOD_STYLES else key.replace("_", " ").capitalize()


def method_colour(key: str) -> str:
    """Return the colour of a method, the same on every machine."""
    if key in _METHOD_STYLES:
        return _METHOD_STYLES[key][1]
    return _SPARE_COLOURS[crc32(key.encode()) % len(_SPARE_COLOURS)]


def in_order(methods: Iterable[str]) -> list[str]:
    """Return methods in the paper's order, then the others by their keys."""
    found = set(methods)
    return [key for key in _METHOD_STYLES if key in found] + sorted(found - set(_METHOD_STYLES))


def backbone_name(key: str) -> str:
    """Return the name of a 2D backbone: the paper's, or one made from its key."""
    printed = {row.settings(2).backbone: row.backbone for row in rows(5)}
    return printed.get(key, key.replace("_", " ").capitalize())
