"""The claims: effects computed by hand, coverage of the intervals, and verdicts."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sparsessp.paper.published import published, rows
from sparsessp.reporting.bootstrap import Bootstrap, holm, interval, setting
from sparsessp.reporting.claims import CLAIMS, COLUMNS, claims
from sparsessp.reporting.figures.forest import forest
from sparsessp.reporting.tables.resources import read_profile, table6
from sparsessp.structures import KEYS

COSTS = table6(read_profile(None))
PREFIX, PROJECTION, COST = (
    "Prefix interpolation beats postfix",
    "Projection in 3D beats projection in 2D",
    "Hybrid.*multiply",
)


def frame(runs, structures=None):
    """Return the scores of runs, given as name -> R2 of each volume."""
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


METHODS, TOPOLOGIES = ("repmode", "dodnet"), ("3d", "2d", "2to3d", "3to2d")


def pair(n=24, gain=0.1, noise=0.0, seed=0, units=8, seeds=1):
    """Prefix and postfix runs of some networks; every network has the same gain, but for noise of its volumes."""
    rng = np.random.default_rng(seed)
    worse, runs = rng.uniform(0, 0.5, n), {}
    for name in [f"{method}-{topology}" for method in METHODS for topology in TOPOLOGIES][-units:]:
        for suffix in ["", *(f"-s{i}" for i in range(1, seeds))]:
            runs[f"{name}-prefix-r2{suffix}"] = worse + gain + noise * rng.standard_normal(n)
            runs[f"{name}-postfix-r2{suffix}"] = worse
    return runs


def test_effect_interval_and_verdict_of_a_constant_gain():
    for gain, verdict in ((0.1, "supported"), (-0.1, "contradicted")):
        got = claim(table(pair(gain=gain)), PREFIX)
        assert [got["effect"], got["low"], got["high"]] == pytest.approx([gain] * 3)
        assert (got["verdict"], got["comparisons"], got["volumes"], got["seeds"]) == (verdict, 8, 24, 1)
        printed = {
            name: [published(row, 2, "R2") for row in rows(1) if row.interpolation == name] for name in ("pre", "post")
        }
        assert got["paper_effect"] == pytest.approx(np.mean(printed["pre"]) - np.mean(printed["post"]))


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


def simulated(seed, units, seeds, per_structure=2, training=0.03, between=0.0, twelve=12):
    """Scores of pairs of runs at two ratios and the true gain.

    The gain has a part that depends on the structure, which is true, and noise of the volume, of the pair, and of
    each training, alike for all volumes and different for each structure.
    """
    rng = np.random.default_rng([seed, units, seeds])
    structure = np.repeat(np.arange(twelve), per_structure)
    n = len(structure)
    base = rng.normal(0.3, 0.2, twelve)[structure] + rng.normal(0, 0.1, n)
    of_structure, of_volume = rng.normal(0, 0.05, twelve), rng.normal(0, 0.05, n)
    runs = {}
    for unit in range(units):
        gain = 0.05 + rng.normal(0, between) + of_structure[structure] + of_volume
        for ratio, side, number in itertools.product((2, 8), (0, 1), range(seeds)):
            drift = rng.normal(0, training) + rng.normal(0, training, twelve)[structure] + rng.normal(0, 0.05, n)
            runs[f"{unit}-{side}-r{ratio}" + (f"-s{number}" if number else "")] = base + side * gain + drift
    volumes, structures = [f"v{i:03d}" for i in range(n)], [KEYS[i] for i in structure]
    columns = {
        "volume": volumes * len(runs),
        "structure": structures * len(runs),
        "r2": np.concatenate([*runs.values()]),
    }
    return pd.DataFrame({"experiment": np.repeat([*runs], n), **columns}), 0.05 + of_structure.mean()


def resampled_volumes(better, worse):
    """Return draws without the variance of training: a plain bootstrap of volumes with corrected spread."""
    gains = (better - worse).to_numpy().mean(axis=0)
    n = len(gains)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=500) - 1
    return gains.mean() + drawn @ gains / n * np.sqrt(n / (n - 1))


def draws_of(way, scores, units, seeds):
    """Resampled mean gain."""
    sides = [[f"{unit}-{side}-r{ratio}" for unit in range(units) for ratio in (2, 8)] for side in (1, 0)]
    if way == "volumes":
        wide = scores.pivot(index="experiment", columns="volume", values="r2")
        return resampled_volumes(*(wide.loc[side].reset_index(drop=True) for side in sides))
    resampled = Bootstrap(scores, draws=500)
    # Every setting weighs the same, so that the degrees of freedom of all add up.
    freedom = 4 * units * (seeds - 1) if way == "seeds" else None
    better, worse = (np.array(resampled.means([(name, "all") for name in side], freedom)) for side in sides)
    gains = better - worse
    effect = gains.mean(axis=0) if way == "seeds" else resampled.across(gains, np.repeat(np.arange(units), 2))
    return effect[1:]


def coverage(way, units, seeds=1, trials=120, **more):
    """Return the share of simulated datasets whose 95 % interval contains the true gain."""
    hits = []
    for trial in range(trials):
        scores, truth = simulated(trial, units, seeds, **more)
        low, high = interval(draws_of(way, scores, units, seeds))
        hits.append(low <= truth <= high)
    return np.mean(hits)


@pytest.mark.parametrize(
    ("way", "units", "seeds", "more"),
    [
        ("comparisons", 3, 1, {}),
        ("comparisons", 4, 3, {"per_structure": 8}),
        ("comparisons", 8, 1, {}),
        ("comparisons", 5, 1, {"between": 0.05}),
        ("comparisons", 4, 1, {"training": 0.0}),
        ("seeds", 1, 3, {}),
        ("seeds", 2, 3, {"per_structure": 8}),
        ("seeds", 1, 5, {}),
    ],
)
def test_the_interval_has_its_nominal_coverage(way, units, seeds, more):
    # The sum of two Student's t covers 95 to 98 %, never less; the standard error over 120 trials is 2 %.
    assert 0.92 <= coverage(way, units, seeds, **more) <= 0.99


@pytest.mark.parametrize(("units", "most"), [(1, 0.6), (4, 0.8), (8, 0.9)])
def test_resampling_volumes_alone_has_too_low_coverage(units, most):
    """Intervals that ignore the variance of training cover the truth too rarely."""
    assert coverage("volumes", units, per_structure=8, trials=60) < most


def test_volumes_of_one_plate_count_once():
    runs = pair(n=12, gain=0.1, noise=0.2)
    structures = [KEYS[i // 4] for i in range(12)]
    once = Bootstrap(frame(runs, structures))
    doubled = frame({name: np.repeat(r2, 2) for name, r2 in runs.items()}, list(np.repeat(structures, 2)))
    plates = {f"v{i:02d}": f"plate{i // 2}" for i in range(24)}
    clustered, naive = Bootstrap(doubled, plates), Bootstrap(doubled)
    assert clustered.clusters() == 12 and naive.clusters() == 24
    assert once.freedom() == pytest.approx(9) == clustered.freedom() and naive.freedom() == pytest.approx(21)
    name = next(iter(runs))
    np.testing.assert_allclose(clustered.mean(name), once.mean(name), atol=1e-12)
    assert naive.mean(name)[1:].std() < 0.8 * once.mean(name)[1:].std()


@pytest.mark.parametrize("plates", [None, {f"v{i:02d}": f"plate{i // 2}" for i in range(24)}])
def test_a_structure_that_is_easier_shifts_the_mean_and_does_not_widen_it(plates):
    structures = [KEYS[i % 2] for i in range(24)]  # with plates, each holds both
    r2 = np.random.default_rng(0).normal(0.3, 0.1, 24)
    easier = r2 + np.array([key == KEYS[0] for key in structures])
    one, other = (Bootstrap(frame({"run": values}, structures), plates).mean("run") for values in (r2, easier))
    np.testing.assert_allclose(other, one + 0.5, atol=1e-12)


def test_plates_with_several_structures_are_drawn_as_a_unit():
    plate_effect = np.random.default_rng(0).normal(0, 0.1, 12)
    structures = [KEYS[i % 2] for i in range(24)]
    plates = {f"v{i:02d}": f"plate{i // 2}" for i in range(24)}
    resampled = Bootstrap(frame({"run": np.repeat(plate_effect, 2)}, structures), plates)
    assert resampled.freedom() == pytest.approx(11)
    # Twelve independent values, whose mean has the variance s^2 / 12, and Student's t varies by 11 / 9 more.
    expected = plate_effect.std(ddof=1) / np.sqrt(12) * np.sqrt(11 / 9)
    assert resampled.mean("run")[1:].std() == pytest.approx(expected, rel=0.03)


def test_one_volume_of_each_structure_gives_no_interval():
    got = claim(table(pair(n=12)), PREFIX)
    assert np.isnan(got["low"]) and got["verdict"] == "undecided" and "of each structure" in got["note"]


def test_an_effect_that_rests_on_one_of_many_comparisons_is_undecided():
    runs = pair(gain=0)
    runs["dodnet-2d-prefix-r2"] = runs["dodnet-2d-prefix-r2"] + 0.4
    got = claim(table(runs), PREFIX)
    assert got["effect"] == pytest.approx(0.05) and got["low"] < 0 and got["verdict"] == "undecided"


def test_comparisons_that_share_a_network_count_as_one():
    base, shifts = np.linspace(0.1, 0.5, 24), np.random.default_rng(0).normal(0, 0.05, 24)
    runs = {
        f"{method}-{topology}-prefix-r{ratio}": base + shift
        for (method, topology, ratio), shift in zip(
            itertools.product(("repmode", "dodnet", "tgnet"), TOPOLOGIES, (2, 8)), shifts, strict=True
        )
    }
    got = claim(table(runs, ratios=(2, 8)), "Hybrid topologies beat 3D")
    assert (got["comparisons"], got["independent"]) == (12, 3)
    # By hand: a t interval over the three methods, as no volume differs.
    names = {name: r2[0] for name, r2 in runs.items()}
    methods = [
        np.mean([names[f"{m}-{t}-prefix-r{r}"] - names[f"{m}-3d-prefix-r{r}"] for t in TOPOLOGIES[2:] for r in (2, 8)])
        for m in ("repmode", "dodnet", "tgnet")
    ]
    half = stats.t.ppf(0.975, 2) * np.std(methods, ddof=1) / np.sqrt(3)
    assert [got["low"], got["high"]] == pytest.approx([np.mean(methods) - half, np.mean(methods) + half], rel=0.1)


def test_one_comparison_has_no_verdict_below_three_seeds():
    shifts = {1: [0], 2: [0, 0.001], 3: [0, 0.001, -0.001]}
    for seeds, note in ((1, "one seed: no verdict"), (2, "two seeds: no verdict"), (3, None)):
        runs = {}
        for number, shift in enumerate(shifts[seeds]):
            for name, r2 in pair(units=1).items():
                runs[name + (f"-s{number}" if number else "")] = r2 + shift * (1 if "prefix" in name else -1)
        got = claim(table(runs), PREFIX)
        assert (got["comparisons"], got["independent"], got["seeds"]) == (1, 1, seeds)
        assert got["effect"] == pytest.approx(0.1 + 2 * np.mean(shifts[seeds]))
        if note:
            assert (got["verdict"], got["note"]) == ("undecided", note) and np.isnan(got["p"]) and np.isnan(got["low"])
        else:
            assert got["verdict"] == "supported" and np.isnan(got["note"])
            # By hand: no volume differs, so it is Welch's t of two settings with three seeds each.
            half = stats.t.ppf(0.975, 4) * 0.001 * np.sqrt(2 / 3)
            assert [got["low"], got["high"]] == pytest.approx([0.1 - half, 0.1 + half], abs=0.1 * half)


def test_two_comparisons_are_judged_by_three_seeds_or_by_their_spread():
    one = claim(table(pair(units=2, noise=0.02)), PREFIX)
    three = claim(table(pair(units=2, noise=0.02, seeds=3)), PREFIX)
    assert one["independent"] == three["independent"] == 2 and three["seeds"] == 3
    assert one["high"] - one["low"] > three["high"] - three["low"] > 0
    assert three["verdict"] == "supported"


def test_seeds_are_averaged_if_the_spread_between_comparisons_is_used():
    runs = pair(gain=0.1)
    runs |= {f"{name}-s1": r2 + (0.04 if "prefix" in name else -0.04) for name, r2 in pair(gain=0.1).items()}
    got = claim(table(runs), PREFIX)
    assert setting("dodnet-2d-prefix-r2-s1") == "dodnet-2d-prefix-r2"
    assert got["seeds"] == 2 and [got["effect"], got["low"], got["high"]] == pytest.approx([0.14] * 3)


def with_seeds(runs, spread=0.002, seed=0):
    """Three trainings of each setting."""
    rng = np.random.default_rng(seed)
    more = {f"{name}-s{i}": r2 + spread * rng.standard_normal() for name, r2 in runs.items() for i in (1, 2)}
    return runs | more


def test_the_best_must_beat_every_rival():
    ours, rng = "tgnet-3to2d-prefix-r2", np.random.default_rng(0)
    base = rng.uniform(0, 0.5, 24)
    rivals = {row.experiment(2): base for row in rows(3) if row.experiment(2) != ours}
    better, once = {**rivals, ours: base + 0.1}, claim(table({**rivals, ours: base + 0.1}), "best")
    assert (once["verdict"], once["note"], once["independent"]) == ("undecided", "one seed: no verdict", 1)
    won = claim(table(with_seeds(better)), "best")
    assert won["verdict"] == "supported" and won["low"] < won["effect"] < won["high"]
    beaten = claim(table(with_seeds({**better, "repmode-3d-prefix-r2": base + 0.2})), "best")
    assert beaten["verdict"] == "contradicted" and beaten["effect"] == pytest.approx(-0.1, abs=0.01)
    assert beaten["comparisons"] == beaten["possible"] == 19 and beaten["paper_effect"] == pytest.approx(0.0077)


def test_schedules_and_backbones_are_compared_with_the_first_row_of_their_topology():
    runs, base = {}, np.linspace(0.1, 0.5, 24)
    for number, ratios, gain in ((4, (2,), 0.02), (5, (2, 8), 0.03)):
        usual = {row.topology: row for row in reversed(rows(number))}.values()
        runs |= {row.experiment(r): base + gain * (row not in usual) for row in rows(number) for r in ratios}
    found = table(with_seeds(runs, 0), ratios=(2, 8))
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


def slender_scores(slender_lost, sturdy_lost):
    """TGNet 3-to-2D at two ratios, three seeds each, of 48 volumes of four structures."""
    keys = ("actomyosin_bundle", "nucleolus", "microtubule", "nuclear_envelope")
    structures = [keys[i % 4] for i in range(48)]
    base = np.random.default_rng(0).uniform(0.4, 0.6, 48)
    lost = np.array([slender_lost if key == keys[0] else sturdy_lost for key in structures])
    runs = with_seeds({"tgnet-3to2d-prefix-r2": base, "tgnet-3to2d-prefix-r8": base - lost})
    return table(runs, ratios=(2, 8), structures=structures)


def test_slender_needs_sturdy_structures_that_lose():
    both = claim(slender_scores(0.3, 0.1), "Slender")
    assert both["verdict"] == "supported" and both["effect"] == pytest.approx(0.4, abs=0.05)
    gained = claim(slender_scores(0.3, -0.1), "Slender")
    assert gained["effect"] > both["effect"] and gained["verdict"] == "undecided" and np.isnan(gained["p"])
    assert "lose no R²" in gained["note"]
    hardly = claim(slender_scores(0.3, 0.002), "Slender")  # within the spread of the seeds
    assert hardly["verdict"] == "undecided" and hardly["low"] > 0 and hardly["p"] > 0.05
    assert claim(slender_scores(0.1, 0.3), "Slender")["verdict"] == "contradicted"


def test_a_claim_about_a_structure_without_volumes_says_so():
    runs = with_seeds({"tgnet-3to2d-prefix-r2": np.linspace(0.4, 0.6, 24), "tgnet-3to2d-prefix-r8": np.zeros(24)})
    got = claim(table(runs, ratios=(2, 8), structures=["nucleolus"] * 24), "Slender")
    assert got["verdict"] == "undecided" and "has no test volume" in got["note"] and np.isnan(got["effect"])


def test_an_interval_that_leaves_the_figure_ends_in_an_arrow():
    def legend(found):
        return [text.get_text() for text in forest(found).legends[0].get_texts()]

    assert "interval continues" not in legend(table(pair(noise=0.02)))
    runs = pair(units=2)
    wide = table(runs | {"dodnet-3to2d-prefix-r2": runs["dodnet-3to2d-prefix-r2"] - 0.15})
    assert claim(wide, PREFIX)["high"] > 0.5
    assert "interval continues" in legend(wide)


def test_holm_matches_a_calculation_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.6, 0.5])) == pytest.approx([1, 1])
    # Two claims, one p between 2.5 % and 5 %: alone it would pass, next to another it does not.
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
