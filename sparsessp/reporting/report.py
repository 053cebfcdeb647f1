"""Write the whole report.

The declared runs alone decide what is read: scores of other ratios may lie beside them and are left
alone. A declared run without scores prints as a dash, and the page names it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from sparsessp.errors import SparseSSPError
from sparsessp.paper.published import ALL
from sparsessp.reporting.claims import claims
from sparsessp.reporting.costs import read_profile, table6, timings
from sparsessp.reporting.durations import Circumstances, read_durations
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.figures import figure4, render
from sparsessp.reporting.gallery import gallery
from sparsessp.reporting.html import html_page
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.latex import latex_tables
from sparsessp.reporting.more import all_runs, beyond, window_sampling
from sparsessp.reporting.page import page
from sparsessp.reporting.plots import cost_figure, measured_costs, run_costs
from sparsessp.reporting.scores import linear, load_scores, mean, over_seeds, summarise
from sparsessp.reporting.tables import COMPARISONS, baseline, comparison, csv_text, table7
from sparsessp.reporting.timings import timings_page
from sparsessp.support.files import atomic_write

_UNKNOWN = Circumstances()


def write_report(
    reports: Path,
    experiments: Mapping[str, Mapping[str, Any]],
    results: Path,
    labels: Labels,
    ceilings: Mapping[str, float] | None = None,
    fingerprint: pd.DataFrame | None = None,
    profile: Path | None = None,
    reasons: Mapping[str, str] = MappingProxyType({}),
    clusters: Mapping[str, str] | None = None,
    provenance: Mapping[str, str] = MappingProxyType({}),
    circumstances: Circumstances = _UNKNOWN,
) -> None:
    """Write `README.md`, `index.html`, `metrics.json`, `scores.csv`, `tables/*.{csv,tex}`, `figures/*`, `timings.*`.

    Every file is replaced in one step; other files in the folder stay as they are. The same scores
    and labels give the same bytes, on any machine; in the timings, the same profile and circumstances do.

    Args:
        reports: Folder to write into.
        experiments: Declared runs by name.
        results: Folder with `<name>/scores.csv` of each run and what else evaluation left there, and
            `linear-r<ratio>/` alike.
        labels: What the page says about data, scale and budget.
        ceilings: Structure -> R2 of a perfect prediction, if known.
        fingerprint: Variance of the test targets beside the paper's, if these data are the paper's.
        profile: What the profile stage wrote; without it Table 6 and the timings are dashes.
        reasons: Why runs without scores failed, by name, as far as it is known.
        clusters: Volume -> what it is drawn together with in the claims' bootstrap, such as its plate.
        provenance: What decided the results, name -> text.
        circumstances: What is told in the timings alone.

    Raises:
        SparseSSPError: No declared run has scores, a file is malformed, or scores are not those of
            the test volumes that the labels speak of.
    """
    declared = [*experiments, *(linear(ratio) for ratio in labels.ratios)]
    scores = load_scores(results, declared)
    present = set(scores["experiment"])
    if not present & set(experiments):
        raise SparseSSPError(f"{results}: none of the {len(experiments)} declared runs has a scores.csv")
    volumes = scores["volume"].nunique()
    if volumes != labels.test:
        raise SparseSSPError(f"{results}: scores are of {volumes} volumes; the data set has {labels.test} test volumes")
    runs = summarise(scores)
    summary = over_seeds(runs)

    tables = {f"table{number}": comparison(number, summary, labels) for number in COMPARISONS}
    tables["table7"] = table7(summary, labels)
    tables["baseline"] = baseline(summary, scores, labels, ceilings)
    costs = read_profile(profile)
    tables["table6"] = table6(costs)
    evidence = Evidence(results, tuple(declared), _structures(scores))
    tables["beyond"] = beyond(summary, tables["baseline"], labels)
    tables["runs"] = all_runs(runs, run_costs(evidence, runs))
    tables["claims"] = claims(scores, tables["table6"], labels.ratios, clusters)
    sampled = window_sampling(evidence)
    if len(sampled):
        tables["window_sampling"] = sampled
    if fingerprint is not None:
        tables["fingerprint"] = fingerprint

    figure = figure4(summary, labels)
    images = {f"figures/figure4.{format}": render(figure, format) for format in ("svg", "png")}
    drawings = gallery(evidence, scores, summary, tables["claims"], labels, ceilings)
    for drawing in drawings:
        if drawing.figure is not None:
            images[f"figures/{drawing.name}.{drawing.format}"] = render(drawing.figure, drawing.format)
    for name, image in images.items():
        _replace(reports / name, image)
    for name, frame in tables.items():
        _replace(reports / "tables" / f"{name}.csv", csv_text(frame).encode())
    _write_timings(reports, costs, summary, labels, experiments, circumstances)
    _replace(reports / "metrics.json", _metrics(runs).encode())
    _replace(reports / "scores.csv", _volume_scores(scores).encode())
    text = page(labels, experiments, summary, tables, list(runs.index), reasons, drawings, provenance)
    _replace(reports / "README.md", text.encode())
    for name, table in latex_tables(text).items():
        _replace(reports / "tables" / f"{name}.tex", table.encode())
    _replace(reports / "index.html", html_page(text, images).encode())


def _write_timings(
    reports: Path,
    costs: pd.DataFrame,
    summary: pd.DataFrame,
    labels: Labels,
    experiments: Mapping[str, Mapping[str, Any]],
    circumstances: Circumstances,
) -> None:
    """Write what depends on the machine: `timings.csv`, `.svg`, `.md` and `.html`."""
    measured = timings(costs, labels)
    clock = cost_figure(
        measured_costs(costs, summary), (2,), "infer_s_per_iter", "seconds of an inference iteration, measured here"
    )
    picture = render(clock, "svg")
    durations = read_durations(circumstances.durations, experiments)
    text = timings_page(measured, labels, durations, circumstances.facts, len(experiments))
    _replace(reports / "timings.svg", picture)
    _replace(reports / "timings.csv", measured.to_csv(index=False, lineterminator="\n").encode())
    _replace(reports / "timings.md", text.encode())
    _replace(reports / "timings.html", html_page(text, {"timings.svg": picture}).encode())


def _structures(scores: pd.DataFrame) -> dict[str, str]:
    """Test volume -> its structure."""
    return scores.drop_duplicates("volume").set_index("volume")["structure"].to_dict()


def _metrics(summary: pd.DataFrame) -> str:
    """One number a run, its mean R2, which is what `dvc metrics show` has room for."""
    return json.dumps({name: round(mean(summary, name, "R2", ALL), 6) for name in summary.index}, indent=2) + "\n"


def _volume_scores(scores: pd.DataFrame) -> str:
    """R2 of every volume, a row each, and run, a column each: a tenth of the bytes of one row for each pair."""
    names = list(scores["experiment"].unique())
    wide = scores.pivot(index=["volume", "structure"], columns="experiment", values="r2")[names]
    return wide.reset_index().to_csv(index=False, float_format="%.5f", lineterminator="\n")


def _replace(path: Path, content: bytes) -> None:
    with atomic_write(path) as partial:
        partial.write_bytes(content)
