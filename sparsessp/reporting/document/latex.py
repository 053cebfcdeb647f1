"""LaTeX writer: each table of a document as a `table` environment, for LaTeX documents that load booktabs."""

import re
from collections.abc import Iterator, Sequence

from sparsessp.reporting.document.model import (
    DASH,
    Cell,
    Code,
    Document,
    Emphasis,
    Inline,
    Interval,
    Link,
    Number,
    PaperNumber,
    Row,
    Strong,
    Table,
    Words,
    is_missing,
)

_ROWS = 45  # maximum rows per float; a longer table continues in another float with the same number
_WIDE = 8  # maximum columns in the larger font
_LONG = 24  # maximum letters of a cell with spaces in a column without line breaks
# The minus sign of a number, not the hyphen of a word.
_MINUS = re.compile(r"(?<!\w)-(?=[.\d])")
_LETTERS = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "|": "$|$",
        # At the start of a row, LaTeX would read them as arguments of the line break before it.
        "[": "{[}",
        "*": "{*}",
        "²": "$^2$",
        "¹": "$^1$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "÷": r"$\div$",
        "Δ": r"$\Delta$",
        "µ": r"$\mu$",
        "★": r"$\star$",
        "✓": r"$\surd$",
        "✗": r"$\times$",
        DASH: "--",
    }
)


def latex_tables(document: Document) -> dict[str, str]:
    """Return every table of the document that has a name.

    Returns:
        Name -> one or more `table` environments, with caption and the label `tab:NAME`.
    """
    return {table.name: _floats(table) for table in document.tables()}


def escape(text: str) -> str:
    """Return plain text as LaTeX source."""
    return _MINUS.sub("−", text).translate(_LETTERS).replace("−", "$-$")


def inline(text: Inline) -> str:
    """Return text with its emphasis and code; a link becomes its text."""
    match text:
        case str():
            return escape(text)
        case tuple():
            return "".join(map(inline, text))
        case Strong(inner):
            return rf"\textbf{{{inline(inner)}}}"
        case Emphasis(inner):
            return rf"\textit{{{inline(inner)}}}"
        case Code(code):
            return rf"\texttt{{{escape(code)}}}"
        case Link(words, _):
            return escape(words)


def _floats(table: Table) -> str:
    """Return the file of a table."""
    parts = [table.rows[k : k + _ROWS] for k in range(0, len(table.rows), _ROWS)] or [()]
    # LaTeX numbers tables itself.
    title = escape(f"The paper's {table.title}" if table.title.startswith("Table ") else table.title)
    lines = ["% Written by the report stage, like ../README.md. Needs the package booktabs."]
    for k, rows in enumerate(parts):
        lines += [r"\begin{table}", r"\centering"]
        if k:
            lines += [r"\addtocounter{table}{-1}", r"\caption[]{(continued)}"]
        else:
            short = title.rstrip(".")
            lines += [rf"\caption[{{{short}}}]{{\textbf{{{title}}} {inline(table.caption)}}}"]
            lines += [rf"\label{{tab:{table.name}}}"]
        lines += [r"\scriptsize" if len(table.columns) > _WIDE else r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"]
        lines += [*_tabular(table, rows), r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tabular(table: Table, rows: Sequence[Row]) -> Iterator[str]:
    texts = [
        [column.numeric or _longest(row.cells[k]) <= _LONG for row in table.rows]
        for k, column in enumerate(table.columns)
    ]
    breaks = [not all(short) for short in texts]
    width = round(0.54 / max(1, sum(breaks)), 2)
    kinds = [
        rf"p{{{width}\linewidth}}" if broken else "r" if column.numeric else "l"
        for broken, column in zip(breaks, table.columns, strict=True)
    ]
    yield rf"\begin{{tabular}}{{{''.join(kinds)}}}"
    yield r"\toprule"
    yield _join([list(map(inline, column.lines)) for column in table.columns], kinds, "b")
    yield r"\midrule"
    last_name = max((k for k, column in enumerate(table.columns) if not column.numeric), default=-1)
    for row in rows:
        lines = [_lines(cell, table.stacked) for cell in row.cells]
        if row.winner:
            lines[last_name][-1] += r" $\star$"
        yield _join(lines, kinds, "t")
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _longest(cell: Cell) -> int:
    """Return the length of a cell's longest text with spaces."""
    texts = [inline(cell.text), inline(cell.note)] if isinstance(cell, Words) else []
    return max((len(text) for text in texts if " " in text), default=0)


def _lines(cell: Cell, stacked: bool) -> list[str]:
    """Return the lines of a cell."""
    match cell:
        case Words():
            return [f"{escape(cell.mark)} {inline(cell.text)}".strip(), *_note(cell.note)]
        case PaperNumber():
            return [rf"\textit{{{escape(cell.format(cell.value))}}}"]
        case Interval():
            end = "" if is_missing(cell.low) else f" to {escape(cell.format(cell.high))}"
            return [escape(cell.format(cell.low)) + end]
        case Number():
            ours = _strong(escape(cell.format(cell.value)), cell.best)
            if not is_missing(cell.spread):
                ours += rf" $\pm$ {escape(cell.format(cell.spread))}"
            paper = _strong(escape(cell.format(cell.paper)), cell.paper_best)
            if not cell.compared:
                return [ours, *_note(cell.note)]
            if stacked:
                return [ours, rf"{{\scriptsize \textit{{{paper}}}}}", *_note(cell.note)]
            return [rf"{ours} \textit{{({paper})}}", *_note(cell.note)]


def _strong(text: str, strong: bool) -> str:
    return rf"\textbf{{{text}}}" if strong else text


def _note(text: Inline) -> list[str]:
    return [rf"{{\scriptsize {inline(text)}}}"] if text else []


def _join(cells: Sequence[Sequence[str]], kinds: Sequence[str], align: str) -> str:
    return " & ".join(_set(lines, kind, align) for lines, kind in zip(cells, kinds, strict=True)) + r" \\"


def _set(lines: Sequence[str], kind: str, align: str) -> str:
    """Return one cell; several lines are stacked, with the first or last on the baseline of the row."""
    if len(lines) < 2:
        return "".join(lines)
    if kind.startswith("p"):
        return r" \newline ".join(lines)
    return rf"\begin{{tabular}}[{align}]{{@{{}}{kind}@{{}}}}" + r" \\ ".join(lines) + r"\end{tabular}"
