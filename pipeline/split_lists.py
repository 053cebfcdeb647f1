"""Split image lists into training, validation and test lists: OUT/SET/train.csv, val.csv and test.csv.

Any of the twelve lists may be missing; the rows of dna are drawn from those that exist.

Example:
  python -m pipeline.split_lists --csv-dir lists --out split
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands import command
from sparsessp.data.allencell.catalogue import SETS
from sparsessp.data.allencell.lists import faults, read_lists
from sparsessp.data.samples import write_table
from sparsessp.data.splits import PARTS, RULES, split_lists
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import main

FILES = dict(zip(PARTS, ("train.csv", "val.csv", "test.csv"), strict=True))


def run(arguments: Sequence[str]) -> None:
    """Split the lists."""
    parser = command("split_lists", __doc__)
    parser.add_argument("--csv-dir", type=Path, required=True, help="folder with the lists, one SET.csv for each set")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--rule",
        choices=RULES,
        default=RULES[0],
        help="unit of the split: repmode (images) or plate (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    lists = read_lists(options.csv_dir)
    if not lists:
        raise SparseSSPError(
            f"{options.csv_dir}: no image list; expected SET.csv, where SET is one of {', '.join(SETS)}"
        )
    if bad := faults(lists):
        raise SparseSSPError("\n".join([f"{options.csv_dir}: bad rows, {len(bad)}:", *bad]))
    for name, parts in split_lists(lists, options.rule).items():
        for part, rows in parts.items():
            write_table(options.out / name / FILES[part], rows)


if __name__ == "__main__":
    main(run, sys.argv[1:])
