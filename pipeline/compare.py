"""Compare two reports: which runs changed, and whether the change exceeds noise.

A and B are folders that hold a report, or git revisions of this repository, whose reports/ are compared.

Examples:
  python -m pipeline.compare HEAD                     the committed report and the current one
  python -m pipeline.compare HEAD~1 HEAD --all
  python -m pipeline.compare ../other/reports reports --json
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.commands import command
from pipeline.paths import REPORTS
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.compare import compare, read_means, read_volumes, text
from sparsessp.schema import REPORT_MEANS_FILE, REPORT_SCORES_FILE
from sparsessp.support.command_line import main


def _file(side: str, name: str) -> str | None:
    """Return the text of one file of a report, or None if it does not exist."""
    if Path(side).is_dir():
        path = Path(side) / name
        return path.read_text(encoding="utf-8") if path.is_file() else None
    known = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{side}^{{commit}}"],
        capture_output=True,
        text=True,
    )
    if known.returncode:
        raise SparseSSPError(f"{side!r} is neither a folder nor a git revision of this repository")
    place = f"{known.stdout.strip()}:./{REPORTS.as_posix()}/{name}"
    found = subprocess.run(["git", "show", place], capture_output=True, text=True, encoding="utf-8")
    return None if found.returncode else found.stdout


def read(side: str) -> tuple[dict[str, float], pd.DataFrame | None]:
    """Return the means by run, and the scores by volume if the report has them.

    Raises:
        SparseSSPError: There is no such report, or a file of it is malformed.
    """
    means, volumes = _file(side, REPORT_MEANS_FILE), _file(side, REPORT_SCORES_FILE)
    if means is None:
        raise SparseSSPError(f"{side}: there is no report, {REPORT_MEANS_FILE} is missing")
    source = f"{side}, {REPORT_SCORES_FILE}"
    return read_means(means, f"{side}, {REPORT_MEANS_FILE}"), None if volumes is None else read_volumes(volumes, source)


def run(arguments: Sequence[str]) -> None:
    """Compare, then print."""
    parser = command("compare", __doc__)
    parser.add_argument("a", metavar="A", help="folder that holds a report, or git revision")
    parser.add_argument(
        "b",
        metavar="B",
        nargs="?",
        default=str(REPORTS),
        help="the same (default: %(default)s)",
    )
    parser.add_argument("--all", action="store_true", help="also list unchanged runs")
    parser.add_argument("--json", action="store_true", help="print a JSON list of all runs")
    options = parser.parse_args(arguments)
    (a, a_volumes), (b, b_volumes) = read(options.a), read(options.b)
    frame = compare(a, b, a_volumes, b_volumes)
    print(frame.to_json(orient="records", indent=1) if options.json else text(frame, options.all))


if __name__ == "__main__":
    main(run, sys.argv[1:])
