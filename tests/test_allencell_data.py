"""From lists and archives to prepared stacks: the right channels of the right images, or a named fault."""

import gzip
import io
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.archives import (
    FOUR,
    SEVEN,
    VOXEL_UM,
    layout,
    make_archive,
    make_collection,
    make_rows,
    make_voxels,
    write_czi,
    write_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibCZIrw import czi
from scipy import ndimage

from pipeline.split_lists import run as split_lists_script
from sparsessp.data.allencell.archive import LARGEST_BYTES, members
from sparsessp.data.allencell.catalogue import Preparation
from sparsessp.data.allencell.fingerprint import NOISE_KEPT, ceiling, describe, fingerprint, published_variance
from sparsessp.data.allencell.images import read_image
from sparsessp.data.allencell.lists import faults, read_list, rows_by_image
from sparsessp.data.allencell.preparation import prepare, zoom_factors
from sparsessp.data.splits import PARTS, assign, plate, split, split_lists
from sparsessp.data.volumes import TRANSMITTED_LIGHT, zscore
from sparsessp.errors import SparseSSPError
from sparsessp.structures import STRUCTURES

ROOT = Path(__file__).resolve().parents[1]
SETS = [s.allen_set for s in STRUCTURES if s.key != "dna"]
FULL = {name: 51 if name == "membrane_caax_63x" else 80 for name in SETS}


def lists_of(images, per_plate=2):
    columns = ["path_czi", "channel_signal", "channel_target", "remark"]
    return {
        name: pd.DataFrame([[str(value) for value in row] for row in rows], columns=columns)
        for name, rows in make_rows(images, per_plate).items()
    }


# Lists


def test_a_list_is_kept_as_text(tmp_path):
    columns, row = ["path_czi", "channel_signal", "channel_target", "", "n"], ["/a/1_x.czi", "06", "3", "", "NA"]
    write_rows(tmp_path / "tom20.csv", [row], columns)
    table = read_list(tmp_path / "tom20.csv")
    assert table.columns.tolist() == columns and table.iloc[0].tolist() == row


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("", "tom20.csv.*readable"),
        ("path_czi,channel_signal\na,1\n", "tom20.csv.*'channel_target'.*found: path_czi"),
        ("path_czi,channel_signal,channel_target\n", "tom20.csv.*no rows"),
        ("path_czi,channel_signal,channel_target\na,1,2,3\n", "tom20.csv.*readable"),
    ),
)
def test_a_broken_list_is_named(tmp_path, text, message):
    path = tmp_path / "tom20.csv"
    with pytest.raises(SparseSSPError, match="tom20.csv.*missing"):
        read_list(path)
    path.write_text(text)
    with pytest.raises(SparseSSPError, match=message):
        read_list(path)


def test_bad_rows_are_all_named_at_once():
    lists = lists_of({"beta_actin": 4, "tom20": 9})
    assert faults(lists) == []
    tom20, dna = lists["tom20"], lists["dna"]
    tom20.loc[0, "channel_signal"] = "-1"
    tom20.loc[1, "channel_target"] = "3.5"
    tom20.loc[2, "channel_target"] = tom20.loc[2, "channel_signal"]
    tom20.loc[3, "path_czi"] = "/collection/tom20/.."
    tom20.loc[4, "path_czi"] = tom20.loc[5, "path_czi"]
    tom20.loc[6, "path_czi"] = "D:\\else\\" + tom20.loc[5, "path_czi"].split("/")[-1]
    tom20.loc[7, "path_czi"] = lists["beta_actin"].loc[1, "path_czi"]
    dna.loc[0, "channel_signal"] = "4"
    found = faults({**lists, "tom21": tom20})
    for row, said in (
        ("row 1", "channel_signal = '-1'"),
        ("row 2", "channel_target = '3.5'"),
        ("row 3", "both 6"),
        ("row 4", "does not name a file"),
        ("row 6", "is listed twice"),
        ("row 7", "same file name"),
        ("row 8", "is also in beta_actin.csv, row 2"),
    ):
        assert [line for line in found if line.startswith(f"tom20.csv, {row},") and said in line], (row, found)
    assert any(line.startswith("dna.csv, row 1,") and "beta_actin.csv, row 1 has 6" in line for line in found)
    assert any("'tom21'" in line and "tom20" in line for line in found)


