"""Figures of voxels: Figures 5 and 6 of the paper, and what the data look like."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from scipy.ndimage import uniform_filter

from sparsessp.data.examples import STRUCTURES_SHOWN
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.style import GREY, canvas
from sparsessp.reporting.tables import TGNET
from sparsessp.structures import STRUCTURES, structure

Scores = Mapping[str, Mapping[str, float]]
REPMODE_DENSE = "repmode-3d-prefix-r1"
TGNET_3D = "tgnet-3d-prefix"
_OUTLINE = [withStroke(linewidth=2, foreground="black")]
BOXES = 2  # regions of largest error in a volume
# Depth: about equally bright everywhere, and told apart by colour-blind readers.
DEPTH = LinearSegmentedColormap.from_list("depth", ["#3d8bff", "#e8e8e8", "#ff8c1a"])


def depth_coded(stack_DHW: np.ndarray) -> np.ndarray:
    """Top-down maximum projection, (H, W, 3): as bright as the brightest voxel, coloured by where it lies.

    Black and white are percentiles of the projection itself: predictions of least squares are flatter than their
    targets and would be dark beside them.

    Args:
        stack_DHW: Voxels, bottom plane first.
    """
    stack = np.asarray(stack_DHW, np.float64)
    low, high = np.percentile(stack.max(axis=0), (5, 99.5))
    grey = np.clip((stack - low) / max(high - low, 1e-6), 0, 1)
    colours = DEPTH(np.linspace(0, 1, len(grey)))[:, :3]
    weight = grey**4 + 1e-9  # nearly the colour of the brightest plane, without its noise
    mixed = np.tensordot(weight, colours, ((0,), (0,))) / weight.sum(axis=0)[..., None]
    return mixed * grey.max(axis=0)[..., None]


def largest_errors(error_HW: np.ndarray, count: int = BOXES) -> list[tuple[int, int, int]]:
    """Squares, a quarter of the shorter side wide, that hold most error and do not overlap.

    Args:
        error_HW: Error of each column of voxels.
        count: How many.

    Returns:
        First row, first column and side of each, the worst first.
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


def _blank(panel: Axes) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)


def _show(panel: Axes, image: np.ndarray, **more: object) -> None:
    _blank(panel)
    panel.imshow(image, interpolation="none", **more)  # type: ignore[arg-type]


def _gap(panel: Axes) -> None:
    _blank(panel)
    panel.set_facecolor("#f0f0f0")
    panel.text(0.5, 0.5, "no\nresult", transform=panel.transAxes, ha="center", va="center", color=GREY, fontsize=9)


