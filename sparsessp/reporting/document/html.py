"""HTML writer: one self-contained file, for screens of any width and for print."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import singledispatch
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template
from urllib.parse import quote

from PIL import Image

from sparsessp.reporting.document.model import (
    Bullets,
    Cell,
    Code,
    Column,
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
    Row,
    Strong,
    Table,
    Words,
    anchor,
    is_missing,
)

PAGES = {"results": "index.html", "timings": "timings.html"}
_ASSETS = Path(__file__).parent / "assets"


def html_page(document: Document, files: Mapping[str, bytes]) -> str:
    """Return the page.

    Args:
        document: The page.
        files: Path relative to the page -> content, for each image; images are embedded in the page.
    """
    contents = "".join(
        f'<li><a href="#{anchor(section.title)}">{escape(section.title)}</a></li>\n' for section in document.sections
    )
    sections = []
    for section in document.sections:
        sections.append(f'<h2 id="{anchor(section.title)}">{escape(section.title)}</h2>')
        sections += [_block(block, files) for block in section.blocks]
    assets = {name: (_ASSETS / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    return Template(assets["html"]).substitute(
        title=escape(document.title),
        contents=contents,
        opening="\n".join([f"<h1>{escape(document.title)}</h1>", *(_block(block, files) for block in document.opening)])
        + "\n",
        sections="\n".join(sections) + "\n",
        style=assets["css"],
        script=assets["js"],
    )


def inline(text: Inline) -> str:
    """Return text with its emphasis, links and code."""
    match text:
        case str():
            return escape(text, quote=False)
        case tuple():
            return "".join(map(inline, text))
        case Strong(inner):
            return f"<strong>{inline(inner)}</strong>"
        case Emphasis(inner):
            return f"<em>{inline(inner)}</em>"
        case Code(code):
            return f"<code>{escape(code, quote=False)}</code>"
        case Link(words, target):
            page, _, place = target.partition("#")
            address = f"{PAGES.get(page, page)}{'#' if place else ''}{place}"
            return f'<a href="{escape(address)}">{inline(words)}</a>'


@singledispatch
def _block(block: object, files: Mapping[str, bytes]) -> str:
    raise TypeError(block)


@_block.register
def _(block: Paragraph, files: Mapping[str, bytes]) -> str:
    return f"<p>{inline(block.text)}</p>"


@_block.register
def _(block: Bullets, files: Mapping[str, bytes]) -> str:
    return _list(block.items, ' class="cards"' if block.cards else "")


def _list(items: tuple[Item, ...], kind: str = "") -> str:
    entries = (f"<li>{inline(item.text)}{_list(item.items) if item.items else ''}</li>" for item in items)
    return "\n".join([f"<ul{kind}>", *entries, "</ul>"])


@_block.register
def _(block: Commands, files: Mapping[str, bytes]) -> str:
    return "<pre><code>" + escape("\n".join(block.lines), quote=False) + "</code></pre>"


@_block.register
def _(block: Figure, files: Mapping[str, bytes]) -> str:
    source = _data(files[block.file], block.file.rsplit(".", 1)[1])
    image = f'<p><img src="{source}" alt="{escape(block.alternative)}"></p>'
    return f"{image}\n<p>{inline(block.caption)}</p>"


def _data(content: bytes, kind: str) -> str:
    """Return an image as a data URL: SVG as text, PNG as lossless WebP, which has 60 % of its size."""
    if kind == "svg":
        text = " ".join(content.decode().replace('"', "'").split("\n"))
        return "data:image/svg+xml," + quote(text, safe=" '/=;,()-.*{}")
    if kind == "png":
        buffer = BytesIO()
        Image.open(BytesIO(content)).save(buffer, format="webp", lossless=True)
        content, kind = buffer.getvalue(), "webp"
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


@_block.register
def _(block: Table, files: Mapping[str, bytes]) -> str:
    kind = ' class="stacked"' if block.blocks else ""
    lines = [f"<table{kind}>", "<thead>", "<tr>", *map(_head, block.columns), "</tr>", "</thead>", "<tbody>"]
    for row in block.rows:
        lines.append('<tr class="winner">' if row.winner else "<tr>")
        lines += _row(row, block)
        lines.append("</tr>")
    lines += ["</tbody>", "</table>"]
    table = '<div class="scroll" tabindex="0" role="region" aria-label="table">' + "\n".join(lines) + "</div>"
    return f"<p>{_caption(block)}</p>\n{table}" if block.title else table


def _caption(table: Table) -> str:
    files = (Link("CSV", f"tables/{table.name}.csv"), ", ", Link("LaTeX", f"tables/{table.name}.tex"))
    return inline((Strong(table.title), " ", table.caption, *((" ", *files) if table.name else ())))


def _head(column: Column) -> str:
    align = ' class="number"' if column.numeric else ""
    return f"<th{align}>{'<br>'.join(map(inline, column.lines))}</th>"


def _row(row: Row, table: Table) -> Iterator[str]:
    last_name = max((k for k, column in enumerate(table.columns) if not column.numeric), default=-1)
    for k, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
        kinds = (["number"] if column.numeric else []) + (["none"] if table.blocks and _is_empty(cell) else [])
        attributes = f' class="{" ".join(kinds)}"' if kinds else ""
        if table.blocks:
            label = " ".join(_plain(line) for line in column.lines)
            attributes += f' data-label="{escape(label)}"'
        if (key := _sort_key(cell)) is not None:
            attributes += f' data-value="{key}"'
        yield f"<td{attributes}>{_cell(cell)}{' ★' if row.winner and k == last_name else ''}</td>"


def _is_empty(cell: Cell) -> bool:
    return not isinstance(cell, Words) and _sort_key(cell) == ""


def _sort_key(cell: Cell) -> str | None:
    """Return the number by which a column is sorted, empty if missing; None for text."""
    if isinstance(cell, Words):
        return None
    value = cell.low if isinstance(cell, Interval) else cell.value
    return "" if is_missing(value) else f"{value:.6g}"


def _cell(cell: Cell) -> str:
    match cell:
        case Words():
            mark = f'<span class="mark">{escape(cell.mark)}</span> ' if cell.mark else ""
            return mark + inline(cell.text) + _note(cell.note)
        case PaperNumber():
            return f"<em>{cell.format(cell.value)}</em>"
        case Interval():
            return cell.format(cell.low) + ("" if is_missing(cell.low) else f" to {cell.format(cell.high)}")
        case Number():
            return _number(cell) + _note(cell.note)


def _number(cell: Number) -> str:
    ours = _strong(cell.format(cell.value), cell.best)
    if not is_missing(cell.spread):
        ours += f" ± {cell.format(cell.spread)}"
    if not cell.compared:
        return ours
    difference = ""
    if not is_missing(cell.difference):
        difference = f'<span class="difference">{cell.difference:+z.{cell.format.places}f}</span>'
    return f'{ours}<span class="paper">{_strong(cell.format(cell.paper), cell.paper_best)}</span>{difference}'


def _strong(text: str, strong: bool) -> str:
    return f"<strong>{text}</strong>" if strong else text


def _note(text: Inline) -> str:
    return f"<br><sub>{inline(text)}</sub>" if text else ""


def _plain(text: Inline) -> str:
    match text:
        case str():
            return text
        case tuple():
            return "".join(map(_plain, text))
        case _:
            return _plain(text.text)
