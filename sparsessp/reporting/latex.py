r"""`reports/tables/*.tex`: each table of the Markdown page for a document that loads booktabs.

The Markdown is the document: a table's caption is the paragraph before it, its name that of the CSV file linked there.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from sparsessp.reporting.markdown import DASH

_ROWS = 45  # of one float: a longer table goes on in another of the same number
_WIDE = 8  # columns above which letters are smaller
_LONG = 24  # letters of a cell with spaces above which its column breaks lines
_CSV = re.compile(r"tables/(\w+)\.csv")
# The minus of a number, not the hyphen of a word.
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
        # At the start of a row they would belong to the line break before it.
        "[": "{[}",
        "*": "{*}",
        "²": "$^2$",
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
_MARKS = {"strong_open": r"\textbf{", "em_open": r"\textit{", "strong_close": "}", "em_close": "}"}
_MARKS |= {"<sub>": r"{\scriptsize ", "</sub>": "}", "softbreak": " "}


@dataclass(frozen=True)
class _Table:
    """A table in LaTeX's letters; a cell is a list of lines."""

    headers: list[list[str]]
    rows: list[list[list[str]]]
    right: list[bool]


def latex_tables(markdown: str) -> dict[str, str]:
    """Every table of the page that is also there as CSV.

    Args:
        markdown: The page.

    Returns:
        Name -> one or more `table` environments, with caption and the label `tab:NAME`.
    """
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    found, name, caption = {}, "", ("", "")
    for k, token in enumerate(tokens):
        if token.type == "inline" and tokens[k - 1].type == "paragraph_open":
            links = [str(child.attrGet("href")) for child in token.children or [] if child.type == "link_open"]
            named = [link[1] for link in map(_CSV.fullmatch, links) if link]
            name, caption = (named[0], _caption(token)) if named else ("", ("", ""))
        elif token.type == "table_open" and name:
            found[name] = _floats(name, caption, _table(tokens[k:]))
            name = ""
    return found


def escape(text: str) -> str:
    """Plain text as LaTeX prints it."""
    return _MINUS.sub("−", text).translate(_LETTERS).replace("−", "$-$")


def _caption(paragraph: Token) -> tuple[str, str]:
    """Its title, which is its first bold words, and the whole of it without the links to files."""
    # LaTeX numbers tables itself.
    text = re.sub(r"^\\textbf\{Table (?=\d)", r"\\textbf{The paper's Table ", " ".join(_lines(paragraph)))
    title = re.search(r"\\textbf\{([^{}]*)\}", text)
    return title[1].rstrip(".") if title else "", text


def _lines(inline: Token) -> list[str]:
    """The text of a paragraph or cell, cut at its line breaks."""
    parts, hidden = [""], False
    for child in inline.children or []:
        if child.type == "link_open":
            hidden = bool(re.match(r"(tables|figures)/", str(child.attrGet("href"))))
        elif child.type == "link_close":
            hidden = False
        elif hidden:
            continue
        elif child.type == "html_inline" and child.content == "<br>":
            parts.append("")
        elif child.type == "code_inline":
            parts[-1] += rf"\texttt{{{escape(child.content)}}}"
        elif child.type == "text":
            parts[-1] += escape(child.content)
        else:
            parts[-1] += _MARKS.get(child.content if child.type == "html_inline" else child.type, "")
    parts[-1] = parts[-1].rstrip(" ,")  # what stood between hidden links
    return [part.strip() for part in parts]


def _table(tokens: Sequence[Token]) -> _Table:
    headers, rows, right = [], [], []
    for k, token in enumerate(tokens):
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "th_open":
            headers.append(_lines(tokens[k + 1]))
            right.append("right" in str(token.attrGet("style")))
        elif token.type == "td_open":
            rows[-1].append(_lines(tokens[k + 1]))
    return _Table(headers, [row for row in rows if row], right)


def _floats(name: str, caption: tuple[str, str], table: _Table) -> str:
    """The whole file."""
    parts = [table.rows[k : k + _ROWS] for k in range(0, len(table.rows), _ROWS)] or [[]]
    lines = ["% Written by the report stage, like README.md beside this folder. Needs the package booktabs."]
    for k, rows in enumerate(parts):
        lines += [r"\begin{table}", r"\centering"]
        if k:
            lines += [r"\addtocounter{table}{-1}", r"\caption[]{(continued)}"]
        else:
            lines += [rf"\caption[{{{caption[0]}}}]{{{caption[1]}}}", rf"\label{{tab:{name}}}"]
        lines += [r"\scriptsize" if len(table.headers) > _WIDE else r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"]
        lines += [*_tabular(table, rows), r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tabular(table: _Table, rows: Sequence[Sequence[Sequence[str]]]) -> Iterator[str]:
    breaks = [not table.right[k] and any(_long(row[k]) for row in table.rows) for k in range(len(table.headers))]
    width = round(0.54 / max(1, sum(breaks)), 2)
    kinds = [
        rf"p{{{width}\linewidth}}" if broken else "r" if right else "l"
        for broken, right in zip(breaks, table.right, strict=True)
    ]
    yield rf"\begin{{tabular}}{{{''.join(kinds)}}}"
    yield r"\toprule"
    yield _row(table.headers, kinds, "b")
    yield r"\midrule"
    for row in rows:
        yield _row(row, kinds, "t")
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _long(cell: Sequence[str]) -> bool:
    return any(len(line) > _LONG and " " in line for line in cell)


def _row(cells: Sequence[Sequence[str]], kinds: Sequence[str], align: str) -> str:
    return " & ".join(_cell(cell, kind, align) for cell, kind in zip(cells, kinds, strict=True)) + r" \\"


def _cell(lines: Sequence[str], kind: str, align: str) -> str:
    """One cell; lines one below the other, the first (or last) on the row's own."""
    if len(lines) < 2:
        return "".join(lines)
    if kind.startswith("p"):
        return r" \newline ".join(lines)
    return rf"\begin{{tabular}}[{align}]{{@{{}}{kind}@{{}}}}" + r" \\ ".join(lines) + r"\end{tabular}"
