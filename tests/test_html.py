"""reports/index.html: a self-contained page whose links all work."""

import io
import json
import re
import shutil
import subprocess
from base64 import b64decode
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_reporting import KEYS, labels, plan, put, report

from sparsessp.reporting.document.html import html_page
from sparsessp.reporting.document.markdown import markdown
from sparsessp.reporting.document.model import (
    Code,
    Document,
    Figure,
    Format,
    Interval,
    Number,
    PaperNumber,
    Row,
    Section,
    Table,
    Words,
    anchor,
    number_column,
    text_column,
)

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Reports of a plan that is only partly run."""
    folder = tmp_path_factory.mktemp("page")
    for k, name in enumerate(plan(2)):
        if not name.startswith("condnet"):
            put(folder / "results", name, 0.01 * k)
    report(folder / "reports", plan(2), folder / "results", labels(), ceilings=dict.fromkeys(KEYS, 0.9))
    return folder / "reports"


def test_the_page_is_self_contained_and_its_links_have_targets(reports):
    text = (reports / "index.html").read_text()
    sources = re.findall(r'\bsrc="([^"]*)"', text)
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?://", text) and "@import" not in text
    for link in re.findall(r'<a href="([^"]*)"', text):
        if link.startswith("#"):
            assert text.count(f'id="{link[1:]}"') == 1, link
        else:
            assert (reports / link).is_file(), link
    assert "condnet-3d-prefix-r2" in text


def test_a_png_is_embedded_smaller_but_lossless():
    pixels = np.indices((60, 80)).sum(axis=0)[..., None] * np.array((1, 2, 3)) % 256
    png = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(png, "png")
    shown = html_page(document(Figure("a.png", "A", "B")), {"a.png": png.getvalue()})
    kind, data = re.search(r'src="data:image/(\w+);base64,([^"]*)"', shown).groups()
    assert kind == "webp" and len(data) < len(png.getvalue())
    assert (np.asarray(Image.open(io.BytesIO(b64decode(data)))) == pixels).all()


def document(*blocks):
    return Document("A", "made by a test", (), (Section("B & C", blocks),))


def test_a_cell_shows_our_value_the_papers_and_the_difference():
    score = Format(4, bare=True)
    rows = (
        Row((Words("TGNet"), Number(0.4, score, paper=0.4693, compared=True, best=True)), winner=True),
        Row((Words("TSNs"), Number(float("nan"), score, paper=0.4135, compared=True, spread=float("nan")))),
        Row((Words("DoDNet"), Number(-0.5, score, paper=0.1, compared=True, spread=0.25, paper_best=True))),
    )
    table = Table((text_column("Network"), number_column("R²")), rows)
    text = html_page(document(table), {})
    assert '<strong>.4000</strong><span class="paper">.4693</span><span class="difference">-0.0693</span>' in text
    assert '–<span class="paper">.4135</span></td>' in text
    assert '-.5000 ± .2500<span class="paper"><strong>.1000</strong></span>' in text
    assert text.count('<tr class="winner">') == 1 and text.index('<tr class="winner">') < text.index("TGNet ★")
    assert f'href="#{anchor("B & C")}"' in text and anchor("B & C") == "b--c"
    assert "| TGNet ★ | **.4000** *(.4693)* |" in markdown(document(table))
    assert "| DoDNet | -.5000 ± .2500 *(**.1000**)* |" in markdown(document(table))


def cells_of(text):
    """Text of every table cell of an HTML page."""
    found = []

    class Reader(HTMLParser):
        inside = False

        def handle_starttag(self, tag, attributes):
            self.inside = self.inside or tag == "td"
            if tag == "td":
                found.append("")

        def handle_endtag(self, tag):
            self.inside = self.inside and tag != "td"

        def handle_data(self, data):
            if self.inside:
                found[-1] += data

    Reader().feed(text)
    return found


numbers = st.one_of(st.floats(-2, 2), st.just(float("nan")))
cells = st.one_of(
    st.builds(lambda text: Words(Code(text)), st.text("ab<>&|*_`", min_size=1, max_size=5)),
    st.builds(Number, numbers, paper=numbers, compared=st.booleans(), spread=numbers, best=st.booleans()),
    st.builds(PaperNumber, numbers),
    st.builds(Interval, numbers, numbers),
)


@given(st.lists(st.tuples(cells, cells, cells), max_size=4), st.booleans())
def test_no_writer_drops_a_cell(rows, stacked):
    heads = (text_column("One"), number_column("Two", "lines"), number_column("Three"))
    made = document(Table(heads, tuple(map(Row, rows)), stacked=stacked, blocks=stacked))
    shown = cells_of(html_page(made, {}))
    assert len(shown) == 3 * len(rows)
    for cell, text in zip([cell for row in rows for cell in row], shown, strict=True):
        for value in expected(cell):
            assert value in text
    lines = [line for line in markdown(made).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    for row, line in zip(rows, lines[2:], strict=True):
        assert all(value.replace("`", "'") in line for cell in row for value in expected(cell))


def expected(cell):
    """Return the text expected in a table cell."""
    match cell:
        case Words():
            return [cell.text.text]
        case Interval():
            return [cell.format(cell.low)]
        case PaperNumber():
            return [cell.format(cell.value)]
        case Number():
            return [cell.format(cell.value), *([cell.format(cell.paper)] if cell.compared else [])]


def test_a_row_must_fill_its_table():
    with pytest.raises(ValueError, match="1 cells in a row of 2 columns"):
        Table((text_column("A"), text_column("B")), (Row((Words("a"),)),))


def test_the_headline_is_a_row_of_cards_and_claims_repeat_their_headings(reports):
    markdown, text = ((reports / name).read_text() for name in ("README.md", "index.html"))
    opening = markdown.split("\n## ")[0]
    numbers = re.findall(r"^- \*\*(.+?)\*\*", opening, re.MULTILINE)
    cards = re.search(r'<ul class="cards">(.*?)</ul>\n<div', text, re.DOTALL)[1]
    assert re.findall(r"<li><strong>(.+?)</strong>", cards) == numbers and len(numbers) == 3
    verdicts = re.findall(r"\| ([✓✗~–]) (?:\*\*)?(supported|contradicted|undecided|not run)\b", markdown)
    assert len(verdicts) == 13 and set(verdicts) <= {("~", "undecided"), ("–", "not run"), ("✓", "supported")}
    counts = {word: sum(verdict == word for _, verdict in verdicts) for word in ("supported", "undecided", "not run")}
    assert numbers[2] == f"{counts['supported']} of 13"
    assert all(f"  - {counts[word]} {word}\n" in opening for word in ("undecided", "not run"))
    (table,) = re.findall(r'<table class="stacked">.*?</table>', text, re.DOTALL)
    heads = [re.sub("<.*?>", "", head) for head in re.findall(r"<th[^>]*>(.*?)</th>", table)]
    assert re.findall(r'<td[^>]*data-label="(.*?)"', table) == 13 * heads and table.count("<td") == 13 * len(heads)


# What a page says in its title of requests that it tried, of those it was refused, and of links within it that lead
# nowhere, each followed by a click.
COUNT = """<script>
addEventListener("load", () => setTimeout(() => {
  const lost = [...document.querySelectorAll('a[href^="#"]')].filter((link) => {
    link.click();
    return location.hash !== link.hash || !document.querySelector(":target");
  });
  const tried = performance.getEntriesByType("resource").length;
  document.title = JSON.stringify({ tried, refused, lost: lost.length, links: document.links.length });
}, 300));
</script></body>"""
WATCH = """<head><script>
let refused = 0;
addEventListener("securitypolicyviolation", () => refused++);
</script>"""


def browse(text, folder):
    """The page's title and whole document once a browser has loaded it and run its scripts."""
    page = folder / "page.html"
    page.write_text(text)
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}")
    command = [BROWSER, *options, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    document = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    return re.search("<title>(.*?)</title>", document)[1], document


@pytest.fixture
def server():
    """Yield a local server and the list of requested paths."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
def test_a_browser_makes_no_request_and_every_internal_link_has_a_target(reports, tmp_path):
    text = (reports / "index.html").read_text()
    title, _ = browse(text.replace("<head>", WATCH).replace("</body>", COUNT), tmp_path)
    found = json.loads(title)
    assert found == {"tried": 0, "refused": 0, "lost": 0, "links": text.count("<a href=")} and found["links"] > 30


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
@pytest.mark.parametrize("policy", [True, False])
def test_the_content_security_policy_blocks_requests(reports, tmp_path, server, policy):
    address, asked = server
    ways = (
        f'<img src="{address}/image"><link rel="stylesheet" href="{address}/style"><script src="{address}/script">'
        f'</script><iframe src="{address}/frame"></iframe><script>fetch("{address}/fetch").catch(() => 0);</script>'
    )
    text = (reports / "index.html").read_text().replace("<head>", WATCH).replace("</body>", ways + COUNT)
    if not policy:
        text = re.sub(r"<meta http-equiv=.Content-Security-Policy.*?>\n", "", text)
    found = json.loads(browse(text, tmp_path)[0])
    assert (len(asked) == 0) == policy and (found["refused"] == 5) == policy
    assert found["tried"] > 0 and (policy or set(asked) == {"/image", "/style", "/script", "/frame", "/fetch"})


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
def test_a_browser_loads_the_page_and_sorts_a_table(reports, tmp_path):
    click = (
        "<script>const table = [...document.querySelectorAll('table')].find((t) => t.textContent.includes('★'));"
        "const head = table.tHead.rows[0].cells; head[head.length - 1].querySelector('button').click();"
        "document.title = [...table.tBodies[0].rows].map((r) => r.cells[r.cells.length - 1].firstChild.textContent"
        ".trim()).join('|');</script>"
    )
    title, document = browse((reports / "index.html").read_text().replace("</body>", click + "</body>"), tmp_path)
    cells = title.split("|")
    numbers = [float(cell) for cell in cells if cell != "–"]
    assert len(cells) == 20 and len(numbers) == 16
    assert numbers == sorted(numbers) and cells[16:] == ["–"] * 4
    assert 'aria-sort="ascending"' in document


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
@pytest.mark.parametrize(("width", "display"), [(400, "grid"), (1400, "table-row")])
def test_claims_are_blocks_on_a_phone_and_nothing_is_wider_than_the_screen(reports, tmp_path, width, display):
    # In a frame, since a browser's window may not be as narrow as a phone.
    measure = (
        "<script>const table = document.querySelector('.stacked'); const row = table.tBodies[0].rows[0];"
        "const scrolls = table.parentNode.scrollWidth > table.parentNode.clientWidth;"
        "table.tHead.rows[0].cells[2].querySelector('button').click();"
        "const marks = [...table.tBodies[0].rows].map((r) => r.cells[2].firstChild.textContent);"
        "const grouped = marks.filter((mark, k) => mark !== marks[k - 1]).length === new Set(marks).size;"
        "const wide = document.documentElement.scrollWidth > innerWidth;"
        "parent.postMessage(JSON.stringify({ display: getComputedStyle(row).display, scrolls, grouped, wide }), '*');"
        "</script></body>"
    )
    (tmp_path / "inner.html").write_text((reports / "index.html").read_text().replace("</body>", measure))
    frame = (
        "<head><title></title></head><body><script>onmessage = (event) => { document.title = event.data; };</script>"
        f'<iframe src="inner.html" style="width: {width}px; height: 900px"></iframe></body>'
    )
    title, _ = browse(frame, tmp_path)
    assert json.loads(title) == {"display": display, "scrolls": False, "grouped": True, "wide": False}


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
def test_an_empty_table_does_not_break_the_script(tmp_path):
    heads = (text_column("Network"), number_column("R²"))
    rows = tuple(Row((Words(name), Number(k))) for k, name in enumerate("abc"))
    _, document_ = browse(html_page(document(Table(heads, ()), Table(heads, rows)), {}), tmp_path)
    assert document_.count('<button type="button">') == 2
    assert re.search(r'<button id="theme" type="button">', document_)
