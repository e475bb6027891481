"""Pairs of observations: operators, angles, sums over pairs, curves and draws."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx, uctbx

from dials_spread.observations import build_observations, unique_indices
from dials_spread.simulation.tables import KnownSpread, make_table
from dials_spread.spread.size.residuals import build_residuals, residuals_of_arrays
from dials_spread.spread.variogram import near_pairs, pair_table
from dials_spread.spread.variogram.angle_bins import (
    DYADS_DIFFER,
    Binned,
    binned,
    robust_variogram,
)
from dials_spread.spread.variogram.curves import (
    SHAPES,
    correlation,
    fit_curves,
    opposite_alike,
    why_not,
)
from dials_spread.spread.variogram.directions import map_directions, reversed_beams
from dials_spread.spread.variogram.growth import growth_p_value
from dials_spread.spread.variogram.pair_inputs import pair_weights, square_levels
from dials_spread.spread.variogram.pair_table import (
    BETWEEN,
    COUNT,
    EDGES,
    N_BINS,
    WEIGHT,
    WITHIN,
    sum_pairs,
)
from dials_spread.statistics.bootstrap import group_crystals, interval


def crystals_of(table):
    residuals = residuals_of_arrays(*table[:5])
    rng = np.random.default_rng(0)
    return residuals, group_crystals(residuals.crystal, residuals.n_crystals, rng)


@pytest.fixture(scope="module")
def table():
    truth = KnownSpread(crystal=0.1, orientation=0.3, rest=0.1)
    rng = np.random.default_rng(1)
    made = make_table(rng, truth, n_crystals=5, n_images=6, n_unique=40, per_image=20)
    # Images 1.5° apart would lie on the edges of bins.
    beam = made[5] + 0.003 * rng.standard_normal(made[5].shape)
    return *made[:5], beam / np.linalg.norm(beam, axis=1, keepdims=True), made[6]


def test_sums_are_those_of_a_loop(table, directions_of):
    """Every pair once, at the angle between its beams, with its own γ."""
    residuals, groups = crystals_of(table)
    beam = table[5]
    pairs = sum_pairs(residuals, directions_of(table), groups, np.random.default_rng(0))
    total = {k: np.zeros((N_BINS, 2)) for k in (WITHIN, BETWEEN)}
    n = len(residuals)
    size = np.bincount(residuals.unique)
    numbers = np.unique(residuals.unique)
    of_reflection = dict(zip(numbers, pair_weights(residuals)))
    squares = dict(zip(numbers, square_levels(residuals)))
    for a in range(n):
        for b in range(a + 1, n):
            u = residuals.unique[a]
            if residuals.unique[b] != u or residuals.image[a] == residuals.image[b]:
                continue
            weight = of_reflection[u] / (size[u] - 1)
            gamma = (residuals.intensity[a] - residuals.intensity[b]) ** 2
            gamma -= residuals.variance[a] + residuals.variance[b]
            gamma /= 2 * squares[u]
            cosine = np.clip(beam[residuals.image[a]] @ beam[residuals.image[b]], -1, 1)
            angle = np.degrees(np.arccos(cosine))
            k = np.searchsorted(EDGES, angle) - 1
            one, two = residuals.crystal[a], residuals.crystal[b]
            # Without symmetry, another listing of one crossing.
            if one != two or angle >= 2:
                total[int(one != two)][k] += weight * np.array([1, gamma])
    for kind in (WITHIN, BETWEEN):
        found = binned(pairs, np.ones((1, 5)), kind)
        np.testing.assert_allclose(found.weight, total[kind][:, 0], atol=1e-9)
        product = np.nan_to_num(found.gamma[0]) * found.weight
        np.testing.assert_allclose(product, total[kind][:, 1], atol=1e-9)
    assert pairs.n_pairs == pairs.sums[..., COUNT].sum()


def test_the_inverse_square_of_a_mean_is_free_of_bias():
    """1/L² of few observations is too large; 2,000 reflections of mean 100."""
    rng = np.random.default_rng(4)
    unique = np.repeat(np.arange(2000), 6)
    intensity = 100 * (1 + 0.3 * rng.standard_normal(len(unique)))
    columns = (unique, unique * 0, np.arange(len(unique)), intensity)
    residuals = residuals_of_arrays(*columns, np.ones(len(unique)))
    level = residuals.level[residuals.start[:-1]]
    assert np.mean(1e4 / level**2) > 1.04
    assert np.mean(1e4 / square_levels(residuals)) == pytest.approx(1, abs=0.012)


def test_repeats_of_one_crystal_are_used_where_pairs_are_drawn(directions_of):
    """All pairs within crystals, however few of those between them fit."""
    rng = np.random.default_rng(2)
    truth = KnownSpread(rest=0.1)
    table = make_table(rng, truth, n_crystals=30, n_images=8, n_unique=40)
    residuals, groups = crystals_of(table)
    every = sum_pairs(residuals, directions_of(table), groups, rng)
    some = sum_pairs(residuals, directions_of(table), groups, rng, 3 * len(residuals))
    own = [t.sums[:, :, WITHIN].sum(axis=(0, 1)) for t in (every, some)]
    assert some.n_pairs < 0.2 * every.n_pairs
    np.testing.assert_allclose(own[1], own[0])


def test_reflections_count_by_their_own_variance(table):
    """One over the variance of a relative observation, its own and of its like."""
    residuals, _ = crystals_of(table)
    weight = pair_weights(residuals)
    numbers = np.unique(residuals.unique)
    relative = residuals.intensity / residuals.level - 1
    own = [relative[residuals.unique == u] for u in numbers]
    variance = np.array([np.sum(r**2) / (len(r) - 1) for r in own])
    order = np.argsort(weight)
    noisy, quiet = variance[order[:10]].mean(), variance[order[-10:]].mean()
    assert noisy > 1.5 * quiet
    # Nothing counts more than twice the middle one, by the median in all weights.
    assert weight.max() < 2.2 * np.median(weight)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_near_beams_are_those_that_are_found_by_looking_at_all(axis):
    """On a circle about an axis, from one side and from two, some on the same spot."""
    rng, n = np.random.default_rng(axis), 300
    angle = np.radians(rng.uniform(0, 40, n).round(1))
    beam = np.roll(np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1), axis, axis=1)
    beam[::2] *= -1
    along = np.eye(3)[(axis + 2) % 3]
    against = beam - 2 * (beam @ along)[:, None] * along
    against = -against * np.where(rng.random(n) < 0.9, 1, -1)[:, None]
    crystal, hand = rng.integers(0, 5, n), rng.integers(0, 2, n)
    fixes, matrices = np.ones((1, 1), dtype=bool), np.eye(3)[None]
    low, high = 20, 280
    ordered = near_pairs.along_axis(low, high, beam, against)
    assert ordered[0] != (axis + 2) % 3
    frame = (beam, against, matrices, fixes)
    found, total = np.empty(n, dtype=np.int64), 0
    for p in range(low, high):
        for first in (low, p + 1):
            m = near_pairs.near_of(
                p, first, high, 0, True, ordered, frame, crystal, hand, found
            )
            expected = [
                q
                for q in range(first, high)
                if crystal[q] != crystal[p] and hand[q] == hand[p]
                if near_pairs.is_near(p, q, 0, True, beam, against, matrices, fixes)
            ]
            np.testing.assert_array_equal(found[:m], expected)
            total += m
    assert total > 1000


def test_a_sample_of_pairs_tells_the_same(table, directions_of):
    residuals, groups = crystals_of(table)
    directions = directions_of(table)
    every = sum_pairs(residuals, directions, groups, np.random.default_rng(0))
    some = sum_pairs(residuals, directions, groups, np.random.default_rng(0), 2500)
    near = (EDGES[1:] <= near_pairs.ALL_WITHIN) | (EDGES[:-1] >= 178)
    n_near = every.sums[..., BETWEEN, near, COUNT].sum()
    assert 0 < some.n_pairs <= 2500 + n_near < every.n_pairs <= every.n_all
    mean = [
        np.nansum(b.gamma[0] * b.weight) / b.weight.sum()
        for b in (binned(t, np.ones((1, 5))) for t in (every, some))
    ]
    assert mean[1] == pytest.approx(mean[0], rel=0.15)
    again = sum_pairs(residuals, directions, groups, np.random.default_rng(0), 2500, 1)
    np.testing.assert_allclose(again.sums, some.sums)


@pytest.mark.parametrize("symbol", ["P 21 21 21", "P 1 21/n 1", "P 31 2 1"])
@pytest.mark.parametrize("friedel", [True, False])
def test_operators_take_the_beam_with_the_index(symbol, friedel, read_measured):
    """What a reflection sees of the beam does not depend on the name it was given."""
    from types import SimpleNamespace

    from dials_spread.orientation import reciprocal_basis
    from dials_spread.symmetry import laue_operators

    space_group = sgtbx.space_group_info(symbol).group()
    lengths = (5, 5, 9, 90, 90, 120) if "31" in symbol else (5, 7, 9, 90, 90, 90)
    cell = uctbx.unit_cell(lengths)
    basis = reciprocal_basis(cell)
    operators = laue_operators(space_group, basis, friedel)
    rng = np.random.default_rng(2)
    hkl, beam = np.array([1, 2, 3]), rng.standard_normal(3)
    beam /= np.linalg.norm(beam)
    # The same measurement, as if each operator had been used in indexing.
    names = np.array([w @ hkl for w in operators.on_indices])
    beams = np.array([g @ beam for g in operators.on_directions])
    unique_index, unique = unique_indices(names, space_group, friedel)
    assert len(unique_index) == 1
    observations = SimpleNamespace(
        unit_cell=cell,
        space_group=space_group,
        friedel=friedel,
        miller_index=names,
        unique=unique,
        unique_index=unique_index,
        geometry=SimpleNamespace(beam=beams),
        images=SimpleNamespace(s0=np.array([[0, 0, 40.0]])),
        radiation="electrons",
    )
    directions = map_directions(observations)
    seen = directions.beam
    np.testing.assert_allclose(seen, np.broadcast_to(seen[0], seen.shape), atol=1e-12)
    # The excitation error h · b is what it was.
    products = (basis @ unique_index[0]) @ seen.T
    np.testing.assert_allclose(products, (basis @ hkl) @ beam)


def test_reflections_on_a_symmetry_element_have_the_smallest_angle(read_measured):
    """(0, k, 0) of an orthorhombic crystal: a twofold turn leaves it as it is."""
    experiments, tables = read_measured("abiraterone/integrated")
    observations = build_observations([*experiments], tables, friedel=False)
    directions = map_directions(observations)
    axial = (observations.unique_index != 0).sum(axis=1) == 1
    assert (directions.fixes[axial].sum(axis=1) == 2).all()
    general = (observations.unique_index != 0).all(axis=1)
    assert (directions.fixes[general].sum(axis=1) == 1).all()
    residuals = build_residuals(observations)
    assert directions.operator[residuals.observation].max() < 4


ANGLE = 0.5 * (EDGES[:-1] + EDGES[1:])
FOLDED = np.minimum(ANGLE, 180 - ANGLE)
ONES = np.ones(N_BINS)


def made(gamma, pairs=1000 * ONES, dyads=1000 * ONES, noise=0.0, draws=300):
    """A variogram with samples of a known relative error, independent in each bin."""
    rng = np.random.default_rng(0)
    found = gamma + noise * rng.standard_normal(N_BINS)
    samples = found + noise * rng.standard_normal((draws, N_BINS))
    return Binned(ONES, np.concatenate([found[None], samples]), ANGLE, pairs, dyads)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("angle", [0.3, 1.2])
def test_a_curve_of_each_form_is_found_again(shape, angle):
    """γ at 0°, the plateau and the angle of half the growth; far bins at the plateau."""
    rho = np.where(FOLDED > 16, 0, correlation(shape, FOLDED / angle))
    data = made(0.35 - 0.3 * rho, noise=1e-4)
    assert why_not(data) == ""
    curves = fit_curves(data, 0.01)
    assert curves.plateau[0] == pytest.approx(0.35, abs=1e-3)
    if SHAPES[shape][1] < 1:
        # A late end, cut off where the plateau begins, is none of the forms.
        assert curves.angle[0] == pytest.approx(angle, rel=0.25)
        assert curves.at_zero[0] == pytest.approx(0.05, abs=0.02)
        return
    # Between the angles that are tried, which are 13 % apart.
    assert curves.angle[0] == pytest.approx(angle, rel=0.015)
    assert curves.at_zero[0] == pytest.approx(0.05, abs=0.003)
    assert curves.growth[0] == pytest.approx(0.3, abs=0.003)


def test_a_bin_whose_pairs_have_no_weight_is_left_out():
    """Pairs of images without a factor are counted, but say nothing without factors."""
    rho = correlation("2^(-u^2)", FOLDED / 0.6)
    data = made(0.35 - 0.3 * rho, noise=1e-4)
    nothing = np.where(np.arange(N_BINS) == 2, 0.0, 1.0)
    empty = np.where(nothing > 0, data.gamma, np.nan)
    curves = fit_curves(data._replace(weight=nothing, gamma=empty), 0.01)
    assert curves.angle[0] == pytest.approx(0.6, rel=0.02)
    assert np.isfinite(curves.growth).all()


def test_bins_that_are_low_by_chance_do_not_rule():
    """
    Of few pairs of crystals, γ near 0° is skewed: most bins low, some high.

    Errors that follow the observed γ would bring the fit to the low ones, and the
    correlation angle to three times what it is.
    """
    angles, growths = [], []
    rho = correlation("2^(-u^1.5)", FOLDED / 0.4)
    truth = 0.35 - 0.25 * rho
    dyads = np.clip(40 * np.minimum(FOLDED, 16) ** 2, 2, 4000)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        # Mean one, relative variance DYADS_DIFFER²/dyads.
        shape = dyads / DYADS_DIFFER**2
        found = truth * rng.gamma(shape) / shape
        samples = found * (1 + rng.standard_normal((50, N_BINS)) / np.sqrt(shape))
        data = Binned(
            ONES, np.concatenate([found[None], samples]), ANGLE, 40 * dyads, dyads
        )
        curves = fit_curves(data, 0.01)
        angles.append(curves.angle[0])
        growths.append(curves.growth[0] / curves.plateau[0])
    assert np.exp(np.mean(np.log(angles))) == pytest.approx(0.4, rel=0.25)
    assert np.mean(growths) == pytest.approx(0.25 / 0.35, abs=0.05)


def test_growth_is_claimed_where_it_is_and_seldom_where_not():
    """At a level of 5 %, with errors as the samples have them."""
    claimed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = 0.1 + 0.02 * rng.standard_normal(N_BINS)
        samples = found + 0.02 * rng.standard_normal((300, N_BINS))
        data = Binned(
            ONES, np.concatenate([found[None], samples]), ANGLE, 1000 * ONES, ONES
        )
        claimed += growth_p_value(data, 100) <= 0.05
    assert claimed <= 11
    rho = correlation("2^(-u^1.25)", FOLDED / 0.5)
    assert growth_p_value(made(0.1 - 0.06 * rho, noise=0.02), 100) <= 0.05


def test_nothing_grows_where_there_is_no_spread():
    """γ below nought near 0°, as counting noise leaves it by chance."""
    rho = correlation("2^(-u^1.25)", FOLDED / 0.5)
    assert growth_p_value(made(0.001 - 0.06 * rho, noise=0.02), 100) == 1
    assert growth_p_value(made(0.1 - 0.06 * rho, noise=0.02), 100) <= 0.05


def test_opposite_beams_are_alike_unless_the_data_say_no():
    rho = correlation("2^(-u^1.25)", FOLDED / 0.5)
    assert opposite_alike(made(0.1 - 0.06 * rho, noise=0.005), 40)
    one_side = np.where(ANGLE < 90, rho, 0)
    assert not opposite_alike(made(0.1 - 0.06 * one_side, noise=0.005), 40)


def test_too_few_pairs_are_said_to_be_few():
    none = made(ONES, pairs=0 * ONES)
    assert "(0 have; it takes 20) have their beam directions within 2°" in why_not(none)
    far = made(ONES, pairs=np.where(FOLDED > 10, 100, 0))
    assert "(0 have; it takes 20)" in why_not(far)
    near = made(ONES, pairs=np.where(FOLDED < 5, 100, 0))
    near = near._replace(weight=near.pairs)
    assert "beyond 16°" in why_not(near)
    # Twenty bins of one pair each are within 2°, and count together.
    assert why_not(made(ONES, pairs=np.where(FOLDED < 2, 1, 100))) == ""
    fewer = np.where(FOLDED < 2, 1, 100)
    fewer[0] = 0
    assert "(19 have; it takes 20)" in why_not(made(ONES, pairs=fewer))


def test_the_error_of_a_bin_is_that_of_its_dyads(directions_of):
    """Crystals of different thickness: the scatter of tables against their samples."""
    tables = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = KnownSpread(rest=0.1, sigma=0.05)
        table = make_table(rng, truth, n_crystals=10, n_images=6, n_unique=60)
        # Of each crystal, another spread of its own.
        own = np.exp(0.4 * rng.standard_normal(10))[table.crystal]
        level = np.bincount(table.unique, table.intensity)
        level = (level / np.bincount(table.unique))[table.unique]
        intensity = level + own * (table.intensity - level)
        table = table._replace(intensity=intensity, variance=table.variance * own**2)
        residuals, groups = crystals_of(table)
        pairs = sum_pairs(residuals, directions_of(table), groups, rng)
        tables.append(binned(pairs, groups.draws(rng, 200)))
    gamma = np.array([t.gamma for t in tables])
    usual = np.array([t.dyads for t in tables]).mean(axis=0) > 6
    scatter = gamma[:, 0, usual].std(axis=0)
    sampled = np.sqrt(gamma[:, 1:, usual].var(axis=1).mean(axis=0))
    assert usual.sum() > 3
    assert np.median(sampled / scatter) == pytest.approx(1.0, abs=0.35)


def test_reversed_beams_meet_the_bragg_condition():
    """Source and detector exchanged: h is excited again, and twice exchanged is once."""
    rng = np.random.default_rng(3)
    towards = 0.02 * rng.standard_normal((50, 3))
    across = np.cross(towards, rng.standard_normal((50, 3)))
    across /= np.linalg.norm(across, axis=1)[:, None]
    square = (towards**2).sum(axis=1)[:, None]
    beam = across * np.sqrt(1 - square / 4) - towards / 2
    back = reversed_beams(beam, towards)
    excited = (back * towards).sum(axis=1) + square[:, 0] / 2
    np.testing.assert_allclose(excited, 0, atol=1e-12)
    np.testing.assert_allclose(reversed_beams(back, towards), beam, atol=1e-12)


def test_observations_of_different_hand_are_not_compared(read_measured):
    """Friedel mates of a chiral crystal: kept for X-rays, told apart for electrons."""
    experiments, tables = read_measured("quartz/integrated")
    observations = build_observations([*experiments], tables)
    assert observations.friedel
    directions = map_directions(observations)
    assert 0.2 < directions.hand.mean() < 0.8
    from dataclasses import replace

    assert not map_directions(replace(observations, radiation="X-rays")).hand.any()
    mates = build_observations([*experiments], tables, friedel=False)
    assert not map_directions(mates).hand.any()


def test_the_robust_variogram_of_normal_differences_is_the_mean_one(directions_of):
    rng = np.random.default_rng(5)
    made = make_table(rng, KnownSpread(rest=0.2), n_crystals=8, n_images=10)
    residuals, groups = crystals_of(made)
    pairs = sum_pairs(residuals, directions_of(made), groups, rng)
    data = binned(pairs, np.ones((1, 8)))
    many = data.pairs > 500
    robust = robust_variogram(pairs)[many]
    np.testing.assert_allclose(robust, data.gamma[0][many], rtol=0.25)
    assert np.mean(robust) == pytest.approx(0.04, rel=0.1)


def test_intervals_hold_the_mean_of_normal_deviates():
    """The interval of a mean of ten values, in about 95 of 100 cases, as Student's."""
    rng, inside = np.random.default_rng(6), 0
    for _ in range(300):
        x = 5 + rng.standard_normal(10)
        groups = group_crystals(np.arange(10), 10, rng)
        weights = groups.draws(rng, 300)
        low, high = interval(weights @ x / weights.sum(axis=1), 10)
        inside += low <= 5 <= high
    assert 0.92 <= inside / 300 <= 0.995


