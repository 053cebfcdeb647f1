"""The paper's claims at a glance."""

from matplotlib.figure import Figure

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.forest import forest
from sparsessp.reporting.results import Results

TITLE = "The paper's claims at a glance"
FORMAT = "svg"


def draw(results: Results) -> Figure | None:
    """Draw effect and interval of each claim, next to the paper's effect."""
    return forest(results.claims) if (results.claims["comparisons"] > 0).any() else None


def caption(results: Results) -> Inline:
    """Return what a reader must know."""
    labels = results.labels
    return (
        Strong(TITLE),
        f" ({labels.setting}; {labels.test} test volumes). Filled: the effect here with its 95 % interval; open: the "
        "same in the paper's numbers, on real AllenCell images. A claim without a filled mark was not run. Claims that "
        "are not about R² are in the table only.",
    )
