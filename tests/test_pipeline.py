"""The pipeline as users run it: real DVC in a clone of this checkout."""

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import chaos
import pytest
from helpers.checkout import ROOT, make_clone, sh

from pipeline.environment import VARIABLES
from pipeline.plan.composing import compose
from pipeline.plan.grid import budget_key, expand
from pipeline.plan.params import PARAMS, read_params
from pipeline.sources import closure, sources, stages
from sparsessp.__main__ import run as describe
from sparsessp.config import BACKBONES, METHODS, TOPOLOGIES
from sparsessp.errors import SparseSSPError
from sparsessp.paper.published import printed_ratios, rows
from sparsessp.support.yaml_files import read_yaml


def test_params_match_conf():
    assert (ROOT / PARAMS).read_text() == compose([])


@pytest.mark.parametrize("data", ("synthetic", "allencell"))
@pytest.mark.parametrize("scale", ("smoke", "demo", "desk", "bench", "paper"))
def test_every_scale_plans_the_papers_runs(scale, data, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(compose([f"data={data}", f"scale={scale}", "ratio=[2,4,8]"]))
    names = read_params(path).experiments
    paper = {row.experiment(r) for table in (1, 2, 3, 4, 5, 7) for row in rows(table) for r in printed_ratios(row)}
    assert paper <= set(names) and len(set(names) - paper) == 2  # the dense ends of Figure 4's curves
    longer = names["dodnet-2d-prefix-budget200-r2"].model_dump(exclude_none=True)
    for unit in {"epochs", "iterations"} & set(longer):
        assert longer[unit] == 2 * names["dodnet-2d-prefix-r2"].model_dump()[unit]
    # Table 3: 5 x 4; Table 1: 12 more; Table 2: 2 more; at three ratios. Table 4: 2 more at one, Table 5: 8 more at
    # two ratios. And three dense views.
    assert len(names) == 3 * (20 + 12 + 2) + 2 + 2 * 8 + 3
    assert {"tgnet-3to2d-prefix-r8", "dodnet-3to2d-prefix-proj2d-r4", "multinet-3d-prefix-r1"} <= set(names)


@pytest.mark.parametrize("tables", ([1], [2], [3], [4], [5], [7], [1, 2, 3, 7]))
def test_only_the_chosen_tables_are_planned_and_they_are_complete(tables, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(compose([f"tables={tables}", "ratio=[2,4,8]"]))
    needed = {row.experiment(r) for table in tables for row in rows(table) for r in printed_ratios(row)}
    dense = {"repmode-3d-prefix-r1", "tgnet-3to2d-prefix-r1"} if 7 in tables else set()  # of Figure 4
    assert set(read_params(path).experiments) == needed | dense


def test_a_single_budget_can_be_overridden(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(compose(["scale.budget.amount.topology_2d=121", "ratio=2"]))
    before, after = read_params(ROOT / PARAMS).experiments, read_params(path).experiments
    changed = {name for name in after if after[name] != before[name]}
    flat = {name for name, run in before.items() if run.topology == "2d"}
    assert changed == flat and after["tgnet-2d-prefix-r2"].iterations == 121


def test_a_key_of_a_scale_is_explained_once():
    folder = ROOT / "pipeline/conf/scale"
    base = read_yaml(folder / "base.yaml")
    keys = {key for section in ("network", "training", "inference") for key in base[section]}
    explained = (folder / "base.yaml").read_text()
    assert all(f"  {key}: " in explained for key in keys)
    for path in folder.glob("*.yaml"):
        assert path.name == "base.yaml" or read_yaml(path)["defaults"][-1] == "_self_", path


@pytest.mark.parametrize(
    ("override", "allowed"),
    (
        ("ratio=3", "1, 2, 4, 8"),
        ("ratio=[2,3]", "1, 2, 4, 8"),
        ("ratio=two", "1, 2, 4, 8"),
        ("methods=[unet]", METHODS[0]),
        ("scale=huge", "smoke"),
        ("seeds=[0,0]", "each seed once"),
        ("seeds=[-1]", "whole numbers"),
        ("seeds=[]", "whole numbers"),
        ("pretrained={vgg: here}", "resnet18"),
        ("pretrained=yes_please", "false, true"),
        ("plan.grid=[{method: [tsns], topology: [3d], backbone: [vit_base]}]", "this encoder is 3D"),
        ("plan.grid=[{method: [tsns], topology: [2d], only_ratios: [8]}]", "no experiment"),
        ("scale.network.backbone_divisor=3", "backbone_divisor"),
        ("data=none", "synthetic"),
        ("structures=[dna,eye]", "golgi_apparatus"),
        ("data.source.kind=web", "archives"),
        ("data.split.rule=random", "plate"),
        ("+data.source.voxel=paper", "'data.source.voxel'.*allowed: kind, catalogue, size"),
        ("scale.training.lr=1", "lr"),
        ("scale.training.batch=many", "batch"),
        ("+scale.training.lr=1", "learning_rate"),
        ("scale.network.groups=7", "groups"),
        ("structures=null", "structures = None.*golgi_apparatus"),
        ("scale.budget.unit=days", "days.*epochs, iterations"),
        ("tables=[6]", "tables = 6.*allowed: all, or a list of 1, 2, 3, 4, 5, 7"),
        ("tables=[two]", "tables = 'two'"),
        ("scale.inference.window=64", "inference.window = 64 and training.patch = 24.*group norms"),
        ("+scale.training.epochs=3", "scale.budget"),
        ("+scale.budget.amount.2d=3", "2d"),
        ("scale=base", "name"),
        ("plan.grid=[{method:[tgnet]}]", "topology = None.*expected a list"),
        ("plan.grid=[{method:tgnet,topology:['3d']}]", "method = 'tgnet'.*expected a list"),
    ),
)
def test_a_bad_setting_is_refused_with_what_is_allowed(override, allowed):
    with pytest.raises(SparseSSPError, match=allowed):
        compose([override])


def test_each_seed_is_a_separate_run(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(compose(["scale=smoke", "seeds=[0,3]", "pretrained={swin_base: some/where}"]))
    runs = read_params(path).experiments
    assert len(runs) == 2 * len(read_params(ROOT / PARAMS).experiments)
    assert runs["tgnet-3to2d-prefix-r2-s3"].seed == 3
    assert {run.weights for run in runs.values() if run.backbone == "swin_base"} == {"some/where"}
    assert {run.weights for run in runs.values() if run.backbone != "swin_base"} == {"none"}


@pytest.mark.parametrize(
    ("weights", "watch"),
    (("here/swin", "here/swin"), ("/abs/swin", "/abs/swin"), ("org/swin@1a2b", "artifacts/checked")),
)
def test_local_weights_are_watched_and_a_hub_name_carries_its_revision(weights, watch, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(compose(["scale=smoke", f"pretrained={{swin_base: '{weights}'}}"]))
    runs = read_params(path).experiments
    assert {run.watch for run in runs.values() if run.backbone == "swin_base"} == {watch}
    assert {run.watch for run in runs.values() if run.backbone != "swin_base"} == {"artifacts/checked"}


@pytest.mark.slow
def test_a_choice_is_kept_until_the_next_and_an_invalid_one_changes_nothing(tmp_path):
    clone = make_clone(tmp_path / "clone")

    def choose(*overrides, ok=True):
        return sh(clone, sys.executable, "-m", "pipeline.compose", *overrides, ok=ok)

    choose("scale=smoke", "ratio=8", "structures=[dna]", "+data.source.structures=[dna]", "pretrained={vit_base: a/b}")
    chosen = (clone / PARAMS).read_text()
    choose("--check")
    # As `dvc exp run -S seeds=[1]` composes.
    script = "from pipeline.plan.composing import compose; print(compose(['seeds=[1]']))"
    later = sh(clone, sys.executable, "-c", script).stdout
    assert later.strip() == chosen.replace("seeds:\n- 0", "seeds:\n- 1").replace("-r8:", "-r8-s1:").replace(
        "seed: 0", "seed: 1"
    ).strip().replace("-r1:", "-r1-s1:")
    refused = choose("ratio=3", ok=False)
    assert refused.returncode == 1 and "1, 2, 4, 8" in refused.stderr
    assert "cannot be saved" in choose("~seeds", ok=False).stderr
    assert (clone / PARAMS).read_text() == chosen
    choose("--check")
    choose()
    assert (
        sh(clone, "git", "diff", "--stat", "HEAD", "--", PARAMS, "pipeline/conf").stdout
        == sh(ROOT, "git", "diff", "--stat", "HEAD", "--", PARAMS, "pipeline/conf").stdout
    )


def test_edited_params_are_refused(tmp_path):
    path = tmp_path / "params.yaml"
    text = compose([])
    for old, new, message in (
        ("ratio: 2\n", "ratio: 4\n", "pipeline.compose"),
        ("ratio: 2\n", "ratio: 2\nrato: 4\n", "'rato'.*allowed: ratio"),
        ("seeds:\n- 0\n", "seeds:\n- '0'\n", "seeds"),
    ):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(SparseSSPError, match=message):
            read_params(path)


def test_an_illegal_plan_is_refused():
    budget = {"unit": "epochs", "amount": dict.fromkeys(map(budget_key, TOPOLOGIES), 1)}
    with pytest.raises(SparseSSPError, match="3D decoder"):
        expand(2, "all", "all", [{"method": ["tgnet"], "topology": ["3d"], "interpolation": ["none"]}], budget)


# Prints the project's files that each stage imports, in a process forked before any of them was imported.
LOADED = """
import importlib, json, os, sys
import hydra, matplotlib.figure, pandas, pydantic, requests, scipy.ndimage, scipy.sparse, tifffile, torch
for stage in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(f"pipeline.stages.{stage}")
        files = [m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)]
        print(json.dumps([stage, files]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, stage
"""


@pytest.mark.slow  # a process for each stage
def test_code_lists_hold_every_file_a_stage_imports():
    lines = sh(ROOT, sys.executable, "-c", LOADED, *stages()).stdout.splitlines()
    assert len(lines) == len(stages())
    for stage, files in map(json.loads, lines):
        loaded = set(map(Path, files))
        ours = {p.relative_to(ROOT) for p in loaded if p.is_relative_to(ROOT) and ".venv" not in p.parts}
        assert Path(f"pipeline/stages/{stage}.py") in ours and ours <= set(sources(stage)), stage
    named = {Path(f"sparsessp/networks/methods/{name}.py") for name in METHODS}
    named |= {Path(f"sparsessp/networks/backbones/{name}.py") for name in BACKBONES}
    assert closure(named) - named <= set(sources("train"))


def test_the_stages_of_dvc_yaml_are_the_files_of_pipeline_stages():
    declared = read_yaml(ROOT / "dvc.yaml")["stages"]
    assert sorted(declared) == stages()
    for name, stage in declared.items():
        assert f"python -m pipeline.stages.{name}" in stage.get("do", stage)["cmd"], name


@pytest.mark.parametrize("name", ("compose", "plan", "compare", "split_lists"))
def test_the_help_of_a_command_has_examples_and_every_environment_variable(name, capsys):
    module = importlib.import_module("pipeline.plan.__main__" if name == "plan" else f"pipeline.{name}")
    with pytest.raises(SystemExit):
        module.run(["--help"])
    text = capsys.readouterr().out
    assert f"python -m pipeline.{name} " in text and "Example" in text
    assert all(f"  {variable} " in text for variable in VARIABLES)


def test_every_environment_variable_is_listed_once_and_explained_on_one_page():
    used = set()
    for folder in ("pipeline", "sparsessp"):
        for path in (ROOT / folder).rglob("*.py"):
            used |= set(re.findall(r"SPARSESSP_[A-Z]+(?:_[A-Z]+)*", path.read_text()))
    assert used == set(VARIABLES)
    page = (ROOT / "docs/environment.md").read_text().replace("`", "")
    for name, (meaning, default) in VARIABLES.items():
        assert f"| {name} | {meaning} | {default} |" in page


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


# From the ground floor up: a layer imports those before it, and itself.
LAYERS = (
    ("errors", "config", "schema", "structures", "paper", "__init__"),
    ("support",),
    ("data",),
    ("networks",),
    ("learning",),
    ("costs",),
    ("reporting",),
    ("application",),
    ("commands", "napari"),
    ("__main__",),
)
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names}


def test_import_law():
    """No import goes up, methods and backbones do not know each other, and reports need no torch."""
    for path in (ROOT / "sparsessp").rglob("*.py"):
        names = list(imported(path))
        assert not [n for n in names if n.split(".")[0] in ("pipeline", "dvc", "hydra", "omegaconf")], path
        own = FLOOR[path.relative_to(ROOT / "sparsessp").parts[0].removesuffix(".py")]
        ours = [n.split(".")[1] for n in names if n.startswith("sparsessp.")]
        assert not [name for name in ours if FLOOR[name] > own], path
        if path.parent.name in ("methods", "backbones"):
            assert not [n for n in names if n.startswith(f"sparsessp.networks.{path.parent.name}")], path
        if "reporting" in path.parts or own == 0:
            assert not [n for n in names if n.split(".")[0] == "torch"], path


def test_describe(capsys):
    describe(["describe", "--method", "plain", "--topology", "3d", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["gmacs"] == pytest.approx(113.75, rel=1e-3) and facts["shapes"][-1]["shape"] == [1, 32, 128, 128]
    with pytest.raises(SparseSSPError, match="1, 2, 4 or 8"):
        describe(["describe", "--ratio", "3"])
    # A reader that has seen enough, as in `| head -1`.
    reader, writer = os.pipe()
    os.close(reader)
    cut = subprocess.run(
        [sys.executable, "-u", "-m", "sparsessp", "describe"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert cut.returncode == 1 and not cut.stderr


def test_a_real_run_fills_the_tables(reproduced):
    folder, _ = reproduced
    table = (folder / "reports" / "tables" / "table3.csv").read_text().splitlines()
    assert len(table) == 22 and all("nan" not in line for line in table)
    assert [line.split(",")[:3] for line in table[1:] if ",," not in line] == [["TGNet", "3-to-2D", "pre"]]
    page = (folder / "reports" / "README.md").read_text()
    assert "simulated" in page and "smoke" in page
    assert (folder / "reports" / "figures" / "figure4.svg").stat().st_size > 1000
    for name in ("tables/table6.csv", "timings.csv"):
        costs = (folder / "reports" / name).read_text().splitlines()
        assert len(costs) == 13 and all(",," not in line for line in costs), name
    # Without a lock of git's index, which a test in another process may be copying.
    assert "timings" not in sh(folder, "git", "status", "--porcelain", GIT_OPTIONAL_LOCKS="0").stdout
    status = ("git", "status", "--porcelain", "--untracked-files=all")
    untracked = sh(folder, *status, GIT_OPTIONAL_LOCKS="0").stdout.splitlines()
    assert not [line for line in untracked if line.startswith("??") and "artifacts" in line], untracked


def test_a_second_run_does_nothing_and_another_ratio_runs_only_what_it_needs(clone):
    before = (clone / "dvc.lock").read_bytes()
    assert "Running" not in sh(clone, "dvc", "repro").stdout
    assert (clone / "dvc.lock").read_bytes() == before
    out = sh(clone, "dvc", "exp", "run", "-S", "ratio=[2,8]").stdout
    ran = {line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")}
    eighth = {name.format("tgnet-3to2d-prefix-r8") for name in ("train@{}", "evaluate@{}")}
    eighth |= {name.format("plain-2d-prefix-r8") for name in ("train@{}", "evaluate@{}")}
    assert ran - {"code", "check"} == {"resample@8", "linear_regression@8", "report"} | eighth
    assert "ratio8_MSE" in (clone / "reports" / "tables" / "table3.csv").read_text()
    elsewhere = sh(clone / "docs", "dvc", "exp", "run", "-S", "ratio=8", ok=False)
    assert elsewhere.returncode and "dvc exp run ignores -S" in elsewhere.stdout + elsewhere.stderr
    assert not (clone / "docs" / "params.yaml").exists()
    refused = sh(clone, "dvc", "exp", "run", "-S", "ratio=3", ok=False)
    assert refused.returncode != 0 and "1, 2, 4, 8" in refused.stdout + refused.stderr


# What a user's own start-up code may set before ours.
STARTUP = """
import locale
import numpy, pandas
locale.setlocale(locale.LC_ALL, "")
numpy.set_printoptions(precision=1, legacy="1.13", suppress=True)
pandas.set_option("display.precision", 1, "display.float_format", "{:.0f}".format, "display.max_colwidth", 5)
"""
STAGES = """
umask 077
python -m pipeline.stages.fetch --catalogue data/synthetic.yaml --size tiny --structures dna &&
python -m pipeline.stages.split --rule repmode &&
python -m pipeline.stages.resample --ratio 2 &&
python -m pipeline.stages.report
"""


def test_the_users_environment_changes_no_byte_of_data_or_report(reproduced, clone, tmp_path):
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\naxes.facecolor: red\nfont.size: 30\n")
    (tmp_path / "sitecustomize.py").write_text(STARTUP)
    for name in ("volumes", "views"):
        shutil.rmtree(clone / "artifacts" / name)
    shutil.rmtree(clone / "reports")
    (clone / "artifacts" / "split.csv").unlink()
    odd = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MATPLOTLIBRC": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "LC_ALL": "C",  # ASCII, with the next two
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "7",
        "PANDAS_FUTURE_INFER_STRING": "0",
        "TZ": "Pacific/Kiritimati",
        "OMP_NUM_THREADS": "3",
        "COLUMNS": "20",
    }
    done = sh(clone, "bash", "-c", STAGES, **odd)
    sh(clone, "git", "checkout", "reports/.gitignore")
    assert chaos.sums(clone) == chaos.sums(reproduced[0]), done.stderr
    same = [(folder / "reports" / "timings.csv").read_bytes() for folder in (clone, reproduced[0])]
    assert same[0] == same[1]  # of one profile


def test_make_demo_in_an_unpacked_zip_file_says_that_it_needs_git(tmp_path):
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    done = sh(tmp_path, "make", "demo", ok=False)
    assert done.returncode and "not a git repository" in done.stdout and "git init" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
