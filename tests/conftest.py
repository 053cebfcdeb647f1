import json
import os
import shutil
import subprocess

import chaos
import pytest
import torch
from helpers.fields import make_field
from hypothesis import settings

from sparsessp.support.processes import exclusive_lock

# `--hypothesis-profile thorough` looks longer.
settings.register_profile("usual", max_examples=30, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("usual")

# Fixtures that run a real DVC in a clone: their tests are slow.
SLOW_FIXTURES = {"clone", "reproduced"}
# Files that take longest, in the order in which they start; other files with slow tests follow. The first makes
# `reproduced`, the second does not need it, so that no process waits for it.
LONG = (
    "test_recovery",
    "test_export",
    "test_run_plan",
    "test_extension",
    "test_pipeline",
    "test_cluster",
    "test_networks",
    "test_allencell",
    "test_training",
)


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)
    rank = {item.path.stem: len(LONG) for item in items if item.get_closest_marker("slow")}
    rank |= {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(autouse=True)
def seeded():
    """Random numbers do not depend on the tests that ran before in this process, which pytest-xdist may change."""
    torch.manual_seed(0)


@pytest.fixture
def samples():
    return [make_field(task) for task in (0, 3, 10)]


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory):
    """A clone that ran chaos.SMALL_PLAN, and the seconds of each stage; the first process that needs it makes it.

    No test may change it: `clone` is a copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, times = shared / "reproduced", shared / "reproduced.json"
    with exclusive_lock(shared / "reproduced.lock"):
        if not times.exists():
            chaos.prepare(folder, chaos.SMALL_PLAN)
            times.write_text(json.dumps(chaos.undisturbed(folder)))
    return folder, json.loads(times.read_text())


@pytest.fixture
def clone(reproduced, tmp_path):
    """A copy of `reproduced`, with its results."""
    folder = tmp_path / "clone"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 600 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this user may not mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
