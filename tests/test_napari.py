"""The plugin for napari: its manifest, its logic without napari, and its widget in a window where that is installed."""

import ast
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.checkout import ROOT
from helpers.models import STRUCTURES, VOXEL_UM, saved_model, stack

import sparsessp
from sparsessp.errors import SparseSSPError
from sparsessp.napari.layers import Cancelled, predicted_layers, shown_stack, spacing_um

SPACING = (2 * VOXEL_UM[0], *VOXEL_UM[1:])
LIGHT = stack((5, 40, 36)) * 100 + 1000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model") / "model.pt")


@pytest.fixture(scope="module")
def model(path):
    return sparsessp.load_model(path)


def layer(values=LIGHT, scale=SPACING, unit="micrometer", **more):
    """The attributes of a napari image layer that the plugin reads."""
    scale = (*(1.0,) * (values.ndim - len(scale)), *scale)[-values.ndim :]
    facts = {"name": "light", "data": values, "scale": np.array(scale), "units": (unit,) * values.ndim}
    return SimpleNamespace(**facts | {"translate": np.zeros(values.ndim), "rgb": False, "multiscale": False} | more)


def manifest():
    from npe2 import PluginManifest

    return PluginManifest.from_file(ROOT / "sparsessp" / "napari" / "napari.yaml")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_manifest_is_valid_and_names_a_widget_that_exists():
    (widget,) = manifest().contributions.widgets
    (command,) = manifest().contributions.commands
    assert widget.command == command.id
    module, _, name = command.python_name.partition(":")
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
    assert name in [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]


def test_the_package_contains_and_announces_the_manifest():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["napari.manifest"] == {"sparsessp": "sparsessp.napari:napari.yaml"}
    assert "napari/napari.yaml" in project["tool"]["setuptools"]["package-data"]["sparsessp"]


def test_the_layers_are_the_prediction_of_the_python_api_over_the_light(model):
    light = layer(translate=np.array([10.0, 20.0, 30.0]))
    seen = []
    found = predicted_layers(
        model,
        shown_stack(light, (0, 0, 0)),
        SPACING,
        STRUCTURES,
        progress=lambda done, total: seen.append((done, total)),
    )
    expected = model.predict(LIGHT, SPACING, STRUCTURES)
    for (values, settings, kind), one, key in zip(found, expected, STRUCTURES, strict=True):
        np.testing.assert_array_equal(values, one)
        assert kind == "image" and settings["name"] == f"light: {key}, predicted"
        assert settings["scale"] == pytest.approx(VOXEL_UM) and settings["translate"] == (10, 20, 30)
        assert settings["units"] == ("micrometer",) * 3 and settings["metadata"]["sparsessp"]["voxel_um"] == VOXEL_UM
    assert len({settings["colormap"] for _, settings, _ in found}) == len(STRUCTURES)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1][0] == seen[-1][1]


def test_the_time_point_that_is_shown_is_predicted_and_stays_there(model):
    series = np.stack([LIGHT[::-1], LIGHT])
    light = layer(series, scale=(7.0, *SPACING), translate=np.array([1.0, 0, 0, 0]))
    ((values, settings, _),) = predicted_layers(model, shown_stack(light, (1.2, 3, 4, 5)), SPACING, ["dna"])
    np.testing.assert_array_equal(values, model.predict(LIGHT, SPACING, ["dna"]))
    assert settings["translate"] == (8, 0, 0, 0) and settings["scale"] == pytest.approx((7, *VOXEL_UM))


def test_a_dense_layer_gives_its_own_planes(model):
    ((values, settings, _),) = predicted_layers(model, shown_stack(layer(scale=VOXEL_UM), ()), VOXEL_UM, ["dna"])
    assert values.shape == LIGHT.shape and settings["scale"] == pytest.approx(VOXEL_UM)


@pytest.mark.parametrize(
    ("scale", "unit", "spacing"),
    (
        ((580.0, 290.0, 290.0), "nanometer", (0.58, 0.29, 0.29)),
        ((1.0, 0.29, 0.29), "micrometer", (1, 0.29, 0.29)),
        ((1.0, 1.0, 1.0), "pixel", (None, None, None)),
        ((1.0, 0.29, 0.29), "pixel", (None, 0.29, 0.29)),
        ((1.0, 1.0, 1.0), "second", (None, None, None)),
    ),
)
def test_the_spacing_is_read_from_scale_and_units(scale, unit, spacing):
    assert spacing_um(layer(scale=scale, unit=unit)) == pytest.approx(spacing)


