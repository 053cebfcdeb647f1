"""The page of results, `README.md` and `index.html`: its sections and their order."""

from collections.abc import Mapping

import pandas as pd

from sparsessp.reporting.document.model import (
    Bullets,
    Code,
    Commands,
    Document,
    Inline,
    Item,
    Link,
    Paragraph,
    Section,
    facts,
)
from sparsessp.reporting.figures import figure4, gallery
from sparsessp.reporting.opening import headline, limits, what_was_run
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables import (
    claims,
    comparisons,
    fingerprint,
    further_scores,
    references,
    resources,
    runs,
    structures,
    window_sampling,
)


def frames(results: Results) -> dict[str, pd.DataFrame]:
    """Return the data of every table, by the name of its file."""
    found = {f"table{number}": comparisons.frame(number, results) for number in comparisons.NUMBERS}
    found["table7"] = structures.frame(results)
    found["references"] = references.frame(results)
    found["table6"] = resources.table6(results.profile)
    found["further_scores"] = further_scores.frame(results, found["references"])
    found["runs"] = runs.frame(results)
    found["claims"] = results.claims
    sampled = window_sampling.frame(results)
    if len(sampled):
        found["window_sampling"] = sampled
    if results.fingerprint is not None:
        found["fingerprint"] = results.fingerprint
    return found


def page(results: Results, tables: Mapping[str, pd.DataFrame], images: dict[str, bytes]) -> Document:
    """Return the page.

    Args:
        results: Results to report.
        tables: From `frames`.
        images: From `gallery.images`; a figure without an image is replaced by a note.
    """
    sections = [limits(results)]
    if "fingerprint" in tables:
        sections.append(Section("Fingerprint", (fingerprint.table(tables["fingerprint"]),)))
    sections += [
        Section("Claims", (claims.table(results),)),
        Section("Figure 4", (gallery.block(figure4, results, images),)),
    ]
    for number in (3, 1, 2, 4, 5):
        if comparisons.shown_ratios(number, results.labels):
            table = comparisons.table(number, tables[f"table{number}"], results)
            if table.rows:
                sections.append(Section(f"Table {number}", (table,)))
    sections.append(Section("Table 6", (resources.counted_table(tables["table6"]),)))
    by_structure = structures.table(tables["table7"], results)
    if len(by_structure.columns) > 1:
        sections.append(Section("Table 7", (by_structure,)))
    sections += [
        Section("Reference predictions", (references.table(tables["references"], results),)),
        Section("Further scores", (further_scores.table(tables["further_scores"], results),)),
    ]
    if "window_sampling" in tables:
        sections.append(Section("Window-wise sampling", (window_sampling.table(tables["window_sampling"]),)))
    sections += [
        Section(figure.TITLE, (gallery.block(figure, results, images),))
        for figure in gallery.FIGURES
        if figure is not figure4
    ]
    sections += [
        Section("All runs", (runs.table(tables["runs"], results),)),
        _missing(results, tables),
        _provenance(results),
        _REPRODUCE,
    ]
    source = "Written by the report stage from the scores of the planned runs. Do not edit."
    return Document("SparseSSP: results", source, (*headline(results), what_was_run(results)), tuple(sections))


def _missing(results: Results, tables: Mapping[str, pd.DataFrame]) -> Section:
    """Return the planned runs without scores and the reasons, and the paper's runs that were not planned."""
    blocks = []
    if results.missing:
        blocks.append(Paragraph(f"Planned, but without scores ({len(results.missing)}):"))
        blocks.append(
            Bullets(tuple(Item((Code(name), ": ", *_reason(results.reasons.get(name)))) for name in results.missing))
        )
    else:
        blocks.append(Paragraph("None: every planned run has scores."))
    unplanned = [name for name in _in_paper(tables) if name not in results.experiments]
    if unplanned and results.labels.paper_scores:
        names = [part for name in unplanned for part in (", ", Code(name))][1:]
        blocks.append(Paragraph((f"In the paper's tables, but not planned ({len(unplanned)}): ", *names, ".")))
    return Section("Missing runs", tuple(blocks))


def _in_paper(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the runs of the paper's tables at the planned ratios, each once."""
    shown = [
        frame[column]
        for name, frame in tables.items()
        if name.startswith("table")
        for column in frame.columns
        if column.endswith("experiment")
    ]
    return list(dict.fromkeys(str(run) for column in shown for run in column))


def _reason(text: str | None) -> tuple[Inline, ...]:
    """Return why a run has no scores, in one line."""
    return ("not run, or its scores were removed",) if text is None else ("failed: ", Code(" ".join(text.split())))


def _provenance(results: Results) -> Section:
    text = (
        "The same inputs give exactly the same page. The machine, durations, installed versions, git revision and date "
        "are on ",
        Link("a separate page", "timings"),
        ", which is not in git; ",
        Code("dvc repro"),
        " writes it.",
    )
    table = (facts("Input", list(results.provenance.items())),) if results.provenance else ()
    return Section("Provenance", (Paragraph(text), *table))


_REPRODUCE = Section(
    "Reproduce",
    (
        Commands(
            (
                "dvc repro                         # every stage whose inputs changed, then this page",
                "dvc exp run -S ratio=8            # another sparsity ratio",
                "dvc exp run -S 'ratio=[2,4,8]'    # the paper's three ratios",
            )
        ),
    ),
)
