"""reports/index.html: one file that needs no other, whose links lead somewhere."""

import json
import re
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from test_reporting import KEYS, labels, plan, put

from sparsessp.reporting.html import anchor, html_page
from sparsessp.reporting.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Reports of a plan that is only partly run."""
    folder = tmp_path_factory.mktemp("page")
    for k, name in enumerate(plan(2)):
        if not name.startswith("condnet"):
            put(folder / "results", name, 0.01 * k)
    write_report(folder / "reports", plan(2), folder / "results", labels(), dict.fromkeys(KEYS, 0.9))
    return folder / "reports"


def test_the_page_stands_alone_and_its_links_lead_somewhere(reports):
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


def test_a_cell_says_ours_the_papers_and_the_difference():
    table = "| Network | R² |\n| :-- | --: |\n| TGNet ★ | **.4000** *(.4693)* |\n| TSNs | – *(.4135)* |"
    text = html_page(f"# A\n\n## B & C\n\n{table}", {})
    assert '<strong>.4000</strong><span class="paper">.4693</span><span class="difference">-0.0693</span>' in text
    assert '–<span class="paper">.4135</span></td>' in text
    assert text.count('<tr class="winner">') == 1 and text.index('<tr class="winner">') < text.index("TGNet")
    stacked = table.replace(" *(.4693)*", "<br><sub>*.4693*</sub>")
    assert html_page(f"# A\n\n## B & C\n\n{stacked}", {}) == text
    assert f'href="#{anchor("B &amp; C")}"' in text and anchor("B &amp; C") == "b--c"


def test_the_headline_is_a_row_of_cards_and_the_claims_carry_their_heads(reports):
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
    assert re.findall(r'<td data-label="(.*?)"', table) == 13 * heads and table.count("<td") == 13 * len(heads)


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
    document = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return re.search("<title>(.*?)</title>", document)[1], document


@pytest.fixture
def server():
    """A server on this machine, and the paths that it was asked for."""
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
def test_a_browser_makes_no_request_and_every_link_within_leads_somewhere(reports, tmp_path):
    text = (reports / "index.html").read_text()
    title, _ = browse(text.replace("<head>", WATCH).replace("</body>", COUNT), tmp_path)
    found = json.loads(title)
    assert found == {"tried": 0, "refused": 0, "lost": 0, "links": text.count("<a href=")} and found["links"] > 30


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
@pytest.mark.parametrize("policy", [True, False])
def test_the_policy_is_what_keeps_requests_from_leaving(reports, tmp_path, server, policy):
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
def test_a_table_without_rows_stops_no_script(tmp_path):
    head = "| Network | R² |\n| :-- | --: |\n"
    _, document = browse(html_page(f"# A\n\n{head}\n{head}| a | 1 |\n| b | 2 |\n| c | 3 |\n", {}), tmp_path)
    assert document.count('<button type="button">') == 2
    assert re.search(r'<button id="theme" type="button">', document)
