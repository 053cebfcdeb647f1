"""Table 6: counted and measured costs, next to the paper's."""

import math
import os
import re
import signal

import pandas as pd
import pytest
import torch
from helpers.checkout import ROOT
from test_reporting import TGNET, labels, line, plan, put, report

from pipeline.plan.estimate import grouped
from sparsessp.config import TOPOLOGIES, InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.costs import measured as profiling
from sparsessp.costs.counted import count_macs, macs, meta_network
from sparsessp.costs.measured import profile, volume_seconds
from sparsessp.data.samples import write_table
from sparsessp.errors import SparseSSPError
from sparsessp.paper.published import published, rows
from sparsessp.reporting.tables.resources import read_profile, table6, timings
from sparsessp.schema import MEASURED_COLUMNS, PROFILE_COLUMNS
from sparsessp.support.device import machine
from sparsessp.support.yaml_files import read_yaml

TINY = {"depth": 8, "width_3d": 8, "width_2d": 8, "groups": 4, "embedding": 64, "repmode_kernel": 3}


def tiny(method, topology):
    return NetworkSettings(method=method, topology=topology, **TINY)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_the_count_by_module_is_all_of_a_plain_network_and_little_of_repmode(topology):
    plain, repmode, dodnet = (meta_network(tiny(method, topology)) for method in ("plain", "repmode", "dodnet"))
    assert count_macs(plain, 32, 32).modules == macs(plain, 32, 32)
    assert 0 < count_macs(repmode, 32, 32).modules < macs(repmode, 32, 32) / 4
    # Of DoDNet the written head alone is missing.
    head = dodnet.head.layers
    assert macs(dodnet, 32, 32) - count_macs(dodnet, 32, 32).modules == sum(o * i for o, i in head) * 32 * 32 * (
        8 if topology.endswith("3d") else 1
    )


@pytest.mark.slow
def test_a_profile_grows_with_batch_and_window():
    few, many = (
        profile(tiny("dodnet", "3d"), TrainingSettings(iterations=1, batch=batch, patch=24), window)
        for batch, window in ((1, 16), (16, 64))
    )
    for cost in (few.inference, few.training, many.inference, many.training):
        assert cost.seconds > 0 and math.isfinite(cost.mib)
    assert many.inference.mib > few.inference.mib + 5 and many.training.mib > few.training.mib + 5
    assert machine(torch.device("cpu"))


def test_hours_count_volumes_at_their_own_speed_where_it_was_measured():
    network = NetworkSettings(method="plain", topology="2d", ratio=2, **TINY)
    assert volume_seconds(network, InferenceSettings(window=16), (9, 20, 24)) > 0
    axes = {"method": "plain", "topology": "2d", "networks": 1}
    runs = pd.DataFrame([{"name": "a", **axes, "iterations": 100, "volumes": 10, "equivalents": 20.0}])
    for per_volume, predicting in ((None, 20 * 36), ({"a": 180.0}, 10 * 180)):
        hours = grouped(runs, {"a": 36.0}, per_volume)
        assert hours["predicting"].item() == pytest.approx(predicting / 3600)
        assert hours["hours"].item() == pytest.approx((100 * 36 + predicting) / 3600)


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_measurement_is_named(monkeypatch):
    monkeypatch.setenv("SPARSESSP_DEVICE", "cpu")
    monkeypatch.setattr(profiling, "_inference", killed)
    with pytest.raises(SparseSSPError, match="dodnet-2d-prefix-r2.*memory.*batch.*8"):
        profile(tiny("dodnet", "2d"), TrainingSettings(iterations=1), 32)


def put_profile(path, skipped=()):
    """A profile of the twelve networks: 3D rows cost 10, 20, 30 and 40, the others half."""
    lines = []
    for row in rows(6):
        share = 1 if row.topology == "3D" else 0.5
        values = dict.fromkeys(PROFILE_COLUMNS, 1) | {
            "experiment": row.experiment(2),
            "machine": "abacus",
            "device": "cpu",
        }
        values |= {"gmacs": 100 * share, "module_gmacs": 8 * share, "parameters": 2_000_000}
        values |= {metric: 10 * k * share for k, metric in enumerate(MEASURED_COLUMNS, 1)}
        lines.append(values)
    write_table(path, pd.DataFrame(lines)[lambda frame: ~frame["experiment"].isin(skipped)])