def test_a_layer_without_a_scale_is_predicted_in_its_own_pixels(model):
    light = layer(scale=(1.0, 1.0, 1.0), unit="pixel")
    ((_, settings, _),) = predicted_layers(model, shown_stack(light, ()), SPACING, ["dna"])
    assert settings["scale"] == (0.5, 1, 1) and settings["units"] == ("pixel",) * 3


@pytest.mark.parametrize(
    ("changes", "spacing", "structures", "said"),
    (
        ({}, (None, 0.29, 0.29), ["dna"], "layer 'light' has no voxel size along z; enter it"),
        ({}, (1.0, 0.29, 0.29), ["dna"], "trained for 0.58 µm"),
        ({}, SPACING, [], "no structure is given"),
        ({"rgb": True}, SPACING, ["dna"], "layer 'light' has colours"),
        ({"data": LIGHT[0]}, SPACING, ["dna"], "layer 'light' is a single plane"),
    ),
)
def test_what_cannot_be_predicted_is_one_line(model, changes, spacing, structures, said):
    with pytest.raises(SparseSSPError, match=said) as caught:
        predicted_layers(model, shown_stack(layer(**changes), ()), spacing, structures)
    assert "\n" not in str(caught.value)


def test_progress_can_stop_a_prediction(model):
    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        predicted_layers(model, shown_stack(layer(), ()), SPACING, ["dna"], progress=stop)


@pytest.fixture
def viewer(monkeypatch):
    """A viewer without its window, which needs OpenGL."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    pytest.importorskip("napari", reason="napari is not installed; pip install 'sparsessp[napari]'")
    from napari.components import ViewerModel
    from napari.qt import get_qapp

    get_qapp()
    return ViewerModel()


def wait(widget):
    """Let the window's events happen until the prediction has ended."""
    from qtpy.QtTest import QTest

    for _ in range(600):
        QTest.qWait(50)
        if widget.button.enabled:
            return
    raise AssertionError("the prediction did not end")


@pytest.mark.filterwarnings("ignore")
def test_the_widget_predicts_what_the_python_api_predicts(viewer, path, model, tmp_path, monkeypatch):
    from npe2.manifest.utils import import_python_name

    widget = import_python_name(manifest().contributions.commands[0].python_name)(viewer)
    widget.predict()
    assert widget.message.value == "choose a model file first"
    (tmp_path / "text.pt").write_text("text")
    widget.path.value = tmp_path / "text.pt"
    assert "text.pt" in widget.message.value and widget.model is None
    widget.path.value = path
    assert widget.structures.value == list(STRUCTURES) and "trained on simulated images" in widget.message.value
    widget.predict()
    assert widget.message.value == "open an image with transmitted light first"

    viewer.add_image(LIGHT, name="light", scale=(1, 1, 1))
    widget.predict()
    wait(widget)
    assert "no voxel size along z, y, x" in widget.message.value and len(viewer.layers) == 1
    viewer.layers.clear()
    viewer.add_image(LIGHT, name="light", scale=SPACING, units=("um",) * 3)
    assert [field.value for field in widget.spacing] == pytest.approx(SPACING)
    widget.structures.value = ["nucleolus"]
    widget.predict()
    wait(widget)
    assert [one.name for one in viewer.layers] == ["light", "light: nucleolus, predicted"]
    predicted = viewer.layers[1]
    np.testing.assert_allclose(predicted.data, model.predict(LIGHT, SPACING, "nucleolus")[0], atol=1e-6)
    np.testing.assert_allclose(predicted.scale, VOXEL_UM)
    np.testing.assert_array_equal(predicted.translate, viewer.layers[0].translate)
    assert widget.message.value == "1 structures predicted."

    def once_cancelled(self, done, total):
        """As `_report`, but not before the click: the prediction may end sooner."""
        assert self._cancelled.wait(60)
        report(self, done, total)

    report = type(widget)._report
    monkeypatch.setattr(type(widget), "_report", once_cancelled)
    widget.predict()
    widget.cancel.native.click()
    wait(widget)
    assert widget.message.value == "Cancelled." and len(viewer.layers) == 2