def test_an_image_is_wanted_for_its_own_row_and_for_dna():
    lists = lists_of({"alpha_tubulin": 2, "fibrillarin": 1})
    seven, four, nucleolus = rows_by_image(lists).values()
    assert seven.channels == {TRANSMITTED_LIGHT: 6, "microtubule": 3, "dna": 5}
    assert four.channels == {TRANSMITTED_LIGHT: 3, "microtubule": 1, "dna": 2}
    assert nucleolus.channels == {TRANSMITTED_LIGHT: 6, "nucleolus": 3}
    assert (four.set, four.number, four.file) == ("alpha_tubulin", 2, Path(four.path_czi).name)
    assert "alpha_tubulin.csv, row 2" in four.row
    del lists["dna"]
    assert [list(image.channels)[1:] for image in rows_by_image(lists).values()] == [["microtubule"]] * 2 + [
        ["nucleolus"]
    ]


# Split


def reference_split(lists):
    """The rule in pandas' own words, which shuffles rows where ours shuffles positions."""
    parts = {}
    for name in sorted(set(lists) - {"dna"}):
        rows = lists[name].sample(frac=1, random_state=42)
        kept, test = rows[: round(0.75 * len(rows))], rows[round(0.75 * len(rows)) :]
        kept = kept.sample(frac=1, random_state=42)
        parts[name] = (kept[: round(0.9 * len(kept))], kept[round(0.9 * len(kept)) :], test)
    dna = []
    for part, most in enumerate((54, 6, 20)):
        rng = np.random.RandomState(42)
        rows = pd.concat([parts[name][part] for name in parts]).sample(frac=1, random_state=rng)
        order = np.arange(len(rows))
        rng.shuffle(order)
        rows = rows.iloc[order]
        images = rows[rows["path_czi"].isin(lists["dna"]["path_czi"])]["path_czi"][:most]
        dna.append(lists["dna"].set_index("path_czi", drop=False).loc[images])
    return {**parts, "dna": tuple(dna)}


def test_lists_are_split_as_by_repmode():
    lists = lists_of(FULL)
    parts_of, expected = split_lists(lists), reference_split(lists)
    assert set(parts_of) == set(lists) == set(expected)
    for name, parts in parts_of.items():
        assert list(parts) == list(PARTS)
        for rows, reference in zip(parts.values(), expected[name], strict=True):
            assert rows.to_numpy().tolist() == reference.to_numpy().tolist()
        counts = (34, 4, 13) if name == "membrane_caax_63x" else (54, 6, 20)
        assert tuple(map(len, parts.values())) == counts
    assert [sum(len(parts[part]) for parts in parts_of.values()) for part in PARTS] == [628, 70, 233]
    where = {}
    for part in PARTS:
        for parts in parts_of.values():
            assert all(where.setdefault(image, part) == part for image in parts[part]["path_czi"])


def test_the_split_of_a_set_does_not_depend_on_the_others():
    lists = lists_of(FULL)
    some = {name: lists[name] for name in ("tom20", "dna", "beta_actin")}
    parts_of, full = split_lists(some), split_lists(lists)
    for part in PARTS:
        assert parts_of["tom20"][part].equals(full["tom20"][part])
        assert parts_of["dna"][part]["path_czi"].str.contains("tom20|beta_actin").all()
    assert [len(rows) for rows in parts_of["dna"].values()] == [54, 6, 20]


def test_tiny_lists_keep_a_row_in_each_part():
    parts_of = split_lists(lists_of({"beta_actin": 3, "zo1": 5}))
    assert [len(rows) for rows in parts_of["beta_actin"].values()] == [1, 1, 1]
    assert [len(rows) for rows in parts_of["dna"].values()] == [4, 2, 2]
    with pytest.raises(SparseSSPError, match="'zo1' has 2"):
        split_lists(lists_of({"zo1": 2}))
    with pytest.raises(SparseSSPError, match="'dna'.*part train"):
        split_lists(lists_of({"fibrillarin": 5}) | {"dna": lists_of({"zo1": 5})["dna"]})
    with pytest.raises(SparseSSPError, match="rule 'fair'.*repmode, plate"):
        split_lists(lists_of({"zo1": 5}), "fair")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 30), min_size=12, max_size=60), min_size=1, max_size=3))
