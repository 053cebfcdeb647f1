"""Open files: descriptors do not grow with the number of volumes, and a lack of them is named as itself."""

import errno
import os
import re
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import tifffile
import torch
import zarr
from helpers.archives import FOUR, make_archive, make_voxels, write_czi
from helpers.server import Server
from safetensors.torch import save_file

from pipeline.plan.params import read_params
from sparsessp.data.allencell import download
from sparsessp.data.allencell.archive import members
from sparsessp.data.allencell.images import read_image
from sparsessp.data.allencell.lists import LIGHT, PATH, TARGET, read_list
from sparsessp.data.allencell.sources import local_path
from sparsessp.data.examples import read_examples, write_examples
from sparsessp.data.images.opening import open_image
from sparsessp.data.samples import read_table, write_table
from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, open_channel, read_volume, write_volume
from sparsessp.errors import SparseSSPError
from sparsessp.learning import checkpoints
from sparsessp.networks.backbones import vit_base
from sparsessp.networks.weights import read_weights
from sparsessp.support.command_line import explain
from sparsessp.support.files import raise_system_error
from sparsessp.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]
VOLUMES, LIMIT = 700, 256

USE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
from pathlib import Path
import numpy as np, torch
from sparsessp.data.crops import Crops, Patch
from sparsessp.data.samples import load_samples
from sparsessp.learning.evaluation import evaluate
folder = Path(sys.argv[1])
samples = load_samples(folder / "volumes", folder / "views", folder / "split.csv", "train")
crops = Crops(samples, Patch(4, 4, "zyx"), 0, torch.device("cpu"))
view, target, task = crops.batch(0, len(samples))
scores = evaluate(lambda s: np.repeat(np.asarray(s.view_dHW), 2, 0), samples, "all", progress=False).scores
print(len(samples), tuple(view.shape), len(scores), len(os.listdir("/proc/self/fd")))
"""


def volume(planes=4):
    voxels = np.random.default_rng(0).standard_normal((2, planes, 6, 6)).astype(np.float32)
    return Volume(voxels, (TRANSMITTED_LIGHT, "dna"), (0.29, 0.29, 0.29), {"a": "b"})


@contextmanager
def descriptors_left(count):
    """Take all descriptors of this process but `count`."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(LIMIT, limits[1]), limits[1]))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.slow
def test_a_training_on_many_volumes_needs_few_descriptors(tmp_path):
    write_volume(tmp_path / "volume.ome.tiff", volume())
    write_volume(tmp_path / "view.ome.tiff", Volume(volume().voxels[:1, ::2], (TRANSMITTED_LIGHT,), (0.58, 0.29, 0.29)))
    rows = []
    for i in range(VOLUMES):
        for folder, source in (("volumes", "volume"), ("views", "view")):
            (tmp_path / folder).mkdir(exist_ok=True)
            os.link(tmp_path / f"{source}.ome.tiff", tmp_path / folder / f"{i}.ome.tiff")
        rows.append({"volume": f"v{i}", "structure": "dna", "path": f"{i}.ome.tiff", "sha256": "0"})
    table = pd.DataFrame(rows)
    write_table(tmp_path / "volumes" / "manifest.csv", table)
    write_table(tmp_path / "views" / "views.csv", table[["volume", "path"]].assign(ratio=2, phase=0))
    write_table(tmp_path / "split.csv", table[["volume", "structure"]].assign(part="train"))
    command = [sys.executable, "-c", USE, str(tmp_path), str(LIMIT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"{VOLUMES} ({VOLUMES}, 1, 2, 4, 4) {VOLUMES} ")
    assert int(done.stdout.split()[-1]) < 50


def test_a_stored_stack_is_the_channel_and_keeps_no_file_open(tmp_path):
    path = tmp_path / "cell.ome.tiff"
    write_volume(path, volume(planes=5))
    stack, expected = open_channel(path, "dna"), volume(planes=5).channel("dna")
    assert np.array_equal(stack, expected) and np.array_equal(stack[1:3, ::2, -1], expected[1:3, ::2, -1])
    assert (stack.shape, len(stack), stack.nbytes, stack.ndim) == (expected.shape, 5, expected.nbytes, 3)
    assert np.array_equal(np.stack(list(stack)), expected) and stack.mean() == expected.mean()
    copy = np.array(stack, dtype=np.float64)
    assert copy.dtype == np.float64 and np.array_equal(copy, expected)
    with pytest.raises(SparseSSPError, match="'golgi' is missing"):
        open_channel(path, "golgi")


@pytest.mark.parametrize("change", (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-100])))
def test_a_stored_stack_whose_file_changes_is_refused(tmp_path, change):
    path = tmp_path / "cell.ome.tiff"
    write_volume(path, volume())
    stack = open_channel(path, "dna")
    change(path)
    with pytest.raises(SparseSSPError, match=r"cell\.ome\.tiff: .*deleted or changed"):
        stack.mean()


def _volume(folder):
    write_volume(folder / "f", volume())
    return lambda: read_volume(folder / "f")


def _stored(folder):
    write_volume(folder / "f", volume())
    return open_channel(folder / "f", "dna").open


