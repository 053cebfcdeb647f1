"""R2 against the measured time of a prediction, for the page of timings."""

import pandas as pd
from matplotlib.figure import Figure

from sparsessp.paper.published import printed_ratios, rows
from sparsessp.reporting.document.model import Inline, Strong
from sparsessp.reporting.figures.pareto import cost_figure
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import mean

TITLE = "R² against measured time"
FORMAT = "svg"


def draw(results: Results) -> Figure:
    """Draw the networks of Table 6."""
    words = "seconds per inference iteration, measured"
    return cost_figure(measured_costs(results.profile, results.summary), (2,), "infer_s_per_iter", words)


def caption(results: Results) -> Inline:
    """Return the caption."""
    labels = results.labels
    return (
        Strong("R² against measured time at r = 2"),
        f" (scale {labels.scale}; mean over {labels.test} test volumes). The networks of Table 6. Circled: the Pareto "
        "front, networks that no other network beats in both.",
    )


def measured_costs(profile: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return the score and measured cost of the networks of Table 6.

    Args:
        profile: From `resources.read_profile`.
        summary: Means of the runs, from `summarise`.

    Returns:
        Columns `method`, `topology`, `ratio`, `R2` and those of the profile; for `cost_figure`.
    """
    runs = [row.settings(*printed_ratios(row)) for row in rows(6)]
    frame = pd.DataFrame([run.model_dump(include={"method", "topology", "ratio"}) for run in runs])
    frame["R2"] = [mean(summary, run.name, "R2") for run in runs]
    return pd.concat([frame, profile.reindex([run.name for run in runs]).reset_index(drop=True)], axis=1)
