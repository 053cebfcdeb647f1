"""From a training to a prediction elsewhere: shell, Python and exported files agree, and the guide's commands work."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from helpers.checkout import ROOT

import sparsessp
from sparsessp.__main__ import run
from sparsessp.config import InferenceSettings, NetworkSettings, TrainingSettings
from sparsessp.data.microscope import stack as microscope
from sparsessp.data.microscope.dataset import Size, load_catalogue, take
from sparsessp.data.samples import Sample
from sparsessp.data.volumes import read_volume, zscore
from sparsessp.errors import SparseSSPError
from sparsessp.learning.checkpoints import save_model
from sparsessp.structures import structure

KEYS = ("dna", "nucleolus")
SIDE, DEPTH, R = 32, 16, 8
NETWORK = NetworkSettings(
    method="tgnet",
    topology="3to2d",
    ratio=R,
    depth=DEPTH,
    width_3d=4,
    width_2d=4,
    groups=4,
    embedding=16,
    blocks_3d=1,
    blocks_2d=1,
)
TRAINING = TrainingSettings(iterations=4, batch=2, patch=SIDE, learning_rate=1e-3, validate_every=2)
WINDOWS = InferenceSettings(window=SIDE, overlap=0.25)


def simulated(key, number):
    """A prepared volume of the datasets' seed."""
    taken = take(load_catalogue(microscope.CATALOGUE), Size(volumes=2, shape=(DEPTH, SIDE, SIDE)), key, number)
    light, target = (zscore(voxels, key)[0] for voxels in (taken.light, taken.target))
    return Sample(f"{key}_{number:03d}", key, structure(key).task, light[::R], target, R, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model trained on simulated cells, and a stack of another seed as large as a window."""
    folder = tmp_path_factory.mktemp("user")
    samples = [simulated(key, 0) for key in KEYS]
    trained = sparsessp.train(NETWORK, TRAINING, WINDOWS, samples, samples, folder, progress=False)
    notes = {"training": TRAINING.model_dump(), "inference": WINDOWS.model_dump(), "trained": list(KEYS)}
    notes["data"] = {"name": "a test", "licence": "CC-BY", "simulated": True}
    save_model(folder / "model.pt", trained.model, notes | {"voxel_um": [0.29] * 3})
    microscope.run([str(folder / "stack.tif"), *f"--seed 1 --size tiny --pixels {SIDE} --every {R}".split()])
    run(["predict", str(folder / "model.pt"), str(folder / "stack.tif"), "--output", str(folder), "--quiet"])
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The prediction in Python."""
    light = read_volume(folder / "stack.tif")
    assert light.voxel_um == (pytest.approx(R * 0.29), 0.29, 0.29)
    return sparsessp.load_model(folder / "model.pt").predict(light.voxels[0], light.voxel_um, KEYS)


def test_shell_and_python_predict_the_same_from_a_stack_the_model_never_saw(folder, expected):
    np.testing.assert_allclose(tifffile.imread(folder / "stack_predicted.ome.tiff"), expected, rtol=0, atol=1e-5)
    assert (folder / "stack_quick-look.png").stat().st_size > 1000
    assert expected.shape == (2, DEPTH, SIDE, SIDE) and np.isfinite(expected).all() and expected.std() > 0


@pytest.fixture(scope="module")
def package(folder):
    """A bioimage.io package of the model, and the folder in which it is unpacked."""
    export = ["export", str(folder / "model.pt"), "--format", "bioimageio"]
    run([*export, "--sample", str(folder / "stack.tif"), "--output", str(folder / "model.zip")])
    with zipfile.ZipFile(folder / "model.zip") as archive:
        archive.extractall(folder / "package")
    return folder / "model.zip", folder / "package"


@pytest.mark.slow
def test_onnx_and_the_bioimageio_package_predict_the_same(folder, expected, package):
    from onnxruntime import InferenceSession

    unpacked = package[1]
    description = yaml.safe_load((unpacked / "rdf.yaml").read_text())
    (step,) = description["inputs"][0]["preprocessing"]
    assert step["id"] == "zero_mean_unit_variance"
    light, output = (np.load(unpacked / f"test_{side}.npy") for side in ("input", "output"))
    scored = (light - light.mean()) / (light.std() + step["kwargs"]["eps"])
    session = InferenceSession(str(unpacked / description["weights"]["onnx"]["source"]))
    light = zscore(read_volume(folder / "stack.tif").voxels[0], "light")[0]
    found = [session.run(None, {"transmitted_light": one})[0] for one in (scored, light[None, None])]
    for one in (*found, output):
        np.testing.assert_allclose(one[0], expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_package_describes_both_grids_and_names_its_data(package):
    description = yaml.safe_load((package[1] / "rdf.yaml").read_text())
    sides = [
        {axis["id"]: (axis["size"], axis["scale"]) for axis in side["axes"] if axis["type"] == "space"}
        for side in (description["inputs"][0], description["outputs"][0])
    ]
    assert sides[0]["z"] == (2, pytest.approx(2.32)) and sides[1]["z"] == (16, pytest.approx(0.29))
    assert description["outputs"][0]["axes"][1]["channel_names"] == list(KEYS)
    assert "Attribution" in (package[1] / "README.md").read_text()


@pytest.mark.slow
def test_the_library_of_the_format_accepts_a_package(package, tmp_path):
    """In an environment of its own, because it needs an older pydantic than the pipeline."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    packages = ("bioimageio.core==0.11.0", "pydantic<2.13", "onnxruntime")
    install = subprocess.run([python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True)
    if install.returncode:
        pytest.skip(f"bioimageio.core cannot be installed here: {install.stderr.strip().splitlines()[-1]}")
    check = (
        "import sys; from bioimageio.core import test_model; "
        "found = test_model(sys.argv[1]); print(found.format()); sys.exit(found.status != 'passed')"
    )
    environment = os.environ | {"HOME": str(tmp_path), "BIOIMAGEIO_CACHE_PATH": str(tmp_path / "cache")}
    tested = subprocess.run([python, "-c", check, package[0]], capture_output=True, text=True, env=environment)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_simulated_stack_depends_on_its_seed_and_never_shows_the_datasets(tmp_path):
    def voxels(*options):
        microscope.run([str(tmp_path / "a.tif"), "--size", "tiny", "--pixels", "32", *options])
        return read_volume(tmp_path / "a.tif").voxels

    first = voxels("--seed", "1")
    assert first.shape == (2, 16, 32, 32) and np.array_equal(first, voxels("--seed", "1"))
    assert not np.array_equal(first, voxels("--seed", "2"))
    np.testing.assert_array_equal(voxels("--seed", "1", "--every", "4"), first[:, ::4])
    own = str(load_catalogue(microscope.CATALOGUE).seed)
    for seed, pixels, said in ((own, "32", "seed of the datasets"), ("1", "8", "--pixels 8 .* allowed: 32 or more")):
        with pytest.raises(SparseSSPError, match=said):
            microscope.run([str(tmp_path / "b.tif"), "--seed", seed, "--pixels", pixels])
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.slow
def test_the_guides_first_commands_work_after_a_run_of_the_pipeline(clone):
    guide = (ROOT / "docs" / "your-own-images.md").read_text()
    first = guide[: guide.index("\n## Input")]
    lines = "".join(re.findall(r"^```\n(.*?)^```", first, re.MULTILINE | re.DOTALL)).splitlines()
    assert lines[:2] == ["make demo", "source .venv/bin/activate"] and len(lines) == 6
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for line in lines[2:]:
        # The clone has a smaller plan than the demo, with one structure.
        line = re.sub(r"--structures \S+", "--structures dna", re.sub(r"^sparsessp ", "python -m sparsessp ", line))
        done = subprocess.run(line, shell=True, cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
    names = sorted(path.name for path in (clone / "predicted").iterdir())
    assert names == ["stack_predicted.ome.tiff", "stack_quick-look.png", "summary.csv"]
    assert tifffile.imread(clone / "predicted" / "stack_predicted.ome.tiff").shape == (32, 96, 96)
