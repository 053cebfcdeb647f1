"""Commands in the documentation.

A block of commands is run here, in a folder with a small trained model, or it carries the reason why not:

    <!-- not run: trains for ten minutes -->

The commands of such a block are checked all the same: the module, make target, option, DVC command, stage, setting,
extra or file that they name exists, and the settings fit together.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from dvc.cli import DvcParserError, parse_args
from helpers.checkout import ROOT
from helpers.models import saved_model
from helpers.site_tools import tool

from pipeline.plan.composing import compose
from sparsessp.__main__ import run as sparsessp
from sparsessp.config import NetworkSettings
from sparsessp.data.microscope.stack import run as simulate
from sparsessp.errors import SparseSSPError
from sparsessp.networks.network import build

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "tests/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/reference").glob("*.md")),
]
# Programs of others, whose arguments are not checked.
FOREIGN = {"cd", "cp", "git", "grep", "head", "napari", "python3", "rm", "sbatch", "sed", "source"}
SIMULATE = "python -m sparsessp.data.microscope.stack "
# Run elsewhere: tests/test_package.py, tests/test_predict_model.py and tests/test_user_path.py.
TESTED = {"README.md", "your-own-images.md"}
BLOCK = re.compile(r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```", re.M | re.S)


def blocks(page):
    """Reason for not running, language and text of each block of a page."""
    text = page.read_text(encoding="utf-8") if isinstance(page, Path) else page
    return [(found["reason"], found["language"], found["text"]) for found in BLOCK.finditer(text)]


def commands(text):
    """The commands of a block, one by one, without their output."""
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    found = []
    for line in lines:
        line = re.sub(r"(^|\s+)# .*", "", line)
        line = re.sub(r"\$\(.*?\)", "report", line)  # stages that another command lists
        found += [part.strip() for part in re.split(r" (?:&&|\|) ", line) if part.strip()]
    return [re.sub(r"^([A-Z_]+=\S+ )+|^xargs( -\w \d+)* ", "", command) for command in found]


def is_run(command):
    """Whether `perform` runs a command, rather than only checking it."""
    words = shlex.split(command)
    composes = words[:3] == ["python", "-m", "pipeline.compose"]
    plans = words[:3] == ["python", "-m", "pipeline.plan"] and "--no-measure" in words
    return words[0] in ("sparsessp", "source", "export") or composes or plans or command.startswith(SIMULATE)


def problem(command):
    """What is wrong with a command, or None. Its parts exist; it is not run."""
    words = shlex.split(command)
    program, arguments = words[0], words[1:]
    if program == "python" and arguments[0] == "-m":
        return module_problem(arguments[1], arguments[2:])
    if program == "make":
        done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stderr.strip() or None
    if program == "dvc":
        return dvc_problem(arguments)
    if program == "pip":
        return extras_problem(arguments)
    if program == "export":
        known = (ROOT / "docs/environment.md").read_text()
        return next((f"no variable {word}" for word in arguments if f"`{word.split('=')[0]}`" not in known), None)
    if program == "sparsessp":
        unknown = options(arguments) - set(re.findall(r"--[\w-]+", tool("hooks").help_of("sparsessp", arguments[0])))
        return f"no option {unknown.pop()}" if unknown else None
    if program in FOREIGN or (ROOT / program).is_file():
        return None
    return f"no program {program}"


def options(arguments):
    return {word for word in arguments if word.startswith("--")}


def module_problem(module, arguments):
    if module in ("pytest", "venv"):
        files = [word for word in arguments if word.startswith("tests/")]
        return next((f"no file {name}" for name in files if not (ROOT / name).exists()), None)
    try:
        if find_spec(module) is None:
            return f"no module {module}"
    except ModuleNotFoundError:
        return f"no module {module}"
    if not module.startswith("pipeline"):
        return None
    unknown = options(arguments) - set(re.findall(r"--[\w-]+", tool("hooks").help_of(module)))
    if unknown:
        return f"no option {unknown.pop()} of {module}"
    overrides = [word for word in arguments if re.match(r"[a-z_.]+=", word)]
    for option in ("scale", "data"):
        if f"--{option}" in arguments:
            overrides.append(f"{option}={arguments[arguments.index(f'--{option}') + 1]}")
    return settings_problem(tuple(overrides))


@cache
def settings_problem(overrides):
    if any(override.startswith("data.csv=") for override in overrides):
        return None  # composing reads the images; tests/test_own_data.py has some
    try:
        compose(overrides)
    except SparseSSPError as error:
        return str(error)
    return None


def dvc_problem(arguments):
    try:
        parsed = parse_args(arguments)
    except DvcParserError:
        return f"dvc does not accept {' '.join(arguments)}"
    if stages := [name.split("@")[0] for name in getattr(parsed, "targets", None) or [] if "repro" in arguments]:
        known = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        return next((f"no stage {name}" for name in stages if name not in known), None)
    chosen = getattr(parsed, "set_param", None) or ()
    return settings_problem(tuple(override for override in chosen if "NAME" not in override))


def extras_problem(arguments):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"(?:sparsessp|\.)\[(.*?)\]", " ".join(arguments))
    return next((f"no extra {name}" for text in named for name in text.split(",") if name not in extras), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_exists(page):
    texts = [text for _, language, text in blocks(page) if not language]
    found = {command: problem(command) for text in texts for command in commands(text) if not is_output(text)}
    assert {command: fault for command, fault in found.items() if fault} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_commands_is_run_or_says_why_not(page):
    silent = [text for reason, language, text in blocks(page) if not reason and not language and not is_output(text)]
    assert [command for text in silent for command in commands(text) if not is_run(command)] == []


def is_output(text):
    """Whether a block shows what a command prints."""
    return text.startswith("kills=")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder as a user has it after a short training, as far as the pages need it."""
    folder = tmp_path_factory.mktemp("user")
    name = "tgnet-3to2d-prefix-r2"
    for place in ("model.pt", f"artifacts/models/{name}.pt", f"artifacts/runs/{name}/model.pt"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        saved_model(folder / place, trained=["dna", "nucleolus", "cell_membrane"])
    (folder / "reports").mkdir()
    shutil.copy(ROOT / "reports/scores.csv", folder / "reports")
    return folder


@pytest.fixture
def user(small, tmp_path, monkeypatch):
    folder = shutil.copytree(small, tmp_path / "user")
    monkeypatch.chdir(folder)
    return folder


def to_run(page):
    silent = [text for reason, language, text in blocks(page) if not reason and not language and text[0] != "$"]
    return [command for text in silent for command in commands(text) if command.startswith(("sparsessp ", SIMULATE))]


@pytest.mark.parametrize("page", [p for p in PAGES if to_run(p) and p.name not in TESTED], ids=lambda page: page.name)
def test_the_commands_of_a_page_run_in_its_order(page, user, capsys):
    for command in to_run(page):
        run = simulate if command.startswith(SIMULATE) else sparsessp
        run(shlex.split(command.removeprefix(SIMULATE.strip()))[run is sparsessp :])
    assert capsys.readouterr().out


def test_the_output_shown_is_what_the_command_prints(capsys):
    (shown,) = [text for _, _, text in blocks(ROOT / "docs/networks.md") if text.startswith("$ sparsessp describe")]
    command, *lines = shown.splitlines()
    sparsessp(shlex.split(command)[2:])
    printed = capsys.readouterr().out.splitlines()
    assert lines[-1] == "..." and printed[: len(lines) - 1] == lines[:-1]


def test_a_plan_without_measurement_prints_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    import_module("pipeline.plan.__main__").run(["--no-measure"])
    assert "networks" in capsys.readouterr().out


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in TESTED], ids=lambda page: page.name)
def test_python_of_a_page_runs(page, user):
    for reason, language, text in blocks(page):
        if language == "python" and not reason:
            exec(text, {"__name__": page.stem})


