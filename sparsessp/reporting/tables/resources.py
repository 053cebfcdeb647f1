"""Table 6: costs of the networks, counted at the paper's size and measured at this scale."""

from pathlib import Path

import pandas as pd

from sparsessp.data.samples import read_table
from sparsessp.paper.published import printed_ratios, published, rows
from sparsessp.reporting.document.model import (
    Code,
    Emphasis,
    Format,
    Link,
    Number,
    PaperNumber,
    Row,
    Table,
    Words,
    number_column,
    text_column,
)
from sparsessp.reporting.labels import Labels
from sparsessp.schema import CONDITION_COLUMNS, MEASURED_COLUMNS, PROFILE_COLUMNS

_COUNTS = {"gmacs": "All", "gmacs_module": "By type", "gmacs_paper": Emphasis("Paper")}
_GMACS, _SHARE = Format(2), Format(3)
_MEASURED = {
    "infer_s_per_iter": ("Inference", "s/iter"),
    "infer_mem_mib": ("Inference", "MiB"),
    "train_iter_per_s": ("Training", "iter/s"),
    "train_mem_mib": ("Training", "MiB"),
}
_THREE_DIGITS = Format(digits=3)


def read_profile(path: Path | None) -> pd.DataFrame:
    """Return the results of the profile stage, one row per network, by its experiment; no rows without a file.

    Raises:
        SparseSSPError: The file is not such a table.
    """
    if path is None or not path.exists():
        return pd.DataFrame(columns=PROFILE_COLUMNS).set_index("experiment")
    return read_table(path, PROFILE_COLUMNS).set_index("experiment")


def table6(profile: pd.DataFrame) -> pd.DataFrame:
    """Return the multiply-accumulates and parameters of the networks at the paper's size.

    Returns:
        The paper's rows in the paper's order; nan for a network without a profile. Columns `gmacs`,
        `gmacs_module` (as thop counts) and `gmacs_paper`, each followed by `..._over_3d`, its ratio to the
        3D row of the same method; `parameters`.
    """
    frame = _rows()
    found = profile.reindex(frame["experiment"]).reset_index()
    frame["gmacs"], frame["gmacs_module"] = found["gmacs"].astype(float), found["module_gmacs"].astype(float)
    frame["gmacs_paper"] = _printed("gmacs")
    frame = _with_ratios(frame)
    frame["parameters"] = found["parameters"].astype("Int64")
    return frame


def timings(profile: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Return time and memory per iteration at the scale of this run.

    Returns:
        The paper's rows in the paper's order; nan for a network without a profile. Columns
        `infer_s_per_iter` and `infer_s_per_iter_paper`, each followed by `..._over_3d`, its ratio to the 3D
        row of the same method; the same for each of `MEASURED_COLUMNS`; then `CONDITION_COLUMNS`.
    """
    frame = _rows()
    found = profile.reindex(frame["experiment"]).reset_index()
    frame["approach"] = [labels.approach(name) for name in frame["approach"]]
    for metric in MEASURED_COLUMNS:
        frame[metric], frame[f"{metric}_paper"] = found[metric].astype(float), _printed(metric)
    return pd.concat([_with_ratios(frame), found[list(CONDITION_COLUMNS)]], axis=1)


def counted_table(frame: pd.DataFrame) -> Table:
    """Return the counted part of Table 6, from the frame of `table6`."""
    columns = [text_column("Approach"), text_column("Topology")]
    columns += [number_column("GMACs", name) for name in _COUNTS.values()]
    columns += [number_column("÷ 3D", name) for name in _COUNTS.values()]
    columns += [number_column("Parameters", "in millions")]
    lines = []
    for _, row in frame.iterrows():
        cells = [Words(row["approach"]), Words(row["topology"])]
        for end, form in (("", _GMACS), ("_over_3d", _SHARE)):
            cells += [(PaperNumber if name == "gmacs_paper" else Number)(row[name + end], form) for name in _COUNTS]
        lines.append(Row((*cells, Number(row["parameters"] / 1e6, _GMACS))))
    title = "Table 6. Resources: multiply-accumulates (MACs) of one patch of 32 × 128 × 128 voxels, and parameters."
    caption = (
        "Counted, not measured, on networks of the paper's size (r = 2, prefix interpolation, RepMode K = 5), whatever "
        "the scale and data of this run. All: every convolution, linear layer and matrix product. By type: only the "
        "layer types of torch, as counted by the tool thop, which misses kernels computed by the network (RepMode). ",
        Emphasis("Paper:"),
        " as printed. ÷ 3D: ratio to the 3D row of the same method. For DoDNet, the printed values are close to ours, "
        "and the one of 3D is thop's count; for RepMode and TSNs, they match neither count. The 2D encoder of TSNs is "
        "ResNet18, as in Table 5. Time and memory are on ",
        Link("a separate page", "timings"),
        ", which is not in git because they differ between machines; ",
        Code("dvc repro"),
        " writes it. –: no result.",
    )
    return Table(tuple(columns), tuple(lines), "table6", title, caption)


def measured_table(frame: pd.DataFrame, labels: Labels) -> Table:
    """Return the table of time and memory, from the frame of `timings`."""
    columns = [text_column("Approach"), text_column("Topology")]
    for metric in MEASURED_COLUMNS:
        columns += [number_column(*_MEASURED[metric]), number_column("÷ 3D")]
    lines = []
    for _, row in frame.iterrows():
        cells = [Words(str(row["approach"])), Words(str(row["topology"]))]
        for metric in MEASURED_COLUMNS:
            for end in ("", "_over_3d"):
                paper = row[f"{metric}_paper{end}"]
                cells.append(Number(row[metric + end], _THREE_DIGITS, paper=paper, compared=True))
        lines.append(Row(tuple(cells)))
    caption = (
        f"(scale {labels.scale}). Our value is first, ",
        Emphasis("the paper's, on an RTX 3090,"),
        " below it. ÷ 3D: ratio to the 3D row of the same method. Training speed: higher is better. –: no result. ",
        Link("CSV", "timings.csv"),
    )
    title = "Time and memory per iteration, r = 2, prefix interpolation"
    return Table(tuple(columns), tuple(lines), "", title, caption, stacked=True)


def _rows() -> pd.DataFrame:
    return pd.DataFrame(
        {"approach": row.approach, "topology": row.topology, "experiment": row.experiment(*printed_ratios(row))}
        for row in rows(6)
    )


def _printed(metric: str) -> list[float]:
    return [published(row, *printed_ratios(row), metric) for row in rows(6)]


def _with_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Add after each column its ratio to the value of the same method in 3D."""
    dense = frame[frame["topology"] == "3D"].set_index("approach")
    parts = [frame[["approach", "topology", "experiment"]]]
    for name in frame.columns[3:]:
        parts += [frame[name], (frame[name] / frame["approach"].map(dense[name])).rename(f"{name}_over_3d")]
    return pd.concat(parts, axis=1)
