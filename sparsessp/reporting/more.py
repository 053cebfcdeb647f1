"""Tables that the paper has not: other scores of its best network, and every run in one table."""

import pandas as pd

from sparsessp.paper.published import ALL, METRICS, STRUCTURE_MEAN
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.scores import MORE, mean
from sparsessp.reporting.tables import TGNET


def beyond(summary: pd.DataFrame, baseline: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Scores of TGNet 3-to-2D by structure that tell shape from brightness, and noise from failure.

    Args:
        summary: Means of the runs, from `summarise`.
        baseline: From `tables.baseline`; gives the ceilings.
        labels: Gives the ratios.

    Returns:
        One row per structure, `all` and `structure_mean`. Columns `ratio2_R2`, `ratio2_R2_of_ceiling` (share of what
        noise leaves possible, if that is known), `ratio2_pearson`, `ratio2_r2_affine` and so on.
    """
    frame = baseline[["structure"]].copy()
    for ratio in labels.ratios:
        run = f"{TGNET}-r{ratio}"
        frame[f"ratio{ratio}_R2"] = [mean(summary, run, "R2", group) for group in frame["structure"]]
        if "ceiling_R2" in baseline:
            frame[f"ratio{ratio}_R2_of_ceiling"] = frame[f"ratio{ratio}_R2"] / baseline["ceiling_R2"]
        for metric in MORE:
            frame[f"ratio{ratio}_{metric}"] = [mean(summary, run, metric, group) for group in frame["structure"]]
    return frame


def window_sampling(evidence: Evidence) -> pd.DataFrame:
    """What the released code's sampling inside each window would have added to the scores.

    Returns:
        One row per run that was scored so: `experiment`; `imaged` and `read`, planes of a test volume that the view
        has and that the windows would have read; `R2`, `R2_window_sampling` and their `difference`; all are means.
    """
    lines = []
    for name in evidence.names:
        found = evidence.window_sampling(name)
        if found is not None:
            imaged, read, ours, theirs = found[["imaged", "read", "r2", "r2_window_sampling"]].mean()
            lines.append((name, imaged, read, ours, theirs, theirs - ours))
    columns = ["experiment", "imaged", "read", "R2", "R2_window_sampling", "difference"]
    return pd.DataFrame(lines, columns=columns)


def all_runs(summary: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Every run that has scores, the linear regressions too.

    Args:
        summary: Means of the runs, from `summarise`.
        costs: From `plots.run_costs`.

    Returns:
        Columns `experiment`; the paper's metrics, `pearson` and `r2_affine`, mean over test volumes;
        `structure_mean_R2`; `gmacs` of one patch and `parameters` of the run's own network.
    """
    frame = pd.DataFrame({"experiment": list(summary.index)})
    for metric in (*METRICS, *MORE):
        frame[metric] = [mean(summary, name, metric, ALL) for name in summary.index]
    frame["structure_mean_R2"] = [mean(summary, name, "R2", STRUCTURE_MEAN) for name in summary.index]
    known = costs.set_index("experiment").reindex(frame["experiment"]).reset_index()
    frame["gmacs"], frame["parameters"] = known["gmacs"].astype(float), known["parameters"].astype("Int64")
    return frame
