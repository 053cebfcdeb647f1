"""Write the report from the results."""

import json
from pathlib import Path

import pandas as pd

from sparsessp.paper.published import ALL
from sparsessp.reporting.document.html import html_page
from sparsessp.reporting.document.latex import latex_tables
from sparsessp.reporting.document.markdown import markdown
from sparsessp.reporting.figures import gallery, measured_time
from sparsessp.reporting.figures.drawing import own_settings, render
from sparsessp.reporting.results import Results
from sparsessp.reporting.results_page import frames, page
from sparsessp.reporting.scores import mean
from sparsessp.reporting.tables.formats import csv_text
from sparsessp.reporting.tables.resources import timings
from sparsessp.reporting.timings_page import IMAGE, timings_page
from sparsessp.schema import REPORT_MEANS_FILE, REPORT_SCORES_FILE
from sparsessp.support.files import atomic_write


def write_report(reports: Path, results: Results) -> None:
    """Write `README.md`, `index.html`, `metrics.json`, `scores.csv`, `tables/*.{csv,tex}`, `figures/*`, `timings.*`.

    Every file is replaced atomically; other files in the folder are not touched. The same results give the same bytes
    on any machine, except for the timings.

    Args:
        reports: Folder to write into.
        results: From `load_results`.

    Raises:
        SparseSSPError: A file of a run is malformed.
    """
    tables, images = frames(results), gallery.images(results)
    document = page(results, tables, images)
    files = dict(images)
    files |= {f"tables/{name}.csv": csv_text(frame).encode() for name, frame in tables.items()}
    files |= {f"tables/{name}.tex": text.encode() for name, text in latex_tables(document).items()}
    files |= _timings(results)
    files[REPORT_MEANS_FILE] = _metrics(results.runs).encode()
    files[REPORT_SCORES_FILE] = _volume_scores(results.scores).encode()
    files["README.md"] = markdown(document).encode()
    files["index.html"] = html_page(document, images).encode()
    for name, content in files.items():
        with atomic_write(reports / name) as partial:
            partial.write_bytes(content)


def _timings(results: Results) -> dict[str, bytes]:
    """Return the files that depend on the machine: `timings.csv`, `.svg`, `.md` and `.html`."""
    measured = timings(results.profile, results.labels)
    with own_settings():
        picture = render(measured_time.draw(results), measured_time.FORMAT)
    document = timings_page(results, measured)
    return {
        IMAGE: picture,
        "timings.csv": measured.to_csv(index=False, lineterminator="\n").encode(),
        "timings.md": markdown(document).encode(),
        "timings.html": html_page(document, {IMAGE: picture}).encode(),
    }


def _metrics(runs: pd.DataFrame) -> str:
    """Return the mean R2 of each run as JSON, for `dvc metrics show`."""
    return json.dumps({name: round(mean(runs, name, "R2", ALL), 6) for name in runs.index}, indent=2) + "\n"


def _volume_scores(scores: pd.DataFrame) -> str:
    """Return R2 by volume (rows) and run (columns) as CSV, a tenth of the size of a long table."""
    names = list(scores["experiment"].unique())
    wide = scores.pivot(index=["volume", "structure"], columns="experiment", values="r2")[names]
    return wide.reset_index().to_csv(index=False, float_format="%.5f", lineterminator="\n")
