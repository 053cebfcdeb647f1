"""The opening of the page: headline, settings, and what the scores can and cannot show."""

from sparsessp.reporting.document.model import (
    Bullets,
    Code,
    Inline,
    Item,
    Link,
    Paragraph,
    Section,
    Strong,
    Table,
    facts,
)
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.results import Results
from sparsessp.reporting.scores import BASE, TGNET, mean
from sparsessp.reporting.tables.formats import SCORE, VERDICTS, group_name
from sparsessp.schema import Z_PROFILE, linear_regression

_BUDGETED = {"3d": "3D", "2d": "2D", "2to3d": "2-to-3D", "3to2d": "3-to-2D", "multinet": "Multi-Net"}
_PAPER_VOXEL = 0.29  # µm, along every axis; 2.32 µm between imaged planes at r = 8
_PLANES = {1: "every plane", 2: "every second plane"}


def headline(results: Results) -> tuple[Paragraph, Bullets]:
    """Return R2 at each ratio with its references, the number of runs with scores, and the number of each verdict."""
    labels, summary = results.labels, results.summary
    words = Paragraph(
        (f"Results on the {labels.test} test volumes of the ", Strong(labels.data), f", scale {labels.scale}:")
    )
    base, profile = (SCORE(mean(summary, name, "R2")) for name in (BASE, Z_PROFILE))
    entries = []
    for ratio in labels.ratios:
        ours = SCORE(mean(summary, f"{TGNET}-r{ratio}", "R2"))
        floor = SCORE(mean(summary, linear_regression(ratio), "R2"))
        planes = _PLANES.get(ratio, f"every {ratio}th plane")
        below = (
            Item(f"{profile} for the z-profile, which ignores the image"),
            Item(f"{floor} for a per-voxel linear regression on the same brightfield planes"),
            Item(f"{base} for the baseline, Multi-Net on all planes (r = 1)"),
        )
        entries.append(Item((Strong(ours), f" R² of TGNet 3-to-2D at r = {ratio}, {planes} imaged"), below))
    entries += [_scored(results), _verdicts(results)]
    return words, Bullets(tuple(entries), cards=True)


def _scored(results: Results) -> Item:
    runs = [name for name in results.experiments if name in results.runs.index]
    text = (Strong(f"{len(runs)} of {len(results.experiments)}"), " planned runs have scores")
    floor = mean(results.summary, Z_PROFILE, "R2")
    above = sum(mean(results.runs, name, "R2") > floor for name in runs)
    said = f"{above} of {len(runs)} runs have a higher R² than the z-profile"
    return Item(text, (Item(said),) if Z_PROFILE in results.summary.index else ())


def _verdicts(results: Results) -> Item:
    counts = {verdict: int((results.claims["verdict"] == verdict).sum()) for verdict in VERDICTS}
    supported = Strong(f"{counts.pop('supported')} of {len(results.claims)}")
    text = (supported, " ", Link("claims of the paper", "#claims"), " supported on these networks")
    return Item(text, tuple(Item(f"{count} {verdict}") for verdict, count in counts.items()))


def what_was_run(results: Results) -> Table:
    """Return the table of the settings."""
    labels, missing = results.labels, results.missing
    planes, height, width = labels.patch
    budgets = "; ".join(f"{_BUDGETED.get(key, key)}: {text}" for key, text in labels.budget.items())
    gaps: Inline = (f"{len(missing)}, ", Link("listed below", "#missing-runs")) if missing else "none"
    voxel = " × ".join(f"{edge:.3g}" for edge in labels.voxel_um)
    kernel = f"RepMode kernel {labels.repmode_kernel} (paper: 5)"
    lines: list[tuple[str, Inline]] = [
        ("data", labels.data),
        ("voxel", f"{voxel} µm (paper: 0.29 × 0.29 × 0.29 µm)"),
        ("volumes", f"{labels.train} training, {labels.val} validation, {labels.test} test"),
        ("scale", labels.scale),
        *_start(results),
        ("training budget", budgets),
        ("epochs", labels.epochs_by_topology),
        ("networks", f"width {labels.width_3d} in 3D and {labels.width_2d} in 2D (paper: 32), {kernel}"),
        ("training crop", f"{planes} × {height} × {width} voxels (paper: 32 × 128 × 128)"),
        ("sparsity ratios", f"{', '.join(map(str, labels.ratios))} (paper: 2, 4, 8)"),
        ("largest step between imaged planes", _step(labels)),
        ("missing runs", gaps),
        ("machine, duration, versions", (Link("on a separate page", "timings"), ", written by each run")),
    ]
    return facts("What was run", lines)


def _start(results: Results) -> list[tuple[str, Inline]]:
    """Return the line on the model file that runs started from, if there is one."""
    labels = results.labels
    if labels.start_file is None:
        return []
    names = [part for name in labels.started for part in (", ", Code(name))][1:]
    others = len(results.experiments) - len(labels.started)
    rest = f"; random in the other {others}, whose networks differ from that of the file" if others else ""
    return [("weights at the start", (Code(labels.start_file), " in ", *names, rest))]


def _step(labels: Labels) -> str:
    """Return the distance between imaged planes at the largest ratio, and whether it exceeds the paper's."""
    ratio = max(labels.ratios)
    step, paper = ratio * labels.voxel_um[0], ratio * _PAPER_VOXEL
    coarse = ", so this task is harder than the paper's" if step > paper * 1.01 else ""
    return f"{step:.3g} µm at r = {ratio} (paper: {paper:.3g} µm){coarse}"


def limits(results: Results) -> Section:
    """Return the section on what the scores can and cannot show."""
    labels, fingerprint, says = results.labels, results.fingerprint, []
    if fingerprint is not None and not fingerprint["within"].all():
        outside = [group_name(key) for key in fingerprint.loc[~fingerprint["within"], "structure"]]
        text = (
            f" the variance of the test targets of {', '.join(outside)} differs from the paper's (",
            Link("fingerprint", "#fingerprint"),
            "): the images are different or were prepared differently. Their scores, and every mean that includes "
            "them, cannot be compared with the paper's.",
        )
        says.append((Strong("Warning:"), *text))
    if labels.simulated:
        says.append(
            "The images are simulated; no score here was measured on real cells. The paper's scores, on real AllenCell "
            "images, are shown for orientation only: a similar score does not reproduce the paper's."
        )
    if labels.scale != "paper":
        says.append(
            f"Scale {labels.scale} trains far less than the paper (1000 epochs for 3D, 3000 for hybrids and 7000 for "
            "2D, on 628 volumes). The ranking of methods, topologies, interpolations or projections here is no "
            "evidence for or against the paper's."
        )
    says += [
        "Each score comes from one training with one seed and has no error bar: small differences are meaningless."
        if labels.seeds == 1
        else f"Scores in the tables are the mean ± standard deviation (n - 1) over {labels.seeds} seeds.",
        "What the scores do show: all networks were trained, applied and scored by the same pipeline on the same "
        "volumes. The linear regression shows how much of a score needs no network, the z-profile how much needs no "
        "image.",
    ]
    return Section("What these scores can and cannot show", (Bullets(tuple(map(Item, says))),))
