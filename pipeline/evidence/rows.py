"""What produces each table, figure and claim of a committed result, read from its files."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from pipeline.committed import Committed, read_text
from pipeline.evidence.overrides import commands, overrides
from pipeline.plan.estimate import amount, disk
from pipeline.plan.grid import as_tables, expand
from pipeline.plan.params import Params, parse_params
from pipeline.verify.numbers import read, read_long
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.paper_claims import CLAIMS
from sparsessp.reporting.scores import setting

COSTS_TABLE = 6  # needs no training
COSTS_COMMAND = "dvc repro profile"
_FIGURE = re.compile(r"^!\[([^\]]+)\]\((figures/[^)]+)\)", re.MULTILINE)
_TOTAL = re.compile(r"(?:(\d+) h )?(\d+) (min|s) in total")


class Row(NamedTuple):
    """One table, figure or claim of a result.

    Attributes:
        item: Title.
        kind: table, figure or claim.
        file: Committed file with it.
        override: Override that selects its runs alone, or None for all runs of the result.
        commands: Commands that produce it; none if it was not run.
        runs: Number of trained runs that it shows.
        minutes: Training time, from the counted operations of the runs.
        gigabytes: Disk space of volumes, views and models.
        tolerance: Largest standard deviation of R2 over seeds, or the interval of a claim.
        verdict: Verdict of a claim.
    """

    item: str
    kind: str
    file: str
    override: str | None
    commands: list[str]
    runs: int
    minutes: float | None
    gigabytes: float
    tolerance: str | None
    verdict: str | None = None


class Source:
    """A committed result with everything that its rows are computed from."""

    def __init__(self, result: Committed):
        """Read the result."""
        self.result = result
        text = read_text(result.params)
        self.params: Params = parse_params(text, str(result.params))
        self.facts = result.facts(timings=not result.current)  # those of reports/ are not in git
        self.overrides = overrides(self.params, text)
        self.scores = read_long(result.report)
        self.runs = read(result.report / "tables" / "runs.csv").set_index("experiment")
        self.trained = [name for name in self.params.experiments if name in self.runs.index]

    @cached_property
    def minutes(self) -> float | None:
        """Training time in minutes, over all runs and workers, if timings.md is committed."""
        if (found := _TOTAL.search(self.facts.get("trainings", ""))) is None:
            return None
        amount = int(found[2]) / (60 if found[3] == "s" else 1)
        return 60 * int(found[1] or 0) + amount

    def operations(self, names: Iterable[str] | None = None) -> float:
        """Return the multiply-accumulates of training these runs, or all, in 10^12."""
        return float(self.runs["training_tmacs"].reindex(list(self.trained if names is None else names)).sum())

    def gigabytes(self, names: Sequence[str]) -> float:
        """Return the disk space of the volumes, views and models of these runs."""
        ratios = sorted({self.params.experiments[name].ratio for name in names})
        parameters = self.runs.loc[list(names), ["parameters"]]
        sizes = disk(self.params.model_copy(update={"ratios": ratios}), amount(self.params), parameters)
        return sum(sizes.values()) / 1e9

    def spread(self, names: Iterable[str]) -> str | None:
        """Return the largest standard deviation of the settings' R2 over seeds, or None with one seed."""
        means = self.scores[self.scores["experiment"].isin(list(names))].groupby("experiment")["r2"].mean()
        largest = means.groupby([setting(name) for name in means.index]).std(ddof=1).max()
        return None if pd.isna(largest) else f"± {largest:.3f}"

    def named(self, settings: Iterable[str]) -> list[str]:
        """Return the trained runs of these settings."""
        wanted = set(settings)
        return [name for name in self.trained if name in wanted or setting(name) in wanted]

    def override(self, tables: list[int], runs: Sequence[str]) -> str | None:
        """Return the override that selects these tables of the paper, or None if it does not plan all the runs."""
        params = self.params
        try:
            as_tables(tables, params.plan.grid)
            budget = params.scale.budget.model_dump()
            chosen = (tables, params.methods, params.plan.grid, budget, params.seeds, params.pretrained)
            planned = expand(params.ratio, *chosen)
        except SparseSSPError:
            return None
        return f"tables=[{','.join(map(str, tables))}]" if set(runs) <= set(planned) else None


def rows(source: Source, minutes_per_operation: float) -> list[Row]:
    """Return the rows of a result.

    Args:
        source: The result.
        minutes_per_operation: Training time in minutes per 10^12 multiply-accumulates.
    """

    def row(item: str, kind: str, file: str, runs: list[str], tables: list[int], **more: Any) -> Row:
        override = source.override(tables, runs) if tables and runs else None
        chosen = [item for item in source.overrides if not override or not item.startswith("tables=")]
        values = {
            "commands": commands([*chosen, override] if override else chosen) if runs else [],
            "minutes": source.operations(runs) * minutes_per_operation if runs else None,
            "gigabytes": source.gigabytes(runs) if runs else 0.0,
            "tolerance": source.spread(runs),
        }
        place = (source.result.report / file).as_posix()
        return Row(item, kind, place, override, runs=len(runs), **(values | more))

    found = [row(**fields) for fields in _tables(source)]
    pictures = _FIGURE.findall(source.result.page)
    found += [row(title, "figure", file, source.trained, []) for title, file in pictures]
    return found + [row(**fields) for fields in _claims(source)]


def _tables(source: Source) -> Iterable[dict[str, Any]]:
    folder = source.result.report / "tables"
    for path in sorted(folder.glob("*.csv")):
        fields = {"item": path.stem.replace("_", " ").capitalize(), "kind": "table", "file": f"tables/{path.name}"}
        if (match := re.fullmatch(r"table(\d+)", path.stem)) is None:
            yield fields | {"runs": source.trained, "tables": []}
            continue
        number, frame = int(match[1]), read(path)
        named = source.named(frame[[name for name in frame if name.endswith("experiment")]].stack())
        fields["item"] = f"Table {number}"
        if number == COSTS_TABLE:
            yield fields | {"runs": [], "tables": [], "commands": [COSTS_COMMAND], "tolerance": "exact"}
        elif named:
            yield fields | {"runs": named, "tables": [number]}


def _claims(source: Source) -> Iterable[dict[str, Any]]:
    file = "tables/claims.csv"
    tests = {claim.statement: claim.comparisons(source.params.ratios) for claim in CLAIMS}
    for _, line in read(source.result.report / file).iterrows():
        named = [int(number) for number in re.findall(r"Table (\d)", line["source"])]
        fields = {"item": line["claim"], "kind": "claim", "file": file, "tables": named, "verdict": line["verdict"]}
        if named == [COSTS_TABLE]:
            yield fields | {"runs": [], "tolerance": "exact", "commands": [COSTS_COMMAND]}
            continue
        settings = {name for item in tests.get(line["claim"], []) for name in item.settings}
        interval = None if pd.isna(line["low"]) else f"{line['low']:.3f} to {line['high']:.3f}"
        yield fields | {"runs": source.named(settings) if line["comparisons"] else [], "tolerance": interval}
