"""The page of timings, `timings.md` and `timings.html`: what depends on the machine."""

import pandas as pd

from sparsessp.reporting.document.model import (
    DASH,
    Bullets,
    Document,
    Figure,
    Item,
    Link,
    Paragraph,
    Section,
    Table,
    facts,
)
from sparsessp.reporting.durations import read_durations
from sparsessp.reporting.figures import measured_time
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables.durations import circumstances, training_times
from sparsessp.reporting.tables.resources import measured_table

IMAGE = "timings.svg"
_MEMORY = {
    "cuda": "the most that torch had allocated on the GPU at once",
    "cpu": "peak resident memory (RSS) of a separate process, less what it used with torch running a trivial network; "
    "varies by a few MiB",
}


def timings_page(results: Results, frame: pd.DataFrame) -> Document:
    """Return the page.

    Args:
        results: What it is about.
        frame: From `resources.timings`.
    """
    labels = results.labels
    durations = read_durations(results.circumstances.durations, results.experiments)
    opening = Paragraph(
        ("Not in git, because it differs between machines. See the ", Link("page of results", "results"), ".")
    )
    sections = (
        Section(
            "The run",
            (
                Paragraph(f"{labels.setting[0].upper()}{labels.setting[1:]}."),
                circumstances(results, durations),
            ),
        ),
        Section("Trainings", (training_times(durations, labels.setting),)),
        Section(
            "Table 6, measured",
            (
                Paragraph(("What is counted is the same everywhere: ", Link("Table 6", "results#table-6"), ".")),
                _conditions(frame.iloc[0], labels),
                _LIMITS,
                measured_table(frame, labels),
                Figure(IMAGE, measured_time.TITLE, measured_time.caption(results)),
            ),
        ),
    )
    source = "Written by the report stage from what the train and profile stages measured. Do not edit."
    return Document("SparseSSP: time, memory and the machine", source, (opening,), sections)


def _conditions(first: pd.Series, labels: Labels) -> Table:
    """On what all rows were measured; dashes without a profile."""
    given = {name: DASH if pd.isna(value) else value for name, value in first.items()}
    patch, crop = (f"{given['planes']} × {given[n]} × {given[n]} voxels" for n in ("window", "patch"))
    device = str(given["device"])
    kernel = f"RepMode kernel {labels.repmode_kernel} (paper: 5)"
    return facts(
        "What was measured",
        [
            ("machine", f"{given['machine']}, device {device}, {given['threads']} CPU threads (paper: RTX 3090)"),
            ("torch", f"{given['torch']}, {given['precision']}"),
            ("networks", f"width {labels.width_3d} in 3D and {labels.width_2d} in 2D (paper: 32), {kernel}"),
            ("inference iteration", f"one patch of {patch}, forward; RepMode's kernels merged before"),
            (
                "training iteration",
                f"{given['batch']} crops of {crop} (paper: 8 of 32 × 128 × 128), forward, backward and Adam; without "
                "loading the crops",
            ),
            ("time", "wall clock, median of 3 to 20 iterations after a warm-up"),
            (
                "memory",
                f"{_MEMORY.get(device, DASH)}; weights, features and workspace, in training also gradients and Adam's "
                "moments",
            ),
        ],
    )


_LIMITS = Bullets(
    (
        Item(
            "This is another machine than the paper's, and at any scale but paper the networks and patches differ too: "
            "only ratios can be compared with the paper's, and those of small networks reflect overheads more than "
            "topologies."
        ),
        Item(
            "The paper does not say what its inference iteration is. At its own training speeds a patch would take a "
            "hundredth of the time it prints, so it is probably a whole volume."
        ),
    )
)
