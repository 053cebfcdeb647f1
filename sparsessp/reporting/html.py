"""`reports/index.html`: the Markdown page as one file that needs no other, for screens of any width and for print.

The Markdown is the document; nothing is said here that it does not say, but the differences from the paper.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from itertools import cycle
from pathlib import Path
from string import Template

from markdown_it import MarkdownIt

from sparsessp.reporting.cells import VERDICTS
from sparsessp.reporting.markdown import DASH

_ASSETS = Path(__file__).parent / "assets"
# First column of the table whose cells are sentences: on a narrow screen each of its rows becomes a block.
_STACKED = "Claim"
_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
_TWINS = {"README": "index", "timings": "timings"}
_HEAD = re.compile(r"<th[^>]*>(.*?)</th>")
_CELL = re.compile(r"<td([^>]*)>(.*?)</td>")
# A labelled cell that holds nothing but a dash.
_NONE = re.compile(rf"(<td data-label[^>]*)(>(?:<em>)?{DASH}(?:</em>)?</td>)")
# A cell that starts with a verdict's mark.
_MARK = re.compile(rf"<td>([{''.join(VERDICTS.values())}]) (?=\S)")
# Ours, then the paper's: abreast in brackets, or below in small letters.
_PAIR = re.compile(r"(.+?)(?: <em>\((.+?)\)</em>|<br><sub><em>(.+?)</em></sub>)")


def html_page(markdown: str, files: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        markdown: The same page as Markdown.
        files: Name below the reports' folder -> content of each image that the page shows.
    """
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    body = re.sub(r"<!--.*?-->\n?", "", body, flags=re.DOTALL)
    # The pages of the report have twins of both kinds.
    body = re.sub(r'href="(README|timings)\.md', lambda found: f'href="{_TWINS[found[1]]}.html', body)
    title = _plain(re.search(r"<h1>(.*?)</h1>", body)[1])
    contents = "".join(
        f'<li><a href="#{anchor(text)}">{text}</a></li>\n' for text in re.findall(r"<h2>(.*?)</h2>", body)
    )
    body = re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{anchor(found[1])}">{found[1]}</h2>', body)
    body = re.sub(r'<img src="(.*?)"', lambda found: f'<img src="{_inlined(found[1], files)}"', body)
    body = re.sub(r"<table>.*?</table>", lambda found: _table(found[0]), body, flags=re.DOTALL)
    opening, heading, sections = body.partition("<h2")
    # A list of numbers with what they are.
    opening = opening.replace("<ul>\n<li><strong>", '<ul class="cards">\n<li><strong>', 1)
    parts = {name: (_ASSETS / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    return Template(parts["html"]).substitute(
        title=title,
        contents=contents,
        opening=opening,
        sections=heading + sections,
        style=parts["css"],
        script=parts["js"],
    )


def anchor(heading: str) -> str:
    """Where links to a heading point, as GitHub makes it."""
    text = re.sub("<.*?>|&.*?;", "", heading).lower()
    return "".join(c for c in text if c.isalnum() or c in " -_").replace(" ", "-")


def _inlined(name: str, files: Mapping[str, bytes]) -> str:
    if name not in files:
        return escape(name)
    return f"data:{_TYPES[name.rsplit('.', 1)[1]]};base64,{b64encode(files[name]).decode()}"


def _table(text: str) -> str:
    """A table in a box of its own that scrolls; the paper's best row is marked, cells say the difference."""
    text = re.sub(r"<tr>(?=(?:(?!</tr>).)*★)", '<tr class="winner">', text, flags=re.DOTALL)
    text = _CELL.sub(_cell, text)
    text = _MARK.sub(r'<td><span class="mark">\1</span> ', text)
    heads = [_plain(head) for head in _HEAD.findall(text)]
    if heads[0] == _STACKED:
        names = cycle(heads)
        text = re.sub("<td", lambda _: f'<td data-label="{next(names)}"', text)
        text = _NONE.sub(r'\1 class="none"\2', text).replace("<table>", '<table class="stacked">')
    return f'<div class="scroll" tabindex="0" role="region" aria-label="table">{text}</div>'


def _cell(found: re.Match[str]) -> str:
    pair = _PAIR.fullmatch(found[2])
    if not pair:
        return found[0]
    ours, paper = pair[1], pair[2] or pair[3]
    values = [_value(text) for text in (ours, paper)]
    difference = ""
    if None not in values:
        places = len(_plain(paper).partition(".")[2])
        difference = f'<span class="difference">{values[0] - values[1]:+.{places}f}</span>'
    return f'<td{found[1]}>{ours}<span class="paper">{paper}</span>{difference}</td>'


def _plain(text: str) -> str:
    return re.sub("<.*?>", "", text.replace("<br>", " "))


def _value(text: str) -> float | None:
    plain = _plain(text).replace(",", "").split(" ")[0]
    try:
        return float(plain)
    except ValueError:
        return None
