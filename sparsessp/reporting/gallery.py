"""Every figure of the report but Figure 4, with a caption that stands alone.

A run without results leaves a gap that the figure names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from sparsessp.config import RATIOS
from sparsessp.data.examples import STRUCTURES_SHOWN
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.forest import forest
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.pictures import figure5, figure6, montage
from sparsessp.reporting.plots import cost_figure, planes_figure, run_costs, spread_figure, training_figure
from sparsessp.reporting.schematic import schematic
from sparsessp.reporting.tables import TGNET

PICTURE, LINES = "png", "svg"
NOTHING = "No figure: none of the runs that it shows has results."


@dataclass(frozen=True)
class Drawing:
    """A figure and what is said of it.

    Attributes:
        name: File name without its end.
        title: A few words.
        caption: All that a reader needs; says data set, scale and volumes.
        format: File type.
        figure: To be rendered; none if there is nothing at all to show.
    """

    name: str
    title: str
    caption: str
    format: str
    figure: Figure | None


def gallery(
    evidence: Evidence,
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    claims: pd.DataFrame,
    labels: Labels,
    ceilings: Mapping[str, float] | None = None,
) -> list[Drawing]:
    """All figures, in the order in which they should be read.

    Args:
        evidence: What lies beside the scores.
        scores: From `load_scores`.
        summary: From `summarise`.
        claims: From `claims.claims`.
        labels: What the captions state.
        ceilings: Structure -> R2 of a perfect prediction, if known.
    """
    setting, test, first = labels.setting, labels.test, min(labels.ratios)
    costs = run_costs(evidence, summary)
    r2 = {str(name): run.set_index("volume")["r2"].to_dict() for name, run in scores.groupby("experiment")}
    pairs = any(set(STRUCTURES_SHOWN) & set(evidence.examples(ratio, "target")) for ratio in RATIOS)
    predicted = pairs and any(evidence.predictions(name) for name in evidence.names)
    known = any(evidence.planes(name) is not None for name in evidence.names)
    built = costs["standard"].any()
    scored = any(name.startswith(TGNET) for name in r2)
    pictured = (
        f"({setting}). The first of the {test} test volumes of each structure in the split's order, at most 128 × 128 "
        "voxels about its middle."
    )
    coded = (
        "Fluorescence and predictions are seen from above: as bright as the brightest voxel of a column, coloured by "
        "its height, between the 5th and 99.5th percentile of each picture; so compare shapes, and R² for brightness."
    )
    return [
        Drawing(
            "claims",
            "The paper's claims at a glance",
            f"**The paper's claims at a glance** ({setting}; {test} test volumes). Filled: the effect here with its "
            "95 % interval; open: the same in the paper's numbers, on real AllenCell images. A claim without a filled "
            "mark was not run. Claims that are not about R² are in the table alone.",
            LINES,
            forest(claims) if (claims["comparisons"] > 0).any() else None,
        ),
        Drawing(
            "montage",
            "The data",
            f"**The data: one test volume of each structure** {pictured} Left of each pair: transmitted light in the "
            f"imaged plane nearest below the brightest fluorescence; right: fluorescence. {coded} Scale bar in the "
            "first picture.",
            PICTURE,
            montage(evidence, labels) if any(evidence.examples(ratio, "target") for ratio in RATIOS) else None,
        ),
        Drawing(
            "figure5",
            "Figure 5: four structures at every ratio",
            f"**Figure 5. Predictions of four structures from dense and sparse views** {pictured} Transmitted light; "
            "RepMode 3D on the dense view; TGNet 3-to-2D on every, every second, fourth and eighth plane; "
            f"fluorescence, which is the target. {coded} R² is of the whole volume. Grey: no result.",
            PICTURE,
            figure5(evidence, labels, r2) if predicted else None,
        ),
        Drawing(
            "figure6",
            "Figure 6: 3D against 3-to-2D",
            f"**Figure 6. TGNet 3D against 3-to-2D at r = {first}** {pictured} {coded} Right: squared error, mean over "
            f"the planes, on the same scale in a row. Yellow: the two squares in which both networks together err "
            "most, found by the program. R² is of the whole volume. Grey: no result.",
            PICTURE,
            figure6(evidence, labels, first, r2) if predicted else None,
        ),
        Drawing(
            "schematic",
            "The networks as built",
            f"**The four topologies of TGNet as they were built** ({labels.setting}; r = {first}, prefix "
            "interpolation): channels × planes × rows × columns of what each part returned for one patch, and "
            "channels × rows × columns where the planes are folded into channels. Bottleneck: what enters the "
            "decoder. Drawn from the networks themselves.",
            LINES,
            schematic(evidence, first) if built else None,
        ),
        Drawing(
            "planes",
            "R² by plane",
            f"**R² by plane: does error grow between the imaged planes?** ({setting}.) All {test} test volumes "
            "together: 1 − their squared error in these planes / the targets' squared deviation there from the mean "
            "of their volume. Above: by distance from the imaged plane, which is 0; below: by place in the volume. "
            "Planes that are darker than their volume are easy in this measure, for it is enough to predict them dark.",
            LINES,
            planes_figure(evidence, labels) if known else None,
        ),
        Drawing(
            "cost",
            "R² against cost",
            f"**R² against multiply-accumulates** ({setting}). Mean over {test} test volumes; prefix interpolation; "
            f"cost of predicting {_patch(evidence)} with the network as built at this scale, counted, not measured. "
            "Circled: networks that no other beats in both, the Pareto front. Dense networks (r = 1) are not shown.",
            LINES,
            cost_figure(costs[costs["standard"]], labels.ratios, "gmacs", "GMACs of one patch") if built else None,
        ),
        Drawing(
            "training",
            "Training curves",
            f"**Error during training at r = {first}** ({setting}; prefix interpolation). Solid: mean over the "
            f"{labels.val} validation volumes, whose lowest point chooses the model; dotted: training crops since the "
            "validation before. Crops hold more structure than whole volumes of mostly background may, so the two "
            "lines need not meet. Multi-Net, twelve trainings, is left out.",
            LINES,
            training_figure(evidence, costs, first) if built else None,
        ),
        Drawing(
            "spread",
            "R² of every test volume",
            f"**R² of every test volume by structure, TGNet 3-to-2D** ({setting}; {test} test volumes). A dot is a "
            "volume, a bar their mean. Black: what a perfect prediction would reach, for targets are noisy."
            if ceilings
            else f"**R² of every test volume by structure, TGNet 3-to-2D** ({setting}; {test} test volumes). A dot is "
            "a volume, a bar their mean.",
            LINES,
            spread_figure(scores, labels, ceilings) if scored else None,
        ),
    ]


def _patch(evidence: Evidence) -> str:
    """The patch whose cost is counted, in words."""
    patches = (facts["patch"] for facts in map(evidence.network, evidence.names) if facts)
    return next((f"one patch of {' × '.join(map(str, patch))} voxels" for patch in patches), "one patch")