def test_table_6_gives_our_values_next_to_the_papers(tmp_path):
    put_profile(tmp_path / "profile.csv", skipped=["dodnet-2d-prefix-r2"])
    found = read_profile(tmp_path / "profile.csv")
    counted, measured = table6(found), timings(found, labels())
    assert len(counted) == len(measured) == 12
    dense, flat = counted.iloc[0], counted.iloc[1]
    assert (dense["approach"], dense["topology"], flat["topology"]) == ("RepMode", "3D", "2D")
    assert (flat["gmacs"], flat["gmacs_over_3d"], flat["gmacs_module_over_3d"]) == (50, 0.5, 0.5)
    assert (flat["gmacs_paper"], flat["gmacs_paper_over_3d"]) == (2.33, 2.33 / 66.29)
    assert (dense["gmacs_over_3d"], dense["gmacs_paper_over_3d"], dense["parameters"]) == (1, 1, 2_000_000)
    flat = measured.iloc[1]
    assert flat["approach"] == "RepMode (K=3)"
    for k, metric in enumerate(MEASURED_COLUMNS, 1):
        assert (flat[metric], flat[f"{metric}_over_3d"]) == (5 * k, 0.5)
        paper = [published(row, 2, metric) for row in rows(6)[:2]]
        assert (flat[f"{metric}_paper"], flat[f"{metric}_paper_over_3d"]) == (paper[1], paper[1] / paper[0])
    missing = measured.iloc[5]
    assert missing["experiment"] == "dodnet-2d-prefix-r2" and math.isnan(missing["train_mem_mib_over_3d"])
    assert missing["train_mem_mib_paper"] == 2692


def test_the_report_prints_table_6_and_dashes_without_a_profile(tmp_path):
    put(tmp_path / "results", TGNET, 0.2)
    put_profile(tmp_path / "profile.csv")
    pages = {}
    for name in ("profile.csv", "none.csv"):
        folder = tmp_path / name[:-4]
        report(folder, plan(2), tmp_path / "results", labels(), profile=tmp_path / name)
        pages[name] = [(folder / page).read_text() for page in ("README.md", "timings.md")]
        assert (folder / "tables" / "table6.csv").read_text().count("\n") == 13
        assert (folder / "timings.csv").read_text().count("\n") == 13
    text, measured = pages["profile.csv"]
    assert "](timings.md)" in text and "abacus" not in text
    cells = ["100.00", "8.00", "*113.86*", "1.000", "1.000", "*1.000*", "2.00"]
    assert line(text.split("## Table 6")[1].split("## Table 7")[0], "DoDNet", "3D")[2:] == cells
    assert "| machine | abacus, device cpu, 1 CPU threads (paper: RTX 3090) |" in measured
    cells = line(measured, "TSNs", "3-to-2D")[2:]
    assert cells[:2] == ["5.00<br><sub>*0.910*</sub>", "0.500<br><sub>*0.835*</sub>"]
    assert cells[-2:] == ["20.0<br><sub>*7,522*</sub>", "0.500<br><sub>*0.719*</sub>"]
    text, measured = pages["none.csv"]
    row = line(text.split("## Table 6")[1].split("## Table 7")[0], "TSNs", "2D")
    assert row[2:] == ["–", "–", "*2.05*", "–", "–", "*0.037*", "–"]
    assert not re.search(r"\bnan\b", text + measured) and "| machine | –" in measured
    assert line(measured, "TSNs", "2D")[2] == "–<br><sub>*0.370*</sub>"


def test_a_profile_that_lacks_a_column_is_named(tmp_path):
    (tmp_path / "profile.csv").write_text("experiment,gmacs\na,1\n")
    with pytest.raises(SparseSSPError, match="profile.csv: column 'module_gmacs' is missing"):
        read_profile(tmp_path / "profile.csv")


def test_the_stage_depends_on_the_methods_it_measures():
    deps = read_yaml(ROOT / "dvc.yaml")["stages"]["profile"]["deps"]
    methods = {f"sparsessp/networks/methods/{row.settings(2).method}.py" for row in rows(6)}
    assert {dep for dep in deps if "/methods/" in dep} == methods
    backbones = {f"sparsessp/networks/backbones/{row.settings(2).backbone}.py" for row in rows(6)}
    assert {dep for dep in deps if "/backbones/" in dep} == backbones
