"""`sparsessp predict`: every kind of file to the same prediction, and one line for each wrong input."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from helpers.archives import write_czi
from helpers.checkout import ROOT
from helpers.models import VOXEL_UM, saved_model, stack
from pylibCZIrw import czi

import sparsessp
from sparsessp.__main__ import run
from sparsessp.application import batch
from sparsessp.application.outputs import DTYPES
from sparsessp.data.images.image import light_channel
from sparsessp.data.images.opening import open_image
from sparsessp.errors import SparseSSPError

SPACING = (2 * VOXEL_UM[0], *VOXEL_UM[1:])
LIGHT = (stack((9, 40, 36)) * 500 + 5000).astype(np.uint16)
OTHER = LIGHT[:, ::-1] // 2


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model") / "model.pt")


@pytest.fixture(scope="module")
def expected(path):
    return sparsessp.load_model(path).predict(LIGHT, SPACING, ["nucleolus", "dna"])


def ome(path, voxels, axes="CZYX", names=("EGFP", "Bright field"), unit="µm", spacing=SPACING):
    sizes = {f"PhysicalSize{axis}": edge for axis, edge in zip("ZYX", spacing, strict=True)} if spacing else {}
    units = {f"PhysicalSize{axis}Unit": unit for axis in "ZYX"} if spacing else {}
    metadata = {"axes": axes, **sizes, **units} | ({"Channel": {"Name": list(names)}} if "C" in axes else {})
    tifffile.imwrite(path, voxels, ome=True, photometric="minisblack", metadata=metadata)


def write_ome(path):
    ome(path, np.stack([OTHER, LIGHT]))


def write_ome_in_nanometres(path):
    ome(path, LIGHT, "ZYX", unit="nm", spacing=[1000 * edge for edge in SPACING])


def write_compressed(path):
    metadata = {"axes": "ZYX", **{f"PhysicalSize{a}": e for a, e in zip("ZYX", SPACING, strict=True)}}
    tifffile.imwrite(path, LIGHT, ome=True, compression="zlib", metadata=metadata)


def write_big_endian(path):
    tifffile.imwrite(path, LIGHT.astype(">u2"), ome=True, metadata={"axes": "ZYX"}, byteorder=">")


def write_imagej(path):
    z, y, x = SPACING
    metadata = {"axes": "ZCYX", "spacing": z, "unit": "um"}
    tifffile.imwrite(path, np.stack([OTHER, LIGHT], 1), imagej=True, resolution=(1 / x, 1 / y), metadata=metadata)


def write_plain(path):
    with tifffile.TiffWriter(path) as file:
        for plane in LIGHT:
            file.write(plane, photometric="minisblack", metadata=None)


def write_float(path):
    ome(path, LIGHT.astype(np.float32) / 7, "ZYX")


def write_zeiss(path):
    write_czi(path, np.stack([OTHER, LIGHT]), SPACING)


def write_zarr(path, version):
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("full", data=np.stack([OTHER, LIGHT])[None], chunks=(1, 1, 4, 16, 16))
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scales = [{"type": "scale", "scale": [1.0, 1.0, *SPACING]}]
    image = {"version": version, "axes": axes, "datasets": [{"path": "full", "coordinateTransformations": scales}]}
    facts = {"multiscales": [image], "omero": {"channels": [{"label": "EGFP"}, {"label": "TL Brightfield"}]}}
    group.attrs.update(facts if version == "0.4" else {"ome": {"version": version} | facts})


def write_zarr_4(path):
    write_zarr(path, "0.4")


def write_zarr_5(path):
    write_zarr(path, "0.5")


def predict(model, *arguments, output):
    run(["predict", str(model), *map(str, arguments), "--output", str(output), "--quiet"])


@pytest.mark.parametrize(
    ("write", "name", "options"),
    (
        (write_ome, "a.ome.tiff", ()),
        (write_ome_in_nanometres, "a.ome.tif", ()),
        (write_compressed, "a.tif", ()),
        (write_big_endian, "a.tif", ("--spacing", "0.58,0.29,0.29")),
        (write_imagej, "a.tif", ("--channel", "1")),
        (write_plain, "a.tif", ("--spacing", "0.58,0.29,0.29")),
        (write_float, "a.ome.tiff", ("--channel", "0")),
        (write_zeiss, "a.czi", ("--channel", "1")),
        (write_zarr_4, "a.zarr", ("--channel", "tl brightfield")),
        (write_zarr_5, "a.ome.zarr", ()),
    ),
)
def test_every_kind_of_file_gives_the_prediction_of_the_python_api(
    path, expected, tmp_path, write, name, options, capsys
):
    write(tmp_path / name)
    predict(path, tmp_path / name, "--structures", "nucleolus,dna", *options, output=tmp_path / "out")
    with tifffile.TiffFile(tmp_path / "out" / "a_predicted.ome.tiff") as file:
        found, facts = file.asarray(), file.ome_metadata
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for word in (
        'Name="nucleolus"',
        'Name="dna"',
        'PhysicalSizeZ="0.29"',
        'PhysicalSizeX="0.29"',
        "tgnet-3to2d-prefix",
    ):
        assert word in facts
    assert (tmp_path / "out" / "a_quick-look.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a_predicted.ome.tiff", "a_quick-look.png", "summary.csv",
    ]  # fmt: skip
    row = next(csv.DictReader((tmp_path / "out" / "summary.csv").read_text().splitlines()))
    assert (row["input"], row["planes"], row["predicted"]) == (name, "9", "18")
    assert "a_predicted.ome.tiff" in capsys.readouterr().out


def test_a_folder_of_time_series_is_written_as_ome_zarr(path, expected, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    ome(folder / "a.tif", np.stack([LIGHT, OTHER, LIGHT]), "TZYX")
    write_zarr(folder / "b.zarr", "0.4")
    (folder / "notes.txt").write_text("no image")
    predict(path, folder, "--structures", "nucleolus,dna", "--format", "zarr", output=tmp_path / "out")
    series = open_image(tmp_path / "out" / "a_predicted.ome.zarr")
    assert (series.frames, series.shape, series.channels) == (3, (18, 40, 36), ("nucleolus", "dna"))
    assert series.spacing_um == VOXEL_UM
    for frame in (0, 2):
        found = np.stack([[series.plane(frame, c, z) for z in range(18)] for c in range(2)])
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(series.plane(1, 0, 5), expected[0, 5], atol=0.01)
    with (tmp_path / "out" / "summary.csv").open() as file:
        assert [row["input"] for row in csv.DictReader(file)] == ["a.tif", "b.zarr"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_integer_predictions_say_how_to_get_the_values_back(path, expected, tmp_path, dtype):
    write_ome(tmp_path / "a.tif")
    predict(path, tmp_path / "a.tif", "--structures", "nucleolus,dna", "--dtype", dtype, output=tmp_path)
    with tifffile.TiffFile(tmp_path / "a_predicted.ome.tiff") as file:
        found, facts = file.asarray(), tifffile.xml2dict(file.ome_metadata)["OME"]
    assert found.dtype == dtype
    notes = {m["K"]: m["value"] for m in facts["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]}
    for stack_found, stack_expected, key in zip(found, expected, ("nucleolus", "dna"), strict=True):
        value = stack_found.astype(float)
        if dtype != "float32":
            step, low = (float(part) for part in notes[f"prediction of {key}"].removeprefix("value * ").split(" + "))
            value = value * step + low
        tolerance = np.ptp(stack_expected) / (1e5 if dtype == "float32" else np.iinfo(dtype).max)
        np.testing.assert_allclose(value, stack_expected, atol=tolerance)


def test_structures_in_several_passes_and_with_spread(path, tmp_path, monkeypatch):
    write_ome(tmp_path / "a.tif")
    arguments = (tmp_path / "a.tif", "--tta", "--spread")
    predict(path, *arguments, output=tmp_path / "together")
    monkeypatch.setattr(batch, "_BAND_BYTES", 1)
    predict(path, *arguments, output=tmp_path / "apart")
    found = [tifffile.imread(tmp_path / name / "a_predicted.ome.tiff") for name in ("together", "apart")]
    np.testing.assert_allclose(*found, atol=1e-5)
    mean, spread = sparsessp.load_model(path).predict_with_spread(LIGHT, SPACING)
    np.testing.assert_allclose(found[0][::2], mean, atol=1e-5)
    np.testing.assert_allclose(found[0][1::2], spread, atol=1e-5)
    with tifffile.TiffFile(tmp_path / "apart" / "a_predicted.ome.tiff") as file:
        assert 'Name="dna spread"' in file.ome_metadata


def test_predictions_have_the_recorded_pixels(path, tmp_path):
    z, y, x = SPACING
    ome(tmp_path / "a.tif", np.repeat(LIGHT, 2, axis=2), "ZYX", spacing=(z, y, x / 2))
    predict(path, tmp_path / "a.tif", output=tmp_path)
    with tifffile.TiffFile(tmp_path / "a_predicted.ome.tiff") as file:
        assert file.series[0].shape == (2, 18, 40, 72) and 'PhysicalSizeX="0.145"' in file.ome_metadata


def test_a_scene_is_chosen(path, expected, tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as file:
        for voxels in (OTHER, LIGHT):
            sizes = {f"PhysicalSize{axis}": edge for axis, edge in zip("ZYX", SPACING, strict=True)}
            file.write(voxels, photometric="minisblack", metadata={"axes": "ZYX", **sizes})
    with pytest.raises(SparseSSPError, match="has 2 scenes; choose one with --scene 0 to --scene 1"):
        predict(path, tmp_path / "a.tif", output=tmp_path)
    with pytest.raises(SparseSSPError, match="scene 2 is not in the file; allowed: 0 to 1"):
        predict(path, tmp_path / "a.tif", "--scene", "2", output=tmp_path)
    predict(path, tmp_path / "a.tif", "--scene", "1", "--structures", "nucleolus,dna", output=tmp_path)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "a_predicted.ome.tiff"), expected, atol=1e-5)


def with_nan(path):
    voxels = LIGHT.astype(np.float32)
    voxels[3, 2, 1] = np.nan
    ome(path, voxels, "ZYX")


def colour_czi(path):
    with czi.create_czi(str(path)) as file:
        file.write(np.zeros((8, 8, 3), np.uint8), plane={"Z": 0})


@pytest.mark.parametrize(
    ("make", "options", "said"),
    (
        (lambda p: ome(p, LIGHT[0], "YX"), (), "a single plane; the model needs a stack"),
        (lambda p: ome(p, LIGHT[:, None], "TZYX"), (), "single plane and 9 time points.*--axes"),
        (lambda p: tifffile.imwrite(p, np.zeros((9, 8, 3), np.uint8), photometric="rgb"), (), "a colour image"),
        (colour_czi, (), "Bgr24 pixels; allowed: Gray8"),
        (write_ome, ("--channel", "DAPI"), "'DAPI' is not in the file; its channels: 0 'EGFP', 1 'Bright field'"),
        (write_ome, ("--channel", "2"), "'2' is not in the file"),
        (write_imagej, (), "which channel is the transmitted light.*--channel"),
        (write_plain, (), "no voxel size along z, y, x in the file.*--spacing"),
        (write_plain, ("--spacing", "0.58"), "no voxel size along y, x"),
        (write_plain, ("--spacing", "wide"), "--spacing 'wide' is not allowed"),
        (write_plain, ("--spacing", "inf"), "--spacing 'inf' is not allowed"),
        (write_ome, ("--scene", "-1"), "scene -1 is not in the file; allowed: 0 to 0"),
        (write_plain, ("--axes", "CZYX"), "axes 'CZYX' do not fit"),
        (write_ome, ("--spacing", "1.0"), "trained for 0.58 µm.*--force"),
        (with_nan, (), "plane 3 has NaN or infinite pixels, 1 in all; replace them"),
        (lambda p: ome(p, LIGHT * 0, "ZYX"), (), "every voxel is 0; is this the transmitted-light channel"),
        (write_ome, ("--structures", "eye"), "'eye' is unknown to the model; this model predicts: dna, nucleolus"),
        (write_ome, ("--structures", ""), "no structure is given"),
        (write_ome, ("--spread",), "give --tta"),
        (lambda p: p.write_text("text"), (), "not an image that can be read; allowed: OME-TIFF"),
        (lambda p: p.mkdir(), (), "no image in this folder"),
        (lambda p: None, (), "there is no such image"),
        (lambda p: p.write_bytes(b"II*\0"), (), "not a readable TIFF"),
        (lambda p: p.write_bytes(b"ZISRAWFILE"), (), "not a readable CZI"),
    ),
)
def test_a_wrong_input_is_one_line_that_says_what_to_do(path, tmp_path, make, options, said):
    make(tmp_path / "a.tif")
    with pytest.raises(SparseSSPError, match=said) as caught:
        predict(path, tmp_path / "a.tif", *options, output=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_output_that_is_a_file_is_refused(path, tmp_path):
    write_ome(tmp_path / "a.tif")
    (tmp_path / "out").write_text("text")
    with pytest.raises(SparseSSPError, match="--output .*out is a file; name a folder"):
        predict(path, tmp_path / "a.tif", output=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "text"


def test_existing_predictions_are_kept_without_overwrite(path, tmp_path):
    write_ome(tmp_path / "a.tif")
    predict(path, tmp_path / "a.tif", "--structures", "dna", output=tmp_path)
    before = (tmp_path / "a_predicted.ome.tiff").read_bytes()
    with pytest.raises(SparseSSPError, match="exists; give --overwrite"):
        predict(path, tmp_path / "a.tif", output=tmp_path)
    assert (tmp_path / "a_predicted.ome.tiff").read_bytes() == before
    predict(path, tmp_path / "a.tif", "--overwrite", output=tmp_path)
    assert tifffile.imread(tmp_path / "a_predicted.ome.tiff").shape == (2, 18, 40, 36)


def test_all_faults_are_listed_before_anything_is_predicted(path, tmp_path):
    write_ome(tmp_path / "good.tif")
    write_plain(tmp_path / "bad.tif")
    (tmp_path / "sub").mkdir()
    write_ome(tmp_path / "sub" / "good.tif")
    with pytest.raises(SparseSSPError) as caught:
        predict(path, tmp_path / "good.tif", tmp_path / "bad.tif", tmp_path / "sub", output=tmp_path / "out")
    head, *lines = str(caught.value).splitlines()
    assert head == "2 of 3 images cannot be predicted, so none was:" and len(lines) == 2
    assert "bad.tif: no voxel size" in lines[0] and "would replace that of" in lines[1]
    assert not (tmp_path / "out").exists()


def test_a_fault_found_late_leaves_the_other_files_predicted(path, tmp_path):
    with_nan(tmp_path / "a.tif")
    write_ome(tmp_path / "b.tif")
    with pytest.raises(SparseSSPError, match="1 of 2 images were not predicted:\n.*a.tif: plane 3 has NaN"):
        predict(path, tmp_path / "a.tif", tmp_path / "b.tif", "--structures", "dna", output=tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["b_predicted.ome.tiff", "b_quick-look.png", "summary.csv"]


def test_a_channel_is_recognised_by_its_name(tmp_path):
    for names in (("TL Brightfield", "GFP"), ("H3342", "T PMT"), ("DIC", "tom20"), ("transmitted_light", "dna")):
        ome(tmp_path / "a.tif", np.stack([LIGHT, OTHER]), names=names)
        with open_image(tmp_path / "a.tif") as image:
            assert light_channel(image, None) == (1 if names[0] == "H3342" else 0)


def test_the_help_answers_in_under_a_second():
    # Its own processor time, and the shortest of some: other tests may run at the same time, and fill the caches.
    code = """
