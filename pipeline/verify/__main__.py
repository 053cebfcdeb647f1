"""Check a committed report: settings, checksums, tables, claims and pictures, and with --rerun its trainings.

Prints one line per check and exits with 1 if one differs. The report in reports/ is also compared with dvc.lock and
the code. A report in another folder comes from another revision; its settings are next to the folder, and its numbers
are recomputed with this code. scores.csv holds R2 by volume; MSE and MAE are only compared with the table of runs.
Costs, durations, and the printed scores of the paper are not recomputed.

--rerun K trains K settings, chosen at random, with a seed that the report does not have. The mean R2 must lie in the
interval that contains that of a new seed in 95 % of cases, estimated from the report's own seeds.

Examples:
  python -m pipeline.verify
  python -m pipeline.verify docs/results/desk-xeon-2-cores/report --page verification.md
  python -m pipeline.verify docs/results/desk-xeon-2-cores/report --rerun 2
"""

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.commands import command
from pipeline.committed import Committed
from pipeline.paths import REPORTS, VOLUMES
from pipeline.verify.inputs import LOCK, check_figures, check_lock, check_settings
from pipeline.verify.model import Check
from pipeline.verify.numbers import check_claims, check_means, check_tables, read, read_long
from pipeline.verify.rerun import rerun
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.scores import summarise
from sparsessp.schema import MANIFEST
from sparsessp.support.command_line import main
from sparsessp.support.files import write_text


def verify(report: Path) -> list[Check]:
    """Return the outcome of every check of a report.

    Raises:
        SparseSSPError: There is no such report.
    """
    result, scores = Committed.of(report), read_long(report)
    runs, names = summarise(scores), list(scores["experiment"].unique())
    checks = _attempt(lambda: check_lock(LOCK, Path())) if result.current else [_other_revision(report)]
    if result.params.is_file():
        checks += _attempt(lambda: check_settings(result, names))
    else:
        checks.append(Check("differs", str(result.params), "the settings of the report are missing"))
    checks += _attempt(lambda: check_means(report, runs))
    checks += _attempt(lambda: check_tables(report, runs))
    checks += _attempt(lambda: check_claims(report, scores, _plates(set(scores["volume"]))))
    return checks + check_figures(result)


def _other_revision(report: Path) -> Check:
    return Check("note", str(report), "not the report of this checkout, so its code and inputs are not compared")


def _attempt(check: Callable[[], list[Check]]) -> list[Check]:
    """Return the outcome; a malformed file is a difference and must not hide the other checks."""
    try:
        return check()
    except SparseSSPError as error:
        return [Check("differs", "unreadable", str(error))]
    except KeyError as error:
        return [Check("differs", "unreadable", f"column {error} is missing")]


def _plates(volumes: set[str]) -> dict[str, str] | None:
    """Return the plates of the scored volumes if the prepared data are present."""
    path = VOLUMES / MANIFEST
    if not path.is_file():
        return None
    manifest = read(path)
    return manifest.set_index("volume")["plate"].to_dict() if volumes <= set(manifest["volume"]) else None


def page_of(report: Path, checks: Sequence[Check]) -> str:
    """Return the outcome as a Markdown page."""
    lines = [f"# Verification of {report}", "", "| Outcome | Subject | Details |", "| --- | --- | --- |"]
    lines += [f"| {item.state} | {item.subject} | {item.detail.replace('|', '&#124;')} |" for item in checks]
    return "\n".join([*lines, "", _summary(checks), ""])


def _summary(checks: Sequence[Check]) -> str:
    count = sum(item.state == "differs" for item in checks)
    return f"{count} of {len(checks)} lines differ." if count else "Nothing differs."


def run(arguments: Sequence[str]) -> None:
    """Check, print, and exit with 1 if something differs."""
    parser = command("verify", __doc__)
    parser.add_argument("report", metavar="REPORT", nargs="?", type=Path, default=REPORTS, help="folder of the report")
    parser.add_argument("--rerun", metavar="K", type=int, help="also train K settings again with a new seed")
    parser.add_argument("--page", metavar="FILE", type=Path, help="also write the outcome as a Markdown page")
    options = parser.parse_args(arguments)
    checks = verify(options.report)
    if options.rerun is not None:
        result = Committed.of(options.report)
        checks += rerun(result, read_long(options.report), options.rerun, random.Random())
    print(*checks, _summary(checks), sep="\n")
    if options.page:
        write_text(options.page, page_of(options.report, checks))
    if any(item.state == "differs" for item in checks):
        sys.exit(1)


if __name__ == "__main__":
    main(run, sys.argv[1:])
