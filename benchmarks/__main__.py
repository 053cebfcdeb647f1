"""Time and memory of training, data loading and prediction, compared with a straightforward implementation.

Both are measured in alternation in one run; a ratio above 1 means that ours is better. The bound is the best value that
the peak rates of the machine allow; they are measured first. docs/speed.md explains the rows.

Examples:
  python -m benchmarks
  python -m benchmarks --size full --only train-repmode predict-twelve
  python -m benchmarks --size paper --json
  python -m benchmarks --size paper --variants
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
from benchmarks.machine import Machine, description, measure
from benchmarks.variants import variants
from sparsessp.config import Settings
from sparsessp.errors import SparseSSPError
from sparsessp.support import command_line

_HEAD = ("", "unit", "ours", "straightforward", "ratio", "bound", "of bound")


class Selection(Settings):
    """Selection of measurements."""

    size: Literal[tuple(SIZES)] = Field(
        default="small", description=f"Size of networks and volumes: {', '.join(SIZES)}"
    )
    precision: Literal["mixed", "float32"] = Field(
        default="mixed",
        description="Precision of our networks; mixed is bfloat16 on CUDA and float32 on a CPU",
    )
    only: tuple[Literal[tuple(CASES)], ...] = Field(default=tuple(CASES), description="Cases to measure", min_length=1)


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table that is aligned as plain text."""
    lines = [_HEAD, *(_texts(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    drawn = [
        "| "
        + " | ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (w + 2) if i < 2 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([drawn[0], rule, *drawn[1:]])


def _texts(row: Row) -> tuple[str, ...]:
    bound, reached = ("–", "–") if row.bound is None else (f"{row.bound:.3g}", f"{row.of_bound:.0%}")
    return row.name, row.unit, f"{row.ours:.3g}", f"{row.straightforward:.3g}", f"{row.ratio:.2f}", bound, reached


def run(argv: Sequence[str]) -> None:
    """Measure the selected cases and print a table or JSON.

    Raises:
        SparseSSPError: A case failed; the others are printed first.
    """
    parser = command_line.parser("benchmarks", __doc__, Selection)
    parser.add_argument("--json", action="store_true", help="print a JSON list of rows")
    parser.add_argument("--variants", action="store_true", help="measure alternatives of our training step instead")
    options = parser.parse_args(argv)
    selection = command_line.settings(Selection, options)
    if selection.size == "paper" and not torch.cuda.is_available():
        others = ", ".join(name for name in SIZES if name != "paper")
        raise SparseSSPError(f"size = 'paper': it needs a CUDA GPU, and torch finds none; allowed here: {others}")
    machine = measure(selection.precision)
    print(description(machine), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.variants:
        for line in variants(SIZES[selection.size], machine):
            print(line, flush=True)
        return
    rows, failed = _measured(selection, machine)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else f"\n{table(rows)}")
    if failed:
        raise SparseSSPError(f"not measured: {'; '.join(failed)}")


def _measured(selection: Selection, machine: Machine) -> tuple[list[Row], list[str]]:
    """Return the rows of all cases, and the names and errors of those that failed, which do not end the run."""
    rows, failed = [], []
    bar = tqdm(selection.only, unit="case")
    for name in bar:
        bar.set_description(name)
        try:
            found = CASES[name](SIZES[selection.size], machine)
        except Exception as error:  # whatever it is, the other rows are worth having; the exit status tells
            failed.append(f"{name} ({(str(error).strip().splitlines() or [type(error).__name__])[0]})")
            continue
        rows += found
        for row in found:
            tqdm.write(", ".join(_texts(row)), file=sys.stderr)
    return rows, failed


if __name__ == "__main__":
    command_line.main(run, sys.argv[1:])
