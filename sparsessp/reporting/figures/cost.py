"""R2 against the multiply-accumulates of one prediction."""

from matplotlib.figure import Figure

from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.pareto import cost_figure
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.runs import costs

TITLE = "R² against cost"
FORMAT = "svg"


def draw(results: Results) -> Figure | None:
    """Draw the networks of Table 3, one panel per ratio."""
    found = costs(results)
    shown = found[found["standard"]]
    return cost_figure(shown, results.labels.ratios, "gmacs", "GMACs of one patch") if len(shown) else None


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels, evidence = results.labels, results.evidence
    patches = (facts["patch"] for facts in map(evidence.network, evidence.names) if facts)
    patch = next((f" of {' × '.join(map(str, patch))} voxels" for patch in patches), "")
    return (
        Strong("R² against multiply-accumulates"),
        f" ({labels.setting}). Mean over {labels.test} test volumes; prefix interpolation; cost of predicting one "
        f"patch{patch} with the network as built at this scale, counted, not measured. Circled: the Pareto front, "
        "networks that no other network beats in both. Dense networks (r = 1) are not shown.",
    )
