"""`reports/README.md`: the page that people open first."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from sparsessp.data.allencell.fingerprint import TOLERANCE
from sparsessp.paper.published import METRICS, rows, winner
from sparsessp.reporting.cells import GROUP_NAMES, best_of, pair, score, symbol, verdict
from sparsessp.reporting.claims import caption
from sparsessp.reporting.gallery import NOTHING, Drawing
from sparsessp.reporting.labels import DINOV2, Labels
from sparsessp.reporting.markdown import DASH, markdown, table_files
from sparsessp.reporting.opening import headline, limits, what_was_run
from sparsessp.reporting.scores import linear
from sparsessp.reporting.tables import GROUPS, shown_ratios

_HEADERS = {
    "approach": "Approach",
    "interpolation": "Interp.",
    "topology": "Topology",
    "projection": "Proj. space",
    "schedule": "Training",
    "backbone": "Backbone",
}
# The columns by which the paper tells a table's rows apart, and what the table is about.
_KEYS = {
    1: ["approach", "interpolation", "topology"],
    2: ["projection", "topology"],
    3: ["approach", "topology"],
    4: ["topology", "schedule"],
    5: ["backbone", "topology"],
}
_TITLES = {
    1: "Interpolation: where the missing planes are filled in",
    2: "Projection space between 2D and 3D, on DoDNet",
    3: "Topologies, with prefix interpolation and 3D projection",
    4: "Longer training of DoDNet, 1x being the usual budget",
    5: "2D backbones of TSNs, with prefix interpolation and 3D projection",
    7: "Structures: dense Multi-Net against sparse TGNet 3-to-2D",
}


def page(
    labels: Labels,
    experiments: Mapping[str, Mapping[str, Any]],
    summary: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    present: Sequence[str],
    reasons: Mapping[str, str] = MappingProxyType({}),
    drawings: Sequence[Drawing] = (),
    provenance: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The whole page as Markdown.

    Args:
        labels: What was run.
        experiments: Declared runs by name.
        summary: Means of the runs that have scores, from `summarise`.
        present: Runs that have scores, each seed its own.
        tables: `table1` to `table5`, `table7` and `baseline`, from tables.py; `table6`, from costs.py;
            `claims`, from claims.py; `fingerprint` too if the data are the paper's.
        drawings: Figures from gallery.py.
        reasons: Why declared runs failed, by name, as far as it is known.
        provenance: What decided the results, name -> text.
    """
    declared = [*experiments, *(linear(ratio) for ratio in labels.ratios)]
    missing = [name for name in declared if name not in present]
    undeclared = [name for name in _asked(tables.values()) if name not in experiments]
    parts = [
        "# SparseSSP: results",
        "<!-- Written by the report stage from the scores of the declared runs. Do not edit. -->",
        headline(labels, experiments, summary, tables["claims"], present),
        what_was_run(labels, missing),
        limits(labels, tables.get("fingerprint")),
        *_fingerprint(tables.get("fingerprint")),
        "## Claims",
        f"{caption(labels)} {DASH}: no result. {table_files('claims')}",
        _claims(tables["claims"]),
        "## Figure 4",
        "![Figure 4: R² against the sparsity ratio, one panel per method](figures/figure4.png)",
        "**Figure 4. R² against the sparsity ratio, 3D and 3-to-2D topologies, prefix interpolation** "
        f"({labels.setting}). Mean over {labels.test} test volumes. Solid lines, filled markers: this run; "
        "light dashed lines, open markers: the paper's, on real AllenCell images. A ratio without a filled "
        "marker has no result. Markers stand a little beside their ratio, so that none hides another. "
        "[SVG](figures/figure4.svg)",
    ]
    for table in (3, 1, 2, 4, 5):
        if shown_ratios(table, labels):
            frame = tables[f"table{table}"]
            parts += [f"## Table {table}", _caption(table, labels), _comparison(table, frame, labels)]
    parts += ["## Table 6", _TABLE6_CAPTION, _table6(tables["table6"])]
    parts += ["## Table 7", _caption(7, labels), _table7(tables["table7"])]
    parts += ["## Baseline", _baseline_caption(tables["baseline"], labels), _baseline(tables["baseline"])]
    parts += ["## Beyond the paper's scores", _beyond_caption(labels), _beyond(tables["beyond"], labels)]
    if "window_sampling" in tables:
        parts += ["## Window-wise sampling", _WINDOW_SAMPLING, _window_sampling(tables["window_sampling"])]
    for drawing in drawings:
        parts += [f"## {drawing.title}", _drawing(drawing)]
    parts += ["## All runs", _runs_caption(labels), _runs(tables["runs"])]
    parts += [_missing(missing, undeclared, reasons), "## Provenance", _PROVENANCE]
    parts += [markdown(["Input", ""], list(provenance.items()), 2)] if provenance else []
    parts.append(_REPRODUCE)
    return "\n\n".join(parts) + "\n"


