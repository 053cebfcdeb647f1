"""The report: the paper's rows as runs, the numbers in the tables, and missing results."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.checkout import ROOT

from sparsessp.config import BACKBONES, ExperimentSettings
from sparsessp.data.allencell.fingerprint import fingerprint
from sparsessp.errors import SparseSSPError
from sparsessp.learning.metrics import delta_imp
from sparsessp.paper.published import DELTA_IMP, PRINTED_METRICS, printed_ratios, published, rows, winner
from sparsessp.reporting.document.markdown import markdown
from sparsessp.reporting.figures import figure4
from sparsessp.reporting.labels import Labels
from sparsessp.reporting.report import write_report
from sparsessp.reporting.results import load_results
from sparsessp.reporting.results_page import frames, page
from sparsessp.reporting.scores import load_scores, over_seeds, summarise
from sparsessp.reporting.tables import comparisons, references, structures
from sparsessp.reporting.tables import runs as all_runs
from sparsessp.reporting.tables.formats import csv_text
from sparsessp.structures import KEYS

VOLUMES = [("a-00", KEYS[0]), ("a-01", KEYS[0]), ("b-00", KEYS[1])]
HEAD = "volume,structure,mse,mae,r2,pearson,r2_affine\n"
FIGURES = ("claims.svg", "figure4.svg", "spread.svg")
TABLES = (
    "claims",
    "further_scores",
    "references",
    "runs",
    "table1",
    "table2",
    "table3",
    "table4",
    "table5",
    "table6",
    "table7",
)
BASE = "multinet-3d-prefix-r1"
TGNET = "tgnet-3to2d-prefix-r2"


def labels(*ratios, **changes):
    values = {
        "dataset": "synthetic",
        "size": "small",
        "simulated": True,
        "voxel_um": (0.58, 0.58, 0.58),
        "scale": "demo",
        "budget": {"3d": "10 iterations", "3to2d": "30 iterations"},
        "width_3d": 8,
        "width_2d": 16,
        "repmode_kernel": 3,
        "ratios": ratios or (2,),
        "patch": (16, 64, 64),
        "train": 8,
        "val": 2,
        "test": len(VOLUMES),
    }
    return Labels(**{**values, **changes})


def put(results, name, r2, volumes=VOLUMES):
    """Write the scores of one run; the other metrics follow from `r2`, one number per volume."""
    r2 = np.broadcast_to(np.asarray(r2, float), len(volumes))
    lines = [
        f"{v},{s},{1 - x:.6f},{(1 - x) / 2:.6f},{x:.6f},{abs(x) ** 0.5:.6f},{abs(x):.6f}"
        for (v, s), x in zip(volumes, r2, strict=True)
    ]
    path = results / name / "scores.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "\n".join(lines) + "\n")


def plan(*ratios):
    """Return every run of the paper's tables at these ratios."""
    every = [rows(7)[0].settings(1)]
    every += [row.settings(ratio) for ratio in ratios for table in (1, 2, 3) for row in rows(table)]
    return {settings.name: settings.model_dump() for settings in every}


def declare(*names, **more):
    """Return experiments with these names."""
    found = {}
    for name in names:
        method, topology, interpolation, *rest = name.split("-")
        values = {"method": method, "topology": topology, "interpolation": interpolation}
        for part in rest:
            digits = part.lstrip("abcdefghijklmnopqrstuvwxyz")
            key = {"r": "ratio", "s": "seed", "budget": "budget_percent"}.get(part.removesuffix(digits))
            if part in BACKBONES:
                values["backbone"] = part
            elif part == "proj2d":
                values["projection"] = "2d"
            else:
                values[key] = int(digits)
        settings = ExperimentSettings(**values)
        assert settings.name == name
        found[name] = settings.model_dump() | more
    return found


def report(folder, experiments, results, labels, **more):
    write_report(folder, load_results(experiments, results, labels, **more))


def readme(experiments, results, labels, **more):
    """The Markdown page, without drawing its figures."""
    loaded = load_results(experiments, results, labels, **more)
    return markdown(page(loaded, frames(loaded), {}))


