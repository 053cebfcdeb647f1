"""A user's own training images: the CSV file, its checks, their preparation, and a report."""

import re
from pathlib import Path

import chaos
import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.checkout import ROOT, sh
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.plan.composing import compose
from pipeline.plan.estimate import amount
from pipeline.plan.params import parse_params
from sparsessp.data.folder.checking import check
from sparsessp.data.folder.dataset import acquire
from sparsessp.data.folder.grouping import groups
from sparsessp.data.folder.needs import Needs
from sparsessp.data.folder.table import Faults, Row, read_rows
from sparsessp.data.samples import read_manifest, structures_of
from sparsessp.data.volumes import TRANSMITTED_LIGHT, read_volume
from sparsessp.errors import SparseSSPError
from sparsessp.structures import KEYS, in_order, key_of, task_codes

SHAPE = (10, 26, 28)
SMALL = Needs(depth=8, patch=24)
HEADER = "image,transmitted_light,fluorescence,structure"


def write_image(path, shape=SHAPE, seed=0, spacing=(0.29, 0.29, 0.29), **change):
    """An OME-TIFF with channels TL, GFP and RFP."""
    light = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1)
    voxels = np.stack([light, np.roll(light, 1, 0) ** 2, -light], axis=1).astype(np.float32)
    if "voxel" in change:
        voxels[0, 1, 0, 0] = change["voxel"]
    if change.get("constant"):
        voxels[:, 1] = 3
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["TL", "GFP", "RFP"]}}
    metadata |= {f"PhysicalSize{axis}": edge for axis, edge in zip("ZYX", spacing, strict=True) if edge}
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, voxels, ome=True, photometric="minisblack", metadata=metadata)


def write_table(folder, *lines, header=HEADER):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "images.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(6):
        write_image(folder / f"{number}.ome.tiff", seed=number)
    return folder


def six(structures=("nucleolus", "Lamp1")):
    return [f"{number}.ome.tiff,TL,GFP,{structures[number % len(structures)]}" for number in range(6)]


def faults_of(path, needs=SMALL):
    with pytest.raises(SparseSSPError) as caught:
        check(path, needs)
    return str(caught.value)


def test_the_example_in_the_documentation_has_no_fault():
    path = ROOT / "docs" / "example-images.csv"
    faults = Faults(path)
    rows = read_rows(path, faults)
    faults.check()
    assert len(rows) == 9 and in_order(row.structure for row in rows) == ("dna", "nucleolus", "Lysosome")


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("", "the file is empty; expected a header with image, fluorescence, structure"),
        ("\n \n", "the file is empty"),
        ("image,fluorescence,structure\n", "the table has no rows"),
        ("image,image,structure\na,b,c\n", "column 'image' is listed twice; column 'fluorescence' is missing"),
        (
            "image,fluorescence,structure,colour\na,b,c,d\n",
            "column 'colour' is unknown.*allowed: transmitted_light",
        ),
        ("image;fluorescence;structure\na;b;c\n", "separate them with commas"),
        ('image,fluorescence,structure\n"a,b,c\n', "not a CSV file in UTF-8"),
    ),
)
def test_a_file_that_is_no_table_of_images_is_refused(tmp_path, text, said):
    path = tmp_path / "images.csv"
    path.write_text(text)
    with pytest.raises(SparseSSPError, match=said):
        check(path, SMALL)


def test_a_file_in_another_encoding_or_a_missing_one_is_refused(tmp_path):
    path = tmp_path / "images.csv"
    path.write_bytes("image,fluorescence,structure\nä,0,dna\n".encode("latin-1"))
    with pytest.raises(SparseSSPError, match="not a CSV file in UTF-8"):
        check(path, SMALL)
    with pytest.raises(SparseSSPError, match="the file is missing"):
        check(tmp_path / "none.csv", SMALL)