import atexit, sys, time
from sparsessp.__main__ import run
atexit.register(lambda: print(time.process_time(), "numpy" in sys.modules))
run(["predict", "--help"])
"""
    found = []
    while len(found) < 5 and (not found or min(found) >= 1):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and "--structures" in done.stdout
        seconds, imports_numpy = done.stdout.split()[-2:]
        assert imports_numpy == "False"  # which, on a slow machine, would be the first to take long
        found.append(float(seconds))
    assert min(found) < 1


MEMORY = """
import resource, sys
from sparsessp.__main__ import run
model, output, *images = sys.argv[1:]
for image in images:
    run(["predict", model, image, "--output", output, "--quiet"])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_a_wide_stack_does_not_need_memory_for_its_prediction(tmp_path):
    """The prediction has 50 MB, of which memory holds a few rows."""
    model = saved_model(tmp_path / "model.pt", ratio=8, method="plain", topology="2d", interpolation="none")
    images = []
    for rows in (32, 128):
        light = (stack((2, rows, 64)) * 50 + 500).astype(np.uint8)
        images.append(tmp_path / f"{rows}.tif")
        ome(images[-1], np.tile(light, (3, 1, 16)), "ZYX", spacing=(8 * 0.29, 0.29, 0.29))
    command = [sys.executable, "-c", MEMORY, model, tmp_path / "out", *images]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    small, large = (int(line) for line in done.stdout.splitlines() if line.isdigit())
    predicted = (tmp_path / "out" / "128_predicted.ome.tiff").stat().st_size / 2**20
    assert predicted > 45 and large - small < 0.5 * predicted, (small, large)
