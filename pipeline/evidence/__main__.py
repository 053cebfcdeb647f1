"""Write docs/evidence.md and .json: commands, cost and tolerance of each table, figure and claim of the results.

Results are the report in reports/ and those in docs/results. Run this again after a result was added or changed.

Examples:
  python -m pipeline.evidence
  python -m pipeline.evidence --check
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.commands import command
from pipeline.committed import committed
from pipeline.evidence.page import markdown, to_json
from pipeline.evidence.rows import Source, rows
from sparsessp.errors import SparseSSPError
from sparsessp.support.command_line import main
from sparsessp.support.files import write_text

PAGE = Path("docs/evidence.md")
DATA = PAGE.with_suffix(".json")


def pages() -> dict[Path, str]:
    """Return the text of both files.

    Raises:
        SparseSSPError: The report of this checkout is malformed, or no result has recorded durations.
    """
    sources, outdated = [], {}
    for result in committed():
        try:
            sources.append(Source(result))
        except SparseSSPError as error:
            if result.current:
                raise
            outdated[result.name] = str(error).splitlines()[0]
    timed = [source for source in sources if source.minutes is not None]
    if not timed:
        raise SparseSSPError("no committed result has a timings.md with durations of trainings")
    speed = sum(source.minutes or 0 for source in timed) / sum(source.operations() for source in timed)
    found = {source.result.name: (source, rows(source, speed)) for source in sources}
    return {PAGE: markdown(found, speed, outdated), DATA: to_json(found, speed, outdated)}


def check(found: Mapping[Path, str]) -> None:
    """Compare the files with the text that they should have.

    Raises:
        SparseSSPError: One differs or is missing.
    """
    for path, text in found.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise SparseSSPError(f"{path} does not match the committed results; run `python -m pipeline.evidence`")


def run(arguments: Sequence[str]) -> None:
    """Write or compare."""
    parser = command("evidence", __doc__)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    options = parser.parse_args(arguments)
    found = pages()
    if options.check:
        check(found)
        return
    for path, text in found.items():
        write_text(path, text)


if __name__ == "__main__":
    main(run, sys.argv[1:])