def test_many_crystals_are_drawn_in_groups():
    groups = group_crystals(np.arange(1000) % 700, 900, np.random.default_rng(0), 50)
    assert (groups.n, groups.n_crystals) == (50, 700)
    assert (groups.of_crystal[700:] == -1).all()
    assert np.bincount(groups.of_crystal[:700]).tolist() == [14] * 50


@pytest.mark.parametrize("step", [1, 3])
def test_of_too_many_pairs_those_near_each_other_are_all_there(
    directions_of, monkeypatch, step
):
    """They are few, and say most; the others are drawn, and stand for all."""
    rng = np.random.default_rng(7)
    truth = KnownSpread(rest=0.2)
    table = make_table(rng, truth, n_crystals=30, n_images=20, half_angle=4)
    residuals, groups = crystals_of(table)
    given = (residuals, directions_of(table), groups)
    every = sum_pairs(*given, np.random.default_rng(0))
    looked_at = every.n_all // (step - 1) - 1 if step > 1 else 10 * every.n_all
    monkeypatch.setattr(pair_table, "MOST_LOOKED_AT", looked_at)
    some = sum_pairs(*given, np.random.default_rng(0), most_pairs=every.n_all // 4)
    assert some.n_pairs < 0.7 * every.n_pairs
    near = EDGES[1:] <= near_pairs.ALL_WITHIN
    all_of, found = (t.sums.sum(axis=(0, 1))[BETWEEN] for t in (every, some))
    if step == 1:
        np.testing.assert_allclose(found[near], all_of[near], rtol=1e-9)
    filled = all_of[:, COUNT] > 1500
    assert filled[near].any() and filled[~near].any()
    np.testing.assert_allclose(found[filled, WEIGHT], all_of[filled, WEIGHT], rtol=0.12)
    within = (t.sums.sum(axis=(0, 1))[WITHIN] for t in (every, some))
    np.testing.assert_allclose(*within, rtol=1e-9)
