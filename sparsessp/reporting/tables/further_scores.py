"""Further scores of TGNet 3-to-2D by structure: share of the ceiling, correlation, and R2 after an affine map."""

import pandas as pd

from sparsessp.reporting.document.model import Number, Row, Table, Words, number_column, text_column
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import TGNET, mean
from sparsessp.reporting.tables.formats import NO_RESULT, SCORE, group_name
from sparsessp.schema import EXTRA_METRICS

_TITLES = {"R2": "R²", "R2_of_ceiling": "of ceiling", "pearson": "r", "r2_affine": "affine R²"}


def frame(results: Results, references: pd.DataFrame) -> pd.DataFrame:
    """Return one row per structure, `all` and `structure_mean`.

    Args:
        results: Scores and ratios.
        references: From `references.frame`, which holds the ceilings.

    Returns:
        Columns `ratio2_R2`, `ratio2_R2_of_ceiling` (share of the ceiling, if that is known), `ratio2_pearson`,
        `ratio2_r2_affine` and so on.
    """
    found = references[["structure"]].copy()
    for ratio in results.labels.ratios:
        run = f"{TGNET}-r{ratio}"
        found[f"ratio{ratio}_R2"] = [mean(results.summary, run, "R2", group) for group in found["structure"]]
        if "ceiling_R2" in references:
            found[f"ratio{ratio}_R2_of_ceiling"] = found[f"ratio{ratio}_R2"] / references["ceiling_R2"]
        for metric in EXTRA_METRICS:
            found[f"ratio{ratio}_{metric}"] = [mean(results.summary, run, metric, g) for g in found["structure"]]
    return found


def table(frame: pd.DataFrame, results: Results) -> Table:
    """Return the table of the page."""
    columns = [text_column("Structure")]
    for name in frame.columns[1:]:
        ratio, metric = name.removeprefix("ratio").split("_", 1)
        columns.append(number_column(f"r = {ratio}", _TITLES[metric]))
    lines = [
        Row((Words(group_name(values["structure"])), *(Number(values[name], SCORE) for name in frame.columns[1:])))
        for _, values in frame.iterrows()
    ]
    labels = results.labels
    caption = (
        f"({labels.setting}). Mean over the test volumes of each structure; All: over all {labels.test}. Of ceiling: "
        "R² divided by R² of a perfect prediction, which is below 1 because the targets are noisy. r: Pearson's "
        "correlation. Affine R²: R² after the best scale and offset of each volume, which corrects brightness and "
        f"contrast.{NO_RESULT}"
    )
    title = "Further scores of TGNet 3-to-2D by structure"
    return Table(tuple(columns), tuple(lines), "further_scores", title, caption)
