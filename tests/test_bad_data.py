"""Broken inputs, made here: each is refused with its file and its fault named, or is handled as documented."""

import gzip
import io
import re
import tarfile
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.archives import make_archive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.plan.params import parse_params
from sparsessp.data.allencell.archive import LARGEST_BYTES, BadArchive, members
from sparsessp.data.allencell.catalogue import load_catalogue as load_collection
from sparsessp.data.allencell.images import read_image
from sparsessp.data.allencell.lists import faults, read_list
from sparsessp.data.crops import Crops, Patch
from sparsessp.data.images.opening import open_image
from sparsessp.data.microscope.catalogue import load_catalogue
from sparsessp.data.samples import load_samples, make_views, read_manifest, write_table
from sparsessp.data.splits import split
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, read_volume, write_volume
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import sha256
from sparsessp.support.yaml_files import parse_yaml, read_yaml

CHANNELS = (TRANSMITTED_LIGHT, "dna")
VOXEL_UM = (0.29, 0.29, 0.29)
FUZZ = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def volume(shape=(2, 6, 8, 8), seed=0, channels=CHANNELS, voxel_um=VOXEL_UM):
    voxels = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return Volume(voxels, channels, voxel_um, {})


def make_collection(folder, volumes):
    rows = []
    for i, content in enumerate(volumes):
        path = folder / "volumes" / "dna" / f"dna_{i:03d}.ome.tiff"
        write_volume(path, content)
        rows.append({"volume": f"dna_{i:03d}", "structure": "dna", "path": f"dna/{path.name}", "sha256": sha256(path)})
    write_table(folder / "volumes" / "manifest.csv", pd.DataFrame(rows))
    write_table(folder / "split.csv", split(pd.DataFrame(rows)))
    return folder / "volumes"


# Prepared volumes, as a lab may bring its own.


def with_dtype(path):
    tifffile.imwrite(path, np.ones((2, 6, 8, 8), np.uint16), ome=True, metadata={"axes": "CZYX"})


def with_axes(path):
    tifffile.imwrite(path, volume((6, 2, 8, 8)).voxels, ome=True, photometric="minisblack", metadata={"axes": "TCYX"})


def with_planes_first(path):
    voxels = volume((6, 2, 8, 8)).voxels
    tifffile.imwrite(path, voxels, ome=True, photometric="minisblack", metadata={"axes": "ZCYX"})


def compressed(path):
    metadata = {"axes": "CZYX", "Channel": {"Name": list(CHANNELS)}}
    tifffile.imwrite(path, volume().voxels, ome=True, photometric="minisblack", compression="zlib", metadata=metadata)


def without_names(path):
    tifffile.imwrite(path, volume().voxels, ome=True, photometric="minisblack", metadata={"axes": "CZYX"})


def no_tiff(path):
    path.write_bytes(b"GIF89a" + bytes(100))


def a_folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def cut_short(path):
    write_volume(path, volume())
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("make", "said"),
    (
        (with_dtype, "uint16; expected float32"),
        (with_axes, "axes are TCYX; expected CZYX"),
        (with_planes_first, "axes are ZCYX; expected CZYX"),
        (compressed, "uncompressed"),
        (without_names, "lack"),
        (no_tiff, "not a readable"),
        (a_folder, "missing"),
        (cut_short, "OME metadata"),
    ),
)
def test_a_file_that_is_not_a_prepared_volume_is_named(tmp_path, make, said):
    path = tmp_path / "cell_7.ome.tiff"
    make(path)
    with pytest.raises(SparseSSPError, match=rf"cell_7\.ome\.tiff.*{said}"):
        read_volume(path)


@pytest.mark.parametrize(
    ("value", "said"), ((np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-np.inf, "NaN or infinite"))
)
def test_one_bad_voxel_is_found_before_any_view_is_listed(tmp_path, value, said):
    bad = volume(seed=9)
    bad.voxels[1, 5, 7, 7] = value
    volumes = make_collection(tmp_path, [volume(seed=0), bad, volume(seed=2)])
    with pytest.raises(SparseSSPError, match=rf"dna_001\.ome\.tiff, channel dna: .*{said}"):
        make_views(volumes, tmp_path / "views", 2, progress=False)
    assert not (tmp_path / "views" / "views.csv").exists()
    assert (volumes / "manifest.csv").exists() and (tmp_path / "split.csv").exists()


