"""The collection as a lab gets it: archives of real CZI files and lists, from a server on 127.0.0.1 that fails."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import chaos
import numpy as np
import pandas as pd
import pytest
from helpers.archives import (
    SEVEN,
    VOXEL_UM,
    file_name,
    layout,
    make_archive,
    make_collection,
    make_rows,
    make_voxels,
    write_czi,
    write_rows,
)
from helpers.checkout import ROOT, sh
from helpers.server import Server
from scipy import ndimage

from pipeline.plan.__main__ import run as plan_script
from pipeline.plan.composing import compose as composed
from pipeline.plan.estimate import amount, runs
from pipeline.plan.params import parse_params
from pipeline.stages.fetch import run as fetch_script
from sparsessp.data.allencell.catalogue import SETS
from sparsessp.data.allencell.dataset import acquire
from sparsessp.data.allencell.download import Patience
from sparsessp.data.allencell.settings import AcquisitionSettings
from sparsessp.data.volumes import read_volume, zscore
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import sha256
from sparsessp.support.yaml_files import dump_yaml, read_yaml

PATIENCE = Patience(attempts=3, pause=0.01)
ZOOM = 0.37241
SHAPE = (6, 45, 55)
IMAGES = {"alpha_tubulin": 3, "beta_actin": 3, "fibrillarin": 3}
KEYS = ("actin_filament", "dna", "microtubule", "nucleolus")


def write_catalogue(path, folder, url, voxel_um=VOXEL_UM):
    """A catalogue of what `folder` holds and `url` serves."""
    lists = sorted(folder.glob("*.csv"))
    archives = [file.name.removesuffix(".tar.gz") for file in sorted(folder.glob("*.tar.gz"))]
    content = {
        "licence": {"text": "For this test only.", "url": f"{url}/terms", "citation": "Nobody, 2018."},
        "preparation": {"zoom": ZOOM, "voxel_um": 0.29},
        "lists": {
            "url": url,
            "sha256": {file.stem: sha256(file) for file in lists},
            "rows": {file.stem: len(file.read_text().splitlines()) - 1 for file in lists},
        },
        "archives": {
            name: {
                "url": f"{url}/{name}.tar.gz",
                "mirrors": [],
                "structure": SETS[name],
                "voxel_um": list(voxel_um),
            }
            for name in archives
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump_yaml(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_collection(tmp_path_factory.mktemp("made"), IMAGES, SHAPE)


@pytest.fixture
def lab(tmp_path, made):
    """A lab with an empty disk, and a server that has the collection."""
    web = tmp_path / "web"
    web.mkdir()
    for file in made.iterdir():
        (web / file.name).write_bytes(file.read_bytes())
    with Server(web) as server:
        yield Lab(tmp_path, server)


class Lab:
    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.catalogue = write_catalogue(folder / "data" / "small.yaml", server.folder, server.url)
        self.out, self.scratch = folder / "volumes", folder / "scratch"

    def acquire(self, structures=KEYS, workers=1, progress=False, **settings):
        settings = AcquisitionSettings(**{"accept_terms": True, **settings})
        acquire(self.catalogue, structures, self.out, self.scratch, settings, workers, progress, PATIENCE)
        return pd.read_csv(self.out / "manifest.csv", dtype={"plate": str})

    def asked(self, ending=".tar.gz"):
        return [name for method, name, *_ in self.server.log if method == "GET" and name.endswith(ending)]

    def left(self, folder):
        """Files that are there, but for the lists and locks."""
        found = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".csv" and p.parent.name != "locks"]
        return sorted(p.relative_to(folder).as_posix() for p in found)


def test_nothing_is_fetched_before_the_terms_are_accepted(lab):
    with pytest.raises(SparseSSPError, match=r"(?s)For this test only.*/terms.*Nobody, 2018.*accept_terms to true"):
        lab.acquire(accept_terms=False)
    assert lab.server.log == [] and not lab.out.exists() and not lab.scratch.exists()


def test_a_failing_server_ends_in_a_complete_and_verified_data_set(lab):
    half = (lab.server.folder / "beta_actin.tar.gz").stat().st_size // 2
    lab.server.conduct("beta_actin.tar.gz").drops.append(half)
    lab.server.conduct("alpha_tubulin.tar.gz").statuses.append(500)
    lab.server.conduct("fibrillarin.csv").statuses.append(500)
    manifest = lab.acquire()
    assert manifest["structure"].value_counts().to_dict() == {
        "actin_filament": 3,
        "dna": 6,
        "microtubule": 3,
        "nucleolus": 3,
    }
    assert manifest["volume"].is_unique and manifest["path"].nunique() == 9
    for row in manifest.itertuples():
        assert sha256(lab.out / row.path) == row.sha256
    # The second image of alpha_tubulin has four channels, and is compressed.
    number = 1
    channels, voxels = layout("alpha_tubulin", number), make_voxels(SHAPE, layout("alpha_tubulin", number), (0, number))
    volume = read_volume(lab.out / "microtubule" / "microtubule_002.ome.tiff")
    assert volume.channels == ("transmitted_light", "microtubule", "dna")
    for stack, channel in zip(volume.voxels, (channels.light, channels.target, channels.dna), strict=True):
        expected = ndimage.zoom(zscore(voxels[channel], "reference")[0], (1, ZOOM, ZOOM), order=3, mode="nearest")
        np.testing.assert_allclose(stack, expected, atol=1e-5)
    # Scipy's zoom keeps the end points where they are.
    rows, columns = expected.shape[1:]
    assert volume.voxel_um == pytest.approx((0.29, 0.108 * 44 / (rows - 1), 0.108 * 54 / (columns - 1)))
    row = manifest.set_index("volume").loc["dna_microtubule_002"]
    assert float(row["target_variance"]) == pytest.approx(volume.channel("dna").var(dtype=float), rel=1e-5)
    assert row["image"] == volume.notes["image"] and row["plate"] == Path(row["image"]).name.split("_")[0]
    assert volume.notes["dna_channel"] == "2"
    assert volume.notes["recorded_voxel_um"] == "0.29 x 0.108 x 0.108 (of the file)"
    for file in lab.server.folder.glob("*.csv"):
        assert (lab.out / "lists" / file.name).read_bytes() == file.read_bytes()
    assert sorted(read_yaml(lab.catalogue.with_suffix(".lock"))) == [f"{name}.tar.gz" for name in IMAGES]
    assert lab.left(lab.scratch / "archives") == []  # they are deleted once they are read
    asked = len(lab.asked())
    lab.acquire()
    assert len(lab.asked()) == asked


def test_archives_in_parallel_give_the_same_files(lab):
    one = lab.acquire()
    lab.out, lab.scratch = lab.folder / "others", lab.folder / "other scratch"
    pd.testing.assert_frame_equal(lab.acquire(workers=3, progress=True), one)
    with pytest.raises(SparseSSPError, match="workers = 0"):
        lab.acquire(workers=0)


@pytest.mark.parametrize(
    ("conduct", "says"),
    (({"truncated": 5000}, "breaks off after 5000 of"), ({"corrupt": True}, "truncated or corrupt")),
)
def test_a_bad_archive_is_named_and_leaves_no_file(lab, conduct, says):
    for key, value in conduct.items():
        setattr(lab.server.conduct("beta_actin.tar.gz"), key, value)
    with pytest.raises(SparseSSPError, match=f"1 error;(?s:.*)beta_actin.tar.gz.*{says}"):
        lab.acquire()
    assert not lab.out.exists()
    stored = lab.left(lab.scratch / "images")
    assert stored and not [path for path in stored if path.startswith("beta_actin")]
    assert not (lab.scratch / "archives" / "beta_actin.tar.gz").exists()
    lab.server.conduct("beta_actin.tar.gz").truncated, lab.server.conduct("beta_actin.tar.gz").corrupt = None, False
    before = len(lab.asked("fibrillarin.tar.gz"))
    assert len(lab.acquire()) == 15
    assert len(lab.asked("fibrillarin.tar.gz")) == before  # the others' work was kept


def test_a_bad_archive_gives_way_to_a_mirror(lab):
    catalogue = read_yaml(lab.catalogue)
    catalogue["archives"]["fibrillarin"]["mirrors"] = [f"{lab.server.url}/mirror.tar.gz"]
    lab.catalogue.write_text(dump_yaml(catalogue))
    archive = lab.server.folder / "fibrillarin.tar.gz"
    (lab.server.folder / "mirror.tar.gz").write_bytes(archive.read_bytes())
    archive.write_bytes(archive.read_bytes()[:-2000])  # whole as far as the server can tell
    assert len(lab.acquire(("nucleolus",))) == 3
    assert lab.asked() == ["fibrillarin.tar.gz", "mirror.tar.gz"]
    assert len(list(lab.scratch.glob("images/*"))) == 1 and lab.left(lab.scratch / "archives") == []
    lab.catalogue.with_suffix(".lock").unlink()
    (lab.server.folder / "mirror.tar.gz").write_bytes(archive.read_bytes())
    with pytest.raises(SparseSSPError, match="truncated or corrupt"):
        lab.acquire(("nucleolus",))
    assert lab.left(lab.scratch / "archives") == [] and not lab.catalogue.with_suffix(".lock").exists()


def test_an_archive_that_has_changed_is_refused(lab, tmp_path):
    lab.acquire(("nucleolus",))
    make_collection(tmp_path / "later", {"fibrillarin": 4}, SHAPE)
    (lab.server.folder / "fibrillarin.tar.gz").write_bytes((tmp_path / "later" / "fibrillarin.tar.gz").read_bytes())
    lab.out, lab.scratch = lab.folder / "others", lab.folder / "other scratch"
    with pytest.raises(SparseSSPError, match=r"fibrillarin\.tar\.gz: no source.*small\.lock; to accept a new release"):
        lab.acquire(("nucleolus",))
    assert not lab.out.exists() and lab.left(lab.scratch) == []


def test_a_changed_etag_restarts_the_download(lab):
    conduct = lab.server.conduct("fibrillarin.tar.gz")
    conduct.drops, conduct.etags = [9000], ['"first"', '"second"']
    assert len(lab.acquire(("nucleolus",))) == 3
    size = (lab.server.folder / "fibrillarin.tar.gz").stat().st_size
    assert lab.server.sent("fibrillarin.tar.gz")[-1] == size


# Killed when the volume of the fourth image is written, but not yet known to be complete.
KILLED = """
import os, signal, sys
from itertools import count
from pathlib import Path
from sparsessp.data.allencell import conversion
from sparsessp.data.allencell.dataset import acquire
from sparsessp.data.allencell.settings import AcquisitionSettings

