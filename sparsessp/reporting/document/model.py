"""What a page is made of. Nothing here knows Markdown, HTML or LaTeX.

Text is a sequence of inline parts, a plain string being one. A table cell keeps its numbers as numbers, with the
format in which every writer prints them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

DASH = "–"  # printed where there is no number


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
    """Text as typed: names of runs and files, commands, messages."""

    text: str


@dataclass(frozen=True)
class Link:
    """Link to a file beside the page, another page of the report, or a section.

    Attributes:
        text: Words to click.
        target: Path, `Page:NAME#anchor` or `#anchor`; writers with no such page leave it out.
    """

    text: str
    target: str


Inline: TypeAlias = "str | Strong | Emphasis | Code | Link | tuple[Inline, ...]"


@dataclass(frozen=True)
class Format:
    """How a number is printed.

    Attributes:
        places: Decimals.
        bare: No zero before the point, as the paper prints its scores.
        signed: Plus before positive numbers.
        digits: If not 0, this many significant digits below 100 and none after the point above; instead of `places`.
    """

    places: int = 4
    bare: bool = False
    signed: bool = False
    digits: int = 0

    def __call__(self, value: float | None) -> str:
        """Return the number as text, never `-0.0000`; a dash for nan and None."""
        if is_missing(value):
            return DASH
        if self.digits:
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.{self.digits}g}"
        text = f"{value:{'+' if self.signed else ''}z,.{self.places}f}"
        bare = self.bare and abs(self.rounded(value)) < 1
        return text.replace("0.", ".", 1) if bare else text

    def rounded(self, value: float) -> float:
        """Return the number as far as it is printed, so that ties in print are ties."""
        return value if self.digits else round(value, self.places)


WHOLE = Format(0)


def is_missing(value: float | None) -> bool:
    """Whether there is no number."""
    return value is None or math.isnan(_float(value))


def _float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what float() refuses is caught
    except TypeError:  # pandas' own missing value
        return math.nan


@dataclass(frozen=True)
class Words:
    """Table cell of text.

    Attributes:
        text: The text.
        note: Small print below it.
        mark: Symbol before it, which says the same at a glance.
    """

    text: Inline
    note: Inline = ""
    mark: str = ""


@dataclass(frozen=True)
class Number:
    """Table cell of our number.

    Attributes:
        value: Ours, nan where there is none.
        format: How this and the paper's number are printed.
        paper: The paper's number if the table compares with it, nan where it prints none.
        compared: Whether the cell shows the paper's number at all.
        spread: Standard deviation over seeds, nan where unknown.
        best: Whether ours is the best of its column.
        paper_best: Whether the paper's is.
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
        """Ours less the paper's, both as printed; nan unless both are known and have fixed decimals."""
        if not self.compared or self.format.digits or is_missing(self.value) or is_missing(self.paper):
            return math.nan
        return self.format.rounded(self.value) - self.format.rounded(self.paper)


@dataclass(frozen=True)
class PaperNumber:
    """Table cell of the paper's number alone."""

    value: float
    format: Format = Format()


@dataclass(frozen=True)
class Interval:
    """Table cell of an interval, nan where there is none."""

    low: float
    high: float
    format: Format = Format()


Cell: TypeAlias = Words | Number | PaperNumber | Interval


@dataclass(frozen=True)
class Column:
    """Head of a table's column: one or more lines of text; numbers are set to the right."""

    lines: tuple[Inline, ...]
    numeric: bool = True


def text_column(*lines: Inline) -> Column:
    """Return the head of a column of text."""
    return Column(lines, numeric=False)


def number_column(*lines: Inline) -> Column:
    """Return the head of a column of numbers."""
    return Column(lines)


@dataclass(frozen=True)
class Row:
    """One row of a table; `winner` is the paper's best."""

    cells: tuple[Cell, ...]
    winner: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: Heads.
        rows: As many cells each as there are columns.
        name: File name without its ending, below `tables/`; empty for a table without files.
        title: First words of the caption, in bold.
        caption: The rest of it.
        stacked: The paper's number below ours instead of after it, for tables of many columns.
        blocks: On narrow screens each row becomes a block: for tables whose first column is a sentence.
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
        file: Path of the image beside the page.
        alternative: What it shows, in a few words, for readers who cannot see it.
        caption: What a reader must know to read it.
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
    """Entry of a list, with entries below it."""

    text: Inline
    items: tuple["Item", ...] = ()


@dataclass(frozen=True)
class Bullets:
    """A list; as `cards`, each entry starts with a number in bold, which HTML prints large."""

    items: tuple[Item, ...]
    cards: bool = False


@dataclass(frozen=True)
class Commands:
    """Lines for a shell."""

    lines: tuple[str, ...]


Block: TypeAlias = Paragraph | Bullets | Table | Figure | Commands


@dataclass(frozen=True)
class Section:
    """A heading and what follows it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A page.

    Attributes:
        title: Its heading.
        source: Who writes it; a comment in the file.
        opening: What stands before the first section.
        sections: The rest.
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
        """Return the tables that are also files."""
        return [block for block in self.blocks() if isinstance(block, Table) and block.name]


def facts(head: str, lines: Sequence[tuple[str, Inline]]) -> Table:
    """Return a table of names and what is said of each."""
    rows = tuple(Row((Words(name), Words(text))) for name, text in lines)
    return Table((text_column(head), text_column("")), rows)


def anchor(title: str) -> str:
    """Return where links to a section point, as GitHub makes it."""
    return "".join(c for c in title.lower() if c.isalnum() or c in " -_").replace(" ", "-")