def _asked(tables: Iterable[pd.DataFrame]) -> list[str]:
    """Runs that the paper's tables show at the declared ratios, each once."""
    cells = [frame.filter(regex="experiment$").to_numpy().ravel() for frame in tables]
    return list(dict.fromkeys(str(name) for names in cells for name in names))


def _fingerprint(frame: pd.DataFrame | None) -> list[str]:
    """Section on the variance of the test targets; nothing if there is no table."""
    if frame is None:
        return []
    lines = [
        [
            GROUP_NAMES[row.structure],
            str(row.volumes),
            f"{row.variance:.3f}",
            f"{row.published:.3f}",
            f"{row.difference:+.3f}" if row.within else f"**{row.difference:+.3f}, outside**",
        ]
        for row in frame.itertuples()
    ]
    caption = (
        "**Variance of the test targets, after z-score and zoom.** The paper's is MSE / (1 - R²) in its Table 7, "
        f"the same for all its runs. Tolerance {TOLERANCE}. {table_files('fingerprint')}"
    )
    headers = ["Structure", "Test volumes", "Variance", "The paper's", "Difference"]
    return ["## Fingerprint", caption, markdown(headers, lines, 1)]


def _caption(table: int, labels: Labels) -> str:
    if table == 7:
        cells = "below it"
        marks = [
            "Bold: best run of a line.",
            "All: mean over test volumes, the paper's figure.",
            "ΔImp: improvement of All over Multi-Net at r = 1.",
            "The paper's mean of structures is computed from its printed values.",
        ]
        if 4 in labels.ratios:
            marks.append("Its Tight Junction R² at r = 4 is as printed; its MSE there implies about .31.")
    else:
        cells = "below it" if len(shown_ratios(table, labels)) > 1 else "after it"
        marks = ["Bold: best of a column.", "★: the paper's best row, by mean R² over its ratios."]
        if table in (1, 3):
            marks.append("K: RepMode's largest kernel (paper: 5).")
        marks += _backbone_marks(labels) if table == 5 else []
    if labels.seeds > 1:
        marks.append(f"±: standard deviation over {labels.seeds} seeds.")
    return (
        f"**Table {table}. {_TITLES[table]}** ({labels.setting}). Mean over {labels.test} test volumes; "
        f"our score first, *the paper's, on real AllenCell images,* {cells}. {' '.join(marks)} "
        f"{DASH}: no result. {table_files(f'table{table}')}"
    )


def _backbone_marks(labels: Labels) -> list[str]:
    marks = []
    if labels.backbone_divisor > 1:
        marks.append(f"Scaled down: backbones with 1/{labels.backbone_divisor} of their channels, fewer layers.")
    marks.append(f"Backbones that start from trained weights: {', '.join(labels.pretrained) or 'none'}.")
    if labels.backbone(DINOV2) != DINOV2:
        marks.append("Architecture only: a network of DINOv2's form without DINOv2's weights.")
    return marks


def _claims(frame: pd.DataFrame) -> str:
    """Claims and their verdicts; frame from `claims.claims`."""
    headers = ["Claim", "Source", "Verdict", "Effect", "95 % interval", "*Paper*", "Compared", "Seeds", "p, Holm"]
    lines = []
    for row in frame.itertuples():
        note = f"<br><sub>{row.note}</sub>" if isinstance(row.note, str) else ""
        unit = "" if row.unit == "R2" else f"<br><sub>{row.unit}</sub>".replace("R2", "R²")
        between = DASH if pd.isna(row.low) else f"{row.low:z.4f} to {row.high:z.4f}"
        counts = [f"{row.comparisons} of {row.possible}", DASH if pd.isna(row.seeds) else f"{row.seeds:.0f}"]
        cells = [score(row.effect) + unit, between, f"*{score(row.paper_effect)}*", *counts, score(row.p_holm)]
        lines.append([row.claim, row.source, verdict(row.verdict) + note, *cells])
    return markdown(headers, lines, 3)


def _drawing(drawing: Drawing) -> str:
    if drawing.figure is None:
        return NOTHING
    return f"![{drawing.title}](figures/{drawing.name}.{drawing.format})\n\n{drawing.caption}"


