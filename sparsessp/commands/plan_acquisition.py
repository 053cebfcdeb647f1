"""Plan an acquisition: expected R2 per structure at each sparsity ratio, and the exposures saved.

SCORES is the scores.csv of a report. The intervals cover the choice of test volumes, not that of the training. `share`
is relative to the dense stack, so the report needs a run at ratio 1.

Examples:
  sparsessp plan-acquisition reports/scores.csv
  sparsessp plan-acquisition reports/scores.csv --network dodnet-3to2d-prefix --keep 0.8 --json
"""

import argparse
import json
from pathlib import Path

from sparsessp.commands import Subparsers, add_command
from sparsessp.errors import SparseSSPError


def add(commands: Subparsers) -> None:
    """Add the command."""
    parser = add_command(commands, "plan-acquisition", "expected R2 at each sparsity ratio, from a report", __doc__)
    parser.add_argument("scores", metavar="SCORES", type=Path, help="scores.csv of a report")
    parser.add_argument("--network", metavar="NAME", default="tgnet-3to2d-prefix", help="default: %(default)s")
    parser.add_argument(
        "--keep", metavar="SHARE", type=float, default=0.9, help="share of the dense R2 to keep (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the table and the largest ratio for each structure."""
    from sparsessp.application.acquisition import expected_scores, largest_ratio
    from sparsessp.reporting.compare import read_volumes

    if not 0 < options.keep <= 1:
        raise SparseSSPError(f"--keep {options.keep:g} is not allowed; allowed: above 0, at most 1")
    if not options.scores.is_file():
        raise SparseSSPError(f"{options.scores}: the file is missing")
    r2 = read_volumes(options.scores.read_text(encoding="utf-8"), str(options.scores))
    table = expected_scores(r2, options.network)
    largest = largest_ratio(table, options.keep)
    if options.json:
        print(json.dumps({"scores": json.loads(table.to_json(orient="records")), "largest_ratio": largest}, indent=1))
        return
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="-"))
    print(f"\nLargest ratio that keeps {options.keep:.0%} of the dense R2:")
    for key, ratio in largest.items():
        print(f"  {key}: {ratio or 'unknown; the report has no dense R2 above 0, or no ratio keeps that share'}")