def write(*arguments):
    write_volume(*arguments)
    if next(number) == 4:
        os.kill(os.getpid(), signal.SIGKILL)

write_volume, number = conversion.write_volume, count(1)
conversion.write_volume = write
catalogue, out, scratch = map(Path, sys.argv[1:])
acquire(catalogue, ["nucleolus"], out, scratch, AcquisitionSettings(accept_terms=True))
"""


def test_a_killed_preparation_resumes_at_the_next_image(tmp_path):
    folder = make_collection(tmp_path / "web", {"fibrillarin": 8}, (6, 200, 300), dna=False)
    with Server(folder) as server:
        lab = Lab(tmp_path, server)
        arguments = [sys.executable, "-c", KILLED, lab.catalogue, lab.out, lab.scratch]
        killed = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        done = list(lab.scratch.glob("images/*/*/facts.json"))
        assert len(done) == 3 and not lab.out.exists() and not lab.catalogue.with_suffix(".lock").exists()
        before = {path: path.stat().st_mtime_ns for path in done}
        resumed = lab.acquire(("nucleolus",))
        assert {path: path.stat().st_mtime_ns for path in done} == before
        assert lab.asked() == ["fibrillarin.tar.gz"]
        lab.out, lab.scratch = lab.folder / "others", lab.folder / "other scratch"
        pd.testing.assert_frame_equal(lab.acquire(("nucleolus",)), resumed)


def test_a_selection_fetches_only_what_it_needs(lab, capsys):
    assert lab.acquire(("nucleolus",))["structure"].unique().tolist() == ["nucleolus"]
    assert lab.asked() == ["fibrillarin.tar.gz"]
    manifest = lab.acquire(("dna", "microtubule"), progress=True)
    assert manifest["structure"].value_counts().to_dict() == {"dna": 6, "microtubule": 3}
    said = capsys.readouterr().out
    assert "archives needed: alpha_tubulin.tar.gz, beta_actin.tar.gz\n" in said
    assert "needed only because their images also show dna: beta_actin.tar.gz\n" in said
    assert "GB are free" in said
    # Wider again: every image has all its channels, so nothing is fetched twice.
    assert len(lab.acquire()) == 15 and len(lab.asked()) == 3
    with pytest.raises(SparseSSPError, match="'golgi_apparatus' is in no image; the lists of .*small.yaml"):
        lab.acquire(("dna", "golgi_apparatus"))


def test_archives_already_on_disk_are_read_where_they_are(lab, made):
    before = {file: file.stat().st_mtime_ns for file in made.iterdir()}
    assert len(lab.acquire(archive_base=str(made), list_base=f"file://{made}")) == 15
    assert lab.server.log == [] and {file: file.stat().st_mtime_ns for file in made.iterdir()} == before
    assert not (lab.scratch / "archives").exists()


def test_too_little_disk_space_is_reported_before_the_first_byte(lab):
    lab.server.conduct("fibrillarin.tar.gz").headers["Content-Length"] = str(10**17)
    with pytest.raises(SparseSSPError, match=r"needs 1000000\d\d\.\d\d GB in .*scratch, .* GB are free; make room"):
        lab.acquire(("nucleolus",))
    assert lab.asked() == [] and not lab.out.exists() and lab.left(lab.scratch) == []


@pytest.mark.parametrize(("conduct", "resumable"), (({}, True), ({"ranges": False}, False), ({"etag": False}, False)))
def test_an_archive_that_cannot_be_resumed_is_named_before_the_download(lab, capsys, conduct, resumable):
    for key, value in conduct.items():
        setattr(lab.server.conduct("fibrillarin.tar.gz"), key, value)
    lab.acquire(("nucleolus",), progress=True)
    assert ("cannot be resumed: fibrillarin.tar.gz; after" in capsys.readouterr().out) is not resumable


def test_downloaded_archives_can_be_kept(lab):
    lab.acquire(("nucleolus",), keep_raw=True)
    assert lab.left(lab.scratch / "archives") == ["fibrillarin.tar.gz"]


def test_voxels_can_follow_the_metadata(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    rows = [(f"/c/{file_name('zo1', number, 1)}", 6, 3, "") for number in range(2)]
    write_rows(folder / "zo1.csv", rows)
    files = []
    for number, voxel_um in enumerate((VOXEL_UM, (0.29, 0.1083, 0.1083))):
        write_czi(tmp_path / "image.czi", make_voxels((4, 60, 60), SEVEN, number), voxel_um)
        files.append((Path(rows[number][0]).name, (tmp_path / "image.czi").read_bytes()))
    make_archive(folder / "zo1.tar.gz", files)
    with Server(folder) as server:
        lab = Lab(tmp_path, server)
        assert lab.acquire(("tight_junction",), voxel="metadata")["height"].tolist() == [22, 22]
        assert (
            read_volume(lab.out / "tight_junction" / "tight_junction_002.ome.tiff")
            .notes["zoom_yx"]
            .startswith("0.3734")
        )


def test_bad_rows_are_named_together_before_any_archive_is_fetched(lab):
    rows = make_rows(IMAGES)
    rows["beta_actin"][1] = (rows["beta_actin"][1][0], "six", 3, "")
    rows["fibrillarin"][0] = (rows["fibrillarin"][0][0], 6, 6, "")
    for name in ("beta_actin", "fibrillarin"):
        write_rows(lab.server.folder / f"{name}.csv", rows[name])
    write_catalogue(lab.catalogue, lab.server.folder, lab.server.url)
    with pytest.raises(SparseSSPError, match=r"(?s)bad rows.*beta_actin.csv, row 2.*'six'.*fibrillarin.csv, row 1"):
        lab.acquire()
    assert lab.asked() == []


def test_bad_images_are_all_named(lab, tmp_path):
    rows = make_rows({"zo1": 6, "tom20": 3})
    paths = [path for path, *_ in rows["zo1"]]
    rows["zo1"][1] = (paths[1], 6, 9, "")  # a channel that is not there
    del rows["dna"]
    image = tmp_path / "image.czi"
    files = {"zo1": [], "tom20": []}
    for number, path in enumerate(paths[:5]):  # the last one is missing
        voxels = make_voxels((1 if number == 2 else 6, 45, 55), SEVEN, number)
        if number == 4:
            voxels[SEVEN.target] = 7
        write_czi(image, voxels, (0.29, 0.2, 0.2) if number == 3 else VOXEL_UM)
        files["zo1"].append((Path(path).name, image.read_bytes()))
    for path, *_ in rows["tom20"][1:]:
        write_czi(image, make_voxels(SHAPE, SEVEN, 1))
        files["tom20"].append((Path(path).name, image.read_bytes()))
    for name in files:
        write_rows(lab.server.folder / f"{name}.csv", rows[name])
        make_archive(lab.server.folder / f"{name}.tar.gz", files[name])
    (lab.server.folder / "dna.csv").unlink()
    write_catalogue(lab.catalogue, lab.server.folder, lab.server.url)
    with pytest.raises(SparseSSPError) as error:
        lab.acquire(("tight_junction", "mitochondria"))
    head, *lines = str(error.value).splitlines()
    assert head.startswith("6 errors") and not lab.out.exists()
    for line, expected in zip(
        lines,
        (
            r"tom20.csv, row 1,.*has no file",
            r"zo1.csv, row 2,.*channel 9 is out of range; allowed: 0 to 6",
            r"zo1.csv, row 3,.*1 plane",
            r"zo1.csv, row 4,.*0.29 x 0.2 x 0.2 um; allowed: 0.29 x 0.108 x 0.108.*archives.zo1.voxel_um",
            r"zo1.csv, row 5,.*every voxel is 7",
            r"zo1.csv, row 6,.*has no file",
        ),
        strict=True,
    ):
        assert pd.Series([line]).str.contains(expected).all(), line
    # The archives are kept, for the list may be what is wrong.
    assert lab.left(lab.scratch / "archives") == ["tom20.tar.gz", "zo1.tar.gz"]


def test_wrong_machine_settings_are_named(lab, monkeypatch):
    arguments = ("--kind", "archives", "--catalogue", str(lab.catalogue), "--archive_base", "None")
    monkeypatch.setenv("SPARSESSP_LIST_BASE", "ftp://host")
    with pytest.raises(SparseSSPError, match="SPARSESSP_LIST_BASE: list_base = 'ftp://host'.*allowed: http"):
        fetch_script(arguments)
    monkeypatch.setenv("SPARSESSP_LIST_BASE", str(lab.folder))
    monkeypatch.setenv("SPARSESSP_DOWNLOADS", "all")
    with pytest.raises(SparseSSPError, match="SPARSESSP_DOWNLOADS = 'all'; allowed: 1 or more"):
        fetch_script(arguments)
    monkeypatch.setenv("SPARSESSP_DOWNLOADS", "2")
    with pytest.raises(SparseSSPError, match="terms"):
        fetch_script(arguments)


# The plan


def test_the_paper_plan_matches_the_paper(capsys):
    plan_script(["--scale", "paper", "--data", "allencell", "--no-measure", "--json"])
    plan = json.loads(capsys.readouterr().out)
    assert plan["volumes"] == {"train": 628, "validation": 70, "test": 233}
    # 37 of Tables 1, 2, 3, 7 and the figures, two of Table 4, eight of Table 5.
    assert plan["patch"] == [32, 128, 128] and plan["runs"] == 37 + 2 + 8
    assert (plan["training"]["batch"], plan["training"]["learning_rate"], plan["training"]["schedule"]) == (
        8,
        1e-4,
        "constant",
    )
    each = {(row["method"], row["topology"]): (row["iterations"], row["networks"]) for row in plan["groups"]}
    assert each["tgnet", "3d"] == (78_500, 1) and each["tgnet", "3to2d"] == (3 * 78_500, 1)
    assert each["tgnet", "2d"] == (7 * 78_500, 1) and each["multinet", "3d"] == (78_500, 12)
    assert plan["iterations"] == sum(row["total"] for row in plan["groups"])
    params = parse_params(composed(["scale=paper", "data=allencell"]), "composed")
    planned = runs(params, amount(params))
    assert planned["equivalents"].sum() / planned["iterations"].sum() < 0.05
    assert 45e9 < plan["disk"]["prepared volumes"] < 60e9
    assert plan["disk"]["views, r = 2"] * 2 == pytest.approx(plan["disk"]["views, r = 1"])


def test_the_plan_measures_speed_and_accepts_overrides(capsys):
    plan_script(["--scale", "smoke", "methods=[tgnet]", "structures=[dna]", "ratio=[2,4]"])
    said = capsys.readouterr().out
    assert "synthetic, 1 structures: 2 training, 1 validation, 1 test volumes" in said
    assert "9 runs, 18 iterations, 0.0 hours" in said and "rough guide" in said
    with pytest.raises(SparseSSPError, match="huge"):
        plan_script(["--scale", "huge"])


# The whole pipeline


@pytest.fixture(scope="module")
def clone(tmp_path_factory, reproduced):
    """A clone in which the pipeline ran once on a small collection; it starts with the profile of another run."""
    folder = tmp_path_factory.mktemp("clone") / "sparsessp"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    web = make_collection(tmp_path_factory.mktemp("web"), {"beta_actin": 4, "fibrillarin": 3})
    with Server(web) as server:
        write_catalogue(folder / "data" / "small.yaml", web, server.url)
        server.conduct("beta_actin.tar.gz").drops.append((web / "beta_actin.tar.gz").stat().st_size // 2)
        server.conduct("fibrillarin.tar.gz").statuses.append(500)
        compose(folder)
        refused = sh(folder, "dvc", "repro", "fetch", ok=False)
        assert refused.returncode and "For this test only." in refused.stderr and server.log == []
        compose(folder, "data.source.accept_terms=true")
        sh(folder, "dvc", "repro", SPARSESSP_DOWNLOADS="2")
        yield folder


def compose(folder, *overrides):
    plan = "plan.grid=[{method:[tgnet],topology:['3to2d']},{method:[multinet],topology:['3d'],ratio:[1]}]"
    chosen = ("data=allencell", "data.source.catalogue=data/small.yaml", "scale=smoke", chaos.SAVE_OFTEN, plan)
    structures = "structures=[actin_filament,dna,nucleolus]"
    sh(folder, sys.executable, "-m", "pipeline.compose", *chosen, structures, *overrides)


def test_from_the_archives_to_the_report(clone):
    manifest = pd.read_csv(clone / "artifacts" / "volumes" / "manifest.csv")
    split = pd.read_csv(clone / "artifacts" / "split.csv")
    assert manifest["structure"].value_counts().to_dict() == {"actin_filament": 4, "dna": 4, "nucleolus": 3}
    merged = manifest.merge(split, on="volume")
    assert merged.groupby("image")["part"].nunique().max() == 1  # no image is in two parts
    assert set(merged["part"]) == {"train", "validation", "test"}
    views = clone / "artifacts" / "views" / "r2"
    assert len(pd.read_csv(views / "views.csv")) == 11 and len(list(views.rglob("*.tiff"))) == 7
    for name in ("tgnet-3to2d-prefix-r2", "multinet-3d-prefix-r1", "linear-r2"):
        assert (clone / "artifacts" / "results" / name / "scores.csv").is_file()
    page = (clone / "reports" / "README.md").read_text()
    assert "**AllenCell collection**, scale smoke" in page and "simulated" not in page
    assert (
        "**Warning:** the variance of the test targets of Actin Filament, DNA, Nucleolus" in page
        and "## Fingerprint" in page
    )
    assert len((clone / "reports" / "tables" / "fingerprint.csv").read_text().splitlines()) == 4
    lock = (clone / "data" / "small.lock").read_text()
    assert "beta_actin.tar.gz: {" in lock and "fibrillarin.tar.gz: {" in lock


def test_strict_refuses_targets_with_another_variance_than_the_papers(clone):
    done = sh(clone, sys.executable, "-m", "pipeline.stages.split", "--strict", ok=False)
    assert done.returncode == 1 and "actin_filament, dna, nucleolus differs from the paper's" in done.stderr
    assert "tolerance 0.01" in done.stdout


def test_writing_the_checksum_lock_reruns_no_stage(clone):
    before = (clone / "dvc.lock").read_bytes()
    assert "up to date" in sh(clone, "dvc", "repro").stdout
    (clone / "data" / "small.lock").write_text("")
    assert "up to date" in sh(clone, "dvc", "repro").stdout
    assert (clone / "dvc.lock").read_bytes() == before
