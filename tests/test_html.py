"""reports/index.html: one file that needs no other, whose links lead somewhere."""

import re
import shutil
import subprocess

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


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
def test_a_browser_loads_the_page_and_sorts_a_table(reports, tmp_path):
    click = (
        "<script>const table = [...document.querySelectorAll('table')].find((t) => t.textContent.includes('★'));"
        "const head = table.tHead.rows[0].cells; head[head.length - 1].querySelector('button').click();"
        "document.title = [...table.tBodies[0].rows].map((r) => r.cells[r.cells.length - 1].firstChild.textContent"
        ".trim()).join('|');</script>"
    )
    page = tmp_path / "page.html"
    page.write_text((reports / "index.html").read_text().replace("</body>", click + "</body>"))
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    cells = re.search("<title>(.*?)</title>", done.stdout)[1].split("|")
    numbers = [float(cell) for cell in cells if cell != "–"]
    assert len(cells) == 20 and len(numbers) == 16
    assert numbers == sorted(numbers) and cells[16:] == ["–"] * 4
    assert 'aria-sort="ascending"' in done.stdout