def test_the_method_of_the_guide_conditions_a_network():
    import torch

    from sparsessp.networks.network import Network

    (text,) = [text for _, language, text in blocks(ROOT / "docs/add-a-method.md") if language == "python"]
    names = {"__name__": "scaled"}
    exec(text, names)
    sizes = {"depth": 8, "width_3d": 4, "width_2d": 4, "groups": 4, "embedding": 16}
    settings = NetworkSettings(method="plain", topology="3to2d", ratio=2, **sizes)
    network = build(settings).eval()
    method = names["Scaled"](settings)
    head = method.head(2, 4, settings.depth, 32)
    assert isinstance(network, Network)
    feature, tasks = torch.randn(2, 4, 8, 8), method.code()(torch.tensor([0, 1]))
    same = feature[:1].expand(2, -1, -1, -1)
    first, second = head(same, feature, tasks)
    assert first.shape == (8, 8, 8) and not torch.allclose(first, second)


def test_unknown_commands_are_found():
    wrong = (
        "python -m pipeline.nothing",
        "python -m pipeline.verify --nothing",
        "python -m pipeline.compose nothing=1",
        "python -m pipeline.plan --scale nothing",
        "python -m pytest tests/test_nothing.py",
        "make nothing",
        "dvc exp run -S nothing=1",
        "dvc exp run --nothing",
        "dvc repro nothing",
        "pip install 'sparsessp[nothing]'",
        "export SPARSESSP_NOTHING=1",
        "sparsessp predict model.pt stack.tif --nothing",
        "nothing",
    )
    assert [command for command in wrong if problem(command) is None] == []
    right = ("python -m pipeline.verify", "dvc exp run -S ratio=8", "make demo", "pip install -e '.[czi,docs]'")
    assert [problem(command) for command in right] == [None] * len(right)


def test_a_block_without_a_reason_is_found():
    text = "```\nmake demo\n```\n\n<!-- not run: trains -->\n```\nmake demo\n```\n\n```python\nimport os\n```\n"
    assert blocks(text) == [(None, "", "make demo\n"), ("trains", "", "make demo\n"), (None, "python", "import os\n")]
    assert not is_run("make demo") and is_run("python -m pipeline.compose ratio=8")


def test_commands_are_read_one_by_one():
    text = "dvc repro split && dvc repro $(dvc stage list | grep x)   # first\nX=1 make test | xargs -n 1 dvc repro\n"
    assert commands(text) == ["dvc repro split", "dvc repro report", "make test", "dvc repro"]
    assert commands("$ sparsessp describe\noutput\n") == ["sparsessp describe"]


# Errors of other programs; the rest is quoted from this one.
OTHERS = {"No module named 'dvc'", "dvc: command not found", "Unable to acquire lock"}


def test_quoted_errors_are_those_of_the_code():
    files = [*(ROOT / "sparsessp").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py"), ROOT / "Makefile"]
    sources = "\n".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in files)
    headings = re.findall(r"^### (`.*)$", (ROOT / "docs/faq.md").read_text(), re.M)
    quoted = {text for heading in headings for text in re.findall(r"`([^`]+)`", heading)} - OTHERS
    assert len(quoted) > 15
    for text in quoted:
        parts = [part.strip() for part in re.split(r"\b(?:[A-Z]{3,}|N|KEY)\b", text) if len(part.strip()) > 3]
        assert parts and all(part.removeprefix("error: ") in sources for part in parts), text