def summary_of(results, names):
    return summarise(load_scores(results, names))


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def line(text, *starts):
    """Return the only Markdown row that starts with these table cells, split into cells."""
    found = [row for row in text.splitlines() if row.startswith("| " + " | ".join(starts) + " |")]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].strip("|").split("|")]


@pytest.mark.parametrize("table", [1, 2, 3, 4, 5, 7])
def test_every_published_row_is_a_legal_experiment(table):
    pairs = [(row, ratio) for row in rows(table) for ratio in (*printed_ratios(row), *[1] * (table < 7))]
    for row, ratio in pairs:
        method, topology, interpolation, *rest = row.experiment(ratio).split("-")
        settings = {"method": method, "topology": topology, "interpolation": interpolation, "ratio": ratio}
        settings["projection"] = "2d" if "proj2d" in rest else "3d"
        settings["backbone"] = next((part for part in rest if part in BACKBONES), "native")
        settings["budget_percent"] = next((int(part[6:]) for part in rest if part.startswith("budget")), 100)
        assert ExperimentSettings.load(settings, "name", strict=True).name == row.experiment(ratio)


def test_the_tables_have_the_rows_of_the_paper():
    assert [len(rows(table)) for table in (1, 2, 3, 7)] == [20, 4, 20, 4]
    assert rows(1)[0].experiment(2) == "repmode-2d-none-r2"
    assert rows(1)[0].experiment(1) == "repmode-2d-prefix-r1"
    assert rows(2)[1].experiment(8) == "dodnet-3to2d-prefix-proj2d-r8"
    assert [row.experiment(*printed_ratios(row)) for row in rows(7)] == [
        BASE,
        *(f"tgnet-3to2d-prefix-r{ratio}" for ratio in (2, 4, 8)),
    ]
    assert winner(3).experiment(2) == TGNET
    assert published(winner(3), 2, "R2") == 0.4693
    assert np.isnan(published(winner(3), 1, "R2"))


def test_published_csv_lists_each_printed_value_once():
    frame = pd.read_csv(Path(sys.modules[rows.__module__].__file__).with_name("published.csv"))
    assert len(frame) == 696
    assert not frame.duplicated([c for c in frame if c != "value"]).any()


def test_delta_imp_is_the_papers():
    base = rows(7)[0]
    for row in rows(7)[1:]:
        (ratio,) = printed_ratios(row)
        for metric in PRINTED_METRICS:
            ours = delta_imp(published(row, ratio, metric), published(base, 1, metric), metric.lower())
            # Printed scores are rounded to 5e-5, so the ratio of two is good to 100 * 1e-4 / 0.4.
            assert ours == pytest.approx(published(row, ratio, metric, DELTA_IMP), abs=0.025)


def test_table_3_matches_means_computed_by_hand(tmp_path):
    put(tmp_path, TGNET, [0.1, 0.3, 0.8])
    put(tmp_path, BASE, [0.2, 0.2, 0.2])
    results = load_results(declare(BASE, TGNET), tmp_path, labels())
    assert list(results.summary.index) == [BASE, TGNET]
    row = comparisons.frame(3, results).iloc[-1]
    assert row["ratio2_experiment"] == TGNET
    assert row["ratio2_R2"] == pytest.approx(0.4)  # over three volumes
    assert row["ratio2_MSE"] == pytest.approx(0.6)
    assert row["ratio2_MAE"] == pytest.approx(0.3)
    assert row["ratio2_R2_paper"] == 0.4693
    run = structures.frame(results).iloc[1]
    assert run[f"{KEYS[0]}_R2"] == pytest.approx(0.2)
    assert run["structure_mean_R2"] == pytest.approx(0.5)  # over two structures
    assert run["delta_imp_percent_R2"] == pytest.approx(100.0)
    assert run["delta_imp_percent_MSE"] == pytest.approx(25.0)
    assert np.isnan(run[f"{KEYS[2]}_R2"])


