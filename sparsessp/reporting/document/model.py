"""The parts of a page, independent of Markdown, HTML and LaTeX.

Text is a sequence of inline parts; a plain string is one. Table cells hold numbers as numbers, with the format in which
all writers print them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

DASH = "–"  # printed in place of missing numbers


@dataclass(frozen=True)
class Strong:
    """Bold text."""

    text: "Inline"


@dataclass(frozen=True)
class Emphasis:
    """Italic text."""

    text: "Inline"


@dataclass(frozen=True)
class Code:
    """Text in a fixed-width font: names of runs and files, commands, messages."""

    text: str


@dataclass(frozen=True)
class Link:
    """Link to a file next to the page, another page of the report, or a section.

    Attributes:
        text: Text of the link.
        target: Path, name of a page with or without `#anchor`, or `#anchor`.
    """

    text: str
    target: str


Inline: TypeAlias = "str | Strong | Emphasis | Code | Link | tuple[Inline, ...]"


@dataclass(frozen=True)
class Format:
    """Format of a number.

    Attributes:
        places: Decimals.
        bare: Whether to omit the zero before the decimal point, as the paper does in scores.
        signed: Whether to print a plus sign before positive numbers.
        digits: If not 0, significant digits of numbers below 100, in place of `places`; larger ones are rounded to
            integers.
    """

    places: int = 4
    bare: bool = False
    signed: bool = False
    digits: int = 0

    def __call__(self, value: float | None) -> str:
        """Return the number as text, never `-0.0000`, and a dash for nan and None."""
        if is_missing(value):
            return DASH
        if self.digits:
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.{self.digits}g}"
        text = f"{value:{'+' if self.signed else ''}z,.{self.places}f}"
        bare = self.bare and abs(self.rounded(value)) < 1
        return text.replace("0.", ".", 1) if bare else text

    def rounded(self, value: float) -> float:
        """Return the number as rounded for print, so that ties in print are ties."""
        return value if self.digits else round(value, self.places)


WHOLE = Format(0)


def is_missing(value: float | None) -> bool:
    """Return whether a number is missing."""
    return value is None or math.isnan(_float(value))


def _float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what float() refuses is caught
    except TypeError:  # pandas' own missing value
        return math.nan


@dataclass(frozen=True)
class Words:
    """Table cell with text.

    Attributes:
        text: The text.
        note: Small print below it.
        mark: Symbol before it.
    """

    text: Inline
    note: Inline = ""
    mark: str = ""


@dataclass(frozen=True)
class Number:
    """Table cell with our number.

    Attributes:
        value: Our number, nan if missing.
        format: Format of our number and the paper's.
        paper: The paper's number, nan if it prints none.
        compared: Whether the cell shows the paper's number.
        spread: Standard deviation over seeds, nan if unknown.
        best: Whether our number is the best of its column.
        paper_best: Whether the paper's number is the best of its column.
        note: Small print below.
    """

    value: float
    format: Format = Format()
    paper: float = math.nan
    compared: bool = False
    spread: float = math.nan
    best: bool = False
    paper_best: bool = False
    note: str = ""

    @property
    def difference(self) -> float:
        """Our number minus the paper's, both as printed; nan unless both are known and have fixed decimals."""
        if not self.compared or self.format.digits or is_missing(self.value) or is_missing(self.paper):
            return math.nan
        return self.format.rounded(self.value) - self.format.rounded(self.paper)


@dataclass(frozen=True)
class PaperNumber:
    """Table cell with the paper's number only."""

    value: float
    format: Format = Format()


@dataclass(frozen=True)
class Interval:
    """Table cell with an interval, nan if there is none."""

    low: float
    high: float
    format: Format = Format()


Cell: TypeAlias = Words | Number | PaperNumber | Interval


@dataclass(frozen=True)
class Column:
    """Heading of a table column: one or more lines of text. Numeric columns are aligned to the right."""

    lines: tuple[Inline, ...]
    numeric: bool = True


def text_column(*lines: Inline) -> Column:
    """Return the heading of a text column."""
    return Column(lines, numeric=False)


def number_column(*lines: Inline) -> Column:
    """Return the heading of a numeric column."""
    return Column(lines)


@dataclass(frozen=True)
class Row:
    """One row of a table; `winner` marks the paper's best."""

    cells: tuple[Cell, ...]
    winner: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: Headings.
        rows: Rows with one cell per column.
        name: File name below `tables/`, without extension; empty for a table without files.
        title: Start of the caption, in bold.
        caption: Rest of the caption.
        stacked: Whether the paper's number is below ours instead of after it, for tables with many columns.
        blocks: Whether rows become blocks on narrow screens, for tables whose first column is a sentence.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    name: str = ""
    title: str = ""
    caption: Inline = ""
    stacked: bool = False
    blocks: bool = False

    def __post_init__(self):
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"table {self.name!r}: {len(row.cells)} cells in a row of {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        file: Path of the image, relative to the page.
        alternative: Short description for readers who cannot see the image.
        caption: Caption.
    """

    file: str
    alternative: str
    caption: Inline


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: Inline


@dataclass(frozen=True)
class Item:
    """Entry of a list, with nested entries."""

    text: Inline
    items: tuple["Item", ...] = ()


@dataclass(frozen=True)
class Bullets:
    """A list. As `cards`, each entry starts with a bold number, which HTML shows in a large font."""

    items: tuple[Item, ...]
    cards: bool = False


@dataclass(frozen=True)
class Commands:
    """Shell commands."""

    lines: tuple[str, ...]


Block: TypeAlias = Paragraph | Bullets | Table | Figure | Commands


@dataclass(frozen=True)
class Section:
    """A section with its heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A page.

    Attributes:
        title: Heading of the page.
        source: Origin of the page; becomes a comment in the file.
        opening: Blocks before the first section.
        sections: Sections.
    """

    title: str
    source: str
    opening: tuple[Block, ...]
    sections: tuple[Section, ...] = field(default=())

    def blocks(self) -> Iterator[Block]:
        """Iterate over all blocks, in order."""
        yield from self.opening
        for section in self.sections:
            yield from section.blocks

    def tables(self) -> list[Table]:
        """Return the tables that also have files."""
        return [block for block in self.blocks() if isinstance(block, Table) and block.name]


def facts(head: str, lines: Sequence[tuple[str, Inline]]) -> Table:
    """Return a table of names and descriptions."""
    rows = tuple(Row((Words(name), Words(text))) for name, text in lines)
    return Table((text_column(head), text_column("")), rows)


def anchor(title: str) -> str:
    """Return the anchor of a section, as generated by GitHub."""
    return "".join(c for c in title.lower() if c.isalnum() or c in " -_").replace(" ", "-")