def _comparison(table: int, frame: pd.DataFrame, labels: Labels) -> str:
    """Table 1 to 5; frame from `tables.comparison`."""
    ratios = shown_ratios(table, labels)
    scores = [f"ratio{ratio}_{metric}" for ratio in ratios for metric in METRICS]
    best = {header: best_of(frame[header], header) for name in scores for header in (name, f"{name}_paper")}
    headers = [_HEADERS[key] for key in _KEYS[table]]
    headers += [f"r = {ratio}<br>{symbol(metric)}" for ratio in ratios for metric in METRICS]
    lines = []
    for row, (_, values) in zip(rows(table), frame.iterrows(), strict=True):
        names = [str(values[key]) for key in _KEYS[table]]
        if row == winner(table):
            names[-1] += " ★"
        cells = [pair(values, name, best, stacked=len(ratios) > 1) for name in scores]
        lines.append(names + cells)
    return markdown(headers, lines, len(_KEYS[table]))


_TABLE6_CAPTION = f"""\
**Table 6. Resources: multiply-accumulates (MACs) of one patch of 32 × 128 × 128 voxels, and parameters.** Counted, \
not measured, on networks of the paper's size (r = 2, prefix interpolation, RepMode K = 5), whatever the scale and \
data of this run. All: every convolution, linear layer and matrix product. By type: torch's own layer types alone, as \
the tool thop counts, to which kernels computed in the network (RepMode's) are invisible. *Paper:* as printed. ÷ 3D: \
ratio to the 3D row of the same method. The paper's numbers are near ours for DoDNet, whose 3D row is thop's count; \
those of RepMode and TSNs no count of ours gives. TSNs have ResNet18 as 2D encoder, as in \
Table 5. Time and memory, beside the paper's, are on [a page of their own](timings.md), which is not in git, for \
another machine gives other numbers: `dvc repro` writes it on yours. {DASH}: no result. {table_files("table6")}"""


def _table6(frame: pd.DataFrame) -> str:
    """Table 6 as far as it is counted; frame from `costs.table6`."""
    names = {"gmacs": "All", "gmacs_module": "By type", "gmacs_paper": "*Paper*"}
    headers = ["Approach", "Topology", *(f"GMACs<br>{name}" for name in names.values())]
    headers += [f"÷ 3D<br>{name}" for name in names.values()] + ["Parameters<br>in millions"]
    lines = []
    for _, row in frame.iterrows():
        cells = [*(score(row[name], 2) for name in names), *(score(row[f"{name}_over_3d"], 3) for name in names)]
        cells = [f"*{text}*" if k % len(names) == 2 else text for k, text in enumerate(cells)]
        lines.append([row["approach"], row["topology"], *cells, score(row["parameters"] / 1e6, 2)])
    return markdown(headers, lines, 2)


def _table7(frame: pd.DataFrame) -> str:
    """Table 7 turned round, one line per structure: the paper's 42 columns would not fit a page."""
    metrics = ("R2", "MSE", "MAE")
    runs = [values for _, values in frame.iterrows()]
    headers = ["Structure"]
    for run in runs:
        headers += [f"{run['approach']}<br>r = {run['ratio']}<br>{symbol(metric)}" for metric in metrics]
    lines = []
    for group in GROUPS:
        names = [f"{group}_{metric}" for metric in metrics]
        best = {header: best_of(frame[header], header) for name in names for header in (name, f"{name}_paper")}
        cells = [pair(run, name, best, stacked=True) for run in runs for name in names]
        lines.append([GROUP_NAMES[group], *cells])
    return markdown(headers, lines, 1)


def _baseline_caption(frame: pd.DataFrame, labels: Labels) -> str:
    ceiling = " Ceiling: R² of a perfect prediction, since the targets are noisy." if "ceiling_R2" in frame else ""
    return (
        "**R² by structure of TGNet 3-to-2D and of a per-voxel linear regression on the same sparse "
        f"brightfield** ({labels.setting}). Mean over the test volumes of each structure; All: over all "
        f"{labels.test}.{ceiling} This table is not in the paper. {DASH}: no result. "
        f"{table_files('baseline')}"
    )


def _baseline(frame: pd.DataFrame) -> str:
    titles = {"linear": "Linear<br>regression", "tgnet": "TGNet<br>3-to-2D", "ceiling": "Ceiling"}
    headers = ["Structure"]
    for name in frame.columns[1:]:
        model, *ratio = name.removesuffix("_R2").split("_ratio")
        headers.append("<br>".join([titles[model], *(f"r = {text}" for text in ratio)]))
    lines = [
        [GROUP_NAMES[values["structure"]], *(score(values[name]) for name in frame.columns[1:])]
        for _, values in frame.iterrows()
    ]
    return markdown(headers, lines, 1)