def _light(panel: Axes, view_dHW: np.ndarray, target_DHW: np.ndarray, ratio: int) -> None:
    """The imaged plane nearest below the target's brightest."""
    brightest = int(target_DHW.var(axis=(1, 2)).argmax())
    plane = view_dHW[min(brightest // ratio, len(view_dHW) - 1)]
    low, high = np.percentile(plane, (1, 99))
    _show(panel, plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))


def _bar(panel: Axes, width: int, voxel_um: float) -> None:
    """A scale bar of a round length, about a quarter of the picture."""
    length = min((1, 2, 5, 10, 20, 50), key=lambda um: abs(um - width * voxel_um / 4))
    x, y = 0.06 * width, 0.93 * panel.get_ylim()[0]
    y_text = y - 0.03 * panel.get_ylim()[0]
    panel.plot(
        [x, x + length / voxel_um], [y, y], color="white", linewidth=3, solid_capstyle="butt", path_effects=_OUTLINE
    )
    panel.text(x, y_text, f"{length} µm", color="white", fontsize=8, va="bottom", path_effects=_OUTLINE)


def _depth_key(figure: Figure, panels: Sequence[Axes], labels: Labels, targets: Mapping[str, np.ndarray]) -> None:
    planes = max(len(target) for target in targets.values())
    heights = ScalarMappable(Normalize(0, (planes - 1) * labels.voxel_um[0]), DEPTH)
    bar = figure.colorbar(heights, ax=panels, shrink=0.5, aspect=22, pad=0.01)
    bar.set_label("height of the brightest voxel, µm", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def figure5(evidence: Evidence, labels: Labels, r2: Scores) -> Figure:
    """Four structures: transmitted light, dense RepMode, TGNet 3-to-2D at each ratio, fluorescence.

    Args:
        evidence: Example volumes and predictions.
        labels: Voxel size.
        r2: Run -> volume -> R2, printed on each prediction.
    """
    ratios = (1, 2, 4, 8)
    dense = next((ratio for ratio in ratios if evidence.examples(ratio, "target")), 1)
    views, targets = evidence.examples(dense, "view"), evidence.examples(dense, "target")
    volumes = evidence.example_volumes(dense)
    runs = {"RepMode\nr = 1": REPMODE_DENSE} | {f"TGNet 3-to-2D\nr = {ratio}": f"{TGNET}-r{ratio}" for ratio in ratios}
    predictions = {name: evidence.predictions(name) for name in runs.values()}
    keys = [key for key in STRUCTURES_SHOWN if key in targets]
    figure = canvas(11, 0.5 + 1.5 * len(keys))
    panels = figure.subplots(len(keys), len(runs) + 2, squeeze=False)
    for line, key in zip(panels, keys, strict=True):
        line[0].set_ylabel(structure(key).name.replace(" ", "\n"), fontsize=10)
        target = targets[key]
        _light(line[0], views[key], target, dense)
        _bar(line[0], target.shape[2], labels.voxel_um[2])
        _show(line[-1], depth_coded(target))
        for panel, name in zip(line[1:-1], runs.values(), strict=True):
            if key not in predictions[name]:
                _gap(panel)
                continue
            _show(panel, depth_coded(predictions[name][key]))
            _score(panel, r2, name, volumes[key])
    for panel, title in zip(panels[0], ["transmitted\nlight", *runs, "fluorescence\n"], strict=True):
        panel.set_title(title, fontsize=10)
    _depth_key(figure, panels[:, -1].tolist(), labels, targets)
    return figure


def _score(panel: Axes, r2: Scores, name: str, volume: str) -> None:
    """R2 of the whole volume, below its picture."""
    if volume in r2.get(name, {}):
        panel.set_xlabel(f"R² {r2[name][volume]:.2f}", fontsize=8, labelpad=2)


def figure6(evidence: Evidence, labels: Labels, ratio: int, r2: Scores) -> Figure:
    """TGNet 3D against 3-to-2D at one ratio: predictions and errors, the regions of largest error boxed.

    Args:
        evidence: Example volumes and predictions.
        labels: Voxel size.
        ratio: Sparsity ratio.
        r2: Run -> volume -> R2, printed on each prediction.
    """
    targets, volumes = evidence.examples(ratio, "target"), evidence.example_volumes(ratio)
    runs = {"3D": f"{TGNET_3D}-r{ratio}", "3-to-2D": f"{TGNET}-r{ratio}"}
    predictions = {title: evidence.predictions(name) for title, name in runs.items()}
    keys = [key for key in STRUCTURES_SHOWN if key in targets]
    figure = canvas(9.4, 0.6 + 1.6 * len(keys))
    panels = figure.subplots(len(keys), 5, squeeze=False)
    for line, key in zip(panels, keys, strict=True):
        line[0].set_ylabel(structure(key).name.replace(" ", "\n"), fontsize=10)
        target = targets[key]
        _show(line[0], depth_coded(target))
        _bar(line[0], target.shape[2], labels.voxel_um[2])
        errors = {
            title: np.square(found[key] - target).mean(axis=0) for title, found in predictions.items() if key in found
        }
        top = max((float(np.percentile(error, 99.5)) for error in errors.values()), default=1.0)
        # Both networks are boxed where both together err most, so that neither is chosen against.
        boxes = largest_errors(np.mean(list(errors.values()), axis=0)) if errors else []
        for place, title in enumerate(runs, start=1):
            if title not in errors:
                _gap(line[place])
                _gap(line[place + 2])
                continue
            _show(line[place], depth_coded(predictions[title][key]))
            _show(line[place + 2], errors[title], cmap="cividis", vmin=0, vmax=top)
            for panel in (line[place], line[place + 2]):
                _frame(panel, boxes)
            _score(line[place], r2, runs[title], volumes[key])
        _frame(line[0], boxes)
    titles = ["fluorescence", *(f"TGNet {title}" for title in runs), *(f"squared error\n{title}" for title in runs)]
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize=10)
    return figure


def _frame(panel: Axes, boxes: Sequence[tuple[int, int, int]]) -> None:
    for y, x, side in boxes:
        for colour, width in (("black", 3.2), ("#ffe600", 1.6)):
            panel.add_patch(Rectangle((x - 0.5, y - 0.5), side, side, fill=False, edgecolor=colour, linewidth=width))


def montage(evidence: Evidence, labels: Labels) -> Figure:
    """One test volume of each structure: transmitted light in focus, and fluorescence."""
    ratio = next((r for r in (1, 2, 4, 8) if evidence.examples(r, "target")), 1)
    views, targets = evidence.examples(ratio, "view"), evidence.examples(ratio, "target")
    shown = [item for item in STRUCTURES if item.key in targets]
    lines = -(-len(shown) // 4)
    figure = canvas(10, 0.3 + 1.4 * lines)
    grid = figure.subplots(lines, 8, squeeze=False)
    for panel in grid.flat:
        _blank(panel)
    for (light, fluorescence), item in zip(grid.reshape(-1, 2), shown, strict=False):
        light.set_title(item.name, fontsize=9, loc="left")
        target = targets[item.key]
        _light(light, views[item.key], target, ratio)
        if item == shown[0]:
            _bar(light, target.shape[2], labels.voxel_um[2])
        _show(fluorescence, depth_coded(target))
    _depth_key(figure, grid.ravel().tolist(), labels, targets)
    return figure
