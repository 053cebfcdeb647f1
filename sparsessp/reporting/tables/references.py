"""R2 by structure of the reference predictions and of TGNet 3-to-2D, and the ceiling set by noise."""

import pandas as pd

from sparsessp.paper.published import ALL, STRUCTURE_MEAN
from sparsessp.reporting.document.model import Number, Row, Table, Words, number_column, text_column
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import TGNET, mean
from sparsessp.reporting.tables.formats import NO_RESULT, SCORE, group_name
from sparsessp.schema import Z_PROFILE, linear_regression
from sparsessp.structures import task_codes

_MODELS = {
    "z_profile": ("z-profile",),
    "linear": ("Linear", "regression"),
    "tgnet": ("TGNet", "3-to-2D"),
    "ceiling": ("Ceiling",),
}


def frame(results: Results) -> pd.DataFrame:
    """Return one row per structure, `all` and `structure_mean`.

    Returns:
        Columns `z_profile_R2`, `linear_ratio2_R2`, `tgnet_ratio2_R2` and so on; with ceilings also `ceiling_R2`. The
        ceiling of `all` is the mean over test volumes.
    """
    structures = task_codes(results.scores["structure"])
    groups = [*structures, ALL, STRUCTURE_MEAN]
    found = pd.DataFrame({"structure": groups})
    found["z_profile_R2"] = [mean(results.summary, Z_PROFILE, "R2", group) for group in groups]
    for ratio in results.labels.ratios:
        for model, run in (("linear", linear_regression(ratio)), ("tgnet", f"{TGNET}-r{ratio}")):
            found[f"{model}_ratio{ratio}_R2"] = [mean(results.summary, run, "R2", group) for group in groups]
    if results.ceilings is not None:
        volumes = results.scores.drop_duplicates("volume")["structure"]
        possible = {key: results.ceilings.get(key, float("nan")) for key in structures}
        possible[ALL] = volumes.map(possible).mean(skipna=False)
        possible[STRUCTURE_MEAN] = pd.Series([possible[key] for key in volumes.unique()]).mean(skipna=False)
        found["ceiling_R2"] = [possible[group] for group in groups]
    return found


def table(frame: pd.DataFrame, results: Results) -> Table:
    """Return the table of the page."""
    columns = [text_column("Structure")]
    for name in frame.columns[1:]:
        model, *ratio = name.removesuffix("_R2").split("_ratio")
        columns.append(number_column(*_MODELS[model], *(f"r = {text}" for text in ratio)))
    lines = [
        Row((Words(group_name(values["structure"])), *(Number(values[name], SCORE) for name in frame.columns[1:])))
        for _, values in frame.iterrows()
    ]
    labels = results.labels
    ceiling = f" {_ceiling(labels)}" if "ceiling_R2" in frame else ""
    title = "R² by structure of TGNet 3-to-2D and of two reference predictions"
    caption = (
        f"({labels.setting}). z-profile: the mean profile along z of each structure's training volumes, which ignores "
        "the image. Linear regression: per voxel, on the same sparse brightfield planes. Mean over the test volumes of "
        f"each structure; All: over all {labels.test}.{ceiling} This table is not in the paper.{NO_RESULT}"
    )
    return Table(tuple(columns), tuple(lines), "references", title, caption)


def _ceiling(labels: Labels) -> str:
    known = "known from the simulation" if labels.simulated else "estimated from the variance of the prepared targets"
    return f"Ceiling: R² of a perfect prediction, which is below 1 because the targets are noisy; {known}."
