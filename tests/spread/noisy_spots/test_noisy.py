"""Clusters on simulated truth; removal against its control; nothing to work with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.comparison import compare_images
from dials_spread.observations import build_observations
from dials_spread.report.compare_images.origins.origins_findings import origin_findings
from dials_spread.rfactor.merging import cc_half, r_meas
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.spread.analysis import SpreadChoices
from dials_spread.spread.noisy_spots.agreement import (
    Columns,
    agreement_of,
)
from dials_spread.spread.noisy_spots.clusters import (
    _shares,
    fit_clusters,
    memberships,
    posterior_log_s,
)
from dials_spread.spread.noisy_spots.noisy import (
    analyse_noisy,
    beyond_cut,
    choose_clusters,
    without_lone,
)
from dials_spread.spread.noisy_spots.removal import effect_of_removal
from dials_spread.spread.origins import OriginChoices
from dials_spread.spread.size.reflection_spread import (
    LOG_GRID,
    dependence_on,
    reflection_spreads,
)
from dials_spread.spread.size.residuals import residuals_of_arrays
from dials_spread.spread.size.size import deviations
from dials_spread.statistics.excess_spread import likelihood_table, most_likely
from dials_spread.structures.structure_files import read_structure


def simulate(rng, n=400, s=0.0, many=(2, 30), noisy=0.0, s_noisy=0.7, tails=False):
    """Observations of reflections, of which a part is noisy; and which."""
    number = rng.integers(*many, n, endpoint=True)
    unique = np.repeat(np.arange(n), number)
    mean = np.exp(rng.normal(5, 1, n))[unique]
    is_noisy = rng.random(n) < noisy
    x = rng.standard_t(5, len(unique)) if tails else rng.standard_normal(len(unique))
    spread = np.where(is_noisy, s_noisy, s)[unique]
    sigma = 0.05 * mean + 1
    intensity = mean * (1 + spread * x) + sigma * rng.standard_normal(len(unique))
    return Columns(unique, intensity, sigma**2, sigma**2), is_noisy


def residuals_of(columns):
    zero = np.zeros(len(columns), dtype=int)
    return residuals_of_arrays(
        columns.unique, zero, zero, columns.intensity, columns.variance
    )


def clusters_of(columns, rng):
    residuals = residuals_of(columns)
    spreads = reflection_spreads(residuals)
    mixtures = fit_clusters(spreads.likelihood, LOG_GRID, rng)
    return choose_clusters(mixtures, residuals, rng), mixtures, spreads


@pytest.mark.parametrize(
    "truth",
    [
        {},
        {"many": (2, 4)},
        {"s": 0.3},
        {"s": 0.3, "many": (2, 4)},
        {"s": 0.3, "tails": True},
    ],
    ids=str,
)
def test_one_kind_is_one_cluster(truth):
    """Counting noise alone, few observations, heavy tails: never two kinds."""
    numbers = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        columns, _ = simulate(rng, n=250, **truth)
        (number, _, _), _, _ = clusters_of(columns, rng)
        numbers.append(number)
    assert numbers.count(1) >= 5


def test_a_second_kind_is_found_with_its_members():
    rng = np.random.default_rng(4)
    columns, is_noisy = simulate(rng, s=0.15, noisy=0.2)
    (number, p, reason), mixtures, spreads = clusters_of(columns, rng)
    assert (number, p, reason) == (2, 0.05, "")
    found = mixtures[1]
    np.testing.assert_allclose(np.exp(found.centre), [0.15, 0.7], rtol=0.2)
    assert found.weight[1] == pytest.approx(0.2, abs=0.06)
    assert found.separation > 2
    cluster = memberships(spreads.likelihood, LOG_GRID, found).argmax(axis=1)
    truth = is_noisy[spreads.unique]
    assert np.mean((cluster == 1) == truth) > 0.93
    assert np.mean(truth[cluster == 1]) > 0.9


def test_single_wild_observations_make_no_class_and_noisy_reflections_do():
    """One that is far is left out; in a reflection where many are, hardly any."""
    numbers = {"wild": [], "noisy": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        columns, _ = simulate(rng, n=250, s=0.1, many=(15, 30))
        wild = rng.random(len(columns)) < 0.004
        intensity = np.where(wild, 6 * columns.intensity, columns.intensity)
        noisy, is_noisy = simulate(
            np.random.default_rng(seed), n=250, s=0.1, many=(15, 30), noisy=0.1
        )
        for name, given in (
            ("wild", replace(columns, intensity=intensity)),
            ("noisy", noisy),
        ):
            residuals = residuals_of(given)
            far = beyond_cut(given, 0.1, 6)[residuals.observation]
            kept = without_lone(residuals, far)
            out = set(residuals.observation) - set(kept.observation)
            if name == "wild":
                beyond = set(residuals.observation[far])
                # Some reflections have more by chance.
                assert out <= beyond and len(out) > 0.8 * len(beyond) > 0
            else:
                of_noisy = is_noisy[given.unique]
                assert of_noisy[sorted(out)].sum() < 0.01 * of_noisy.sum()
            np.testing.assert_array_equal(
                kept.intensity, given.intensity[kept.observation]
            )
            spreads = reflection_spreads(kept)
            mixtures = fit_clusters(spreads.likelihood, LOG_GRID, rng)
            numbers[name].append(choose_clusters(mixtures, kept, rng)[0])
    assert numbers["wild"] == [1, 1, 1, 1]
    assert numbers["noisy"] == [2, 2, 2, 2]


def test_the_spread_of_a_reflection_and_its_interval():
    """68 % intervals hold the truth in about 68 % of the reflections."""
    rng = np.random.default_rng(2)
    columns, _ = simulate(rng, n=1500, s=0.3, many=(5, 30))
    spreads = reflection_spreads(residuals_of(columns))
    inside = (spreads.low <= 0.3) & (spreads.high >= 0.3)
    assert inside.mean() == pytest.approx(0.68, abs=0.08)
    mean, sd = posterior_log_s(
        spreads.likelihood, LOG_GRID, fit_clusters(spreads.likelihood, LOG_GRID, rng)[0]
    )
    # With the others as prior knowledge each is nearer to the truth.
    positive = spreads.s > 0
    alone = np.abs(np.log(spreads.s[positive] / 0.3)).mean()
    assert np.abs(mean[positive] - np.log(0.3)).mean() < 0.7 * alone
    assert (sd > 0).all()
    assert spreads.tails < 0.3


def test_intervals_of_many_observations_hold_their_estimate():
    """With hundreds the likelihood is narrower than the steps of s that are tried."""
    rng = np.random.default_rng(5)
    columns, _ = simulate(rng, n=300, s=0.3, many=(150, 600))
    spreads = reflection_spreads(residuals_of(columns))
    assert ((spreads.low < spreads.s) & (spreads.s < spreads.high)).all()
    # Of n observations of known scatter, as that of a standard deviation.
    half = 0.5 * np.log(spreads.high / spreads.low)
    assert np.median(half * np.sqrt(2 * spreads.number)) == pytest.approx(1, abs=0.15)
    inside = (spreads.low <= 0.3) & (spreads.high >= 0.3)
    assert inside.mean() == pytest.approx(0.68, abs=0.08)


def test_scaling_all_intensities_changes_nothing():
    rng = np.random.default_rng(8)
    columns, _ = simulate(rng, s=0.2, n=100)
    scaled = Columns(
        columns.unique, 50 * columns.intensity, *(2500 * columns.variance,) * 2
    )
    a, b = (reflection_spreads(residuals_of(c)) for c in (columns, scaled))
    np.testing.assert_allclose(a.s, b.s, rtol=1e-6)
    np.testing.assert_allclose(a.likelihood, b.likelihood, atol=1e-8)
    np.testing.assert_array_equal(beyond_cut(columns, 0.2), beyond_cut(scaled, 0.2))


def s_of(columns):
    """s of highest likelihood, from all values of the grid."""
    data = deviations(residuals_of(columns))
    cell = np.zeros(len(data.square), dtype=int)
    return float(most_likely(likelihood_table(data, cell, 1))[0])


@pytest.mark.parametrize("s", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("start", [0.0, 0.3, 9.0])
def test_s_does_not_depend_on_where_it_is_looked_for_first(s, start):
    columns, _ = simulate(np.random.default_rng(1), s=s)
    found = agreement_of(columns, start)["s"]
    assert found == pytest.approx(s_of(columns), rel=1e-9)


def test_agreement_of_some_is_that_of_the_merging_statistics():
    """The reference sums each statistic on its own, from a table without the others."""
    rng = np.random.default_rng(8)
    columns, _ = simulate(rng, s=0.3, many=(1, 9))
    merging = columns.variance * rng.uniform(1, 3, len(columns))
    columns = replace(columns, merging_variance=merging)
    kept = rng.random(len(columns)) < 0.8
    some = columns.select(kept)
    n_unique = int(some.unique.max()) + 1
    expected = {
        "s": s_of(some),
        "r_meas": r_meas(some.intensity, some.unique, n_unique, 1 / merging[kept])[0],
        "cc_half": cc_half(some.unique, some.intensity),
    }
    assert agreement_of(columns, 0.3, kept) == pytest.approx(expected, rel=1e-12)
    mixed = rng.permutation(len(columns))
    found = agreement_of(columns.select(mixed), 0.3, kept[mixed])
    assert found == pytest.approx(expected, rel=1e-10)


def test_wild_observations_are_beyond_the_cut():
    """By hand: 10, 10, 11, 30 with σ 1; of a pair nobody knows which is wrong."""
    unique = np.array([0, 0, 0, 0, 1, 1])
    intensity = np.array([10.0, 10, 11, 30, 5, 50])
    columns = Columns(unique, intensity, np.ones(6), np.ones(6))
    assert beyond_cut(columns, 0.0, 6).tolist() == [False] * 3 + [True] + [False] * 2
    # With s = 0.5 the limit is 6 × sqrt(1 + 5.25²) = 32 from the median 10.5.
    assert not beyond_cut(columns, 0.5, 6).any()
    assert beyond_cut(columns, 0.5, 3).tolist() == [False] * 3 + [True] + [False] * 2


def test_removing_wild_observations_beats_chance_and_random_ones_do_not():
    rng = np.random.default_rng(3)
    columns, _ = simulate(rng, s=0.15, many=(4, 20))
    wild = rng.random(len(columns)) < 0.01
    intensity = np.where(wild, 4 * columns.intensity, columns.intensity)
    columns = Columns(columns.unique, intensity, columns.variance, columns.variance)
    every = np.ones(len(columns), dtype=bool)
    helps = effect_of_removal(columns, wild, every, False, 0.3, rng, 40)
    assert helps.n_removed == wild.sum()
    for name, sign in (("s", -1), ("r_meas", -1), ("cc_half", 1)):
        assert sign * helps.difference[name] > 0
        assert helps.p_value[name] == pytest.approx(1 / 41)
        low, high = helps.control[name][1:]
        assert low <= helps.before[name] <= high
    assert helps.after["s"] == pytest.approx(0.15, abs=0.02)
    chance = rng.permutation(wild)
    nothing = effect_of_removal(columns, chance, every, False, 0.3, rng, 40)
    assert min(nothing.p_value.values()) > 1.5 / 41


def test_whole_reflections_are_drawn_for_whole_reflections():
    rng = np.random.default_rng(6)
    columns, is_noisy = simulate(rng, s=0.1, noisy=0.1, s_noisy=0.5)
    every = np.ones(len(columns), dtype=bool)
    removed = is_noisy[columns.unique]
    found = effect_of_removal(columns, removed, every, True, 0.2, rng, 30)
    assert found.n_reflections == is_noisy.sum()
    assert found.p_value["s"] == pytest.approx(1 / 31)
    left = agreement_of(columns.select(~removed), 0.2)
    assert found.after == pytest.approx(left, rel=1e-3)


def test_nothing_observed_twice_is_a_sentence(read_measured):
    experiments, tables = read_measured("quartz/integrated")
    once = [t.select(t["miller_index"] == t["miller_index"][0]) for t in tables]
    once = [t[:1] for t in once]
    o = build_observations([*experiments], once, partiality_cutoff=0.0)
    from dials_spread.spread.size.residuals import build_residuals

    found = analyse_noisy(o, build_residuals(o), np.ones(1), np.random.default_rng(0))
    assert "too few for clusters" in found.reason
    assert found.remove_cluster.reason and found.remove_cut.reason
    assert not found.noisy_observations.any()


def test_measured_electrons_in_full(read_measured):
    experiments, tables = read_measured("abiraterone/integrated")
    o = build_observations([*experiments], tables)
    from dials_spread.spread.size.residuals import build_residuals

    scales = np.ones(len(tables))
    found = analyse_noisy(o, build_residuals(o), scales, np.random.default_rng(0))
    assert found.n_clusters >= 1
    removed = found.remove_cut
    assert removed.n_removed == found.noisy_observations.sum() > 10
    assert removed.after["r_meas"] < removed.control["r_meas"][1]
    document = found.as_dict()
    assert len(document["reflections"]["s"]) == document["n_reflections"]


def test_sums_over_reflections_are_taken_one_after_the_other():
    """As matrix products give them, whose last digits depend on the threads."""
    columns, _ = simulate(np.random.default_rng(2), n=60, s=0.3)
    likelihood = reflection_spreads(residuals_of(columns)).likelihood
    density = np.abs(np.random.default_rng(3).standard_normal((len(LOG_GRID), 2)))
    share, log_likelihood = _shares(likelihood, density.sum(axis=1))
    total = (likelihood @ density).sum(axis=1)
    np.testing.assert_allclose(share, likelihood.T @ (1 / total))
    assert log_likelihood == pytest.approx(np.log(total).sum())


def test_equal_d_stays_together_whatever_the_rounding_and_the_order():
    """Of (h k l) and (k h l) in a tetragonal cell d may differ in the last digit."""
    rng = np.random.default_rng(4)
    columns, _ = simulate(rng, n=300, s=0.3)
    spreads = reflection_spreads(residuals_of(columns))
    d = np.repeat(np.sort(rng.uniform(0.8, 3, 60)), 5)[: len(spreads)]
    whole = dependence_on(spreads, d)
    jitter = d * (1 + 2e-16 * rng.integers(-1, 2, len(d)))
    assert len(np.unique(jitter)) > 60
    near = dependence_on(spreads, jitter)
    for name in ("s", "n_reflections", "value"):
        np.testing.assert_allclose(near[name], whole[name], rtol=1e-9)
    assert near["correlation"] == whole["correlation"]


def test_image_factors_are_taken_out_of_unscaled_data():
    """Images that differ by half: R_meas, CC½ and s are those of the random error."""
    experiments, reflections = simulate_experiments(
        read_structure("paracetamol"),
        np.random.default_rng(5),
        n_crystals=3,
        scan_width=25.0,
        d_min=1.1,
        noise=NoiseModel(extra_error=0.05, image_spread=0.6),
    )
    tables = [reflections.select(reflections["id"] == i) for i in range(3)]
    comparison = compare_images(
        experiments,
        tables,
        spread=SpreadChoices(
            variogram=False,
            components=False,
            normality=False,
            origins=OriginChoices(beam=False, orientations=False),
        ),
    )
    found = comparison.origins.noisy_spots
    assert comparison.spread.s > 0.3
    assert found.without_factors
    # R_meas of a random error of 5 % is 0.04, and counting adds to it.
    assert found.remove_cut.before["r_meas"] < 0.12
    columns = found.spreads
    assert np.sqrt(np.mean(columns.s**2)) < 0.5 * comparison.spread.s
    assert "taken out" in " ".join(origin_findings(comparison.origins))
