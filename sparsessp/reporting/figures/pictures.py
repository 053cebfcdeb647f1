"""Elements of the figures that show images: depth as colour, transmitted light, scale bars, choice of volumes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from sparsessp.config import RATIOS
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.names import GREY
from sparsessp.reporting.results import Results

R2Scores = Mapping[str, Mapping[str, float]]
CODED = (
    "Fluorescence and predictions are maximum projections along z, coloured by the height of the brightest voxel. Each "
    "picture is scaled from its 5th to its 99.5th percentile, so compare shapes, not brightness."
)
_OUTLINE = [withStroke(linewidth=2, foreground="black")]
# Colours of depth: of about equal brightness, and distinguishable by colour-blind readers.
DEPTH = LinearSegmentedColormap.from_list("depth", ["#3d8bff", "#e8e8e8", "#ff8c1a"])


def shown_volumes(results: Results) -> str:
    """Return the sentence of captions on which volumes are shown."""
    return (
        f"({results.labels.setting}; {results.labels.test} test volumes). Of each structure, the first test volume in "
        "the order of the split is shown, cropped to at most 128 × 128 voxels around its centre."
    )


def r2_by_volume(results: Results) -> R2Scores:
    """Return run -> volume -> R2."""
    groups = results.scores.groupby("experiment")
    return {str(name): run.set_index("volume")["r2"].to_dict() for name, run in groups}


def densest_examples(results: Results) -> int | None:
    """Return the smallest ratio with saved example volumes, or None if there are none."""
    return next((ratio for ratio in RATIOS if results.evidence.examples(ratio, "target")), None)


def has_predictions(results: Results) -> bool:
    """Return whether any run has a saved prediction of the structures that Figures 5 and 6 show."""
    evidence = results.evidence
    pairs = any(evidence.examples(ratio, "target") for ratio in RATIOS)
    return pairs and any(evidence.predictions(name) for name in evidence.names)


def depth_coded(stack_DHW: np.ndarray) -> np.ndarray:
    """Return the maximum projection along z, (H, W, 3), coloured by the height of the brightest voxel.

    Black and white are percentiles of the projection itself: least-squares predictions have less contrast than their
    targets and would look dark next to them.

    Args:
        stack_DHW: Volume, bottom plane first.
    """
    stack = np.asarray(stack_DHW, np.float64)
    low, high = np.percentile(stack.max(axis=0), (5, 99.5))
    grey = np.clip((stack - low) / max(high - low, 1e-6), 0, 1)
    colours = DEPTH(np.linspace(0, 1, len(grey)))[:, :3]
    weight = grey**4 + 1e-9  # nearly the colour of the brightest plane, without its noise
    mixed = np.tensordot(weight, colours, ((0,), (0,))) / weight.sum(axis=0)[..., None]
    return mixed * grey.max(axis=0)[..., None]


def blank(panel: Axes) -> None:
    """Remove ticks and frame."""
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)


def show(panel: Axes, image: np.ndarray, **more: Any) -> None:
    """Draw an image, one pixel per voxel."""
    blank(panel)
    panel.imshow(image, interpolation="none", **more)


def gap(panel: Axes) -> None:
    """Draw a placeholder for a missing picture."""
    blank(panel)
    panel.set_facecolor("#f0f0f0")
    panel.text(0.5, 0.5, "no\nresult", transform=panel.transAxes, ha="center", va="center", color=GREY, fontsize=9)


def show_light(panel: Axes, view_dHW: np.ndarray, target_DHW: np.ndarray, ratio: int) -> None:
    """Draw the imaged plane at or just below the target's plane of largest variance."""
    brightest = int(target_DHW.var(axis=(1, 2)).argmax())
    plane = view_dHW[min(brightest // ratio, len(view_dHW) - 1)]
    low, high = np.percentile(plane, (1, 99))
    show(panel, plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))


def scale_bar(panel: Axes, width: int, voxel_um: float) -> None:
    """Draw a scale bar of a round length, about a quarter of the picture."""
    length = min((1, 2, 5, 10, 20, 50), key=lambda um: abs(um - width * voxel_um / 4))
    x, y = 0.06 * width, 0.93 * panel.get_ylim()[0]
    y_text = y - 0.03 * panel.get_ylim()[0]
    panel.plot(
        [x, x + length / voxel_um], [y, y], color="white", linewidth=3, solid_capstyle="butt", path_effects=_OUTLINE
    )
    panel.text(x, y_text, f"{length} µm", color="white", fontsize=8, va="bottom", path_effects=_OUTLINE)


def depth_key(figure: Figure, panels: Sequence[Axes], labels: Labels, targets: Mapping[str, np.ndarray]) -> None:
    """Draw the colour bar of depth."""
    planes = max(len(target) for target in targets.values())
    heights = ScalarMappable(Normalize(0, (planes - 1) * labels.voxel_um[0]), DEPTH)
    bar = figure.colorbar(heights, ax=panels, shrink=0.5, aspect=22, pad=0.01)
    bar.set_label("height of the brightest voxel, µm", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def print_score(panel: Axes, r2: R2Scores, name: str, volume: str) -> None:
    """Print the R2 of the whole volume below its picture."""
    if volume in r2.get(name, {}):
        panel.set_xlabel(f"R² {r2[name][volume]:.2f}", fontsize=8, labelpad=2)
