"""The networks in the rows of Tables 1 to 5: the paper's, then methods and backbones that are not in the paper."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparsessp.config import NATIVE, ExperimentSettings
from sparsessp.paper.published import PublishedRow, printed_ratios, rows, winner
from sparsessp.reporting import names
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.results import Results

_INTERPOLATIONS = {"prefix": "pre", "postfix": "post", "none": "none"}


@dataclass(frozen=True)
class Network:
    """One row.

    Attributes:
        names: Columns that identify it.
        settings: Settings of its run, at an arbitrary ratio.
        paper: The paper's row, or None.
        winner: Whether it is the paper's best row.
    """

    names: dict[str, object]
    settings: ExperimentSettings = field(repr=False)
    paper: PublishedRow | None = None
    winner: bool = False

    def experiment(self, ratio: int) -> str:
        """Return the name of its run at a ratio; without missing planes all interpolations are the same."""
        if self.paper:
            return self.paper.experiment(ratio)
        interpolation = "prefix" if ratio == 1 else self.settings.interpolation
        return self.settings.model_copy(update={"ratio": ratio, "interpolation": interpolation, "seed": 0}).name


def networks(table: int, results: Results) -> list[Network]:
    """Return the rows of Table 1 to 5."""
    best = winner(table)
    printed = [
        Network(paper_names(row, results.labels), row.settings(2), row, winner=row == best) for row in rows(table)
    ]
    return printed + [
        Network(_names(table, settings, results.labels), settings) for settings in _belonging(table, added(results))
    ]


def added(results: Results) -> list[ExperimentSettings]:
    """Return the planned networks whose method or backbone is not in the paper, each once."""
    printed = [row.settings(printed_ratios(row)[0]) for table in (3, 5, 7) for row in rows(table)]
    methods, backbones = ({getattr(item, key) for item in printed} | {NATIVE} for key in ("method", "backbone"))
    found = {}
    for settings in results.settings.values():
        if settings.method not in methods or settings.backbone not in backbones:
            plain = settings.model_copy(update={"seed": 0, "ratio": 2})
            found.setdefault(plain.name, plain)
    return list(found.values())


def in_paper(backbone: str) -> bool:
    """Return whether the paper uses this backbone."""
    return backbone in {NATIVE, *(row.settings(2).backbone for row in rows(5))}


def _belonging(table: int, candidates: Sequence[ExperimentSettings]) -> list[ExperimentSettings]:
    """Return the candidates that vary only what the table varies."""
    usual = [item for item in candidates if item.projection == "3d" and item.budget_percent == 100]
    if table == 1:
        varied = {item.method for item in usual if item.interpolation != "prefix"}
        return [item for item in usual if item.method in varied and in_paper(item.backbone)]
    prefix = [item for item in usual if item.interpolation == "prefix"]
    if table == 3:
        return [item for item in prefix if in_paper(item.backbone)]
    return [item for item in prefix if not in_paper(item.backbone)] if table == 5 else []


def paper_names(row: PublishedRow, labels: Labels) -> dict[str, object]:
    """Return the columns that identify a row of the paper."""
    found: dict[str, object] = {
        "approach": labels.approach(row.approach),
        "topology": row.topology,
        "interpolation": row.interpolation,
        "projection": row.projection,
    }
    if row.backbone:
        found["backbone"] = labels.backbone(row.backbone)
    elif row.epochs:
        found |= {"schedule": f"{row.settings(2).budget_percent / 100:.3g}x", "epochs_paper": int(row.epochs)}
    return found


def _names(table: int, settings: ExperimentSettings, labels: Labels) -> dict[str, object]:
    approach = labels.approach(names.method_name(settings.method))
    found: dict[str, object] = {
        "approach": approach,
        "topology": names.TOPOLOGIES[settings.topology][0],
        "interpolation": _INTERPOLATIONS[settings.interpolation],
        "projection": settings.projection.upper(),
    }
    if table == 5:
        backbone = names.backbone_name(settings.backbone)
        found["backbone"] = backbone if settings.method == "tsns" else f"{approach}, {backbone}"
    return found
