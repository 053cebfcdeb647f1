"""Figure 6: TGNet 3D and 3-to-2D, and where their errors are largest."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter

from sparsessp.data.examples import structures_shown
from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.drawing import canvas
from sparsessp.reporting.figures.pictures import (
    CODED,
    depth_coded,
    gap,
    has_predictions,
    print_score,
    r2_by_volume,
    scale_bar,
    show,
    shown_volumes,
)
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import TGNET, TGNET_3D
from sparsessp.structures import name_of

TITLE = "Figure 6: 3D and 3-to-2D"
FORMAT = "png"
BOXES = 2  # regions of largest error per volume


def draw(results: Results) -> Figure | None:
    """Draw predictions and errors at the smallest ratio, with the regions of largest error boxed."""
    if not has_predictions(results):
        return None
    evidence, labels, r2, ratio = results.evidence, results.labels, r2_by_volume(results), min(results.labels.ratios)
    targets, volumes = evidence.examples(ratio, "target"), evidence.example_volumes(ratio)
    runs = {"3D": f"{TGNET_3D}-r{ratio}", "3-to-2D": f"{TGNET}-r{ratio}"}
    predictions = {title: evidence.predictions(name) for title, name in runs.items()}
    keys = structures_shown(targets)
    figure = canvas(9.4, 0.6 + 1.6 * len(keys))
    panels = figure.subplots(len(keys), 5, squeeze=False)
    for line, key in zip(panels, keys, strict=True):
        line[0].set_ylabel(name_of(key).replace(" ", "\n"), fontsize=10)
        target = targets[key]
        show(line[0], depth_coded(target))
        scale_bar(line[0], target.shape[2], labels.voxel_um[2])
        errors = {
            title: np.square(found[key] - target).mean(axis=0) for title, found in predictions.items() if key in found
        }
        top = max((float(np.percentile(error, 99.5)) for error in errors.values()), default=1.0)
        # The boxes are chosen by the mean error of both networks, so that they favour neither.
        boxes = largest_errors(np.mean(list(errors.values()), axis=0)) if errors else []
        for place, title in enumerate(runs, start=1):
            if title not in errors:
                gap(line[place])
                gap(line[place + 2])
                continue
            show(line[place], depth_coded(predictions[title][key]))
            show(line[place + 2], errors[title], cmap="cividis", vmin=0, vmax=top)
            for panel in (line[place], line[place + 2]):
                _frame(panel, boxes)
            print_score(line[place], r2, runs[title], volumes[key])
        _frame(line[0], boxes)
    titles = ["fluorescence", *(f"TGNet {title}" for title in runs), *(f"squared error\n{title}" for title in runs)]
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize=10)
    return figure


def _frame(panel: Axes, boxes: Sequence[tuple[int, int, int]]) -> None:
    for y, x, side in boxes:
        for colour, width in (("black", 3.2), ("#ffe600", 1.6)):
            panel.add_patch(Rectangle((x - 0.5, y - 0.5), side, side, fill=False, edgecolor=colour, linewidth=width))


def largest_errors(error_HW: np.ndarray, count: int = BOXES) -> list[tuple[int, int, int]]:
    """Return non-overlapping squares with the largest error; their side is a quarter of the shorter image side.

    Args:
        error_HW: Error of each column of voxels.
        count: Number of squares.

    Returns:
        First row, first column and side of each square, by falling error.
    """
    side = max(min(error_HW.shape) // 4, 1)
    half = side // 2
    sums = uniform_filter(np.asarray(error_HW, np.float64), side, mode="constant")
    inside = np.full_like(sums, -np.inf)
    # Only centres whose square lies within the picture.
    rows, columns = (slice(half, n - side + half + 1) for n in error_HW.shape)
    inside[rows, columns] = sums[rows, columns]
    found = []
    while len(found) < count and np.isfinite(inside.max()):
        y, x = np.unravel_index(inside.argmax(), inside.shape)
        found.append((int(y) - half, int(x) - half, side))
        inside[max(y - side + 1, 0) : y + side, max(x - side + 1, 0) : x + side] = -np.inf
    return found


def caption(results: Results) -> Inline:
    """Return the caption."""
    return (
        Strong(f"Figure 6. TGNet 3D and 3-to-2D at r = {min(results.labels.ratios)}"),
        f" {shown_volumes(results)} {CODED} Right: squared error, mean over the planes, with one colour scale per row. "
        "Yellow: the two squares with the largest mean error of both networks, selected automatically. R² is that of "
        "the whole volume. Grey: no result.",
    )
