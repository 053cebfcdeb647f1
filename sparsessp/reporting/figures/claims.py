"""The paper's claims at a glance."""

from matplotlib.figure import Figure

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.forest import forest
from sparsessp.reporting.results import Results

TITLE = "The paper's claims at a glance"
FORMAT = "svg"


def draw(results: Results) -> Figure | None:
    """Draw the effect and interval of each claim, and the paper's effect."""
    return forest(results.claims) if (results.claims["comparisons"] > 0).any() else None


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels = results.labels
    return (
        Strong(TITLE),
        f" ({labels.setting}; {labels.test} test volumes). Filled: the effect in this run, with its interval; open: "
        "the same effect in the paper's scores, on real AllenCell images. Claims without a filled marker were not run. "
        "Claims that are not about R² are in the table only.",
    )