def test_no_improvement_over_a_missing_or_useless_baseline(tmp_path):
    put(tmp_path, TGNET, 0.3)
    assert np.isnan(summary_of(tmp_path, [TGNET]).at[TGNET, (DELTA_IMP, "R2")])
    for r2 in (0.0, -0.1):
        put(tmp_path, BASE, r2)
        summary = summary_of(tmp_path, [BASE, TGNET])
        assert np.isnan(summary.at[TGNET, (DELTA_IMP, "R2")])
        assert summary.at[TGNET, (DELTA_IMP, "MSE")] == pytest.approx(100 * (0.3 - r2) / (1 - r2))


def test_ceilings_are_averaged_like_the_scores(tmp_path):
    put(tmp_path, TGNET, 0.3)
    put(tmp_path, "linear-r2", 0.1)
    known = {KEYS[0]: 0.6, KEYS[1]: 0.9}
    frame = references.frame(load_results(declare(TGNET), tmp_path, labels(), ceilings=known)).set_index("structure")
    assert frame.at["all", "ceiling_R2"] == pytest.approx(0.7)
    assert frame.at["structure_mean", "ceiling_R2"] == pytest.approx(0.75)
    assert frame.at["all", "linear_ratio2_R2"] == pytest.approx(0.1)
    assert "ceiling_R2" not in references.frame(load_results(declare(TGNET), tmp_path, labels()))


def test_csv_has_fixed_decimals_and_empty_gaps(tmp_path):
    put(tmp_path, TGNET, -0.00001)
    text = csv_text(comparisons.frame(3, load_results(declare(TGNET), tmp_path, labels())))
    lines = list(csv.DictReader(io.StringIO(text)))
    assert lines[-1]["ratio2_R2"] == "0.0000"
    assert lines[-1]["ratio2_MSE_paper"] == "0.4995"
    assert lines[0]["ratio2_R2"] == ""
    assert {row["approach"] for row in lines} >= {"RepMode (K=3)", "TGNet"}


def test_page_prints_a_dash_for_a_missing_run_and_names_it(tmp_path):
    put(tmp_path / "results", BASE, 0.2)
    put(tmp_path / "results", "tsns-3d-prefix-r2", 0.25)
    text = readme(plan(2), tmp_path / "results", labels())
    assert line(section(text, "Table 3"), "TGNet", "3-to-2D ★")[2:] == [
        "– *(**.4995**)*",
        "– *(.4113)*",
        "– *(**.4693**)*",
    ]
    assert line(section(text, "Table 3"), "TSNs", "3D")[4] == ".2500 *(.4135)*"
    listed = text.split("## Missing runs")[1]
    assert f"`{TGNET}`" in listed and "`linear-r2`" in listed and "`tsns-3d-prefix-r2`" not in listed
    assert "simulated dataset synthetic/small" in text.split("|")[0]


def test_page_makes_the_best_score_bold(tmp_path):
    for name in plan(2):
        put(tmp_path / "results", name, 0.25)
    put(tmp_path / "results", "linear-r2", 0.3)
    put(tmp_path / "results", "z-profile", 0.2)
    put(tmp_path / "results", "dodnet-3d-prefix-r2", 0.5)
    text = readme(plan(2), tmp_path / "results", labels())
    assert line(section(text, "Table 3"), "DoDNet", "3D")[2:] == [
        "**.5000** *(.5173)*",
        "**.2500** *(.4257)*",
        "**.5000** *(.4512)*",
    ]
    assert line(section(text, "Table 3"), "TSNs", "3-to-2D")[2:] == [
        ".7500 *(.5164)*",
        ".3750 *(**.4101**)*",
        ".2500 *(.4519)*",
    ]
    assert "None: every planned run has scores." in text
    assert "35 of 35 runs have a higher R² than the z-profile" in text


