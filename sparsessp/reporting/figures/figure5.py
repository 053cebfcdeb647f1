"""Figure 5: predictions of four structures at every ratio."""

from matplotlib.figure import Figure

from sparsessp.config import RATIOS
from sparsessp.data.examples import structures_shown
from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.drawing import canvas
from sparsessp.reporting.figures.pictures import (
    CODED,
    densest_examples,
    depth_coded,
    depth_key,
    gap,
    has_predictions,
    print_score,
    r2_by_volume,
    scale_bar,
    show,
    show_light,
    shown_volumes,
)
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import TGNET
from sparsessp.structures import name_of

TITLE = "Figure 5: four structures at every ratio"
FORMAT = "png"
_REPMODE_DENSE = "repmode-3d-prefix-r1"


def draw(results: Results) -> Figure | None:
    """Draw transmitted light, dense RepMode, TGNet 3-to-2D at each ratio, and fluorescence."""
    if not has_predictions(results):
        return None
    evidence, labels, r2 = results.evidence, results.labels, r2_by_volume(results)
    dense = densest_examples(results)
    views, targets = evidence.examples(dense, "view"), evidence.examples(dense, "target")
    volumes = evidence.example_volumes(dense)
    runs = {"RepMode\nr = 1": _REPMODE_DENSE} | {f"TGNet 3-to-2D\nr = {ratio}": f"{TGNET}-r{ratio}" for ratio in RATIOS}
    predictions = {name: evidence.predictions(name) for name in runs.values()}
    keys = structures_shown(targets)
    figure = canvas(11, 0.5 + 1.5 * len(keys))
    panels = figure.subplots(len(keys), len(runs) + 2, squeeze=False)
    for line, key in zip(panels, keys, strict=True):
        line[0].set_ylabel(name_of(key).replace(" ", "\n"), fontsize=10)
        target = targets[key]
        show_light(line[0], views[key], target, dense)
        scale_bar(line[0], target.shape[2], labels.voxel_um[2])
        show(line[-1], depth_coded(target))
        for panel, name in zip(line[1:-1], runs.values(), strict=True):
            if key not in predictions[name]:
                gap(panel)
                continue
            show(panel, depth_coded(predictions[name][key]))
            print_score(panel, r2, name, volumes[key])
    for panel, title in zip(panels[0], ["transmitted\nlight", *runs, "fluorescence\n"], strict=True):
        panel.set_title(title, fontsize=10)
    depth_key(figure, panels[:, -1].tolist(), labels, targets)
    return figure


def caption(results: Results) -> Inline:
    """Return the caption."""
    return (
        Strong("Figure 5. Predictions of four structures from dense and sparse views"),
        f" {shown_volumes(results)} From left to right: transmitted light; RepMode 3D on all planes; TGNet 3-to-2D on "
        f"all planes and on every second, fourth and eighth plane; fluorescence, which is the target. {CODED} R² is "
        "that of the whole volume. Grey: no result.",
    )
