"""Results in this repository: the report of the last run, and those of earlier revisions in docs/results."""

import re
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.paths import REPORTS
from pipeline.plan.params import PARAMS
from sparsessp.errors import SparseSSPError

PAGE = "README.md"
TIMINGS = "timings.md"
EARLIER = Path("docs/results")
_CHECKSUM = re.compile(r"sha256 `([0-9a-f]{64})`")
_ROW = re.compile(r"^\| ([^|]+?) \| ([^|]+?) \|$", re.MULTILINE)


class Committed(NamedTuple):
    """A report and its settings."""

    report: Path
    params: Path

    @classmethod
    def of(cls, report: Path) -> Self:
        """Return the result of a folder: params.yaml is next to it, or that of this checkout for reports/.

        Raises:
            SparseSSPError: There is no such report.
        """
        if not (report / PAGE).is_file():
            raise SparseSSPError(f"{report}: there is no report, {PAGE} is missing")
        return cls(report, PARAMS if report.resolve() == REPORTS.resolve() else report.parent / PARAMS)

    @property
    def current(self) -> bool:
        """Whether it is the report of this checkout, not of an earlier revision."""
        return self.params == PARAMS

    @property
    def name(self) -> str:
        """Name of the result: `reports`, or that of its folder in docs/results."""
        return self.report.resolve().name if self.current else self.report.resolve().parent.name

    @property
    def page(self) -> str:
        """Text of README.md.

        Raises:
            SparseSSPError: It is not text.
        """
        return read_text(self.report / PAGE)

    def facts(self, timings: bool = True) -> dict[str, str]:
        """Return what README.md and, if present and wanted, timings.md state in tables of two columns."""
        pages = [self.page]
        if timings and (self.report / TIMINGS).is_file():
            pages.append(read_text(self.report / TIMINGS))
        return {key: value for page in pages for key, value in _ROW.findall(page)}

    def checksums(self) -> dict[str, str]:
        """Return the checksums that README.md states, by the name of the file."""
        stated = {key: _CHECKSUM.search(value) for key, value in _ROW.findall(self.page)}
        return {key.split(", ")[1].split()[0]: found[1] for key, found in stated.items() if found and ", " in key}


def committed() -> list[Committed]:
    """Return all results: that of this checkout first, then the earlier ones by name."""
    folders = [REPORTS, *sorted(page.parent for page in EARLIER.glob(f"*/*/{PAGE}"))]
    return [Committed.of(folder) for folder in folders if (folder / PAGE).is_file()]


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        SparseSSPError: The file is missing or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SparseSSPError(f"{path}: not readable: {error}") from None
