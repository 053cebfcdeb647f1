"""Volumes, splits, views, scores: what goes in comes out, and bad input is named."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.fields import make_field
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsessp.data.examples import centre, first_volumes, read_examples, write_examples
from sparsessp.data.samples import load_samples, make_views, read_manifest, write_table
from sparsessp.data.splits import PARTS, split
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, read_volume, sparse_view, write_volume, zscore
from sparsessp.data.voxel_checks import check_voxels
from sparsessp.data.voxels import voxel_um
from sparsessp.errors import SparseSSPError
from sparsessp.learning.evaluation import evaluate, linear_regression
from sparsessp.learning.metrics import delta_imp, score
from sparsessp.support.files import atomic_write, sha256


def volume(seed=0, shape=(2, 10, 12, 14)):
    voxels = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return Volume(voxels, (TRANSMITTED_LIGHT, "dna"), (0.29, 0.1, 0.2), {"light_mean": "3.5"})


@pytest.fixture
def collection(tmp_path):
    rows = []
    for i in range(4):
        path = tmp_path / "volumes" / "dna" / f"dna_{i:03d}.ome.tiff"
        write_volume(path, volume(i))
        rows.append({"volume": f"dna_{i:03d}", "structure": "dna", "path": f"dna/{path.name}", "sha256": sha256(path)})
    write_table(tmp_path / "volumes" / "manifest.csv", pd.DataFrame(rows))
    write_table(tmp_path / "split.csv", split(pd.DataFrame(rows)))
    return tmp_path


def test_a_volume_keeps_its_voxels_size_and_notes(tmp_path):
    path = tmp_path / "dna_001.ome.tiff"
    write_volume(path, volume())
    back = read_volume(path)
    assert np.array_equal(back.voxels, volume().voxels) and isinstance(back.voxels, np.memmap)
    assert (back.channels, back.voxel_um, back.notes) == (volume().channels, volume().voxel_um, volume().notes)
    first = path.read_bytes()
    write_volume(path, volume())
    assert path.read_bytes() == first
    with tifffile.TiffFile(path) as tiff:
        assert 'PhysicalSizeZ="0.29"' in tiff.ome_metadata


def test_broken_volumes_are_named(tmp_path):
    path = tmp_path / "dna_001.ome.tiff"
    with pytest.raises(SparseSSPError, match="dna_001.*missing"):
        read_volume(path)
    tifffile.imwrite(path, np.zeros((3, 4, 5), np.float32))
    with pytest.raises(SparseSSPError, match="dna_001.*OME"):
        read_volume(path)
    write_volume(path, volume())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SparseSSPError, match="dna_001"):
        read_volume(path)


def test_no_partial_file_is_left(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as partial:
        partial.write_text("new, but")
        raise RuntimeError
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_zscore_refuses_what_is_not_finite(value):
    stack = np.ones((2, 3, 4))
    stack[0, 0, 0] = value
    with pytest.raises(SparseSSPError, match="cell.tiff.*1 of 24"):
        zscore(stack, "cell.tiff")


def test_zscore_refuses_constant_and_empty_stacks():
    with pytest.raises(SparseSSPError, match="cell.tiff.*every voxel is 7"):
        zscore(np.full((2, 3, 4), 7.0), "cell.tiff")
    with pytest.raises(SparseSSPError, match="cell.tiff.*empty"):
        zscore(np.zeros((0, 3, 4)), "cell.tiff")


@given(st.sampled_from((1, 2, 4, 8)), st.integers(1, 70), st.data())
def test_sparse_view_takes_every_rth_plane(ratio, planes, data):
    phase = data.draw(st.integers(0, ratio - 1))
    view = sparse_view(np.arange(planes)[:, None, None], ratio, phase)
    assert view.ravel().tolist() == list(range(phase, planes, ratio))


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 90), st.integers(3, 90))
def test_split_assigns_every_volume_once(first, second):
    names = [("dna", i) for i in range(first)] + [("nucleolus", i) for i in range(second)]
    manifest = pd.DataFrame({"volume": [f"{s}_{i}" for s, i in names], "structure": [s for s, _ in names]})
    assigned = split(manifest)
    assert assigned["volume"].tolist() == manifest["volume"].tolist()
    counts = assigned.groupby("structure")["part"].value_counts().unstack(fill_value=0)
    assert set(counts.columns) == set(PARTS) and (counts > 0).all(axis=None)


@pytest.mark.parametrize(("n", "train", "validation", "test"), ((80, 54, 6, 20), (51, 34, 4, 13)))
def test_split_has_the_papers_counts(n, train, validation, test):
    manifest = pd.DataFrame({"volume": [f"v{i}" for i in range(n)], "structure": "dna"})
    assert split(manifest)["part"].value_counts().to_dict() == {"train": train, "validation": validation, "test": test}


def test_split_refuses_empty_duplicate_and_too_few_volumes():
    with pytest.raises(SparseSSPError, match="no volume"):
        split(pd.DataFrame({"volume": [], "structure": []}))
    with pytest.raises(SparseSSPError, match="'a'.*listed twice"):
        split(pd.DataFrame({"volume": ["a", "a", "b"], "structure": "dna"}))
    with pytest.raises(SparseSSPError, match="'dna' has 2"):
        split(pd.DataFrame({"volume": ["a", "b"], "structure": "dna"}))


def test_views_hold_imaged_planes_only(collection):
    make_views(collection / "volumes", collection / "views", 4, progress=False)
    view = read_volume(collection / "views" / "dna" / "dna_000.ome.tiff")
    assert view.voxels.shape == (1, 3, 12, 14) and view.voxel_um[0] == pytest.approx(4 * 0.29)
    parts = [
        load_samples(collection / "volumes", collection / "views", collection / "split.csv", part) for part in PARTS
    ]
    assert [len(part) for part in parts] == [2, 1, 1]
    assert parts[0][0].view_dHW.shape[0] == 3 and parts[0][0].target_DHW.shape[0] == 10


def test_planes_that_were_not_imaged_do_not_affect_the_view(collection):
    volumes, views = collection / "volumes", collection / "views"
    make_views(volumes, views, 4, progress=False)
    before = (views / "dna" / "dna_000.ome.tiff").read_bytes()
    poisoned = volume(0)
    light = poisoned.channel(TRANSMITTED_LIGHT)
    light[np.arange(len(light)) % 4 > 0] = 1e6
    write_volume(volumes / "dna" / "dna_000.ome.tiff", poisoned)
    make_views(volumes, views, 4, progress=False)
    assert (views / "dna" / "dna_000.ome.tiff").read_bytes() == before


def test_samples_are_checked_when_they_are_used(collection):
    volumes, views, split_csv = collection / "volumes", collection / "views", collection / "split.csv"
    make_views(volumes, views, 2, progress=False)

    def refuses(said):
        with pytest.raises(SparseSSPError, match=said):
            for part in PARTS:
                load_samples(volumes, views, split_csv, part)

    whole_split = split_csv.read_text()
    split_csv.write_text(whole_split + "dna_009,dna,test\n")
    refuses("manifest.csv: volume 'dna_009' of .*split.csv is missing")
    split_csv.write_text(whole_split)
    for value, said in ((np.inf, "NaN or infinite"), (3.0, "every voxel is 3")):
        broken = volume(0)
        broken.channel("dna")[...] = value
        write_volume(volumes / "dna" / "dna_001.ome.tiff", broken)
        refuses(f"volumes.*dna_001.*channel dna: .*{said}")


def test_bad_collections_are_named(collection):
    volumes = collection / "volumes"
    broken = volume(0)
    broken.voxels[1, 2, 3, 4] = np.nan
    write_volume(volumes / "dna" / "dna_002.ome.tiff", broken)
    with pytest.raises(SparseSSPError, match="dna_002.*channel dna.*NaN"):
        make_views(volumes, collection / "views", 2, progress=False)
    assert not (collection / "views" / "views.csv").exists()
    (volumes / "dna" / "dna_001.ome.tiff").unlink()
    with pytest.raises(SparseSSPError, match="dna_001.*missing"):
        make_views(volumes, collection / "views", 2, progress=False)
    (volumes / "manifest.csv").write_text("volume,structure,path,sha256\n")
    with pytest.raises(SparseSSPError, match="manifest.csv.*empty"):
        read_manifest(volumes)
    with pytest.raises(SparseSSPError, match="every voxel is 2"):
        check_voxels(np.full((2, 2, 2), 2.0), "x")


def test_the_voxel_size_is_that_of_the_manifest_or_else_of_the_volumes(collection):
    volumes = collection / "volumes"
    manifest = read_manifest(volumes)
    assert "voxel_z_um" not in manifest.columns and voxel_um(volumes) == volume().voxel_um
    write_table(volumes / "manifest.csv", manifest.assign(voxel_z_um=1.5, voxel_y_um=0.2, voxel_x_um=0.3))
    assert voxel_um(volumes) == (1.5, 0.2, 0.3)


def test_scores_match_their_definitions():
    rng = np.random.default_rng(0)
    target, prediction = rng.standard_normal((2, 5, 6, 7))
    got = score(prediction, target)
    assert got.mse == pytest.approx(((prediction - target) ** 2).mean(), rel=1e-12)
    assert got.mae == pytest.approx(abs(prediction - target).mean(), rel=1e-12)
    spread = ((target - target.mean()) ** 2).sum()
    assert got.r2 == pytest.approx(1 - ((prediction - target) ** 2).sum() / spread, rel=1e-9)
    assert score(target, target).r2 == 1 and score(np.full_like(target, target.mean()), target).r2 == pytest.approx(0)


def test_delta_imp_is_the_papers():
    # Table 7, All: Multi-Net against TGNet 3-to-2D at r = 2; the inputs carry four digits.
    assert delta_imp(0.4995, 0.5341, "mse") == pytest.approx(6.4782, abs=0.01)
    assert delta_imp(0.4693, 0.4337, "r2") == pytest.approx(8.2084, abs=0.01)


def test_linear_regression_is_least_squares():
    sample = make_field(2, ratio=1)
    x, y = sample.view_dHW.astype(float).ravel(), sample.target_DHW.astype(float).ravel()
    slope, offset = np.polyfit(x, y, 1)
    got = linear_regression([sample])(sample)
    np.testing.assert_allclose(got.ravel(), slope * x + offset, atol=1e-6)  # float32 inputs
    found = evaluate(linear_regression([sample]), [sample], "x", keep=[sample.volume], progress=False)
    assert found.scores["r2"].mean() == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, abs=1e-6)
    assert np.array_equal(found.kept[sample.volume], got)
    assert list(found.planes["plane"]) == list(range(len(sample.target_DHW)))
    sums = found.planes[["squared_error", "variation"]].sum()
    assert 1 - sums["squared_error"] / sums["variation"] == pytest.approx(found.scores["r2"][0], rel=1e-9)


@given(st.integers(0, 99), st.floats(0.01, 50), st.floats(-5, 5))
def test_the_affine_score_is_invariant_to_scale_and_offset_only(seed, scale, offset):
    target, prediction = np.random.default_rng(seed).standard_normal((2, 3, 4, 5))
    prediction += target
    slope, intercept = np.polyfit(prediction.ravel(), target.ravel(), 1)
    best = score(slope * prediction + intercept, target)
    got = score(scale * prediction + offset, target)
    assert got.r2_affine == pytest.approx(best.r2, rel=1e-6) and got.r2 <= got.r2_affine + 1e-9
    assert got.pearson == pytest.approx(np.corrcoef(prediction.ravel(), target.ravel())[0, 1], rel=1e-6)
    flat = score(np.full_like(target, offset), target)
    assert flat.pearson == flat.r2_affine == 0


def test_examples_are_central_crops_of_the_first_volumes(tmp_path):
    samples = [
        replace(make_field(2, ratio=1), volume=name, structure=key)
        for name, key in (("a1", "dna"), ("a2", "dna"), ("b1", "nucleolus"))
    ]
    assert list(first_volumes(samples)) == ["a1", "b1"] and list(first_volumes(samples, ["nucleolus"])) == ["b1"]
    stack = np.arange(2 * 131 * 5, dtype=np.float32).reshape(2, 131, 5) / 1024
    np.testing.assert_allclose(centre(stack), stack[:, 1:129], rtol=1e-3)  # float16
    write_examples(tmp_path / "one.npz", {"x": centre(stack)})
    write_examples(tmp_path / "two.npz", {"x": centre(stack)})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert np.array_equal(read_examples(tmp_path / "one.npz")["x"], centre(stack).astype(np.float32))
    assert read_examples(tmp_path / "none.npz") == {}
    (tmp_path / "two.npz").write_bytes(b"PK broken")
    with pytest.raises(SparseSSPError, match="two.npz"):
        read_examples(tmp_path / "two.npz")