def _beyond_caption(labels: Labels) -> str:
    return (
        f"**Other scores of TGNet 3-to-2D by structure** ({labels.setting}). Mean over the test volumes of each "
        f"structure; All: over all {labels.test}. Of ceiling: R² / R² of a perfect prediction, since the targets are "
        "noisy. r: Pearson's correlation. Affine: R² after the best scale and offset of each volume, which forgives "
        f"wrong brightness and contrast. {DASH}: no result. {table_files('beyond')}"
    )


def _beyond(frame: pd.DataFrame, labels: Labels) -> str:
    """Frame from `more.beyond`."""
    titles = {"R2": "R²", "R2_of_ceiling": "of ceiling", "pearson": "r", "r2_affine": "affine R²"}
    headers = ["Structure"]
    for name in frame.columns[1:]:
        ratio, metric = name.removeprefix("ratio").split("_", 1)
        headers.append(f"r = {ratio}<br>{titles[metric]}")
    lines = [
        [GROUP_NAMES[values["structure"]], *(score(values[name]) for name in frame.columns[1:])]
        for _, values in frame.iterrows()
    ]
    return markdown(headers, lines, 1)


_WINDOW_SAMPLING = f"""\
**What sampling inside each window would have added.** The released code drops planes window by window; a last window \
that is moved back to fit starts between imaged planes and reads others, which a microscope would not have taken. Mean \
over test volumes: planes that the view has, planes that those windows would have read, R² with each. No other number \
of this report is sampled so. {DASH}: no result. {table_files("window_sampling")}"""


def _window_sampling(frame: pd.DataFrame) -> str:
    """Frame from `more.window_sampling`."""
    headers = ["Run", "Planes imaged", "Planes read", "R²", "R², window-wise", "Difference"]
    lines = [
        [f"`{row.experiment}`", f"{row.imaged:.1f}", f"{row.read:.1f}"]
        + [score(value) for value in (row.R2, row.R2_window_sampling, row.difference)]
        for row in frame.itertuples()
    ]
    return markdown(headers, lines, 1)


def _runs_caption(labels: Labels) -> str:
    return (
        f"**Every run** ({labels.setting}). Mean over {labels.test} test volumes; structures: mean over structures; "
        "affine and r as above; GMACs of one patch and parameters of the network as built at this scale. "
        f"{table_files('runs')}"
    )


def _runs(frame: pd.DataFrame) -> str:
    """Frame from `more.all_runs`."""
    headers = ["Run", *METRICS, "r", "affine R²", "R², structures", "GMACs", "Parameters"]
    scores = [*METRICS, "pearson", "r2_affine", "structure_mean_R2", "gmacs"]
    lines = [
        [f"`{row['experiment']}`", *(score(row[name]) for name in scores)]
        + [DASH if pd.isna(row["parameters"]) else f"{row['parameters']:,}"]
        for _, row in frame.iterrows()
    ]
    return markdown([symbol(header) for header in headers], lines, 1)


def _missing(missing: Sequence[str], undeclared: Sequence[str], reasons: Mapping[str, str]) -> str:
    lines = ["## Missing runs", ""]
    if missing:
        lines += [f"Declared, but without scores ({len(missing)}):", ""]
        lines += [f"- `{name}`: {_reason(reasons.get(name))}" for name in missing]
    else:
        lines.append("None: every declared run has its scores.")
    if undeclared:
        lines += ["", f"In the paper's tables, but not declared ({len(undeclared)}): {_list(undeclared)}."]
    return "\n".join(lines)


def _reason(text: str | None) -> str:
    """Why a run has no scores, in one line that Markdown shows as it is."""
    if text is None:
        return "not run, or its scores were removed"
    line = " ".join(text.split())
    return f"failed: `{line.replace('`', chr(39))}`"


_PROVENANCE = """\
The same inputs give this page byte by byte. The machine, durations, installed versions, git revision and date are on \
[a page of their own](timings.md), which is not in git: `dvc repro` writes it."""

_REPRODUCE = """\
## Reproduce

```bash
dvc repro                         # every stage whose inputs changed, then this page
dvc exp run -S ratio=8            # one other sparsity ratio
dvc exp run -S 'ratio=[2,4,8]'    # the paper's three ratios
```"""


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
