"""reports/tables/*.tex: the tables of the page as valid LaTeX with booktabs."""

import re

import numpy as np
import pytest
from test_reporting import TABLES, labels, plan, put, report

from sparsessp.reporting.document.latex import escape, latex_tables
from sparsessp.reporting.document.model import Document, Row, Section, Table, Words, number_column, text_column

# All that a document with booktabs knows; a command that is not here would not compile, or needs a look.
KNOWN = set(
    "begin end centering caption label footnotesize scriptsize setlength tabcolsep toprule midrule bottomrule textbf "
    "textit texttt newline linewidth addtocounter pm times div Delta mu star surd textbackslash textasciitilde "
    "textasciicircum".split()
)


def check(text):
    """Fail on what LaTeX would reject; return the captions and the number of rows."""
    assert text.isascii()
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert set(re.findall(r"\\([A-Za-z]+)", body)) <= KNOWN
    plain = re.sub(r"\\(\\|[&%$#_{}])", lambda m: "\\\\" if m[1] == "\\" else "", body)
    assert not re.search(r"(?<!\\)[#%~]", plain) and plain.count("$") % 2 == 0
    assert not re.search(r"[_^]", re.sub(r"\$.*?\$", "", re.sub(r"\\label\{.*?\}", "", plain)))
    depth, stack = 0, []
    for token in re.finditer(r"\\begin\{(\w+)\}|\\end\{(\w+)\}|[{}]", plain):
        if token[1]:
            stack.append(token[1])
        elif token[2]:
            assert stack.pop() == token[2]
        else:
            depth += 1 if token[0] == "{" else -1
        assert depth >= 0
    assert depth == 0 and not stack
    rows = 0
    for kinds, table in re.findall(
        r"^\\begin\{tabular\}\{(.*?)\}\n\\toprule\n(.*?)^\\bottomrule", plain, re.DOTALL | re.MULTILINE
    ):
        columns = len(re.sub(r"p\{[^{}]*\}?", "p", kinds + "}").rstrip("}"))
        lines = [line for line in table.splitlines() if line != r"\midrule"]
        assert lines and all(line.endswith(r" \\") and line.count("&") == columns - 1 for line in lines)
        rows += len(lines) - 1
    assert "|" not in re.sub(r"\$\|\$", "", plain) and not re.search(r"\\\\\s*[\[*]", plain)
    return rows


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Reports of a plan that is only partly run."""
    folder = tmp_path_factory.mktemp("latex")
    for k, name in enumerate(plan(2, 8)):
        if not name.startswith("condnet"):
            put(folder / "results", name, 0.01 * k - 0.05)
    report(folder / "reports", plan(2, 8), folder / "results", labels(2, 8))
    return folder / "reports"


def test_every_table_exists_and_is_well_formed(reports):
    folder = reports / "tables"
    assert sorted(path.stem for path in folder.glob("*.tex")) == sorted(TABLES)
    for name in TABLES:
        text = (folder / f"{name}.tex").read_text()
        rows = check(text)
        turned = {"table7": 15}  # the page prints it turned round
        assert rows == turned.get(name, (folder / f"{name}.csv").read_text().count("\n") - 1), name
        assert text.count(rf"\label{{tab:{name}}}") == 1 and "CSV" not in text and "LaTeX" not in text
        assert re.search(r"\\caption\[\{.{5,}?\}\]\{\\textbf\{", text)


def test_a_long_table_continues_in_another_with_the_same_number(reports):
    text = (reports / "tables" / "runs.tex").read_text()
    assert text.count(r"\begin{table}") == text.count(r"\toprule") == 2
    assert text.count(r"\addtocounter{table}{-1}") == text.count("(continued)") == 1


def test_our_values_the_papers_and_the_best_are_as_on_the_page(reports):
    text = (reports / "tables" / "table3.tex").read_text()
    (winner,) = [row for row in text.splitlines() if row.startswith("TGNet & 3-to-2D")]
    assert winner.startswith(r"TGNet & 3-to-2D $\star$ & ") and r"{\scriptsize \textit{\textbf{.4693}}}" in winner
    (missing,) = [row for row in text.splitlines() if row.startswith("CondNet & 2D")]
    assert missing.count("{@{}r@{}}--") == 6
    page = (reports / "README.md").read_text().split("\n## Table 3\n")[1].split("\n## ")[0]
    assert text.count(r"\textbf{") - 1 == page.split("\n\n")[1].count("**") // 2
    assert "$-$.0" in (reports / "tables" / "table1.tex").read_text()


def test_special_characters_of_latex_are_escaped():
    assert escape(r"50 % of a_b & {c} #1 $x\y~z^2") == (
        r"50 \% of a\_b \& \{c\} \#1 \$x\textbackslash{}y\textasciitilde{}z\textasciicircum{}2"
    )
    assert escape("-0.5 to -.3, 3-to-2D, R² ± µ") == r"$-$0.5 to $-$.3, 3-to-2D, R$^2$ $\pm$ $\mu$"


def test_any_cell_stays_one_cell():
    generator = np.random.default_rng(0)
    letters = list("ab12 &%$#_{}~^[]*<>²★\\-.")
    for _ in range(200):
        cells = [["x" + "".join(generator.choice(letters, 8)) for _ in range(3)] for _ in range(2)]
        (text,) = latex_tables(document("t", cells)).values()
        assert check(text) == 2
        for row, line in zip(cells, text.splitlines()[-5:-3], strict=True):
            assert line == " & ".join(escape(cell.strip()) for cell in row) + r" \\"


def document(name, cells):
    rows = tuple(Row(tuple(map(Words, row))) for row in cells)
    heads = (text_column("A"), number_column("B"), number_column("C"))
    return Document("A", "made by a test", (), (Section("B", (Table(heads, rows, name, "T.", "Words."),)),))


def test_tables_without_a_file_are_left_out():
    assert latex_tables(document("", [["1", "2", "3"]])) == {}
