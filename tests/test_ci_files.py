"""Workflows and container recipe: what they call exists, what they use is pinned, and linters find nothing."""

import re
import shutil
import tomllib

import pytest
import yaml
from helpers.checkout import ROOT, sh

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCKERFILE = ROOT / "Dockerfile"


def steps(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_make_targets_exist(path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for step in steps(path):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step.get("uses", "actions/x@" + "0" * 40))
        assert set(re.findall(r"\bmake ([\w-]+)", step.get("run", ""))) <= targets
    assert path.read_text().startswith("# Not run yet")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_text_of_a_pull_request_reaches_a_shell(path):
    assert not [step for step in steps(path) if "${{" in step.get("run", "")]


def test_the_image_uses_the_pinned_packages_and_an_allowed_python():
    text = DOCKERFILE.read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = re.search(r"^FROM python:(\d+\.\d+)\.\d+-", text, re.MULTILINE)[1]
    assert tuple(map(int, version.split("."))) >= tuple(map(int, project["requires-python"].strip(">=").split(".")))
    assert "pip install --no-cache-dir -r requirements.lock" in text and text.startswith("# Untested")


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
def test_hadolint_finds_nothing():
    sh(ROOT, "hadolint", str(DOCKERFILE))


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not installed")
def test_actionlint_finds_nothing():
    sh(ROOT, "actionlint", *map(str, WORKFLOWS))
