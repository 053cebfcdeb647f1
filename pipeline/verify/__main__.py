"""Check a committed report without training: settings, checksums, tables, claims and pictures.

Prints one line per check and exits with 1 if one differs. The report in reports/ is also compared with dvc.lock and
the code. A report in another folder comes from another revision; its settings are next to the folder, and its numbers
are recomputed with this code. scores.csv holds R2 by volume; MSE and MAE are only compared with the table of runs.
Costs, durations, and the printed scores of the paper are not recomputed.

Examples:
  python -m pipeline.verify
  python -m pipeline.verify docs/results/desk-xeon-2-cores/report --page verification.md
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.commands import command
from pipeline.paths import REPORTS, VOLUMES
from pipeline.plan.params import PARAMS
from pipeline.verify.inputs import LOCK, check_figures, check_lock, check_settings, read_text
from pipeline.verify.model import Check
from pipeline.verify.numbers import check_claims, check_means, check_tables, read, read_long
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
    if not (report / "README.md").is_file():
        raise SparseSSPError(f"{report}: there is no report, README.md is missing")
    page, scores = read_text(report / "README.md"), read_long(report)
    runs, names = summarise(scores), list(scores["experiment"].unique())
    current = report.resolve() == REPORTS.resolve()
    params = PARAMS if current else report.parent / PARAMS
    checks = _attempt(lambda: check_lock(LOCK, Path())) if current else [_other_revision(report)]
    if params.is_file():
        checks += _attempt(lambda: check_settings(page, params, names))
    else:
        checks.append(Check("differs", str(params), "the settings of the report are missing"))
    checks += _attempt(lambda: check_means(report, runs))
    checks += _attempt(lambda: check_tables(report, runs))
    checks += _attempt(lambda: check_claims(report, scores, _plates(set(scores["volume"]))))
    return checks + check_figures(report, page)


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
    parser.add_argument("--page", metavar="FILE", type=Path, help="also write the outcome as a Markdown page")
    options = parser.parse_args(arguments)
    checks = verify(options.report)
    print(*checks, _summary(checks), sep="\n")
    if options.page:
        write_text(options.page, page_of(options.report, checks))
    if any(item.state == "differs" for item in checks):
        sys.exit(1)


if __name__ == "__main__":
    main(run, sys.argv[1:])
