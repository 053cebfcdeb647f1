"""One small file with all results, from which the report can be written again."""

import sys
import tarfile

import chaos
import pytest
from helpers.checkout import make_clone, sh

from pipeline import pack
from sparsessp.errors import SparseSSPError
from sparsessp.schema import HISTORY_FILE, SCORES_FILE

PACK = (sys.executable, "-m", "pipeline.pack")


def test_the_report_can_be_written_from_the_packed_results(reproduced, clone, tmp_path):
    said = sh(clone, *PACK, "results.tar.xz").stdout
    assert said.startswith("results.tar.xz: 2 runs, ")
    packed = clone / "results.tar.xz"
    first = packed.read_bytes()
    sh(clone, *PACK, "results.tar.xz")
    assert packed.read_bytes() == first and len(first) < 3e6
    with tarfile.open(packed) as archive:
        names = archive.getnames()
    results = {str(path.relative_to(clone)) for path in (clone / "artifacts/results").rglob("*") if path.is_file()}
    run = "tgnet-3to2d-prefix-r2"
    assert results | {f"artifacts/runs/{run}/{HISTORY_FILE}", f"artifacts/durations/{run}.json"} <= set(names)
    assert f"artifacts/results/{run}/{SCORES_FILE}" in results
    assert not [name for name in names if name.endswith((".pt", ".tiff"))]
    other = make_clone(tmp_path / "other")
    sh(other, "tar", "-xf", str(packed))
    before = {name: value for name, value in chaos.sums(reproduced[0]).items() if name.startswith("reports/")}
    for name in ("README.md", "metrics.json"):
        (other / "reports" / name).unlink()
    sh(other, sys.executable, "-m", "pipeline.stages.report")
    assert {name: value for name, value in chaos.sums(other).items() if name in before} == before


def test_without_results_there_is_nothing_to_pack(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SparseSSPError, match="artifacts/results has no results to pack"):
        pack.run(["results.tar.xz"])
    assert list(tmp_path.iterdir()) == []