def test_plates_are_never_divided(groups):
    names = ["beta_actin", "tom20", "zo1"]
    rows = {
        name: pd.DataFrame({"path_czi": [f"/{name}/{plate}_{i}.czi" for i, plate in enumerate(plates)]})
        for name, plates in zip(names, groups, strict=False)
    }
    try:
        parts_of = split_lists(rows, "plate")
    except SparseSSPError as error:
        assert "plates" in str(error)
        return
    part_of = {}
    for name, parts in parts_of.items():
        assert all(len(part) for part in parts.values())
        images = [image for part in parts.values() for image in part["path_czi"]]
        assert sorted(images) == sorted(rows[name]["path_czi"])
        for part, table in parts.items():
            assert all(part_of.setdefault(plate(image), part) == part for image in table["path_czi"])


def test_plates_approximate_the_papers_shares():
    parts_of = split_lists(lists_of(FULL, per_plate=4), "plate")
    for name, parts in parts_of.items():
        if name != "dna":
            shares = np.array([len(rows) for rows in parts.values()]) / FULL[name]
            assert abs(shares - (0.675, 0.075, 0.25)).max() < 0.05, (name, shares)
    assert [len(rows) for rows in parts_of["dna"].values()] == [54, 6, 20]
    plates = [{plate(image) for rows in parts_of.values() for image in rows[part]["path_czi"]} for part in PARTS]
    assert not plates[0] & plates[1] and not plates[0] & plates[2] and not plates[1] & plates[2]
    with pytest.raises(SparseSSPError, match="'zo1'.*2 plates"):
        split_lists(lists_of({"zo1": 8}, per_plate=4), "plate")


def manifest_of(lists, keys):
    sets = {s.key: s.allen_set for s in STRUCTURES}
    rows = [(f"{key}_{i:03d}", key, image) for key in keys for i, image in enumerate(lists[sets[key]]["path_czi"])]
    return pd.DataFrame(rows, columns=["volume", "structure", "image"])


@pytest.mark.parametrize("rule", ("repmode", "plate"))
def test_a_partial_manifest_is_split_like_the_full_one(rule):
    lists = lists_of(FULL)
    full = assign(manifest_of(lists, [s.key for s in STRUCTURES]), lists, rule)
    narrow = assign(manifest_of(lists, ["nucleolus", "dna"]), lists, rule)
    assert narrow["structure"].value_counts().to_dict() == {"nucleolus": 80, "dna": 80}
    joined = narrow.merge(full, on=["volume", "structure"], suffixes=("", "_full"))
    assert len(joined) == 160 and (joined["part"] == joined["part_full"]).all()
    assert narrow["volume"].tolist() == sorted(narrow["volume"], key=lambda name: (name[:3] == "dna", name))


def test_a_manifest_and_lists_that_differ_are_refused():
    lists = lists_of({"fibrillarin": 5})
    manifest = manifest_of(lists, ["nucleolus"])
    manifest.loc[2, "image"] = "/else/1_2.czi"
    with pytest.raises(SparseSSPError, match="fibrillarin.*_002.czi' of the list fibrillarin.*'nucleolus_002'.*not in"):
        assign(manifest, {"fibrillarin": lists["fibrillarin"]})
    with pytest.raises(SparseSSPError, match="'nucleolus'.*'fibrillarin'"):
        assign(manifest, {"zo1": lists_of({"zo1": 5})["zo1"]})


def test_volumes_without_lists_can_be_split_by_plate():
    manifest = pd.DataFrame({"volume": [f"v{i:02d}" for i in range(40)], "structure": "dna"})
    manifest["plate"] = [f"p{i // 4}" for i in range(40)]
    assigned = manifest.merge(split(manifest, "plate"))
    assert (assigned.groupby("plate")["part"].nunique() == 1).all() and set(assigned["part"]) == set(PARTS)
    with pytest.raises(SparseSSPError, match="'plate'"):
        split(manifest.drop(columns="plate"), "plate")


