"""Markdown tables."""

from collections.abc import Sequence

DASH = "–"  # a missing number


def markdown(headers: Sequence[str], lines: Sequence[Sequence[str]], names: int) -> str:
    """A Markdown table; the first `names` columns are text, the others numbers."""
    rules = [":--"] * names + ["--:"] * (len(headers) - names)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [headers, rules, *lines])


def table_files(name: str) -> str:
    """Links to the files of a table."""
    return f"[CSV](tables/{name}.csv), [LaTeX](tables/{name}.tex)"
