"""Voxels are checked once per file, and again when the file changes."""

import os

import numpy as np
import pytest

from sparsessp.data.volumes import TRANSMITTED_LIGHT, Volume, open_channel, write_volume
from sparsessp.data.voxel_checks import VoxelChecks
from sparsessp.errors import SparseSSPError

VOXELS = np.random.default_rng(0).standard_normal((2, 4, 6, 6)).astype(np.float32)
CONSTANT = np.ones_like(VOXELS)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "volume.ome.tiff"


def write(path, voxels):
    write_volume(path, Volume(voxels, (TRANSMITTED_LIGHT, "dna"), (0.3, 0.1, 0.1), {}))


def check(path, record, channel="dna", stack=None):
    """As a new process would; `stack` stands in for the voxels, to show whether they are looked at."""
    checks = VoxelChecks(record)
    checks.check(open_channel(path, channel) if stack is None else stack, path, channel)
    checks.save()


def test_a_file_that_passed_is_not_read_again_and_its_other_channel_is(place, tmp_path):
    record = tmp_path / "folder" / "record.txt"
    write(place, VOXELS)
    check(place, record)
    check(place, record, stack=CONSTANT)
    assert len(record.read_text().splitlines()) == 1
    with pytest.raises(SparseSSPError, match=f"volume.ome.tiff, channel {TRANSMITTED_LIGHT}: every voxel is 1"):
        check(place, record, TRANSMITTED_LIGHT, CONSTANT)
    check(place, record, TRANSMITTED_LIGHT)
    assert len(record.read_text().splitlines()) == 2


@pytest.mark.parametrize("in_place", (False, True))
def test_a_changed_file_of_the_same_size_is_checked_again(place, tmp_path, in_place):
    write(place, VOXELS)
    os.utime(place, (1, 1))  # long ago: the system's clock of files may not tick between two writes
    check(place, tmp_path / "record.txt")
    before = place.stat()
    if in_place:
        content = place.read_bytes().replace(VOXELS[1].tobytes(), CONSTANT[1].tobytes())
        place.write_bytes(content)
    else:  # another file with the same time, as a copy keeps it
        write(place, CONSTANT)
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert place.stat().st_size == before.st_size
    with pytest.raises(SparseSSPError, match="every voxel is 1"):
        check(place, tmp_path / "record.txt")


def test_without_a_record_and_after_a_torn_line_every_file_is_checked(place, tmp_path):
    write(place, CONSTANT)
    record = tmp_path / "record.txt"
    record.write_bytes(f"12 34 56 dna {place.resolve()}\n\xff".encode("latin-1"))
    for chosen in (None, record):
        with pytest.raises(SparseSSPError, match="every voxel is 1"):
            check(place, chosen)