def test_a_constant_channel_is_named_and_constant_planes_are_accepted(tmp_path):
    dark = volume(seed=1)
    dark.voxels[:, 2] = 0  # as above and below a cell
    volumes = make_collection(tmp_path, [dark, volume(seed=2), volume(seed=3)])
    make_views(volumes, tmp_path / "views", 2, progress=False)
    dark.voxels[0] = 3
    write_volume(volumes / "dna" / "dna_000.ome.tiff", dark)
    with pytest.raises(SparseSSPError, match=rf"dna_000.*{TRANSMITTED_LIGHT}: every voxel is 3"):
        make_views(volumes, tmp_path / "views", 2, progress=False)


def test_swapped_channels_and_uneven_voxels_change_nothing_but_their_names(tmp_path):
    """Channels are found by name, not by place; every volume keeps its own voxel size, cubic or not."""
    as_usual = volume()
    swapped = Volume(as_usual.voxels[::-1], CHANNELS[::-1], (0.9, 0.1, 0.2), {})
    volumes = make_collection(tmp_path, [as_usual, swapped, volume(seed=3)])
    make_views(volumes, tmp_path / "views", 2, progress=False)
    views = [read_volume(tmp_path / "views" / "dna" / f"dna_00{i}.ome.tiff") for i in (0, 1)]
    assert np.array_equal(views[0].voxels, views[1].voxels)
    assert views[1].voxel_um == pytest.approx((1.8, 0.1, 0.2))


def test_a_missing_channel_is_named(tmp_path):
    volumes = make_collection(tmp_path, [volume(seed=seed, channels=("light", "dna")) for seed in range(3)])
    with pytest.raises(SparseSSPError, match=f"{TRANSMITTED_LIGHT}.*is missing.*light, dna"):
        make_views(volumes, tmp_path / "views", 2, progress=False)


@pytest.mark.parametrize("shape", ((2, 1, 8, 8), (2, 2, 10_000, 6), (2, 6, 3, 3)))
def test_one_plane_a_wide_and_a_tiny_volume_are_cropped_like_any_other(tmp_path, shape):
    volumes = make_collection(tmp_path, [volume(shape, seed) for seed in range(3)])
    make_views(volumes, tmp_path / "views", 2, progress=False)
    samples = load_samples(volumes, tmp_path / "views", tmp_path / "split.csv", "train")
    import torch

    view, target, _ = Crops(samples, Patch(8, 16, "zyx"), 0, torch.device("cpu")).batch(0, 4)
    assert view.shape == (4, 1, 4, 16, 16) and target.shape == (4, 1, 8, 16, 16) and target.isfinite().all()


def test_an_empty_volume_is_named(tmp_path):
    path = tmp_path / "cell_7.ome.tiff"
    with pytest.raises((SparseSSPError, ValueError)):
        write_volume(path, volume((2, 0, 8, 8)))
        read_volume(path)
    assert not [file for file in tmp_path.iterdir() if "partial" in file.name]


@pytest.mark.parametrize("path", ("/etc/passwd", "../../secret.tiff", "dna/../../x.tiff", "..\\x.tiff", "."))
def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path, path):
    volumes = make_collection(tmp_path, [volume(seed=seed) for seed in range(3)])
    manifest = pd.read_csv(volumes / "manifest.csv").assign(path=path)
    write_table(volumes / "manifest.csv", manifest)
    with pytest.raises(SparseSSPError, match=rf"manifest\.csv.*path = .*{re.escape(path[-6:])}"):
        make_views(volumes, tmp_path / "views", 2, progress=False)


def test_a_manifest_names_each_volume_once_and_known_structures_only(tmp_path):
    volumes = make_collection(tmp_path, [volume(seed=seed) for seed in range(3)])
    manifest = pd.read_csv(volumes / "manifest.csv")
    make_views(volumes, tmp_path / "views", 2, progress=False)
    write_table(volumes / "manifest.csv", pd.concat([manifest, manifest[:1]]))
    with pytest.raises(SparseSSPError, match=r"manifest\.csv.*'dna_000' is listed twice"):
        read_manifest(volumes)
    write_table(volumes / "manifest.csv", manifest.assign(structure="eye"))
    with pytest.raises(SparseSSPError, match="'eye'"):
        load_samples(volumes, tmp_path / "views", tmp_path / "split.csv", "train")


