"""The values printed in the paper (`published.csv`), and the experiment of ours for each row."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from sparsessp.config import NATIVE, ExperimentSettings
from sparsessp.schema import METRICS

PRINTED_METRICS = tuple(metric.upper() for metric in METRICS)  # as the paper and the report's tables spell them
ALL = "all"
STRUCTURE_MEAN = "structure_mean"
DELTA_IMP = "delta_imp_percent"

# 2D encoder of the paper's TSNs: Table 5 names it, and its rows equal those of TSNs in Table 3.
_TSNS_BACKBONE = "ResNet18"
_INTERPOLATIONS = {"pre": "prefix", "post": "postfix", "none": "none"}


@dataclass(frozen=True)
class PublishedRow:
    """One row of a table, spelled as in the paper.

    Attributes:
        table: Number of the table.
        number: Position in the table, from 1.
        approach: Method, as in the paper's reference style: `RepMode`, `TSNs`, ...
        topology: `2D`, `3D`, `2-to-3D` or `3-to-2D`.
        interpolation: `pre`, `post` or `none`.
        projection: `3D` or `2D`.
        backbone: 2D encoder as in Table 5, empty in the others.
        epochs: As in Table 4, empty in the others.
    """

    table: int
    number: int
    approach: str
    topology: str
    interpolation: str
    projection: str
    backbone: str = ""
    epochs: str = ""

    def settings(self, ratio: int) -> ExperimentSettings:
        """Return our settings of this row at this sparsity ratio.

        Without missing planes all interpolations are the same, so dense runs are always `prefix`.
        """
        values = {
            "method": self.approach.lower().replace("-", ""),
            "topology": self.topology.lower().replace("-", ""),
            "interpolation": "prefix" if ratio == 1 else _INTERPOLATIONS[self.interpolation],
            "projection": self.projection.lower(),
            "backbone": self._backbone,
            "budget_percent": self._budget_percent,
            "ratio": ratio,
        }
        return ExperimentSettings.load(values, f"published.csv, table {self.table}, row {self.number}")

    @property
    def _backbone(self) -> str:
        tsns = _TSNS_BACKBONE if self.approach == "TSNs" and self.topology in ("2D", "2-to-3D") else NATIVE
        return (self.backbone or tsns).lower().replace("-", "_")

    @property
    def _budget_percent(self) -> int:
        """Percentage of the usual epochs of the topology, which are those of its first row."""
        if not self.epochs:
            return 100
        usual = next(row for row in rows(self.table) if row.topology == self.topology)
        return int(100 * int(self.epochs) / int(usual.epochs))

    def experiment(self, ratio: int) -> str:
        """Return the name of our run at this sparsity ratio."""
        return self.settings(ratio).name


@cache
def load_published() -> pd.DataFrame:
    """Return every printed value, one per row, with the columns of `published.csv`."""
    frame = pd.read_csv(Path(__file__).parent / "published.csv", keep_default_na=False)
    # The paper spells TGNet in two ways and does not give the projection of the baseline, dense Multi-Net.
    frame["approach"] = frame["approach"].replace("Tgnet", "TGNet")
    frame["projection"] = frame["projection"].replace("", "3D")
    return frame


@cache
def rows(table: int) -> tuple[PublishedRow, ...]:
    """Return the rows of a table in the paper's order."""
    columns = ["table", "row", "approach", "topology", "interpolation", "projection", "backbone", "epochs"]
    found = load_published().query("table == @table")[columns].drop_duplicates().sort_values("row")
    return tuple(PublishedRow(*row) for row in found.itertuples(index=False))


@cache
def _values() -> dict[tuple[int, int, int, str, str], float]:
    frame = load_published()
    values = frame.set_index(["table", "row", "ratio", "structure", "metric"])["value"].to_dict()
    structures = frame[(frame["table"] == 7) & ~frame["structure"].isin([ALL, DELTA_IMP])]
    for (number, ratio, metric), mean in structures.groupby(["row", "ratio", "metric"])["value"].mean().items():
        values[7, number, ratio, STRUCTURE_MEAN, metric] = mean
    return values


def published(row: PublishedRow, ratio: int, metric: str, group: str = ALL) -> float:
    """Return the printed value, or nan if the paper has none.

    Args:
        row: Row of a table of the paper.
        ratio: Sparsity ratio.
        metric: `MSE`, `MAE` or `R2`; in Table 6 `gmacs` or one of `MEASURED_COLUMNS`.
        group: Key of a structure, `all` (mean over test volumes) or `delta_imp_percent`; also
            `structure_mean`, which we compute from the paper's values by structure.
    """
    return _values().get((row.table, row.number, ratio, group, metric), float("nan"))


@cache
def printed_ratios(row: PublishedRow) -> tuple[int, ...]:
    """Return the ratios at which the paper prints this row, ascending."""
    found = {ratio for table, number, ratio, *_ in _values() if (table, number) == (row.table, row.number)}
    return tuple(sorted(found))


@cache
def winner(table: int) -> PublishedRow:
    """Return the paper's best row: the highest R2, averaged over the printed ratios."""
    means = load_published().query("table == @table and metric == 'R2'").groupby("row")["value"].mean()
    return next(row for row in rows(table) if row.number == means.idxmax())
