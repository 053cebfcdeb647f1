"""Markdown writer, for GitHub."""

from collections.abc import Iterator, Mapping
from functools import singledispatch

from sparsessp.reporting.document.model import (
    Bullets,
    Code,
    Commands,
    Document,
    Emphasis,
    Figure,
    Inline,
    Interval,
    Item,
    Link,
    Number,
    PaperNumber,
    Paragraph,
    Section,
    Strong,
    Table,
    Words,
    is_missing,
)

PAGES = {"results": "README.md", "timings": "timings.md"}
_ESCAPED: Mapping[int, str] = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>|"})


def markdown(document: Document) -> str:
    """Return the page."""
    parts = [f"# {document.title}", f"<!-- {document.source} -->", *map(_block, document.opening)]
    for section in document.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    yield from map(_block, section.blocks)


def inline(text: Inline) -> str:
    """Return text with its emphasis, links and code."""
    match text:
        case str():
            return text.translate(_ESCAPED)
        case tuple():
            return "".join(map(inline, text))
        case Strong(inner):
            return f"**{inline(inner)}**"
        case Emphasis(inner):
            return f"*{inline(inner)}*"
        case Code(code):
            return f"`{code.replace('`', chr(39))}`"
        case Link(words, target):
            page, _, place = target.partition("#")
            return f"[{inline(words)}]({PAGES.get(page, page)}{'#' if place else ''}{place})"


@singledispatch
def _block(block: object) -> str:
    raise TypeError(block)


@_block.register
def _(block: Paragraph) -> str:
    return inline(block.text)


@_block.register
def _(block: Bullets) -> str:
    return "\n".join(_items(block.items, ""))


def _items(items: tuple[Item, ...], indent: str) -> Iterator[str]:
    for item in items:
        yield f"{indent}- {inline(item.text)}"
        yield from _items(item.items, indent + "  ")


@_block.register
def _(block: Commands) -> str:
    return "\n".join(["```bash", *block.lines, "```"])


@_block.register
def _(block: Figure) -> str:
    return f"![{inline(block.alternative)}]({block.file})\n\n{inline(block.caption)}"


@_block.register
def _(block: Table) -> str:
    rules = ["--:" if column.numeric else ":--" for column in block.columns]
    lines = [["<br>".join(map(inline, column.lines)) for column in block.columns], rules]
    for row in block.rows:
        lines.append([_cell(cell, block.stacked) for cell in row.cells])
        if row.winner:
            names = max(k for k, column in enumerate(block.columns) if not column.numeric)
            lines[-1][names] += " ★"
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"{_caption(block)}\n\n{table}" if block.title else table


def _caption(table: Table) -> str:
    files = f" [CSV](tables/{table.name}.csv), [LaTeX](tables/{table.name}.tex)" if table.name else ""
    return f"**{inline(table.title)}** {inline(table.caption)}{files}"


def _cell(cell: object, stacked: bool) -> str:
    match cell:
        case Words():
            return " ".join(filter(None, [cell.mark, inline(cell.text)])) + _note(cell.note)
        case PaperNumber():
            return f"*{cell.format(cell.value)}*"
        case Interval():
            low, high = cell.format(cell.low), cell.format(cell.high)
            return low if is_missing(cell.low) else f"{low} to {high}"
        case Number():
            ours = _strong(cell.format(cell.value), cell.best)
            if not is_missing(cell.spread):
                ours += f" ± {cell.format(cell.spread)}"
            paper = _strong(cell.format(cell.paper), cell.paper_best)
            shown = "" if not cell.compared else f"<br><sub>*{paper}*</sub>" if stacked else f" *({paper})*"
            return ours + shown + _note(cell.note)
    raise TypeError(cell)


def _strong(text: str, strong: bool) -> str:
    return f"**{text}**" if strong else text


def _note(text: Inline) -> str:
    return f"<br><sub>{inline(text)}</sub>" if text else ""