def _czi(folder):
    write_czi(folder / "f", make_voxels((3, 9, 9), FOUR, 0))
    return lambda: read_image(folder / "f", [0], "row 1")


def _tiff(folder):
    tifffile.imwrite(folder / "f", np.ones((3, 9, 9), np.uint16), photometric="minisblack", metadata={"axes": "ZYX"})
    return lambda: read_image(folder / "f", [0], "row 1")


def _examples(folder):
    write_examples(folder / "f", {"a": np.ones((2, 2, 2))})
    return lambda: read_examples(folder / "f")


def _archive(folder):
    make_archive(folder / "f", [("a.czi", b"content")])
    return lambda: list(members(folder / "f", {"a.czi"}, folder / "unpacked"))


def _local(folder):
    (folder / "f").write_bytes(b"content")
    return lambda: download.fetch([str(folder / "f")], folder / "g", progress=False)


def _weights(folder):
    torch.save({"a": torch.ones(2)}, folder / "f")
    return lambda: read_weights(str(folder / "f"))


def _safetensors(folder):
    save_file({"a": torch.ones(2)}, folder / "f.safetensors")
    return lambda: read_weights(str(folder / "f.safetensors"))


def _transformer(folder):
    backbone = vit_base.ViTBase(1, 16)
    backbone.model.save_pretrained(folder / "f")
    return lambda: backbone.load(str(folder / "f"))


def _model(folder):
    checkpoints.save(folder / "f", {"a": torch.ones(2)})
    return lambda: checkpoints.load(folder / "f")


def _yaml(folder):
    (folder / "f").write_text("a: 1\n")
    return lambda: read_yaml(folder / "f")


def _params(folder):
    shutil.copy(ROOT / "params.yaml", folder / "f")
    return lambda: read_params(folder / "f")


def _table(folder):
    (folder / "f").write_text("a\n1\n")
    return lambda: read_table(folder / "f", ["a"])


def _list(folder):
    (folder / "f").write_text(f"{PATH},{LIGHT},{TARGET}\na.czi,0,1\n")
    return lambda: read_list(folder / "f")


def _plane(folder):
    with open_image(folder / "f") as image:
        return image.plane(0, 0, 1)


def _own_tiff(folder):
    tifffile.imwrite(folder / "f", np.ones((3, 9, 9), np.uint16), photometric="minisblack", metadata={"axes": "ZYX"})
    return lambda: _plane(folder)


def _own_czi(folder):
    write_czi(folder / "f", make_voxels((3, 9, 9), FOUR, 0))
    return lambda: _plane(folder)


def _own_zarr(folder):
    group = zarr.open_group(folder / "f", mode="w")
    group.create_array("0", data=np.ones((3, 9, 9)))
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    image = {"version": "0.5", "axes": axes, "datasets": [{"path": "0"}]}
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [image]}})
    return lambda: _plane(folder)


READERS = (
    (_volume, _stored, _czi, _tiff, _examples, _archive, _local)
    + (_weights, _safetensors, _transformer, _model, _yaml, _params, _table, _list)
    + (_own_tiff, _own_czi, _own_zarr)
)


@pytest.mark.parametrize("left", (0, 1))
@pytest.mark.parametrize("make", READERS)
def test_too_many_open_files_is_named_as_itself(tmp_path, make, left):
    read = make(tmp_path)
    read()
    try:
        with descriptors_left(left):
            read()
    except OSError as error:
        assert error.errno == errno.EMFILE
        assert re.fullmatch(rf"{tmp_path}\S*f\S*: Too many open files; .*ulimit -n.*", explain(error))
    else:
        assert left  # some readers need a single descriptor only
    read()


def test_a_download_without_descriptors_is_not_tried_again(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "f").write_bytes(b"content")
    with Server(tmp_path / "served") as server:
        url = f"{server.url}/f"
        assert local_path(url) is None
        with descriptors_left(0), pytest.raises(OSError) as caught:
            download.fetch([url], tmp_path / "g", progress=False)
    assert caught.value.errno == errno.EMFILE and "ulimit -n" in explain(caught.value)


@pytest.mark.parametrize("number", (errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO))
def test_an_error_of_the_system_is_found_in_the_error_of_a_library(number):
    cause = OSError(number, os.strerror(number))
    wrapped = requests.ConnectionError(f"Max retries exceeded (Caused by NewConnectionError({str(cause)!r}))")
    texts = (
        f"Error opening the file -> errno={number} ({os.strerror(number)})",
        f"unable to open file <f> in read-only mode: {os.strerror(number)} ({number})",
        f"{os.strerror(number)} (os error {number})",
    )
    for error in (cause, wrapped, *map(RuntimeError, texts)):
        with pytest.raises(OSError) as caught:
            raise_system_error(error, Path("f"))
        assert caught.value.errno == number and caught.value.filename == "f"


@pytest.mark.parametrize(
    "error", (ValueError("bad plane (5)"), OSError("no number"), FileNotFoundError(errno.ENOENT, "gone"))
)
def test_a_broken_file_is_not_reported_as_an_error_of_the_system(error):
    raise_system_error(error, Path("f"))
