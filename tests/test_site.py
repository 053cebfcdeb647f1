"""The documentation site: its links, its generated parts and its pictures. `make docs` builds it."""

import logging
import re

import numpy as np
import pytest
from helpers.checkout import ROOT
from helpers.site_tools import tool
from mkdocs.config import load_config
from mkdocs.structure.files import get_files
from PIL import Image


@pytest.fixture(scope="module")
def hooks():
    return tool("hooks")


@pytest.fixture(scope="module")
def files(hooks):
    logging.getLogger("mkdocs").setLevel(logging.ERROR)
    config = load_config(str(ROOT / "mkdocs.yml"), plugins=[], hooks=[])
    config.plugins._current_plugin = None  # set by a build
    return hooks.on_files(get_files(config), config)


def check(folder):
    return list(tool("check_links").problems(folder))


def test_broken_links_and_files_from_the_network_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<a href="sub/b.html#here">1</a><a href="sub/b.html#gone">2</a><a href="c.html">3</a><a href="../x">4</a>'
        '<a href="https://example.org">5</a><script src="https://example.org/x.js"></script><img src="no.png">'
    )
    (tmp_path / "sub/b.html").write_text('<p id="here">text</p><a href="../a.html">back</a>')
    assert check(tmp_path) == [
        "a.html: sub/b.html#gone has no such section",
        "a.html: c.html is missing",
        "a.html: ../x is missing",
        "a.html: loads https://example.org/x.js from the network",
        "a.html: no.png is missing",
    ]


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("start.md", "[a](faq.md#starting)", "[a](faq.md#starting)"),
        ("reproduce.md", "[a](../reports/README.md#claims)", "[a](results/demo/report/index.html#claims)"),
        ("results/README.md", "[a](../../reports/README.md)", "[a](demo/report/index.html)"),
        ("results/desk-xeon-2-cores/README.md", "[a](report/README.md)", "[a](report/index.html)"),
        ("start.md", "[a](../README.md)", "[a](index.md)"),
        ("CONTRIBUTING.md", "[a](docs/robustness.md)", "[a](robustness.md)"),
        ("start.md", "[`pipeline/conf`](../pipeline/conf)", "`pipeline/conf`"),
        ("start.md", "![a](images/microscope.png)", "![a](images/microscope.png)"),
        ("start.md", "[a](nothing.md)", "[a](nothing.md)"),
    ],
)
def test_links_that_work_in_the_repository_work_on_the_site(hooks, files, source, link, expected):
    assert hooks._LINK.sub(lambda found: hooks.rewrite(found, source, files), link) == expected


@pytest.mark.parametrize("part", ["Experiment", "Architecture", "Training", "Inference"])
def test_the_table_of_settings_explains_every_setting(hooks, part):
    name = f"{part}Settings"
    head, line, *rows = hooks.settings_table(name).splitlines()
    assert len(rows) == len(getattr(hooks.settings_of, name).model_fields)
    assert all(len(row.split(" | ")) == 4 and "| None |" not in row for row in rows)
    assert f"<!-- settings: {name} -->" in (ROOT / "docs/reference/settings.md").read_text()


def test_help_is_that_of_the_command(hooks):
    assert "usage: sparsessp inspect [-h] [--json] MODEL" in hooks.command_help("sparsessp inspect")


def test_every_command_is_in_the_reference():
    from sparsessp.__main__ import COMMANDS

    shown = set(re.findall(r"<!-- help: (.+?) -->", (ROOT / "docs/reference/commands.md").read_text()))
    assert {f"sparsessp {name.replace('_', '-')}" for name in COMMANDS} <= shown


def test_the_picture_of_projections_shows_how_channels_and_planes_are_exchanged():
    steps = tool("pictures").projection_steps
    assert steps("3to2d", "3d")[1:3] == [("projection", (16, 16, 64, 64)), ("fold", (256, 64, 64))]
    assert steps("2to3d", "2d") == [
        ("encoder", (64, 64, 64)),
        ("projection", (1024, 64, 64)),
        ("unfold", (64, 16, 64, 64)),
    ]


def test_the_picture_of_interpolations_counts_the_planes_of_the_code():
    assert tool("pictures").interpolation_planes(4) == {
        "prefix": (8, 32, 32, 32),
        "postfix": (8, 8, 8, 32),
        "none": (8, 8, 32, 32),
    }


@pytest.mark.slow
def test_the_committed_pictures_are_those_of_the_code(tmp_path):
    pictures = tool("pictures")
    pictures.draw(tmp_path)
    for name in pictures.PICTURES:
        drawn, committed = (np.asarray(Image.open(path / name)) for path in (tmp_path, ROOT / "docs/images"))
        assert drawn.shape == committed.shape and (drawn != committed).mean() < 0.01, f"{name}: run `make pictures`"