def test_all_faults_are_listed_at_once_with_line_column_value_and_what_is_allowed(tmp_path):
    write_image(tmp_path / "good.ome.tiff")
    write_image(tmp_path / "thin.ome.tiff", shape=(6, 26, 28))
    write_image(tmp_path / "small.ome.tiff", shape=(10, 26, 20))
    write_image(tmp_path / "unknown.ome.tiff", spacing=(None, 0.29, 0.29))
    write_image(tmp_path / "other.ome.tiff", spacing=(0.58, 0.29, 0.29))
    write_image(tmp_path / "nan.ome.tiff", voxel=np.nan)
    write_image(tmp_path / "constant.ome.tiff", constant=True)
    tifffile.imwrite(tmp_path / "flat.tiff", np.ones((30, 30), np.uint8))
    tifffile.imwrite(tmp_path / "rgb.tiff", np.ones((30, 30, 3), np.uint8), photometric="rgb")
    (tmp_path / "note.txt").write_text("no image")
    lines = [
        ("good.ome.tiff,TL,GFP,dna,train,,", None),
        ("missing.ome.tiff,TL,GFP,dna,train,,", "image = 'missing.ome.tiff'.*there is no such image"),
        ("../x.tiff,TL,GFP,dna,train,,", "image = '../x.tiff'.*not in the folder of the CSV file"),
        ("good.ome.tiff,TL,YFP,dna,train,,", "fluorescence = 'YFP'.*its channels: 0 'TL', 1 'GFP', 2 'RFP'"),
        ("good.ome.tiff,7,RFP,dna,train,,", "transmitted_light = '7'.*its channels: 0 'TL'"),
        ("good.ome.tiff,TL,0,dna,train,,", "fluorescence = '0'.*also the transmitted light.*3 channels"),
        ("good.ome.tiff,TL,1,golgi apparatus,train,,", "line 2 already lists this channel"),
        ("./good.ome.tiff,TL,RFP,DNA,train,,", "line 2 already lists this structure"),
        ("thin.ome.tiff,TL,GFP,dna,train,,", "6 planes; the scale needs 8.*scale.network.depth to at most 6"),
        ("small.ome.tiff,TL,GFP,dna,train,,", "20 columns.*the scale needs 24.*scale.training.patch to at most 20"),
        ("unknown.ome.tiff,TL,GFP,dna,train,,", "voxel_z_um = ''.*give it in micrometres"),
        ("other.ome.tiff,TL,GFP,dna,train,,", "0.58 µm; the median is 0.29 µm.*within 5 %"),
        ("nan.ome.tiff,TL,GFP,dna,train,,", "fluorescence: 1 voxels of .*nan.ome.tiff are NaN or infinite"),
        ("constant.ome.tiff,TL,GFP,dna,train,,", "every voxel of .*constant.ome.tiff is 3"),
        ("flat.tiff,0,0,dna,train,,", r"a single plane \(2D\)"),
        ("rgb.tiff,0,0,dna,train,,", "a colour image"),
        ("note.txt,0,1,dna,train,,", "allowed: OME-TIFF, TIFF, CZI, OME-Zarr"),
        ("good.ome.tiff,TL,RFP,nucleolus,training,,", "split = 'training': allowed: train, validation, test"),
        ("good.ome.tiff,TL,RFP,a/b,train,,", "structure = 'a/b': allowed: a letter"),
        ("good.ome.tiff,TL,RFP,all,train,,", "structure = 'all'.*not all"),
        ("good.ome.tiff,TL,RFP,,train,,", "structure = '': a value is needed"),
        ("good.ome.tiff,TL,NaN,dna,train,,", "fluorescence = 'NaN': a value is needed"),
        ("good.ome.tiff,TL,RFP,dna,train,,-1", "voxel_z_um = '-1': allowed: micrometres above 0"),
        ("good.ome.tiff,TL,RFP,dna,train", "5 values, but the header has 7 columns"),
    ]
    path = write_table(tmp_path, *(line for line, _ in lines), header=f"{HEADER},split,group,voxel_z_um")
    found = faults_of(path).splitlines()
    assert found[0].startswith(f"{path}: ") and "no image was prepared" in found[0]
    for number, (line, said) in enumerate(lines, start=2):
        here = [text for text in found if text.startswith(f"line {number}, ")]
        if said is None:
            assert not here, here
        else:
            assert [text for text in here if re.search(said, text)], (line, here)
    assert any("structure 'dna' has no validation image" in text for text in found)


