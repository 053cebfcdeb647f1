"""The figures: what they compute, that gaps are named, and that the same results give the same bytes."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reporting import labels

from sparsessp.data.examples import STRUCTURES_SHOWN, write_examples
from sparsessp.errors import SparseSSPError
from sparsessp.reporting.claims import claims
from sparsessp.reporting.costs import read_profile, table6
from sparsessp.reporting.evidence import Evidence
from sparsessp.reporting.figures import render
from sparsessp.reporting.gallery import gallery
from sparsessp.reporting.more import window_sampling
from sparsessp.reporting.pictures import depth_coded, largest_errors
from sparsessp.reporting.plots import by_plane, front
from sparsessp.reporting.scores import linear, summarise

VOLUMES = {f"{key}_000": key for key in STRUCTURES_SHOWN}
RUNS = ("repmode-3d-prefix-r1", "tgnet-3to2d-prefix-r1", "tgnet-3to2d-prefix-r2", "tgnet-3d-prefix-r2")


def put(results, volumes=VOLUMES):
    """Every file that the figures read, of some runs and of the linear baseline."""
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
        planes = pd.MultiIndex.from_product([VOLUMES, range(6)], names=["volume", "plane"]).to_frame(index=False)
        planes.assign(squared_error=0.5, variation=1.0).to_csv(results / name / "planes.csv", index=False)


def draw(results, names=RUNS):
    rows = [(name, v, s, 0.8, 0.6, 0.2, 0.5, 0.25) for name in names for v, s in VOLUMES.items()]
    columns = ["experiment", "volume", "structure", "mse", "mae", "r2", "pearson", "r2_affine"]
    scores = pd.DataFrame(rows, columns=columns)
    evidence = Evidence(results, tuple(names), dict(VOLUMES))
    found = claims(scores, table6(read_profile(None)), (2,))
    return gallery(evidence, scores, summarise(scores), found, labels(), dict.fromkeys(STRUCTURES_SHOWN, 0.9))


def bytes_of(drawings):
    shown = [drawing for drawing in drawings if drawing.figure is not None]
    for drawing in shown:
        drawing.figure.set_dpi(30)  # the pixels of a PNG cost the time
    return {drawing.name: render(drawing.figure, drawing.format) for drawing in shown}


def texts(drawing):
    figure = drawing.figure
    found = [text.get_text() for panel in figure.axes for text in panel.texts]
    return " ".join([*found, *(panel.get_title() for panel in figure.axes)])


def test_the_same_results_give_the_same_bytes(tmp_path):
    put(tmp_path)
    drawings = draw(tmp_path)
    first = bytes_of(drawings)
    assert first == bytes_of(draw(tmp_path))
    assert len(first) == len(drawings) == 9
    for drawing in drawings:
        assert "(simulated data set synthetic/small, scale demo" in drawing.caption and drawing.caption.startswith("**")
    assert "no\nresult" in texts({d.name: d for d in drawings}["figure5"])  # r = 4 and 8


def test_gaps_are_named_and_nothing_crashes(tmp_path):
    assert [drawing.name for drawing in draw(tmp_path) if drawing.figure is not None] == ["claims", "spread"]
    put(tmp_path)
    for file in ("network.json", "planes.csv", "examples.npz", "history.csv"):
        (tmp_path / "tgnet-3to2d-prefix-r2" / file).unlink()
    found = {drawing.name: drawing for drawing in draw(tmp_path)}
    assert bytes_of(found.values())
    assert "tgnet-3to2d-prefix-r2: no result" in texts(found["planes"])
    assert "tgnet-3to2d-prefix-r2: no result" in texts(found["schematic"])
    assert texts(found["figure6"]).count("no\nresult") == 8
    assert texts(found["training"]).count("no result") == 3


def test_some_structures_alone_are_enough(tmp_path):
    put(tmp_path, volumes=list(VOLUMES)[:1])
    found = {drawing.name: drawing for drawing in draw(tmp_path)}
    assert bytes_of(found.values()).keys() == found.keys()
    assert len(found["figure5"].figure.axes) == 7 + 1 and len(found["figure6"].figure.axes) == 5


def test_a_broken_file_is_named(tmp_path):
    put(tmp_path)
    (tmp_path / RUNS[2] / "network.json").write_text("{}")
    with pytest.raises(SparseSSPError, match="tgnet-3to2d-prefix-r2/network.json.*'settings'"):
        draw(tmp_path)
    assert Evidence(tmp_path, (), {}).network(RUNS[2]) is None  # not declared, so not looked at


def test_window_sampling_is_compared_run_by_run(tmp_path):
    evidence = Evidence(tmp_path, RUNS, dict(VOLUMES))
    assert window_sampling(evidence).empty
    (tmp_path / RUNS[2]).mkdir()
    rows = {
        "planes": [65, 65],
        "imaged": [33, 33],
        "read": [48, 48],
        "r2": [0.1, 0.3],
        "r2_window_sampling": [0.2, 0.4],
    }
    pd.DataFrame(rows).to_csv(tmp_path / RUNS[2] / "window_sampling.csv", index=False)
    (row,) = window_sampling(evidence).to_dict("records")
    assert (row["experiment"], row["imaged"], row["read"]) == (RUNS[2], 33, 48)
    assert row["difference"] == pytest.approx(0.1) and row["R2"] == pytest.approx(0.2)


def test_r2_of_all_planes_is_the_volumes():
    planes = pd.DataFrame({"plane": range(8), "squared_error": [0.1, 0.5] * 4, "variation": [1.0, 2.0] * 4})
    assert by_plane(planes, planes["plane"] % 2).tolist() == pytest.approx([0.9, 0.75])
    assert by_plane(planes, np.zeros(8))[0.0] == pytest.approx(1 - 2.4 / 12)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=12))
def test_the_front_holds_what_nothing_beats(points):
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
