"""Schematic of the networks as built: the shape of the feature that each part returns."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.drawing import canvas, say
from sparsessp.reporting.names import GREY, TOPOLOGIES, method_name
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.runs import costs

TITLE = "The networks as built"
FORMAT = "png"

_PLAIN = "#f4f4f4"
FILL = {
    3: "#fbd9bf",
    2: "#c6e2f3",
}  # by spatial dimensions; lighter shades of the other figures' colours
_VIEW, _PREDICTION = "sparse view", "prediction"
_WIDTH, _HEIGHT = 1.0, 0.52
_LEFT, _MIDDLE, _RIGHT = 0.0, 1.3, 2.6


def draw(results: Results) -> Figure | None:
    """Draw the four topologies of TGNet with prefix interpolation at the smallest ratio, one panel each."""
    if not costs(results)["standard"].any():
        return None
    method, ratio, evidence = "tgnet", min(results.labels.ratios), results.evidence
    figure = canvas(11, 8.6)
    for panel, (topology, (title, _)) in zip(figure.subplots(2, 2).flat, TOPOLOGIES.items(), strict=True):
        panel.set_axis_off()
        name = f"{method}-{topology}-prefix-r{ratio}"
        facts = evidence.network(name)
        if facts is None:
            panel.set_title(title, fontsize=12)
            say(panel, f"{name}: no result")
            continue
        millions, gmacs = facts["parameters"] / 1e6, facts["gmacs"]
        panel.set_title(
            f"{method_name(method)} {title}: {millions:.3g} million parameters, {gmacs:.3g} GMACs", fontsize=11
        )
        draw_network(panel, {row["part"]: row["shape"] for row in facts["shapes"]})
    handles = [Patch(facecolor=FILL[n], edgecolor=GREY, label=f"{n}D features") for n in (3, 2)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return figure


def draw_network(panel: Axes, shapes: dict[str, Sequence[int]]) -> None:
    """Draw one network into a panel, from the shape of each part's output."""
    levels = sorted(int(part.split()[1]) for part in shapes if part.startswith("encoder ") and part[-1].isdigit())
    deepest = levels[-1]
    panel.set_xlim(-0.1, _RIGHT + _WIDTH + 0.1)
    panel.set_ylim(deepest + 0.4, -0.4)
    _box(panel, _LEFT, 0, _VIEW, shapes["view"])
    _box(panel, _RIGHT, 0, _PREDICTION, shapes["prediction"])
    for level in levels:
        _box(panel, _LEFT, level, f"encoder {level}", shapes[f"encoder {level}"])
        _arrow(panel, (_LEFT + 0.5, level - 1 + 0.27), (_LEFT + 0.5, level - 0.27))
        right = f"decoder {level}" if level < deepest else "encoder fusion"
        _box(panel, _RIGHT, level, "bottleneck" if level == deepest else right, _entering(shapes, right, level))
        _arrow(panel, (_RIGHT + 0.5, level - 0.27), (_RIGHT + 0.5, level - 1 + 0.27))
        bridge = f"bridge {level}"
        if bridge in shapes:
            _box(panel, _MIDDLE, level, f"projection {level}", shapes[bridge])
            _arrow(panel, (_LEFT + _WIDTH, level), (_MIDDLE, level))
            _arrow(panel, (_MIDDLE + _WIDTH, level), (_RIGHT, level))
        else:
            _arrow(panel, (_LEFT + _WIDTH, level), (_RIGHT, level))


def _entering(shapes: dict[str, Sequence[int]], part: str, level: int) -> Sequence[int]:
    """Return the shape on the right of a level: the decoder's feature, or at the bottom the input of the decoder."""
    return shapes.get(f"bridge {level}", shapes[part]) if part == "encoder fusion" else shapes[part]


def _box(panel: Axes, x: float, y: float, name: str, shape: Sequence[int]) -> None:
    fill = _PLAIN if name in (_VIEW, _PREDICTION) else FILL[len(shape) - 1]
    corner = (x + 0.03, y - _HEIGHT / 2 + 0.03)
    outline: dict[str, Any] = {"boxstyle": "round,pad=0.03", "facecolor": fill, "edgecolor": GREY}
    panel.add_patch(FancyBboxPatch(corner, _WIDTH - 0.06, _HEIGHT - 0.06, linewidth=0.9, **outline))
    panel.text(x + 0.5, y - 0.1, name, ha="center", va="center", fontsize=9)
    panel.text(x + 0.5, y + 0.12, " × ".join(map(str, shape)), ha="center", va="center", fontsize=8.5)


def _arrow(panel: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    panel.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1, "shrinkA": 0, "shrinkB": 0}
    )


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels = results.labels
    return (
        Strong("The four topologies of TGNet as they were built"),
        f" ({labels.setting}; r = {min(labels.ratios)}, prefix interpolation). Each box is the output of a part for "
        "one patch: channels × planes × rows × columns, or channels × rows × columns where planes are folded into "
        "channels. Bottleneck: input of the decoder. The shapes are read from the networks.",
    )
