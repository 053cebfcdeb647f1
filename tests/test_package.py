"""What `import sparsessp` offers, and what it costs."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import sparsessp

ROOT = Path(__file__).resolve().parents[1]


def fresh(code):
    """Run code in a new interpreter; returns what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_neither_torch_nor_pydantic():
    heavy = "torch pydantic numpy pandas matplotlib dvc hydra"
    assert fresh(f"import sys, sparsessp; print(*set('{heavy}'.split()) & set(sys.modules))").strip() == ""


def test_the_help_of_the_command_does_not_load_torch():
    code = """
import sys
from sparsessp.__main__ import run
try:
    run(["--help"])
except SystemExit:
    print("torch" in sys.modules)
"""
    assert fresh(code).splitlines()[-1] == "False"


@pytest.mark.parametrize("name", sparsessp.__all__)
def test_every_public_name_is_importable_and_listed(name):
    assert getattr(sparsessp, name) is not None
    assert name in dir(sparsessp)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'nothing'"):
        sparsessp.nothing  # noqa: B018


def test_the_first_example_of_the_readme_runs():
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    names = {}
    exec(example, names)
    assert names["fluorescence"].shape == (1, 1, 32, 128, 128)


def test_the_library_needs_neither_dvc_nor_hydra_nor_matplotlib():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.match(r"[\w.-]+", text).group() for text in project["dependencies"]}
    assert needed.isdisjoint({"dvc", "hydra-core", "matplotlib"})


def test_the_citation_has_the_version_of_the_package():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {sparsessp.__version__}\n" in text


def test_the_page_of_environment_variables_lists_those_in_the_code():
    pattern = re.compile(r"SPARSESSP_[A-Z_]*[A-Z]")
    sources = [path.read_text() for folder in ("sparsessp", "pipeline") for path in (ROOT / folder).rglob("*.py")]
    page = (ROOT / "docs" / "environment.md").read_text()
    assert set(pattern.findall(page)) == {name for text in sources for name in pattern.findall(text)}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("setuptools") is None, reason="setuptools builds the wheel")
def test_the_wheel_contains_every_module_and_data_file(tmp_path):
    # In a copy: a build writes next to its sources.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "sparsessp", tmp_path / "sparsessp", ignore=shutil.ignore_patterns("__pycache__"))
    files = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "sparsessp").rglob("*") if path.is_file()}
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    built = subprocess.run([sys.executable, "-c", code, "dist"], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == files and {"sparsessp/__init__.pyi", "sparsessp/paper/published.csv"} <= packed
