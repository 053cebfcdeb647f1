"""`reports/timings.md`: what depends on the machine: durations, versions, and Table 6's time and memory."""

from collections.abc import Mapping

import pandas as pd

from sparsessp.paper.published import MEASURED
from sparsessp.reporting.durations import circumstances, training_times
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.markdown import DASH, markdown

_HEADERS = {
    "infer_s_per_iter": "Inference<br>s/iter",
    "infer_mem_mib": "Inference<br>MiB",
    "train_iter_per_s": "Training<br>iter/s",
    "train_mem_mib": "Training<br>MiB",
}
_MEMORY = {
    "cuda": "the most that torch had allocated on the GPU at once",
    "cpu": "peak resident memory (RSS) of a process of its own, less what it held with torch at work on next to "
    "nothing; some MiB are the system's chance",
}


def timings_page(
    frame: pd.DataFrame, labels: Labels, durations: pd.DataFrame, facts: Mapping[str, str], declared: int
) -> str:
    """The whole page as Markdown.

    Args:
        frame: From `costs.timings`.
        labels: What was run.
        durations: From `read_durations`.
        facts: Circumstances of this report, name -> text.
        declared: Trainings that were to be done.
    """
    parts = [
        "# SparseSSP: time, memory and the machine",
        "<!-- Written by the report stage from what the train and profile stages measured. Do not edit. -->",
        "Not in git, for another machine gives other numbers. The results are [on their own page](README.md).",
        "## The run",
        f"{labels.setting[0].upper()}{labels.setting[1:]}.",
        circumstances(facts, durations, declared),
        "## Trainings",
        "**Seconds of a training**, validation included, mean over the runs of a method and topology "
        f"({labels.setting}). All: of all trainings of a line. What a kill made a training do twice is not counted. "
        f"{DASH}: no result.",
        training_times(durations),
        "## Table 6, measured",
        "What is counted, and so the same everywhere, is in [Table 6](README.md#table-6).",
        _conditions(frame.iloc[0], labels),
        _LIMITS,
        f"**Time and memory of an iteration, r = 2, prefix interpolation** (scale {labels.scale}). Ours first, *the "
        "paper's, on an RTX 3090,* below it. ÷ 3D: ratio to the 3D row of the same method. Training speed: more is "
        f"better. {DASH}: no result. [CSV](timings.csv)",
        _table(frame),
        "![R² against measured time](timings.svg)",
        f"**R² against measured time at r = 2** (scale {labels.scale}; mean over {labels.test} test volumes). The "
        "networks above. Circled: those that no other beats in both, the Pareto front.",
    ]
    return "\n\n".join(parts) + "\n"


def _conditions(first: pd.Series, labels: Labels) -> str:
    """On what all rows were measured; dashes without a profile."""
    given = {name: DASH if pd.isna(value) else value for name, value in first.items()}
    patch, crop = (f"{given['planes']} × {given[n]} × {given[n]} voxels" for n in ("window", "patch"))
    device = str(given["device"])
    lines = [
        "| What was measured | |",
        "| :-- | :-- |",
        f"| machine | {given['machine']}, device {device}, {given['threads']} CPU threads (paper: RTX 3090) |",
        f"| torch | {given['torch']}, {given['precision']} |",
        f"| networks | width {labels.width_3d} in 3D and {labels.width_2d} in 2D (paper: 32), "
        f"RepMode kernel {labels.repmode_kernel} (paper: 5) |",
        f"| inference iteration | one patch of {patch}, forward; RepMode's kernels merged before |",
        f"| training iteration | {given['batch']} crops of {crop} (paper: 8 of 32 × 128 × 128), forward, backward "
        "and Adam; the crops being there |",
        "| time | wall clock, median of 3 to 20 iterations after a warm-up |",
        f"| memory | {_MEMORY.get(device, DASH)}; weights, features and workspace, in training gradients and "
        "Adam's moments too |",
    ]
    return "\n".join(lines)


_LIMITS = """\
- Another machine, and at any scale but `paper` other networks and patches than the paper's: only ratios can be set \
beside the paper's, and those of small networks tell more about overheads than about topologies.
- The paper does not say what its inference iteration is. At its own training speeds a patch would take a hundredth \
of the time it prints, so it is rather a whole volume."""


def _table(frame: pd.DataFrame) -> str:
    headers = ["Approach", "Topology"]
    for metric in MEASURED:
        headers += [_HEADERS[metric], "÷ 3D"]
    lines = []
    for _, row in frame.iterrows():
        cells = [str(row["approach"]), str(row["topology"])]
        for metric in MEASURED:
            for end in ("", "_over_3d"):
                ours, paper = _number(row[metric + end]), _number(row[f"{metric}_paper{end}"])
                cells.append(f"{ours}<br><sub>*{paper}*</sub>")
        lines.append(cells)
    return markdown(headers, lines, 2)


def _number(value: float) -> str:
    """Three digits that count, or all before the point."""
    if pd.isna(value):
        return DASH
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"
