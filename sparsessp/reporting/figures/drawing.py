"""Settings and rendering of all figures: the same bytes whatever the user's matplotlibrc."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparsessp.reporting.names import GREY

_SMALL = {"png": {"pil_kwargs": {"optimize": True}}}  # a page with all figures stays below 1.5 MB

# matplotlib names the parts of an SVG by the checksum of arrays as printed.
_NUMPY_DEFAULTS: dict[str, Any] = {
    "precision": 8,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 75,
    "suppress": False,
    "nanstr": "nan",
    "infstr": "inf",
    "sign": "-",
    "floatmode": "maxprec",
    "formatter": None,
    "legacy": False,
}


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw with matplotlib's defaults and a few settings of the report, whatever the user's are."""
    with matplotlib.rc_context(), np.printoptions(**_NUMPY_DEFAULTS):
        matplotlib.rcdefaults()
        # Letters as outlines: an SVG viewer without this font would shift and clip them.
        matplotlib.rcParams.update({"svg.hashsalt": "sparsessp", "svg.fonttype": "path"})
        yield


def canvas(width: float, height: float, dpi: int = 68) -> Figure:
    """Return an empty white figure; inches."""
    return Figure(figsize=(width, height), dpi=dpi, layout="constrained", facecolor="white")


def render(figure: Figure, format: str) -> bytes:
    """Return the figure as a file's bytes, the same for the same figure: no date, no random ids.

    Args:
        figure: What to draw.
        format: `svg` or `png`.
    """
    buffer = io.BytesIO()
    nothing = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    figure.savefig(buffer, format=format, metadata=nothing[format], dpi="figure", **_SMALL.get(format, {}))
    return buffer.getvalue()


def tidy(panels: Iterable[Axes]) -> None:
    """Give panels a light grid and no box."""
    for panel in panels:
        panel.grid(color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=10)


def say(panel: Axes, text: str, **more: Any) -> None:
    """Put words in the middle of a panel that has nothing to show."""
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color=GREY, fontsize=10, **more)