def test_every_caption_names_data_and_scale(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    real = labels(2, 4, dataset="AllenCell collection", size=None, simulated=False, scale="paper")
    report(tmp_path / "reports", plan(2, 4), tmp_path / "results", real)
    text = (tmp_path / "reports" / "README.md").read_text()
    captions = [row for row in text.splitlines() if row.startswith("**") and row.endswith((".tex)", "each other."))]
    captions = [row for row in captions if not row.startswith("**Table 6")]  # counted, whatever the data
    assert len(captions) == 11
    assert all("(AllenCell collection, scale paper" in caption for caption in captions)
    assert "simulated" not in text and "trains far less" not in text


def test_the_fingerprint_warns_only_of_what_lies_outside(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    table = fingerprint(pd.DataFrame({"structure": ["dna", "nucleolus"], "target_variance": [0.94, 0.5]}))
    real = labels(dataset="AllenCell collection", size=None, simulated=False)
    text = readme(plan(2), tmp_path / "results", real, fingerprint=table)
    assert "**Warning:** the variance of the test targets of Nucleolus differs" in text
    variance, published, difference, within = line(text, "Nucleolus", "1")[2:]
    assert (variance, within) == ("0.500", "**no**")
    assert difference == f"{0.5 - float(published.strip('*')):+.3f}"
    assert len(frames(load_results(plan(2), tmp_path / "results", real, fingerprint=table))["fingerprint"]) == 2
    text = readme(plan(2), tmp_path / "results", real, fingerprint=table[:1])
    assert "Warning" not in text and line(text, "DNA", "1")[2] == "0.940"


def test_the_same_results_give_the_same_bytes_and_other_files_are_kept(tmp_path):
    for ratio, name in enumerate(plan(2, 8)):
        put(tmp_path / "results", name, 0.01 * ratio)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.txt").write_text("kept")
        report(tmp_path / folder, plan(2, 8), tmp_path / "results", labels(2, 8), ceilings=dict.fromkeys(KEYS, 0.9))
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert sorted(files(tmp_path / "one")) == [
        "README.md",
        *(f"figures/{name}" for name in FIGURES),
        "index.html",
        "metrics.json",
        "mine.txt",
        "scores.csv",
        *(f"tables/{name}.{format}" for name in TABLES for format in ("csv", "tex")),
        "timings.csv",
        "timings.html",
        "timings.md",
        "timings.svg",
    ]
    metrics = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert metrics[BASE] == 0.0
    header, *rows = (tmp_path / "one" / "scores.csv").read_text().splitlines()
    column = header.split(",").index(BASE)
    assert header.startswith("volume,structure,") and {row.split(",")[column] for row in rows} == {"0.00000"}
    assert list(metrics) == list(plan(2, 8))


def test_results_of_unplanned_ratios_are_ignored(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    report(tmp_path / "before", plan(2), tmp_path / "results", labels())
    put(tmp_path / "results", "tgnet-3to2d-prefix-r8", 0.9)
    (tmp_path / "results" / "linear-r8").mkdir()
    (tmp_path / "results" / "linear-r8" / "scores.csv").write_text("broken")
    report(tmp_path / "after", plan(2), tmp_path / "results", labels())
    assert files(tmp_path / "before") == files(tmp_path / "after")


def test_unplanned_runs_are_listed_separately(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    listed = readme(declare(TGNET), tmp_path / "results", labels()).split("## Missing runs")[1]
    assert "not planned (44)" in listed and "`repmode-2d-none-r2`" in listed


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a table"),
        ("volume,structure,mse,mae,r2\na,dna,1,1,1\n", "columns are"),
        (HEAD, "no volume"),
        (HEAD + "a,dna,1,x,1,1,1\n", "not a table"),
        (HEAD + "a,dna,1,inf,1,1,1\n", "finite"),
        (HEAD + "a,,1,1,1,1,1\n", "no structure"),
        (HEAD + "a,dna,1,1,1,1,1\na,dna,1,1,1,1,1\n", "twice"),
        (HEAD + "a,dna,1,1,1,1,1\n", "not those of"),
    ],
)
def test_a_bad_scores_file_is_named(tmp_path, content, says):
    put(tmp_path, BASE, 0.2)
    bad = tmp_path / TGNET / "scores.csv"
    bad.parent.mkdir()
    bad.write_text(content)
    with pytest.raises(SparseSSPError, match=says) as error:
        load_scores(tmp_path, [BASE, TGNET])
    assert str(bad) in str(error.value)


def test_no_report_without_a_single_run(tmp_path):
    put(tmp_path / "results", "linear-r2", 0.2)
    with pytest.raises(SparseSSPError, match="none of the 35 planned runs"):
        report(tmp_path / "reports", plan(2), tmp_path / "results", labels())
    assert not (tmp_path / "reports").exists()


def test_no_report_if_the_number_of_volumes_differs(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    with pytest.raises(SparseSSPError, match="3 volumes; the dataset has 36"):
        report(tmp_path / "reports", plan(2), tmp_path / "results", labels(test=36))


def test_reporting_needs_no_torch():
    code = "import sys, sparsessp.reporting.report; sys.exit('torch' in sys.modules or 'dvc' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tables_4_and_5_show_their_runs_at_the_ratios_they_have(tmp_path):
    put(tmp_path / "results", "dodnet-2d-prefix-budget200-r2", 0.3)
    put(tmp_path / "results", "tsns-2d-prefix-dinov2_base-r8", 0.25)
    runs = declare("dodnet-2d-prefix-budget200-r2", "tsns-2d-prefix-dinov2_base-r8")

    def frame(table, *ratios, **changes):
        found = load_results(runs, tmp_path / "results", labels(*ratios, **changes))
        return comparisons.frame(table, found)

    four = frame(4, 2, 4, 8)
    assert list(four["schedule"]) == ["1x", "2x", "1x", "2.33x"] and not list(four.filter(like="ratio4"))
    assert four.loc[1, "ratio2_R2"] == pytest.approx(0.3) and four.loc[1, "ratio2_MSE_paper"] == 0.5623
    five = frame(5, 2, 4, 8)
    assert five.loc[3, "ratio8_R2"] == pytest.approx(0.25) and five.loc[3, "ratio8_R2_paper"] == 0.334
    assert five.loc[3, "backbone"] == "DINOv2-Base (architecture only)" and not list(five.filter(like="ratio4"))
    assert frame(5, 2, pretrained=("dinov2_base",)).loc[3, "backbone"] == "DINOv2-Base"
    text = readme(declare("tsns-2d-prefix-dinov2_base-r8"), tmp_path / "results", labels(8))
    assert "## Table 5" in text and "## Table 4" not in text


def test_seeds_are_one_number_with_its_standard_deviation(tmp_path):
    results = tmp_path / "results"
    for seed, (dense, sparse) in {"": (0.5, 0.2), "-s1": (0.7, 0.4), "-s7": (0.6, 0.6)}.items():
        put(results, BASE + seed, dense)
        put(results, TGNET + seed, sparse)
    names = [name + seed for name in (BASE, TGNET) for seed in ("", "-s1", "-s7")]
    summary = over_seeds(summary_of(results, names))
    assert list(summary.index) == [BASE, TGNET]
    got = {metric: summary.at[TGNET, ("all", metric)] for metric in ("R2", "R2_sd")}
    assert got == {"R2": pytest.approx(0.4), "R2_sd": pytest.approx(0.2)}
    # (.4 - .6) / .6, and the deviation of -2/3, -1/3 and 0.
    assert summary.at[TGNET, (DELTA_IMP, "R2")] == pytest.approx(-100 / 3)
    assert summary.at[TGNET, (DELTA_IMP, "R2_sd")] == pytest.approx(100 / 3)
    report(tmp_path / "reports", declare(*names), results, labels(seeds=3))
    text = (tmp_path / "reports" / "README.md").read_text()
    assert ".4000 ± .2000" in text and "**6 of 6** planned runs" in text
    table = pd.read_csv(tmp_path / "reports" / "tables" / "table3.csv").query("ratio2_experiment == @TGNET")
    assert table["ratio2_R2"].item() == 0.4 and table["ratio2_R2_sd"].item() == 0.2
    assert f"{TGNET}-s7" in json.loads((tmp_path / "reports" / "metrics.json").read_text())
    one = over_seeds(summary_of(results, [TGNET]))
    assert one.at[TGNET, ("all", "R2")] == pytest.approx(0.2) and np.isnan(one.at[TGNET, ("all", "R2_sd")])


def test_a_method_that_the_paper_lacks_has_rows_and_a_panel(tmp_path):
    names = [f"plain-{topology}-prefix-r{ratio}" for topology in ("3d", "3to2d", "2d") for ratio in (1, 2)]
    names += ["plain-3d-postfix-r2", "plain-3d-postfix-r2-s1"]
    for k, name in enumerate(names):
        put(tmp_path / "results", name, 0.1 * k)
    experiments = declare(*names)
    results = load_results(experiments, tmp_path / "results", labels())
    table = comparisons.frame(3, results)
    assert list(table["approach"][20:]) == ["Plain"] * 3 and list(table["topology"][20:]) == ["3D", "3-to-2D", "2D"]
    assert list(table["ratio2_R2"][20:]) == pytest.approx([0.1, 0.3, 0.5])
    assert table["ratio2_R2_paper"][20:].isna().all() and table["ratio2_R2_paper"][:20].notna().all()
    assert list(comparisons.frame(1, results)["interpolation"][20:]) == ["pre", "pre", "pre", "post"]
    assert len(comparisons.frame(5, results)) == 10
    panels = {panel.get_title(): panel for panel in figure4.draw(results).axes}
    assert set(panels) >= {"TGNet", "Plain"}
    drawn = sorted(tuple(line.get_ydata()) for line in panels["Plain"].lines)
    assert np.array(drawn) == pytest.approx(np.array([[0.0, 0.1], [0.2, 0.3]]))
    text = readme(experiments, tmp_path / "results", labels())
    assert line(section(text, "Table 3"), "Plain", "3-to-2D")[4] == ".3000 *(–)*"


def test_a_backbone_that_the_paper_lacks_has_rows_and_a_panel(tmp_path):
    runs = declare("tsns-2d-prefix-resnet18-r2", "dodnet-2d-prefix-resnet18-r2")
    put(tmp_path, "tsns-2d-prefix-resnet18-r2", 0.2)
    results = load_results(runs, tmp_path, labels())
    new = results.settings["tsns-2d-prefix-resnet18-r2"].model_copy(update={"backbone": "my_net"})
    scores = results.runs.rename({"tsns-2d-prefix-resnet18-r2": new.name})
    vars(results).update(settings={new.name: new}, summary=over_seeds(scores))
    row = comparisons.frame(5, results).iloc[10]
    assert (row["backbone"], row["topology"], row["ratio2_R2"]) == ("My net", "2D", pytest.approx(0.2))
    panels = {panel.get_title(): panel for panel in figure4.draw(results).axes}
    assert panels["TSNs, My net"].lines[0].get_ydata()[1] == pytest.approx(0.2)


def test_a_users_matplotlib_settings_change_nothing(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    home = tmp_path / "home"
    home.mkdir()
    (home / "matplotlibrc").write_text("lines.linewidth: 9\naxes.facecolor: red\nfont.size: 30\n")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
        "from test_reporting import TGNET, declare, labels, report\n"
        "report(Path(sys.argv[1]), declare(TGNET), Path(sys.argv[2]), labels())"
    )
    tests = str(Path(__file__).parent)
    report(tmp_path / "plain", declare(TGNET), tmp_path / "results", labels())
    odd = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "no such backend", "MATPLOTLIBRC": str(home)}
    command = [sys.executable, "-c", code, str(tmp_path / "odd"), str(tmp_path / "results"), tests]
    subprocess.run(command, check=True, env=odd)
    assert files(tmp_path / "plain") == files(tmp_path / "odd")


def test_the_z_profile_is_a_reference_for_every_run_or_a_dash(tmp_path):
    put(tmp_path / "results", TGNET, [0.1, 0.3, 0.8])
    put(tmp_path / "results", "tsns-3d-prefix-r2", 0.1)
    experiments = declare(TGNET, "tsns-3d-prefix-r2")
    text = readme(experiments, tmp_path / "results", labels())
    assert "– for the z-profile" in text and "higher R² than" not in text and "- `z-profile`: not run" in text
    assert line(section(text, "Reference predictions"), "All") == ["All", "–", "–", "0.4000"]
    put(tmp_path / "results", "z-profile", 0.2)
    text = readme(experiments, tmp_path / "results", labels())
    assert "0.2000 for the z-profile" in text and "1 of 2 runs have a higher R² than the z-profile" in text
    assert line(section(text, "Reference predictions"), "All") == ["All", "0.2000", "–", "0.4000"]


def test_what_was_run_says_how_topologies_and_sampling_differ_from_the_paper(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    epochs = {"3d": 2.0, "2to3d": 6.0, "3to2d": 6.0, "2d": 10.0}
    text = readme(declare(TGNET), tmp_path / "results", labels(2, 8, epochs=epochs))
    assert "3D 2, 2-to-3D 6, 3-to-2D 6, 2D 10, in the ratio 1 : 3 : 3 : 5 (paper" in line(text, "epochs")[1]
    assert "3D 2, 2-to-3D 6, 3-to-2D 6, 2D 10, in the ratio 1 : 3 : 3 : 5 (paper" in section(text, "Claims")
    assert "4.64 µm at r = 8 (paper: 2.32 µm), so this" in text
    text = readme(declare(TGNET), tmp_path / "results", labels(2, 8, voxel_um=(0.29, 0.29, 0.29)))
    assert "2.32 µm at r = 8 (paper: 2.32 µm) |" in text


def test_training_cost_counts_every_crop_three_times(tmp_path):
    runs = {**declare(TGNET, iterations=10), **declare("tgnet-2d-prefix-r2", epochs=5), **declare("tsns-3d-prefix-r2")}
    for name, experiment in runs.items():
        put(tmp_path, name, 0.2)
        settings = {key: experiment[key] for key in ("method", "topology", "ratio")}
        facts = {"settings": settings, "parameters": 10, "gmacs": 1.5, "patch": [16, 128, 128], "shapes": []}
        (tmp_path / "trained" / name).mkdir(parents=True)
        (tmp_path / "trained" / name / "network.json").write_text(json.dumps(facts))
    results = load_results(runs, tmp_path, labels(batch=4, train=20), runs=tmp_path / "trained")
    found = all_runs.frame(results).set_index("experiment")["training_tmacs"]
    # A crop of 64 x 64 has a quarter of the patch's voxels.
    assert found[TGNET] == pytest.approx(3 * 10 * 4 * 1.5 / 4 / 1000)
    assert found["tgnet-2d-prefix-r2"] == pytest.approx(3 * 5 * 20 * 1.5 / 4 / 1000)
    assert np.isnan(found["tsns-3d-prefix-r2"])


def test_the_page_of_own_structures_shows_them_and_no_score_of_the_paper(tmp_path):
    own = [("a", "nucleolus"), ("b", "Lamp1")]
    put(tmp_path / "results", TGNET, (0.2, 0.6), own)
    put(tmp_path / "results", BASE, (0.4, 0.4), own)
    known = labels(dataset="mine", size=None, simulated=False, test=2, paper_scores=False)
    results = load_results(declare(TGNET, BASE), tmp_path / "results", known)
    for frame in (comparisons.frame(3, results), structures.frame(results), references.frame(results)):
        assert not [name for name in frame if name.endswith("_paper")]
    assert structures.groups(results)[:3] == ("nucleolus", "Lamp1", "all")
    page = readme(declare(TGNET, BASE), tmp_path / "results", known)
    assert "| Lamp1 | .4000 | .6000 |" in page and "Golgi" not in page and "★" not in page
    assert "## Table 7" in page and "## Table 3" in page and "## Table 5" not in page and "not planned" not in page


def test_the_page_says_which_runs_started_from_a_model_file(tmp_path):
    for name in (TGNET, BASE):
        put(tmp_path / "results", name, 0.2)
    plain = readme(declare(TGNET, BASE), tmp_path / "results", labels())
    tuned = readme(declare(TGNET, BASE), tmp_path / "results", labels(start_file="m.pt", started=(TGNET,)))
    assert "weights at the start" not in plain
    assert f"| weights at the start | `m.pt` in `{TGNET}`; random in the other 1, " in tuned
