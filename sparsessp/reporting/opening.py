"""The opening of the page: its headline, what was run, and what the numbers can say."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sparsessp.reporting.cells import GROUP_NAMES, VERDICTS, score
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.scores import BASE, linear, mean, setting
from sparsessp.reporting.tables import TGNET

_BUDGETED = {"3d": "3D", "2d": "2D", "2to3d": "2-to-3D", "3to2d": "3-to-2D", "multinet": "Multi-Net"}


def headline(
    labels: Labels,
    experiments: Mapping[str, Mapping[str, Any]],
    summary: pd.DataFrame,
    claims: pd.DataFrame,
    present: Sequence[str],
) -> str:
    """R2 at each ratio beside its references, how many runs and which verdicts there are; arguments as of `page.page`.

    Each entry of the list starts with its number in bold, which the HTML page shows large.
    """
    lines = [f"Results on the {labels.test} test volumes of the **{labels.data}**, scale {labels.scale}:", ""]
    base = score(mean(summary, BASE, "R2"))
    for ratio in labels.ratios:
        ours = score(mean(summary, f"{TGNET}-r{ratio}", "R2"))
        floor = score(mean(summary, linear(ratio), "R2"))
        planes = {1: "every plane", 2: "every second plane"}.get(ratio, f"every {ratio}th plane")
        lines += [
            f"- **{ours}** R² of TGNet 3-to-2D at r = {ratio}, {planes} imaged",
            f"  - {floor} for a per-voxel linear regression on the same brightfield",
            f"  - {base} for Multi-Net on all planes (r = 1)",
        ]
    runs = [name for name in experiments if name in present]
    lines.append(f"- **{len(runs)} of {len(experiments)}** declared runs have scores")
    pairs = [(name, linear(experiments[name]["ratio"])) for name in runs]
    comparable = [(name, floor) for name, floor in pairs if floor in summary.index]
    above = sum(mean(summary, setting(name), "R2") > mean(summary, floor, "R2") for name, floor in comparable)
    if comparable:
        lines.append(f"  - {above} of {len(comparable)} have a higher R² than the linear regression at their ratio")
    supported, *others = ((claims["verdict"] == verdict).sum() for verdict in VERDICTS)
    lines.append(f"- **{supported} of {len(claims)}** [claims of the paper](#claims) supported on these networks")
    lines += [f"  - {count} {verdict}" for count, verdict in zip(others, list(VERDICTS)[1:], strict=True)]
    return "\n".join(lines)


def what_was_run(labels: Labels, missing: Sequence[str]) -> str:
    """Table of the settings that a reader must know; `missing` are declared runs without scores."""
    planes, height, width = labels.patch
    budgets = "; ".join(f"{_BUDGETED.get(key, key)}: {text}" for key, text in labels.budget.items())
    gaps = f"{len(missing)}, [listed below](#missing-runs)" if missing else "none"
    voxel = " × ".join(f"{edge:.3g}" for edge in labels.voxel_um)
    lines = [
        "| What was run | |",
        "| :-- | :-- |",
        f"| data | {labels.data} |",
        f"| voxel | {voxel} µm (paper: 0.29 × 0.29 × 0.29 µm) |",
        f"| volumes | {labels.train} training, {labels.val} validation, {labels.test} test |",
        f"| scale | {labels.scale} |",
        f"| training budget | {budgets} |",
        f"| networks | width {labels.width_3d} in 3D and {labels.width_2d} in 2D (paper: 32), "
        f"RepMode kernel {labels.repmode_kernel} (paper: 5) |",
        f"| training crop | {planes} × {height} × {width} voxels (paper: 32 × 128 × 128) |",
        f"| sparsity ratios | {', '.join(str(ratio) for ratio in labels.ratios)} (paper: 2, 4, 8) |",
        f"| missing runs | {gaps} |",
        "| machine, duration, versions | [on a page of their own](timings.md), written by each run |",
    ]
    return "\n".join(lines)


def limits(labels: Labels, fingerprint: pd.DataFrame | None) -> str:
    """Section on what the numbers can and cannot say; `fingerprint` if the data are the paper's."""
    says = []
    if fingerprint is not None and not fingerprint["within"].all():
        outside = [GROUP_NAMES[key] for key in fingerprint.loc[~fingerprint["within"], "structure"]]
        says.append(
            f"**Warning:** the test targets of {', '.join(outside)} have another variance than the paper's "
            "([fingerprint](#fingerprint)): they are other images, or were prepared in another way. Their scores, "
            "and every mean they are part of, cannot be compared with the paper's."
        )
    if labels.simulated:
        says.append(
            "The images are simulated: no number here was measured on cells. The paper's scores are on real "
            "AllenCell images; they stand beside ours for orientation; a score near them reproduces nothing."
        )
    if labels.scale != "paper":
        says.append(
            f"Scale `{labels.scale}` trains far less than the paper (3D 1000, hybrids 3000, 2D 7000 epochs "
            "over 628 volumes). The order of methods, topologies, interpolations or projections here is no "
            "evidence for or against the paper's."
        )
    says += [
        "Each score is one training run with one seed, without error bars: small differences mean nothing."
        if labels.seeds == 1
        else f"Scores in the tables are mean ± standard deviation over {labels.seeds} seeds (n - 1).",
        "What the scores do say: these networks were trained, applied and scored by one pipeline on the same "
        "volumes; the linear regression shows how much of a score needs no network.",
    ]
    return "\n".join(["## What these numbers can and cannot say", "", *(f"- {text}" for text in says)])
