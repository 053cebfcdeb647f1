"""`sparsessp plan-acquisition`: expected scores at each ratio from the scores of a report."""

import json

import pytest

from sparsessp.__main__ import run
from sparsessp.errors import SparseSSPError

RUNS = (*(f"tgnet-3to2d-prefix-r{ratio}" for ratio in (1, 2, 8)), "dodnet-2d-none-r2", "z-profile")
TABLE = f"""volume,structure,{",".join(RUNS)}
a,dna,0.8,0.76,0.2,0.1,0.3
b,dna,0.6,0.58,0.4,0.1,0.3
c,golgi_apparatus,-0.1,0.0,0.1,0.1,0.3
"""


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(TABLE)
    return str(path)


def test_the_largest_ratio_that_keeps_a_share_is_named(scores, capsys):
    run(["plan-acquisition", scores, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["largest_ratio"] == {"dna": 2, "golgi_apparatus": None}
    dense, half, eighth = found["scores"][:3]
    assert (dense["share"], dense["exposures_saved"], half["exposures_saved"]) == (1, 0, 0.5)
    assert eighth["exposures_saved"] == 0.875 and eighth["r2"] == pytest.approx(0.3)
    assert half["share"] == pytest.approx(0.67 / 0.7)
    assert half["low"] == pytest.approx(0.58) and half["high"] == pytest.approx(0.76)  # two volumes
    assert found["scores"][3]["low"] is None and found["scores"][3]["share"] is None  # one volume, no dense score
    run(["plan-acquisition", scores, "--json", "--keep", "0.4"])
    assert json.loads(capsys.readouterr().out)["largest_ratio"]["dna"] == 8


def test_the_table_is_printed(scores, capsys):
    run(["plan-acquisition", scores])
    page = capsys.readouterr().out
    assert "keeps 90% of the dense R2" in page and "dna: 2" in page and "golgi_apparatus: unknown" in page


def test_without_a_dense_run_the_share_is_unknown(scores, capsys):
    run(["plan-acquisition", scores, "--network", "dodnet-2d-none", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found["largest_ratio"].values()) == {None} and found["scores"][0]["r2"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    (
        (("--network", "unet"), "'unet' is not in the report; allowed: dodnet-2d-none, tgnet-3to2d-prefix"),
        (("--keep", "1.5"), "--keep 1.5 is not allowed"),
    ),
)
def test_a_bad_option_is_refused_with_what_is_allowed(scores, options, said):
    with pytest.raises(SparseSSPError, match=said):
        run(["plan-acquisition", scores, *options])


def test_a_missing_or_foreign_table_is_named(tmp_path):
    with pytest.raises(SparseSSPError, match="gone.csv: the file is missing"):
        run(["plan-acquisition", str(tmp_path / "gone.csv")])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SparseSSPError, match="other.csv: not a table of R2 by volume"):
        run(["plan-acquisition", str(tmp_path / "other.csv")])