def test_the_split_command_keeps_the_rows_of_the_lists(tmp_path):
    (tmp_path / "lists").mkdir()
    for name, rows in make_rows({"beta_actin": 20, "tom20": 8}).items():
        write_rows(tmp_path / "lists" / f"{name}.csv", rows)
    command = [sys.executable, "-m", "pipeline.split_lists", "--csv-dir", tmp_path / "lists", "--out", tmp_path / "out"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    parts_of = split_lists({path.stem: read_list(path) for path in (tmp_path / "lists").glob("*.csv")})
    for name, parts in parts_of.items():
        header, *lines = (tmp_path / "lists" / f"{name}.csv").read_text().splitlines()
        files = [tmp_path / "out" / name / f"{part}.csv" for part in ("train", "val", "test")]
        written = [path.read_text().splitlines() for path in files]
        assert all(text[0] == header for text in written)
        found = [line for text in written for line in text[1:]]
        assert set(found) <= set(lines) and (name == "dna" or sorted(found) == sorted(lines))
        assert [line.split(",")[0] for line in written[0][1:]] == parts["train"]["path_czi"].tolist()


def test_the_split_command_names_what_is_wrong(tmp_path, capsys):
    arguments = ["--csv-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(SparseSSPError, match="no image list.*beta_actin"):
        split_lists_script(arguments)
    write_rows(tmp_path / "tom20.csv", [("/a/1.czi", "x", 3, ""), ("/a/2.czi", 6, "y", "")])
    with pytest.raises(SparseSSPError, match="(?s)bad rows, 2.*row 1.*'x'.*row 2.*'y'"):
        split_lists_script(arguments)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        split_lists_script(["--help"])
    assert "python -m pipeline.split_lists --csv-dir" in capsys.readouterr().out


# Archives


def contents(archive, wanted, folder):
    return [(name, path and path.read_bytes()) for name, path in members(archive, wanted, folder)]


def test_members_are_unpacked_one_at_a_time_and_deleted(tmp_path):
    archive, folder = tmp_path / "tom20.tar.gz", tmp_path / "work"
    make_archive(archive, [("x/a.czi", b"one"), ("x/b.txt", b"no"), ("./x/y/c.czi", b"two"), ("d.czi", b"three")])
    seen = []
    for name, path in members(archive, {"a.czi", "c.czi", "zz.czi", "aa.czi"}, folder):
        assert list(folder.iterdir()) == ([path] if path else [])
        seen.append((name, path and path.read_bytes()))
    assert seen == [("a.czi", b"one"), ("c.czi", b"two"), ("aa.czi", None), ("zz.czi", None)]
    assert list(folder.iterdir()) == []
    stream = members(archive, {"a.czi"}, folder)
    next(stream)
    stream.close()
    assert list(folder.iterdir()) == []
    with pytest.raises(SparseSSPError, match="none.tar.gz.*missing"):
        contents(tmp_path / "none.tar.gz", {"a"}, folder)


def test_a_tiff_stack_may_replace_a_czi_file_of_the_same_name(tmp_path):
    archive = tmp_path / "tom20.tar.gz"
    make_archive(archive, [("a.ome.tiff", b"1"), ("x/b.TIF", b"2"), ("c.ome.tif.txt", b"3"), ("d.tiff", b"4")])
    got = contents(archive, {"a.czi", "b.czi", "c.czi", "d.tiff"}, tmp_path / "work")
    assert got == [("a.czi", b"1"), ("b.czi", b"2"), ("d.tiff", b"4"), ("c.czi", None)]


def test_no_path_leads_out_of_the_folder(tmp_path):
    archive, folder = tmp_path / "tom20.tar.gz", tmp_path / "deep" / "work"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("/etc/abs.czi", "../../up.czi"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
        for kind, name in ((tarfile.SYMTYPE, "sym.czi"), (tarfile.LNKTYPE, "hard.czi"), (tarfile.FIFOTYPE, "fifo.czi")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        folder_member = tarfile.TarInfo("folder.czi")
        folder_member.type = tarfile.DIRTYPE
        tar.addfile(folder_member)
    wanted = {"abs.czi", "up.czi", "sym.czi", "hard.czi", "fifo.czi", "folder.czi"}
    for name, path in members(archive, wanted, folder):
        assert (path is not None) == (name in ("abs.czi", "up.czi"))
        assert path is None or path.parent == folder
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {
        "tom20.tar.gz",
        "deep",
        "deep/work",
    }


def damaged(archive, how):
    data = bytearray(archive.read_bytes())
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "end":
        del data[-4:]
    elif how == "flipped":
        data[len(data) // 2] ^= 0xFF
    elif how == "sum":
        data[-6] ^= 0xFF
    elif how == "page":
        data[:] = b"<html>404</html>" * 100
    elif how == "short tar":
        data[:] = gzip.compress(gzip.decompress(data)[:40_000])
    archive.write_bytes(data)


@pytest.mark.parametrize("how", ("cut", "end", "flipped", "sum", "page", "short tar"))
def test_damaged_archives_are_named(tmp_path, how):
    archive = tmp_path / "tom20.tar.gz"
    noise = np.random.default_rng(0).bytes(60_000)
    make_archive(archive, [("a.czi", noise[:30_000]), ("b.czi", noise[30_000:])])
    damaged(archive, how)
    with pytest.raises(SparseSSPError, match="tom20.tar.gz.*truncated or corrupt"):
        contents(archive, {"a.czi", "b.czi"}, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_duplicate_and_huge_members_are_refused(tmp_path):
    archive = tmp_path / "tom20.tar.gz"
    make_archive(archive, [("x/a.czi", b"one"), ("y/a.czi", b"two")])
    with pytest.raises(SparseSSPError, match="tom20.tar.gz.*'a.czi' is listed twice"):
        contents(archive, {"a.czi"}, tmp_path / "work")
    giant = tarfile.TarInfo("a.czi")
    giant.size = LARGEST_BYTES + 1
    archive.write_bytes(gzip.compress(giant.tobuf()))
    with pytest.raises(SparseSSPError, match=f"'a.czi' has {LARGEST_BYTES + 1} bytes; allowed"):
        contents(archive, {"a.czi"}, tmp_path / "work")


def test_a_full_disk_is_named(tmp_path):
    archive = tmp_path / "tom20.tar.gz"
    make_archive(archive, [("a.czi", bytes(100_000))])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(SparseSSPError, match="tom20.tar.gz.*cannot be unpacked in .*work.*large"):
            contents(archive, {"a.czi"}, tmp_path / "work")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "work").iterdir()) == []


# Images


@pytest.mark.parametrize("channels", (SEVEN, FOUR))
@pytest.mark.parametrize("compression", (None, "zstd0:ExplicitLevel=2", "zstd1:ExplicitLevel=1"))
def test_czi_channels_are_read_as_written(tmp_path, channels, compression):
    voxels = make_voxels((5, 21, 33), channels, 0)
    path = tmp_path / "image.czi"
    write_czi(path, voxels, compression=compression, origin=(-123456, 98765))
    got = read_image(path, (channels.light, channels.target), "image 1")
    assert got.voxels.dtype == np.uint16 and np.array_equal(got.voxels, voxels[[channels.light, channels.target]])
    assert got.voxel_um == pytest.approx(VOXEL_UM, rel=1e-12)
    write_czi(path, voxels, voxel_um=(0, 0.1, 0.1))
    assert read_image(path, (0,), "image 1").voxel_um is None


def test_a_czi_mosaic_is_stitched(tmp_path):
    voxels = make_voxels((3, 20, 32), FOUR, 1)
    path = tmp_path / "image.czi"
    with czi.create_czi(str(path)) as file:
        for channel, number in np.ndindex(4, 3):
            for left in (0, 16):
                tile = np.ascontiguousarray(voxels[channel, number, :, left : left + 16])
                file.write(tile, (70000 + left, -500), {"C": channel, "Z": number})
    got = read_image(path, (3, 1), "image 1")
    assert np.array_equal(got.voxels, voxels[[3, 1]]) and got.voxel_um is None


def test_bad_czi_files_are_named(tmp_path, monkeypatch):
    path = tmp_path / "image.czi"
    voxels = make_voxels((3, 20, 32), FOUR, 1)

    def refuses(message, channels=(3, 1)):
        with pytest.raises(SparseSSPError, match=f"image 1.*{message}"):
            read_image(path, channels, "image 1")

    refuses("missing")
    write_czi(path, voxels)
    refuses("channel 4 is out of range; allowed: 0 to 3", (3, 4))
    refuses("channel -1 is out of range", (-1,))
    path.write_bytes(path.read_bytes()[:10_000])
    refuses("not a readable CZI")
    path.write_bytes(b"PK\3\4 something else")
    refuses("PK.*allowed: CZI, OME-TIFF, TIFF")
    write_czi(path, voxels[:, :1])
    refuses("has 1 plane; allowed: 2 or more")
    write_czi(path, voxels.astype(np.uint8))
    refuses("channel 3 has pixels Gray8; allowed: Gray16")
    for index in ({"T": 1}, {"S": 1}):
        with czi.create_czi(str(path), exist_ok=True) as file:
            for at, (channel, number) in ((at, spot) for at in (0, 1) for spot in np.ndindex(4, 3)):
                plane = {"C": channel, "Z": number, "T": at * index.get("T", 0)}
                file.write(voxels[channel, number], (50 * at, 0), plane, scene=at * index.get("S", 0))
        refuses(f"has 2 along the axis {next(iter(index))}")
    with czi.create_czi(str(path), exist_ok=True) as file:
        for channel, number in np.ndindex(4, 3):
            if (channel, number) != (1, 1):
                file.write(voxels[channel, number], plane={"C": channel, "Z": number})
    refuses("plane 1 of channel 1 is missing")
    monkeypatch.setitem(sys.modules, "pylibCZIrw", None)
    refuses(r"pip install 'sparsessp\[czi\]'")


@pytest.mark.parametrize("axes", ("CZYX", "ZCYX"))
@pytest.mark.parametrize(
    "options", ({"ome": True}, {"imagej": True}, {"byteorder": ">"}, {"ome": True, "compression": "zlib"}), ids=str
)
def test_tiff_stacks_can_replace_czi_files(tmp_path, axes, options):
    voxels = make_voxels((5, 21, 33), SEVEN, 2)
    path = tmp_path / "image.czi"  # the name in the list stays
    if "imagej" in options:
        axes = "ZCYX"  # the one order it knows
    stack = voxels if axes == "CZYX" else voxels.swapaxes(0, 1)
    metadata = {"axes": axes}
    if "ome" in options:
        metadata |= {"PhysicalSizeX": 108, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.108, "PhysicalSizeZ": 0.29}
    tifffile.imwrite(path, stack, photometric="minisblack", metadata=metadata, **options)
    got = read_image(path, (6, 3), "image 1")
    assert got.voxels.dtype == np.uint16 and np.array_equal(got.voxels, voxels[[6, 3]])
    assert got.voxel_um == (pytest.approx(VOXEL_UM) if "ome" in options else None)


def test_bad_tiff_stacks_are_named(tmp_path):
    path = tmp_path / "image.tif"
    voxels = make_voxels((3, 20, 32), FOUR, 1)

    def refuses(message, stack, axes, channels=(3, 1), keep=None, **options):
        metadata = {"axes": axes} if axes else None
        tifffile.imwrite(path, stack, photometric="minisblack", metadata=metadata, **options)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(SparseSSPError, match=f"image 1.*{message}"):
            read_image(path, channels, "image 1")

    refuses("channel 3 is out of range; allowed: 0 to 0", voxels[0], "ZYX")
    refuses("has 1 plane", voxels[:, :1], "CZYX", ome=True)
    refuses("float32; allowed: uint16", voxels.astype(np.float32), "CZYX", ome=True)
    refuses("2 along the axis T", np.stack([voxels, voxels]), "TCZYX", ome=True)
    refuses("axes are IYX.*allowed: ZYX, CZYX", voxels[0], None)
    refuses("axes are|readable", voxels, "CZYX", ome=True, keep=-1000)
    refuses("is missing|readable", voxels, "CZYX", compression="zlib", keep=-3000)


# Preparation


@settings(deadline=None, max_examples=25)
@given(
    st.tuples(st.integers(1, 4), st.integers(8, 90), st.integers(8, 90)),
    st.tuples(st.floats(0.2, 1.2), st.floats(0.2, 1.2)),
    st.integers(0, 99),
)
def test_preparation_is_scipys_zoom_of_the_zscore(shape, zoom, seed):
    rng = np.random.default_rng(seed)
    stack = rng.integers(100, 4000, shape).astype(np.uint16)
    stack[tuple(rng.integers(shape))] = 65535
    got, mean, std = prepare(stack, zoom, "image 1")
    normal, *moments = zscore(stack, "image 1")
    expected = ndimage.zoom(normal, (1, *zoom), order=3, mode="nearest")
    assert got.dtype == np.float32 and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert (mean, std) == (pytest.approx(moments[0], rel=1e-12), pytest.approx(moments[1], rel=1e-12))


@pytest.mark.parametrize("bad", (np.nan, np.inf, -np.inf))
def test_preparation_refuses_what_zscore_refuses(bad):
    stack = np.random.default_rng(0).random((2, 9, 9), np.float32)
    stack[1, 2, 3] = bad
    with pytest.raises(SparseSSPError, match="image 1.*1 of 162"):
        prepare(stack, (0.5, 0.5), "image 1")
    with pytest.raises(SparseSSPError, match="image 1.*every voxel is 7"):
        prepare(np.full((2, 9, 9), 7, np.uint16), (0.5, 0.5), "image 1")
    with pytest.raises(SparseSSPError, match="image 1.*empty"):
        prepare(np.zeros((0, 9, 9), np.uint16), (0.5, 0.5), "image 1")


def test_the_zoom_follows_the_paper_or_the_file():
    preparation = Preparation(zoom=0.37241, voxel_um=0.29)
    assert zoom_factors("paper", preparation, (None, None, None), "image 1") == (0.37241, 0.37241)
    assert zoom_factors("metadata", preparation, (0.29, 0.086, 0.145), "image 1") == pytest.approx((0.086 / 0.29, 0.5))
    with pytest.raises(SparseSSPError, match="image 1.*voxel size.*'paper'"):
        zoom_factors("metadata", preparation, (0.29, None, 0.1), "image 1")


# Fingerprint

PRINTED = (0.985, 0.980, 0.979, 0.853, 0.939, 0.978, 0.872, 0.994, 0.970, 0.989, 0.996, 0.977)


def test_the_published_variances_are_those_of_table_7():
    found = published_variance()
    for entry, expected in zip(STRUCTURES, PRINTED, strict=True):
        assert found[entry.key] == pytest.approx(expected, abs=0.005)


def test_the_fingerprint_marks_what_lies_outside():
    samples = pd.DataFrame({"structure": ["nucleolus", "dna", "dna"], "target_variance": [0.999, 0.95, 0.97]})
    table = fingerprint(samples)
    assert table["structure"].tolist() == ["dna", "nucleolus"] and table["volumes"].tolist() == [2, 1]
    assert table["within"].tolist() == [False, True]
    assert table["difference"].tolist() == pytest.approx([0.96 - 0.9385, 0.999 - 0.9955], abs=1e-3)
    text = describe(table)
    assert "outside: dna" in text and "Nucleolus" in text
    assert "all within" in describe(table[1:])


# The whole way of one image


def test_from_the_archive_to_prepared_stacks(tmp_path):
    folder = make_collection(tmp_path / "mirror", {"alpha_tubulin": 2, "fibrillarin": 1}, shape=(6, 45, 55))
    lists = {path.stem: read_list(path) for path in folder.glob("*.csv")}
    assert faults(lists) == []
    images = rows_by_image(lists)
    files = {image.file: image for image in images.values() if image.set == "alpha_tubulin"}
    done = {}
    for name, path in members(folder / "alpha_tubulin.tar.gz", files, tmp_path / "work"):
        channels = files[name].channels
        recording = read_image(path, tuple(channels.values()), files[name].path_czi)
        assert recording.voxel_um == pytest.approx(VOXEL_UM)
        done[name] = [prepare(stack, (0.37241, 0.37241), name)[0] for stack in recording.voxels]
    assert len(done) == 2
    for number, stacks in enumerate(done.values()):
        channels = layout("alpha_tubulin", number)
        voxels = make_voxels((6, 45, 55), channels, (0, number))
        assert stacks[0].shape == (6, 17, 20)
        for stack, channel in zip(stacks, (channels.light, channels.target, channels.dna), strict=True):
            normal = zscore(voxels[channel], name)[0]
            expected = ndimage.zoom(normal, (1, 0.37241, 0.37241), order=3, mode="nearest")
            np.testing.assert_allclose(stack, expected, atol=1e-5)


@pytest.mark.parametrize("signal", [0.0, 0.3, 0.8, 1.0])
def test_the_ceiling_follows_from_the_variance_that_the_zoom_leaves(signal):
    variance = signal + NOISE_KEPT * (1 - signal)
    assert ceiling(variance) == pytest.approx(signal / variance)
    assert 0 <= ceiling(variance) <= 1


def test_the_ceilings_of_the_papers_targets():
    found = published_variance().map(ceiling)
    known = {"desmosome": 0.44, "golgi_apparatus": 0.52, "dna": 0.79, "mitochondria": 0.90}
    assert found[list(known)].to_dict() == pytest.approx(known, abs=0.01)
    assert ceiling(0.5) == ceiling(0.0) == 0.0 and ceiling(1.2) <= 1.0
