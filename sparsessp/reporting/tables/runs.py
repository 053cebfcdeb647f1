"""Every run with its scores and the cost of its network."""

from collections.abc import Mapping
from math import prod
from typing import Any

import pandas as pd

from sparsessp.config import RATIOS
from sparsessp.paper.published import ALL, PRINTED_METRICS, STRUCTURE_MEAN
from sparsessp.reporting.document.model import WHOLE, Code, Number, Row, Table, Words, number_column, text_column
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import mean
from sparsessp.reporting.tables.formats import SCORE, symbol
from sparsessp.reporting.tables.networks import networks
from sparsessp.schema import EXTRA_METRICS

_HEADERS = (*PRINTED_METRICS, "r", "affine R²", "R², structures", "GMACs", "Parameters", "Training TMACs")


def costs(results: Results) -> pd.DataFrame:
    """Return the score and cost of every planned run whose network is known.

    Returns:
        Columns `experiment`, `method`, `topology`, `ratio`, `standard` (a network of Table 3, at any ratio), `R2`,
        `gmacs` of one patch, `parameters` of all networks of the run, `training_tmacs` of the whole training.
    """
    standard = {network.experiment(ratio) for network in networks(3, results) for ratio in RATIOS}
    lines = []
    for name in results.evidence.names:
        facts = results.evidence.network(name)
        if facts is None:
            continue
        settings = facts["settings"]
        lines.append(
            {
                "experiment": name,
                **{key: settings[key] for key in ("method", "topology", "ratio")},
                "standard": name in standard,
                "R2": mean(results.runs, name, "R2"),
                "gmacs": facts["gmacs"],
                "parameters": facts["parameters"] * facts.get("networks", 1),
                "training_tmacs": _training_tmacs(facts, results.experiments[name], results.labels),
            }
        )
    columns = ["experiment", "method", "topology", "ratio", "standard", "R2", "gmacs", "parameters", "training_tmacs"]
    return pd.DataFrame(lines, columns=columns).astype({"standard": bool})


def _training_tmacs(facts: Mapping[str, Any], experiment: Mapping[str, Any], labels: Labels) -> float:
    """Return the multiply-accumulates of all training steps, in 10^12; nan without a budget.

    A backward pass counts twice as much as a forward pass. MACs are counted for a patch and scaled by the number of
    voxels, which is exact for convolutions.
    """
    if experiment.get("iterations"):
        crops = experiment["iterations"] * labels.batch
    elif experiment.get("epochs"):
        crops = experiment["epochs"] * labels.train
    else:
        return float("nan")
    return 3 * crops * facts["gmacs"] * prod(labels.patch) / prod(facts["patch"]) / 1000


def frame(results: Results) -> pd.DataFrame:
    """Return every run that has scores, including reference predictions.

    Returns:
        Columns `experiment`; the paper's metrics, `pearson` and `r2_affine`, mean over test volumes;
        `structure_mean_R2`; `gmacs` of one patch, `parameters` of the run's networks, `training_tmacs` of the whole
        training.
    """
    runs = results.runs
    found = pd.DataFrame({"experiment": list(runs.index)})
    for metric in (*PRINTED_METRICS, *EXTRA_METRICS):
        found[metric] = [mean(runs, name, metric, ALL) for name in runs.index]
    found["structure_mean_R2"] = [mean(runs, name, "R2", STRUCTURE_MEAN) for name in runs.index]
    known = costs(results).set_index("experiment").reindex(found["experiment"]).reset_index()
    found["gmacs"], found["parameters"] = known["gmacs"].astype(float), known["parameters"].astype("Int64")
    found["training_tmacs"] = known["training_tmacs"].astype(float)
    return found


def table(frame: pd.DataFrame, results: Results) -> Table:
    """Return the table for the page."""
    scores = [*PRINTED_METRICS, *EXTRA_METRICS, "structure_mean_R2", "gmacs"]
    lines = [
        Row(
            (
                Words(Code(row["experiment"])),
                *(Number(row[name], SCORE) for name in scores),
                Number(row["parameters"], WHOLE),
                Number(row["training_tmacs"], SCORE),
            )
        )
        for _, row in frame.iterrows()
    ]
    columns = (text_column("Run"), *(number_column(symbol(header)) for header in _HEADERS))
    labels = results.labels
    caption = (
        f"({labels.setting}). Mean over {labels.test} test volumes; R², structures: mean over structures. r and affine "
        "R²: as in the further scores. GMACs of one patch, and parameters, of the network as built at this scale. "
        "Training TMACs: 10¹² multiply-accumulates of all training steps, forward and backward; counted, not measured."
    )
    return Table(columns, tuple(lines), "runs", "Every run", caption)
