"""The claims: effects by hand, intervals that cover, verdicts that follow, and nothing claimed without a run."""

import numpy as np
import pandas as pd
import pytest

from sparsessp.paper.published import published, rows
from sparsessp.reporting.bootstrap import Bootstrap, holm, interval, setting
from sparsessp.reporting.claims import CLAIMS, COLUMNS, claims
from sparsessp.reporting.tables.resources import read_profile, table6
from sparsessp.structures import KEYS

COSTS = table6(read_profile(None))
PREFIX, PROJECTION, COST = (
    "Prefix interpolation beats postfix",
    "Projection in 3D beats projection in 2D",
    "Hybrid.*multiply",
)


def frame(runs, structures=None):
    """Scores of runs given as name -> R2 of each volume."""
    parts = []
    for name, r2 in runs.items():
        volumes = [f"v{i:02d}" for i in range(len(r2))]
        structure = structures or [KEYS[i % 12] for i in range(len(r2))]
        parts.append(pd.DataFrame({"experiment": name, "volume": volumes, "structure": structure, "r2": r2}))
    return pd.concat(parts, ignore_index=True)


def table(runs, ratios=(2,), **more):
    return claims(frame(runs, **more), COSTS, ratios)


def claim(found, pattern):
    chosen = found[found["claim"].str.contains(pattern)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def pair(n=24, gain=0.1, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    worse = rng.uniform(0, 0.5, n)
    return {"dodnet-2d-prefix-r2": worse + gain + noise * rng.standard_normal(n), "dodnet-2d-postfix-r2": worse}


def test_effect_interval_and_verdict_of_a_constant_gain():
    for gain, verdict in ((0.1, "supported"), (-0.1, "contradicted")):
        got = claim(table(pair(gain=gain)), PREFIX)
        assert [got["effect"], got["low"], got["high"]] == pytest.approx([gain] * 3)
        assert (got["verdict"], got["comparisons"], got["volumes"], got["seeds"]) == (verdict, 1, 24, 1)
        printed = {row.interpolation: published(row, 2, "R2") for row in rows(1) if "dodnet-2d-p" in row.experiment(2)}
        assert got["paper_effect"] == pytest.approx(printed["pre"] - printed["post"])


def test_nothing_is_claimed_without_a_run():
    found = table({"tsns-2d-prefix-r2": np.zeros(24)})
    assert list(found.columns) == list(COLUMNS) and len(found) == len(CLAIMS) + 1
    assert set(found["verdict"]) == {"not run"} and found[["effect", "low", "p", "p_holm"]].isna().all(axis=None)
    printed = found[found["claim"] != "Longer training does not help networks with a 3D encoder"]
    assert printed["paper_effect"].notna().all() and (printed["possible"] > 0).all()
    assert claim(found, "Longer.*2D")["paper_effect"] == pytest.approx((0.0293 + 0.0022) / 2)
    # Table 5 by hand: 2D at r = 2 and 8, then 2-to-3D, each of four backbones less ResNet18.
    gains = [0.3800 + 0.3812 + 0.3507 + 0.3995 - 4 * 0.3640, 0.3687 + 0.3846 + 0.3340 + 0.3893 - 4 * 0.3551]
    gains += [0.4501 + 0.4385 + 0.4124 + 0.4559 - 4 * 0.4323, 0.4133 + 0.3970 + 0.3628 + 0.4194 - 4 * 0.3897]
    assert claim(found, "backbones")["paper_effect"] == pytest.approx(sum(gains) / 16)


def test_noise_alone_is_undecided_and_a_few_volumes_have_no_interval():
    assert claim(table(pair(gain=0, noise=0.1)), PREFIX)["verdict"] == "undecided"
    got = claim(table(pair(n=4)), PREFIX)
    assert got["verdict"] == "undecided" and np.isnan(got["low"]) and "fewer than 5" in got["note"]
    assert got["effect"] == pytest.approx(0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    hits = []
    for seed in range(150):
        scores = frame(pair(n=10, gain=0.1, noise=0.2, seed=seed))
        resampled = Bootstrap(scores)
        better, worse = (resampled.mean(name) for name in pair())
        low, high = interval((better - worse)[1:])
        hits.append(low <= 0.1 <= high)
    # 95 % nominal; percentiles of ten volumes cover a little less. Three standard errors of 150 trials are 5 %.
    assert 0.87 <= np.mean(hits) <= 1.0


def test_volumes_of_one_plate_count_once():
    runs = pair(n=12, gain=0.1, noise=0.2)
    once = Bootstrap(frame(runs))
    doubled = frame({name: np.repeat(r2, 2) for name, r2 in runs.items()})
    plates = {f"v{i:02d}": f"plate{i // 2}" for i in range(24)}
    clustered, naive = Bootstrap(doubled, plates), Bootstrap(doubled)
    assert clustered.clusters() == 12 and naive.clusters() == 24
    name = next(iter(runs))
    np.testing.assert_allclose(clustered.mean(name), once.mean(name), atol=1e-12)
    assert naive.mean(name)[1:].std() < 0.8 * once.mean(name)[1:].std()


def test_several_seeds_are_one_setting_and_widen_the_interval():
    runs = pair(gain=0.1)
    one = claim(table(runs), PREFIX)
    runs |= {f"{name}-s1": r2 + shift for (name, r2), shift in zip(list(runs.items()), (0.04, -0.04), strict=True)}
    several = claim(table(runs), PREFIX)
    assert setting("dodnet-2d-prefix-r2-s1") == "dodnet-2d-prefix-r2"
    assert several["seeds"] == 2 and several["effect"] == pytest.approx(0.14)
    assert several["low"] < 0.1 < one["high"] + 1e-9 and several["high"] > 0.17


def test_the_best_must_beat_every_rival():
    ours, rng = "tgnet-3to2d-prefix-r2", np.random.default_rng(0)
    base = rng.uniform(0, 0.5, 24)
    rivals = {row.experiment(2): base for row in rows(3) if row.experiment(2) != ours}
    assert claim(table({**rivals, ours: base + 0.1}), "best")["verdict"] == "supported"
    beaten = claim(table({**rivals, ours: base + 0.1, "repmode-3d-prefix-r2": base + 0.2}), "best")
    assert beaten["verdict"] == "contradicted" and beaten["effect"] == pytest.approx(-0.1)
    assert beaten["comparisons"] == beaten["possible"] == 19 and beaten["paper_effect"] == pytest.approx(0.0077)


def test_schedules_and_backbones_are_held_against_the_first_row_of_their_topology():
    runs, base = {}, np.linspace(0.1, 0.5, 24)
    for number, ratios, gain in ((4, (2,), 0.02), (5, (2, 8), 0.03)):
        usual = {row.topology: row for row in reversed(rows(number))}.values()
        runs |= {row.experiment(r): base + gain * (row not in usual) for row in rows(number) for r in ratios}
    found = table(runs, ratios=(2, 8))
    for words, gain, count in (("Longer.*2D", 0.02, 2), ("backbones", 0.03, 16)):
        got = claim(found, words)
        assert got["effect"] == pytest.approx(gain) and got["verdict"] == "supported"
        assert got["comparisons"] == got["possible"] == count


def test_decay_and_shares_need_two_ratios():
    names = {f"tgnet-{topology}-prefix-r{ratio}": topology for topology in ("3d", "3to2d") for ratio in (2, 8)}
    base = np.linspace(0.3, 0.6, 48)
    lost = {"3d": 0.2, "3to2d": 0.05}
    runs = {name: base - (lost[topology] if name.endswith("8") else 0) for name, topology in names.items()}
    structures = [(*KEYS[:2], "nucleolus", "microtubule", "nuclear_envelope", KEYS[4])[i % 6] for i in range(48)]
    found = table(runs, ratios=(2, 8), structures=structures)
    assert claim(found, "loses less")["effect"] == pytest.approx(0.15)
    share = claim(found, "Slender")
    group = [
        base[[s == key for s in structures]].mean() for key in (KEYS[1], "nucleolus", "microtubule", "nuclear_envelope")
    ]
    assert share["effect"] == pytest.approx(0.05 / group[0] - np.mean([0.05 / mean for mean in group[1:]]))
    one = table({name: r2 for name, r2 in runs.items() if name.endswith("r2")}, structures=structures)
    assert claim(one, "loses less")["verdict"] == claim(one, "Slender")["verdict"] == "not run"
    worthless = table({name: r2 - 1 for name, r2 in runs.items()}, ratios=(2, 8), structures=structures)
    assert claim(worthless, "Slender")["verdict"] == "undecided" and np.isnan(claim(worthless, "Slender")["effect"])


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.6, 0.5])) == pytest.approx([1, 1])
    # Two claims, one p between 2.5 % and 5 %: alone it would pass, beside another it does not.
    runs = pair(gain=0.0, noise=0.1, seed=3) | {"dodnet-2to3d-prefix-r2": np.zeros(24)}
    found = table(runs | {"dodnet-2to3d-prefix-proj2d-r2": np.random.default_rng(1).normal(0, 0.1, 24)})
    p = found.loc[found["p"].notna(), ["p", "p_holm"]].sort_values("p").to_numpy()
    assert len(p) > 2 and p[0, 1] == pytest.approx(min(1, p[0, 0] * len(p))) and (p[:, 1] >= p[:, 0]).all()


def test_cost_is_counted_and_has_no_interval():
    costs = COSTS.assign(
        gmacs_over_3d=[{"3D": 1.0, "2D": 0.1, "2-to-3D": 0.4, "3-to-2D": 0.7}[t] for t in COSTS["topology"]]
    )
    got = claim(claims(frame(pair()), costs, (2,)), COST)
    assert got["verdict"] == "supported" and got["effect"] == pytest.approx(0.45) and np.isnan(got["low"])
    worse = costs.assign(gmacs_over_3d=1.2)
    assert claim(claims(frame(pair()), worse, (2,)), COST)["verdict"] == "contradicted"


def test_the_same_scores_give_the_same_claims_in_any_order():
    scores = frame(pair(noise=0.1))
    shuffled = scores.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(claims(scores, COSTS, (2,)), claims(scores.copy(), COSTS, (2,)))
    pd.testing.assert_frame_equal(claims(scores, COSTS, (2,)), claims(shuffled, COSTS, (2,)))
