"""Time and memory of training, data and prediction: ours beside a straightforward implementation.

Both are measured in turns in one run; ratios above 1 are ours' favour. The floor is what the
machine's own rates, measured first, allow at best. docs/speed.md explains the rows.

Examples:
  python -m benchmarks
  python -m benchmarks --size full --only train-repmode predict-twelve
  python -m benchmarks --size paper --json
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import torch
from pydantic import Field
from tqdm import tqdm

from benchmarks.cases import CASES, SIZES, Row
from benchmarks.machine import description, measure
from sparsessp.config import Settings
from sparsessp.errors import SparseSSPError
from sparsessp.support import command_line

_HEAD = ("", "unit", "ours", "baseline", "ratio", "floor", "of floor")


class Selection(Settings):
    """What to measure."""

    size: Literal[tuple(SIZES)] = Field(default="small", description=f"of networks and volumes: {', '.join(SIZES)}")
    precision: Literal["mixed", "float32"] = Field(
        default="mixed",
        description="precision of our networks; mixed: bfloat16 on CUDA, float32 on a CPU",
    )
    only: tuple[Literal[tuple(CASES)], ...] = Field(default=tuple(CASES), description="what to measure", min_length=1)


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table that is a table as plain text too."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_HEAD))]
    lines = [
        "| "
        + " | ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) if i < 2 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    floor, reached = ("–", "–") if row.floor is None else (f"{row.floor:.3g}", f"{row.reached:.0%}")
    return row.name, row.unit, f"{row.ours:.3g}", f"{row.baseline:.3g}", f"{row.ratio:.2f}", floor, reached


def run(argv: Sequence[str]) -> None:
    """Measure what the arguments select and print it."""
    parser = command_line.parser("benchmarks", __doc__, Selection)
    parser.add_argument("--json", action="store_true", help="print a JSON list of rows")
    options = parser.parse_args(argv)
    selection = command_line.settings(Selection, options)
    if selection.size == "paper" and not torch.cuda.is_available():
        others = ", ".join(name for name in SIZES if name != "paper")
        raise SparseSSPError(f"size = 'paper': it needs a CUDA GPU, and torch sees none; allowed here: {others}")
    machine = measure(selection.precision)
    print(description(machine), file=sys.stderr if options.json else sys.stdout, flush=True)
    rows = []
    bar = tqdm(selection.only, unit="case")
    for name in bar:
        bar.set_description(name)
        try:
            found = CASES[name](SIZES[selection.size], machine)
        except torch.OutOfMemoryError as error:
            tqdm.write(f"{name}: {error}", file=sys.stderr)
            continue
        rows += found
        for row in found:
            tqdm.write(", ".join(_cells(row)), file=sys.stderr)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else f"\n{table(rows)}")


if __name__ == "__main__":
    command_line.main(run, sys.argv[1:])
