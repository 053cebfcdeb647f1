"""R2 against the multiply-accumulates of the whole training."""

from matplotlib.figure import Figure

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.pareto import cost_figure
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.runs import costs

TITLE = "R² per training cost"
FORMAT = "svg"


def draw(results: Results) -> Figure | None:
    """Draw every run, a panel per ratio."""
    found = costs(results)
    if found["training_tmacs"].isna().all():
        return None
    return cost_figure(found, results.labels.ratios, "training_tmacs", "TMACs of the whole training")


def caption(results: Results) -> Inline:
    """Return what a reader must know."""
    labels = results.labels
    return (
        Strong("R² per training cost"),
        f" ({labels.setting}). Every run at its ratio, mean over {labels.test} test volumes, against the "
        "multiply-accumulates of all its training steps: crops × MACs of a crop × 3, for the forward and the backward "
        "pass; counted, not measured. Circled: runs that no other beats in both. Epochs: "
        f"{labels.epochs_by_topology}.",
    )
