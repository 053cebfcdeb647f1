"""The page of timings, `timings.md` and `timings.html`, which depends on the machine."""

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
    "cuda": "peak memory allocated by torch on the GPU",
    "cpu": "peak resident memory (RSS) of a separate process, minus its memory when it runs a trivial network; varies "
    "by a few MiB",
}


def timings_page(results: Results, frame: pd.DataFrame) -> Document:
    """Return the page.

    Args:
        results: Results to report.
        frame: From `resources.timings`.
    """
    labels = results.labels
    durations = read_durations(results.circumstances.durations, results.experiments)
    opening = Paragraph(
        ("This page is not in git because it differs between machines. See also the ", Link("results", "results"), ".")
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
                Paragraph(("The counted part is the same on every machine: ", Link("Table 6", "results#table-6"), ".")),
                _conditions(frame.iloc[0], labels),
                _LIMITS,
                measured_table(frame, labels),
                Figure(IMAGE, measured_time.TITLE, measured_time.caption(results)),
            ),
        ),
    )
    source = "Written by the report stage from measurements of the train and profile stages. Do not edit."
    return Document("SparseSSP: time, memory and the machine", source, (opening,), sections)


def _conditions(first: pd.Series, labels: Labels) -> Table:
    """Return the conditions of all measurements; dashes without a profile."""
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
            ("inference iteration", f"forward pass of one patch of {patch}, after RepMode's kernels are merged"),
            (
                "training iteration",
                f"forward pass, backward pass and Adam step on {given['batch']} crops of {crop} (paper: 8 of 32 × 128 "
                "× 128), without loading the crops",
            ),
            ("time", "wall time, median of 3 to 20 iterations after a warm-up"),
            (
                "memory",
                f"{_MEMORY.get(device, DASH)}; includes weights, features and workspace, in training also gradients "
                "and Adam's moments",
            ),
        ],
    )


_LIMITS = Bullets(
    (
        Item(
            "The machine is not the paper's, and at every scale except paper the networks and patches differ too. Only "
            "ratios can be compared with the paper's, and ratios of small networks reflect overheads more than "
            "topologies."
        ),
        Item(
            "The paper does not define its inference iteration. At its own training speeds, one patch would take a "
            "hundredth of the printed time, so an iteration is probably a whole volume."
        ),
    )
)
