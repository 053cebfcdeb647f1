"""Training and validation error during training."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.drawing import canvas, say, tidy
from sparsessp.reporting.names import GREY, TOPOLOGIES, in_order, method_colour, method_name
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.runs import costs

TITLE = "Training curves"
FORMAT = "svg"


def draw(results: Results) -> Figure | None:
    """Draw the curves at the smallest ratio, one panel per topology: validation solid, training dotted."""
    found = costs(results)
    if not found["standard"].any():
        return None
    chosen = found[found["standard"] & (found["ratio"] == min(results.labels.ratios))]
    figure = canvas(9, 6.6)
    panels = figure.subplots(2, 2, sharey=True)
    for panel, (topology, (title, _)) in zip(panels.flat, TOPOLOGIES.items(), strict=True):
        runs = chosen[chosen["topology"] == topology]
        for name, method in zip(runs["experiment"], runs["method"], strict=True):
            history = results.evidence.history(name)
            if history is None or history["structure"].nunique() > 1:
                continue  # Multi-Net consists of twelve trainings
            colour = method_colour(method)
            x = history["iteration"]
            panel.plot(x, history["training_mse"], color=colour, linewidth=1, linestyle=":")
            panel.plot(x, history["validation_mse"], color=colour, linewidth=2, marker=".", label=method_name(method))
        if not panel.lines:
            say(panel, "no result")
        panel.set_title(title, fontsize=11)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        panel.set_xlim(left=0)
    tidy(panels.flat)
    for panel in panels[:, 0]:
        panel.set_ylabel("mean squared error", fontsize=10)
    for panel in panels[1]:
        panel.set_xlabel("iteration", fontsize=10)
    methods = in_order(chosen["method"])
    handles = [
        *(Line2D([], [], color=method_colour(m), linewidth=2, label=method_name(m)) for m in methods),
        Line2D([], [], color=GREY, linewidth=2, marker=".", label="validation volumes"),
        Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="training crops"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    return figure


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels = results.labels
    return (
        Strong(f"Error during training at r = {min(labels.ratios)}"),
        f" ({labels.setting}; prefix interpolation). Solid: mean over the {labels.val} validation volumes; the model "
        "with the lowest value is kept. Dotted: mean over the training crops since the previous validation. Crops can "
        "contain more structure than whole volumes, which are mostly background, so the two lines need not agree. "
        "Multi-Net, which consists of twelve trainings, is left out.",
    )
