"""Examples of the data."""

from matplotlib.figure import Figure

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.drawing import canvas
from sparsessp.reporting.figures.pictures import (
    CODED,
    blank,
    densest_examples,
    depth_coded,
    depth_key,
    scale_bar,
    show,
    show_light,
    shown_volumes,
)
from sparsessp.reporting.results import Results
from sparsessp.structures import in_order, name_of

TITLE = "The data"
FORMAT = "png"


def draw(results: Results) -> Figure | None:
    """Draw one test volume of each structure: transmitted light in focus, and fluorescence."""
    ratio = densest_examples(results)
    if ratio is None:
        return None
    evidence, labels = results.evidence, results.labels
    views, targets = evidence.examples(ratio, "view"), evidence.examples(ratio, "target")
    shown = in_order(targets)
    lines = -(-len(shown) // 4)
    figure = canvas(10, 0.3 + 1.4 * lines)
    grid = figure.subplots(lines, 8, squeeze=False)
    for panel in grid.flat:
        blank(panel)
    for (light, fluorescence), item in zip(grid.reshape(-1, 2), shown, strict=False):
        light.set_title(name_of(item), fontsize=9, loc="left")
        target = targets[item]
        show_light(light, views[item], target, ratio)
        if item == shown[0]:
            scale_bar(light, target.shape[2], labels.voxel_um[2])
        show(fluorescence, depth_coded(target))
    depth_key(figure, grid.ravel().tolist(), labels, targets)
    return figure


def caption(results: Results) -> Inline:
    """Return the caption."""
    return (
        Strong("The data: one test volume of each structure"),
        f" {shown_volumes(results)} Left of each pair: transmitted light in the imaged plane at or just below the "
        f"brightest fluorescence; right: fluorescence. {CODED} The scale bar is in the first picture.",
    )
