"""Commands in the documentation: their modules, make targets and settings exist."""

import re
from importlib.util import find_spec

import pytest
import yaml
from helpers.checkout import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Programs of other projects, which users run in their own environment.
OURS = re.compile(r"^python -m ((?:pipeline|sparsessp|benchmarks)[\w.]*)")


def commands(text):
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").split("  #")[0].strip() for line in lines]


def problems(text):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    settings = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    choices = set(yaml.safe_load((ROOT / "pipeline/conf/config.yaml").read_text()))
    found = []
    for line in commands(text):
        if (match := OURS.match(line)) and find_spec(match[1]) is None:
            found.append(f"no module {match[1]}")
        if (match := re.match(r"make ([a-z][\w-]*)", line)) and match[1] not in targets:
            found.append(f"no target {match[1]}")
        keys = re.findall(r"-S '?([a-z_]+)[.=]", line)
        if "pipeline.compose" in line:
            keys += re.findall(r" '?([a-z_]+)[.\w]*=", line)
        found += [f"no setting {key}" for key in keys if key not in settings | choices]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page):
    assert problems(page.read_text(encoding="utf-8")) == []


def test_unknown_commands_are_found():
    text = "```\npython -m pipeline.nothing\nmake nothing\ndvc exp run -S nothing=1\npython -m pipeline.verify\n```\n"
    assert problems(text) == ["no module pipeline.nothing", "no target nothing", "no setting nothing"]
    assert problems("python -m pipeline.nothing, in prose\n") == []


def test_the_pages_have_commands_to_check():
    assert sum(bool(OURS.match(line)) for page in PAGES for line in commands(page.read_text(encoding="utf-8"))) >= 5