@pytest.mark.parametrize(
    ("lines", "header", "said"),
    (
        (six(), HEADER, None),
        (
            [f"{line},d{n // 3}" for n, line in enumerate(six())],
            f"{HEADER},group",
            "whole groups (images, without the column group) cannot be assigned",
        ),
        (
            [f"{line},{'train' if n else ''}" for n, line in enumerate(six())],
            f"{HEADER},split",
            "in every line or in none",
        ),
        (
            [f"{line},{part},d" for line, part in zip(six(), ("train", "validation", "test") * 2, strict=True)],
            f"{HEADER},split,group",
            "a group must be in one part",
        ),
        ([*six(), "0.ome.tiff,TL,RFP,lamp 1"], HEADER, "spells it 'Lamp1'"),
    ),
)
def test_splits_and_spelling_are_checked(images, lines, header, said):
    path = write_table(images, *lines, header=header)
    if said is None:
        assert len(check(path, SMALL)) == 6
    else:
        assert said in faults_of(path)


def test_structures_can_be_selected(images):
    path = write_table(images, *six())
    chosen = Needs(8, 24, structures=("Lamp1",))
    assert {image.row.structure for image in check(path, chosen)} == {"Lamp1"}
    assert "'eye' is in no valid line; the file has: nucleolus, Lamp1" in faults_of(path, Needs(8, 24, None, ("eye",)))


def test_prepared_images_are_z_scored_and_their_manifest_is_complete(images, tmp_path):
    acquire(write_table(images, *six()), SMALL, tmp_path / "volumes", progress=False)
    manifest = read_manifest(tmp_path / "volumes")
    assert manifest["structure"].tolist() == ["nucleolus", "Lamp1"] * 3
    assert manifest["plate"].tolist() == [f"{n}.ome.tiff" for n in range(6)] and "part" not in manifest
    volume = read_volume(tmp_path / "volumes" / manifest["path"][1])
    assert volume.channels == (TRANSMITTED_LIGHT, "Lamp1") and volume.voxels.shape[1:] == SHAPE
    np.testing.assert_allclose(volume.voxels.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(volume.voxels.std((1, 2, 3)), 1, atol=1e-5)
    raw = tifffile.imread(images / "1.ome.tiff")[:, 1]
    np.testing.assert_allclose(volume.channel("Lamp1"), (raw - raw.mean()) / raw.std(), atol=1e-4)
    assert structures_of(tmp_path / "volumes") == ("nucleolus", "Lamp1")


def test_rows_and_columns_are_resampled_to_the_largest_pixel_or_the_given_one(tmp_path):
    write_image(tmp_path / "fine.ome.tiff", shape=(8, 48, 48), spacing=(0.3, 0.2, 0.2))
    write_image(tmp_path / "coarse.ome.tiff", shape=(8, 30, 30), spacing=(0.3, 0.4, 0.4))
    write_image(tmp_path / "near.ome.tiff", shape=(8, 30, 30), spacing=(0.3, 0.396, 0.4))
    path = write_table(tmp_path, *(f"{name}.ome.tiff,TL,GFP,dna" for name in ("fine", "coarse", "near")))
    acquire(path, SMALL, tmp_path / "volumes", progress=False)
    manifest = read_manifest(tmp_path / "volumes")
    assert manifest[["height", "width"]].to_numpy().tolist() == [[24, 24], [30, 30], [30, 30]]
    np.testing.assert_allclose(manifest["voxel_y_um"], [0.2 * 47 / 23, 0.4, 0.396], rtol=1e-5)
    shapes = [image.prepared_shape(0.2) for image in check(path, Needs(8, 24, 0.2))]
    assert shapes == [(8, 48, 48), (8, 60, 60), (8, 59, 60)]
    assert "would be resampled to 0.001 µm; allowed: a factor of 16" in faults_of(path, Needs(8, 24, 0.001))


def test_the_split_of_the_file_and_its_groups_are_kept(images, tmp_path):
    parts = ("train", "train", "validation", "validation", "test", "test")
    lines = [f"{line},{part},dish {n // 2}" for n, (line, part) in enumerate(zip(six(), parts, strict=True))]
    acquire(write_table(images, *lines, header=f"{HEADER},split,group"), SMALL, tmp_path, progress=False)
    manifest = read_manifest(tmp_path)
    assert manifest["part"].tolist() == list(parts) and manifest["plate"].tolist()[::2] == [
        "dish 0",
        "dish 1",
        "dish 2",
    ]


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 3))), min_size=1, max_size=12))
def test_rows_with_the_same_image_or_group_are_in_one_group(pairs):
    rows = [
        Row(n, f"{image}.tiff", "0", "dna", group=None if g is None else f"g{g}") for n, (image, g) in enumerate(pairs)
    ]
    names = groups(rows, Path("/images"))
    for row, name in zip(rows, names, strict=True):
        for other, other_name in zip(rows, names, strict=True):
            if row.image == other.image or (row.group and row.group == other.group):
                assert name == other_name
    if not any(row.group for row in rows):
        assert len(set(names)) == len({row.image for row in rows})


