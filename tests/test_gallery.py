"""The figures: what they compute, missing results, and the same bytes for the same results."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from test_reporting import declare, labels

from sparsessp.data.examples import STRUCTURES_SHOWN, write_examples
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.document.model import Strong
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.figures import figure5, figure6, gallery, planes, schematic, training
from sparsessp.reporting.figures.drawing import own_settings, render
from sparsessp.reporting.figures.figure6 import largest_errors
from sparsessp.reporting.figures.pareto import front
from sparsessp.reporting.figures.pictures import depth_coded
from sparsessp.reporting.figures.planes import by_plane
from sparsessp.reporting.results import Results
from sparsessp.reporting.tables import window_sampling
from sparsessp.reporting.tables.resources import read_profile
from sparsessp.schema import linear_regression as linear

VOLUMES = {f"{key}_000": key for key in STRUCTURES_SHOWN}
RUNS = ("repmode-3d-prefix-r1", "tgnet-3to2d-prefix-r1", "tgnet-3to2d-prefix-r2", "tgnet-3d-prefix-r2")


def put(results, volumes=VOLUMES):
    """Write every file that the figures read, for some runs and the linear regression."""
    rng = np.random.default_rng(0)
    targets = {volume: rng.standard_normal((6, 16, 20)) for volume in volumes}
    for ratio in (1, 2):
        stacks = {f"{volume}.view": target[::ratio] for volume, target in targets.items()}
        (results / linear(ratio)).mkdir(parents=True)
        stacks |= {f"{volume}.target": target for volume, target in targets.items()}
        write_examples(results / linear(ratio) / "examples.npz", stacks)
    for name in RUNS:
        method, topology, _, ratio = name.split("-")
        settings = {"method": method, "topology": topology, "ratio": int(ratio[1:])}
        shapes = [{"part": "view", "shape": [1, 3, 16, 16]}]
        shapes += [{"part": f"encoder {k}", "shape": [4 * k, 6, 16, 16]} for k in (1, 2)]
        shapes += [{"part": p, "shape": [4, 16, 16]} for p in ("encoder fusion", "bridge 2", "decoder 1", "prediction")]
        facts = {"settings": settings, "parameters": 10, "gmacs": 1.5, "patch": [6, 16, 16], "shapes": shapes}
        (results / name).mkdir()
        (results / name / "network.json").write_text(json.dumps(facts))
        write_examples(
            results / name / "examples.npz", {v: t + rng.standard_normal(t.shape) for v, t in targets.items()}
        )
        history = {"structure": "all", "iteration": [1, 2], "epoch": [0.1, 0.2]}
        pd.DataFrame({**history, "training_mse": [2, 1], "validation_mse": [1, 0.9]}).to_csv(
            results / name / "history.csv", index=False
        )
        by = pd.MultiIndex.from_product([VOLUMES, range(6)], names=["volume", "plane"]).to_frame(index=False)
        by.assign(squared_error=0.5, variation=1.0).to_csv(results / name / "planes.csv", index=False)


def load(results, names=RUNS):
    rows = [(name, v, s, 0.8, 0.6, 0.2, 0.5, 0.25) for name in names for v, s in VOLUMES.items()]
    columns = ["experiment", "volume", "structure", "mse", "mae", "r2", "pearson", "r2_affine"]
    evidence = Evidence(results, results, (*names, "linear-r1", "linear-r2"), dict(VOLUMES))
    scores, known = pd.DataFrame(rows, columns=columns), dict.fromkeys(STRUCTURES_SHOWN, 0.9)
    return Results(labels(), declare(*names, iterations=10), scores, evidence, read_profile(None), ceilings=known)


def texts(figure):
    found = [text.get_text() for panel in figure.axes for text in panel.texts]
    return " ".join([*found, *(panel.get_title() for panel in figure.axes)])


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(tmp_path):
    put(tmp_path)
    results = load(tmp_path)
    first = gallery.images(results)
    again = load(tmp_path)
    with own_settings():
        for figure in (figure5, planes):  # a PNG and an SVG; `make chaos` compares all figures of two runs
            assert first[gallery.file_name(figure)] == render(figure.draw(again), figure.FORMAT)
    assert list(first) == [gallery.file_name(figure) for figure in gallery.FIGURES]
    for figure in gallery.FIGURES:
        start, *rest = figure.caption(results)
        assert isinstance(start, Strong) and "(simulated dataset synthetic/small, scale demo" in "".join(rest)
    assert "no\nresult" in texts(figure5.draw(results))  # r = 4 and 8


def test_gaps_are_named_and_nothing_crashes(tmp_path):
    assert list(gallery.images(load(tmp_path))) == [f"figures/{name}.svg" for name in ("figure4", "claims", "spread")]
    put(tmp_path)
    for file in ("network.json", "planes.csv", "examples.npz", "history.csv"):
        (tmp_path / "tgnet-3to2d-prefix-r2" / file).unlink()
    results = load(tmp_path)
    assert all(figure.draw(results) for figure in gallery.FIGURES)
    assert "tgnet-3to2d-prefix-r2: no result" in texts(planes.draw(results))
    assert "tgnet-3to2d-prefix-r2: no result" in texts(schematic.draw(results))
    assert texts(figure6.draw(results)).count("no\nresult") == 8
    assert texts(training.draw(results)).count("no result") == 3


def test_a_report_can_show_a_subset_of_structures(tmp_path):
    put(tmp_path, volumes=list(VOLUMES)[:1])
    results = load(tmp_path)
    assert all(figure.draw(results) for figure in gallery.FIGURES)
    assert len(figure5.draw(results).axes) == 7 + 1 and len(figure6.draw(results).axes) == 5


def test_a_broken_file_is_named(tmp_path):
    put(tmp_path)
    (tmp_path / RUNS[2] / "network.json").write_text("{}")
    with pytest.raises(SparseSSPError, match="tgnet-3to2d-prefix-r2/network.json.*'settings'"):
        [figure.draw(load(tmp_path)) for figure in gallery.FIGURES]
    assert Evidence(tmp_path, tmp_path, (), {}).network(RUNS[2]) is None  # not planned, so not looked at


def test_a_picture_keeps_its_size_and_its_colours():
    figure = Figure(figsize=(2, 1), dpi=50, facecolor="#204080")
    with own_settings():
        image = Image.open(io.BytesIO(render(figure, "png"))).convert("RGB")
    assert image.size == (100, 50) and (np.asarray(image) == (0x20, 0x40, 0x80)).all()


def test_window_sampling_is_compared_run_by_run(tmp_path):
    results = load(tmp_path)
    assert window_sampling.frame(results).empty
    (tmp_path / RUNS[2]).mkdir()
    rows = {
        "volume": ["a", "b"],
        "structure": ["dna", "dna"],
        "planes": [65, 65],
        "imaged": [33, 33],
        "read": [48, 48],
        "r2": [0.1, 0.3],
        "r2_window_sampling": [0.2, 0.4],
    }
    pd.DataFrame(rows).to_csv(tmp_path / RUNS[2] / "window_sampling.csv", index=False)
    (row,) = window_sampling.frame(results).to_dict("records")
    assert (row["experiment"], row["imaged"], row["read"]) == (RUNS[2], 33, 48)
    assert row["difference"] == pytest.approx(0.1) and row["R2"] == pytest.approx(0.2)


def test_r2_over_all_planes_is_that_of_the_volume():
    table = pd.DataFrame({"plane": range(8), "squared_error": [0.1, 0.5] * 4, "variation": [1.0, 2.0] * 4})
    assert by_plane(table, table["plane"] % 2).tolist() == pytest.approx([0.9, 0.75])
    assert by_plane(table, np.zeros(8))[0.0] == pytest.approx(1 - 2.4 / 12)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=12))
def test_the_pareto_front_has_the_points_that_no_other_point_beats(points):
    kept = front([cost for cost, _ in points], [score for _, score in points])
    beaten = {
        k
        for k, (cost, score) in enumerate(points)
        if any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
    }
    assert {points[k] for k in kept} == {point for k, point in enumerate(points) if k not in beaten}


def test_the_largest_errors_are_found_and_do_not_overlap():
    error = np.zeros((40, 32))
    error[3:6, 20:23], error[30, 5] = 1, 2
    (y1, x1, side), (y2, x2, _) = largest_errors(error)
    assert side == 8
    assert y1 <= 3 and y1 + side >= 6 and x1 <= 20 and x1 + side >= 23
    assert y2 <= 30 < y2 + side and x2 <= 5 < x2 + side
    assert 0 <= min(y1, x1, y2, x2) and max(y1, y2) + side <= 40 and max(x1, x2) + side <= 32
    corner = np.zeros((16, 16))
    corner[0, 0] = 1
    assert largest_errors(corner, 1) == [(0, 0, 4)]


def test_depth_is_colour_and_intensity_is_brightness():
    stack = np.zeros((5, 8, 8))
    stack[0, 1, 1], stack[4, 6, 6], stack[4, 6, 1] = 1, 1, 0.5
    image = depth_coded(stack)
    assert image.shape == (8, 8, 3) and image[0, 0].max() == pytest.approx(0, abs=1e-6)
    assert image[1, 1, 2] > image[1, 1, 0] and image[6, 6, 0] > image[6, 6, 2]  # low is blue, high is orange
    assert image[6, 1].max() < 0.6 * image[6, 6].max()
