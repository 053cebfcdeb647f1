"""Pages and sections of docs/ that code and documentation point to exist."""

import re
import subprocess

import pytest
from helpers.checkout import ROOT

PAGE = r"[\w./-]+\.md"


def tracked():
    """Text files of the repository, generated reports left out."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.split("\0"):
        path = ROOT / name
        if path.suffix in (".py", ".yaml", ".md") and not name.startswith(("reports/", "docs/results/")):
            yield path


def anchors(page):
    """Explicit ids and the ids that a Markdown renderer gives to headings."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = (re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return {*re.findall(r'id="([^"]+)"', text), *slugs}


def targets(path):
    """Page and section of each reference to docs/, and of each link in a Markdown page."""
    text = path.read_text()
    for name, section in re.findall(rf"\b(docs/{PAGE})(?:#([\w-]+))?", text):
        yield ROOT / name, section
    if path.suffix == ".md":
        for name, section in re.findall(rf"\]\(({PAGE})?(?:#([\w-]+))?\)", text):
            yield path.parent / name if name else path, section


def test_every_page_and_section_that_is_cited_exists():
    found = [(path, *target) for path in tracked() for target in targets(path)]
    assert len(found) > 20
    missing = [
        f"{path.relative_to(ROOT)}: {page.name}#{section}"
        for path, page, section in found
        if not page.exists() or (section and section not in anchors(page))
    ]
    assert not missing


def test_anchors_are_explicit_ids_and_headings(tmp_path):
    (tmp_path / "page.md").write_text('# What (was) tried\n\na <a id="tsns"></a> b\n')
    assert anchors(tmp_path / "page.md") == {"what-was-tried", "tsns"}


@pytest.mark.parametrize("report", sorted((ROOT / "docs/results").glob("*/report")), ids=lambda path: path.parent.name)
def test_a_stored_result_keeps_one_html_page_and_each_figure_once(report):
    (page,) = report.glob("*.html")
    assert page.name == "index.html" and page.stat().st_size < 1.5e6
    figures = [path.stem for path in (report / "figures").iterdir()]
    assert figures and len(figures) == len(set(figures))
    links = re.findall(r'href="([^"#:]+)["#]', page.read_text())
    links += re.findall(r"\]\(([\w./-]+)\)", (report / "README.md").read_text())
    assert links and not [link for link in links if not (report / link).exists()]