def test_an_image_is_the_same_however_its_path_is_written(tmp_path):
    rows = [Row(n, image, "0", "dna") for n, image in enumerate(("a.tiff", "./a.tiff", f"{tmp_path}/a.tiff", "b.tiff"))]
    assert groups(rows, tmp_path) == ["a.tiff", "a.tiff", "a.tiff", "b.tiff"]


def test_a_subset_of_the_twelve_keeps_their_task_codes_and_other_names_get_their_own():
    assert task_codes(["nucleolus", "dna"]) == KEYS
    assert task_codes(["zebra", "Lamp1", "nucleolus"]) == ("nucleolus", "Lamp1", "zebra")
    assert (key_of("Golgi apparatus"), key_of("TIGHT-JUNCTION"), key_of("Lamp1")) == (KEYS[6], KEYS[11], "Lamp1")


@pytest.mark.parametrize(
    ("override", "said"),
    (
        ("data.csv=null", "data.csv is not set"),
        ("data.csv=none.csv", "there is no such file"),
        ("data.csv=params.yaml", "put the CSV file into the folder of its images"),
        ("data.split.rule=repmode", "columns split and group"),
        ("data.source.pixel_um=-1", "pixel_um = -1"),
        ("data.source.depth=4", "do not match"),
        ("structures=[--x]", "names as in the CSV file"),
    ),
)
def test_a_bad_setting_of_own_images_is_refused(images, override, said):
    with pytest.raises(SparseSSPError, match=said):
        compose(["data=folder", f"data.csv={write_table(images, *six())}", "scale=smoke", "tables=[7]", override])


def test_a_plan_counts_own_images(images):
    path = write_table(images, *six())
    params = parse_params(compose(["data=folder", f"data.csv={path}", "scale=smoke", "tables=[7]"]), "test")
    data = amount(params)
    assert data.volumes == {key: {"train": 1, "validation": 1, "test": 1} for key in ("nucleolus", "Lamp1")}
    assert data.images == 6 and data.shape == SHAPE


def test_six_small_files_are_trained_to_a_report_that_shows_their_structures(clone, images):
    table = write_table(images, *six())
    plan = "plan.grid=[{method:[tgnet],topology:[3to2d]}]"
    # The clone has measured the networks of this scale, which takes longest.
    chosen = ("scale=smoke", chaos.SAVE_OFTEN, "data=folder", f"data.csv={table}", "ratio=4", plan)
    sh(clone, "python", "-m", "pipeline.compose", *chosen)
    said = sh(clone, "dvc", "repro", OMP_NUM_THREADS="1").stdout
    assert "Running stage 'fetch'" in said and "Running stage 'profile'" not in said
    page = (clone / "reports" / "README.md").read_text()
    assert "| Lamp1 |" in page and "| Nucleolus |" in page and "Golgi" not in page
    by_structure = pd.read_csv(clone / "reports" / "tables" / "table7.csv")
    assert not [name for name in by_structure if name.endswith("_paper")]
    run = by_structure.set_index("experiment").loc["tgnet-3to2d-prefix-r4"]
    assert np.isfinite(run[["nucleolus_R2", "Lamp1_R2", "all_R2"]].astype(float)).all()
    assert "Nothing differs" in sh(clone, "python", "-m", "pipeline.verify").stdout
    card = sh(clone, "python", "-m", "sparsessp", "inspect", "artifacts/runs/tgnet-3to2d-prefix-r4").stdout
    assert "nucleolus, Lamp1" in card

    assert "up to date" in sh(clone, "dvc", "status", "fetch").stdout
    write_image(images / "5.ome.tiff", seed=9)
    status = sh(clone, "dvc", "status", "fetch").stdout
    assert "modified" in status and str(images) in status