# Archives.


def test_a_huge_file_is_refused_before_it_is_unpacked(tmp_path):
    """A few kilobytes that claim to be, or unpack to, far more than an image has."""
    header = tarfile.TarInfo("a.czi")
    header.size = LARGEST_BYTES + 1
    archive = tmp_path / "set.tar.gz"
    with gzip.open(archive, "wb") as stream:
        stream.write(header.tobuf())
        stream.write(bytes(1 << 20))
    with pytest.raises(BadArchive, match=rf"set\.tar\.gz: 'a\.czi' has {header.size} bytes"):
        list(members(archive, {"a.czi"}, tmp_path / "unpacked"))
    assert not list((tmp_path / "unpacked").iterdir())


def test_unwanted_files_of_zeros_take_neither_memory_nor_disk(tmp_path):
    archive = tmp_path / "set.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as stream:
        header = tarfile.TarInfo("bomb")
        header.size = 64 << 20
        stream.write(header.tobuf())
        for _ in range(64):
            stream.write(bytes(1 << 20))
        stream.write(bytes(1024))
    assert archive.stat().st_size < 1 << 19
    tracemalloc.start()
    found = list(members(archive, {"a.czi"}, tmp_path / "unpacked"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [("a.czi", None)] and peak < 16 << 20 and not list((tmp_path / "unpacked").iterdir())


def test_links_and_paths_of_an_archive_write_nothing_outside(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("old")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, kind, target in (
            ("folder", tarfile.SYMTYPE, str(outside)),
            ("b.czi", tarfile.SYMTYPE, str(outside / "kept")),
            ("c.czi", tarfile.LNKTYPE, "../outside/kept"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
        for name in ("folder/a.czi", "../outside/a.czi", "/outside/d.czi"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"new"))
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(stream.getvalue())
    unpacked = tmp_path / "in" / "unpacked"
    with pytest.raises(BadArchive, match=r"'a\.czi' is listed twice"):
        for _, path in members(archive, {"a.czi", "b.czi", "c.czi", "d.czi"}, unpacked):
            assert path is None or path.parent == unpacked
    assert (outside / "kept").read_text() == "old" and len(list(outside.iterdir())) == 1


# Images as recorded.


def test_a_small_file_that_claims_a_huge_image_is_refused(tmp_path):
    path = tmp_path / "cell.tiff"
    tifffile.imwrite(path, np.zeros((4, 8, 8), np.uint16), imagej=True, metadata={"axes": "ZYX"})
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        places = [file.pages[0].tags[tag].valueoffset for tag in ("ImageWidth", "ImageLength")]
    for place in places:
        content = content[:place] + (60_000).to_bytes(2, "big") + content[place + 2 :]
    path.write_bytes(content)
    with pytest.raises(SparseSSPError, match="row 7"):
        read_image(path, [0], "row 7")


# YAML.

BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD_YAML = (
    ("key: [1, 2", "not valid YAML"),
    ("a: 1\na: 2", "not valid YAML"),
    ("!!python/object/apply:os.system ['touch trace']", "not valid YAML"),
    ("a: !!python/name:os.system", "not valid YAML"),
    ("a: !Unknown {b: 1}", "not valid YAML"),
    ("\tkey: 1", "not valid YAML"),
    ("a: 2024-13-45", ""),
    ("[" * 3000 + "]" * 3000, ""),
    ("- 1\n- 2", "expected keys|has no keys"),
    (BOMB, "unknown key|missing"),
)


@pytest.mark.parametrize(("text", "said"), BAD_YAML)
@pytest.mark.parametrize("read", (load_catalogue, load_collection))
def test_bad_yaml_is_named_and_runs_nothing(tmp_path, monkeypatch, read, text, said):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SparseSSPError, match=rf"mine\.yaml.*({said})") as caught:
        read(path)
    assert len(str(caught.value)) < 20_000 and not (tmp_path / "trace").exists()


@pytest.mark.parametrize(("text", "said"), BAD_YAML)
def test_bad_params_are_named_and_run_nothing(text, said):
    with pytest.raises(SparseSSPError, match=rf"params\.yaml.*({said})"):
        parse_params(text, "params.yaml")


def test_a_binary_file_in_place_of_text_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SparseSSPError, match=r"mine\.yaml.*not valid YAML"):
        read_yaml(path)


# Fuzzing: whatever a reader is given, it returns or says what is wrong with which file.


def spoil(content, data):
    """Change, cut out or repeat a few bytes."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(("change", "cut", "repeat", "end")))
        if kind == "change":
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 40))]
        elif kind == "repeat":
            content[place:place] = content[place : place + 20]
        else:
            del content[max(place, 1) :]
        if not content:
            content = bytearray(1)
    return bytes(content)


def survives(read, path):
    try:
        return read(path)
    except SparseSSPError as error:
        assert path.name in str(error)
    return None


@FUZZ
@given(st.data())
def test_any_changed_volume_is_read_or_refused_by_name(tmp_path, data):
    path = tmp_path / "cell_7.ome.tiff"
    write_volume(path, volume((2, 3, 4, 4)))
    path.write_bytes(spoil(path.read_bytes(), data))
    survives(read_volume, path)


@FUZZ
@given(st.data())
def test_any_changed_image_is_read_or_refused_by_name(tmp_path, data):
    path = tmp_path / "cell.tiff"
    voxels = np.arange(96, dtype=np.uint16).reshape(2, 3, 4, 4)
    tifffile.imwrite(path, voxels, ome=True, photometric="minisblack", metadata={"axes": "CZYX"})
    path.write_bytes(spoil(path.read_bytes(), data))
    survives(lambda path: read_image(path, [0, 1], path.name), path)


@pytest.mark.parametrize(("pages", "back"), ((1, 0), (3, 1), (300, 250)))
def test_pages_in_a_circle_are_refused(tmp_path, pages, back):
    path = tmp_path / "cell.tiff"
    tifffile.imwrite(path, np.zeros((pages, 4, 4), np.uint16), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        offsets = [page.offset for page in file.pages]
        tags = len(file.pages[pages - 1].tags)
    content = bytearray(path.read_bytes())
    last = offsets[-1] + 2 + 12 * tags  # where the last page names the next
    assert content[last : last + 4] == bytes(4)
    content[last : last + 4] = offsets[back].to_bytes(4, "little")
    path.write_bytes(content)
    for read in (read_volume, open_image, lambda path: read_image(path, [0], path.name)):
        with pytest.raises(SparseSSPError, match=r"cell\.tiff.*in a circle"):
            read(path)


@pytest.mark.parametrize("name", ("synthetic", "allencell"))
def test_any_changed_catalogue_is_read_or_refused_by_name(tmp_path, name):
    from helpers.checkout import ROOT

    content = (ROOT / "data" / f"{name}.yaml").read_bytes()
    read = load_catalogue if name == "synthetic" else load_collection
    path = tmp_path / "mine.yaml"

    @settings(FUZZ, max_examples=40)
    @given(st.data())
    def fuzz(data):
        path.write_bytes(spoil(content, data))
        survives(read, path)

    fuzz()


@FUZZ
@given(st.text(st.characters(codec="utf-8"), max_size=80) | st.text("{}[]:,-!&*|>'\"#%@? \n\tab0", max_size=40))
def test_any_yaml_is_read_or_refused_by_name(text):
    try:
        parse_yaml(text, "mine.yaml")
    except SparseSSPError as error:
        assert "mine.yaml" in str(error)


@FUZZ
@given(st.data())
def test_any_changed_list_is_read_or_refused_by_name(tmp_path, data):
    path = tmp_path / "beta_actin.csv"
    rows = "".join(f"/collection/a_{i}.czi,{i % 7},3,note\n" for i in range(4))
    path.write_bytes(spoil(f"path_czi,channel_signal,channel_target,remark\n{rows}".encode(), data))
    table = survives(read_list, path)
    if table is not None:
        assert all("beta_actin.csv" in line for line in faults({"beta_actin": table}))


@FUZZ
@given(st.data())
def test_any_changed_archive_is_read_or_refused_by_name(tmp_path, data):
    path = tmp_path / "set.tar.gz"
    make_archive(path, [(f"{name}.czi", name.encode() * 700) for name in "abc"])
    path.write_bytes(spoil(path.read_bytes(), data))
    survives(lambda path: list(members(path, {"a.czi", "c.czi"}, tmp_path / "unpacked")), path)
    assert not (tmp_path / "unpacked").exists() or not list((tmp_path / "unpacked").iterdir())
