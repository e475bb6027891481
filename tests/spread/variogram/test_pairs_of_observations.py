"""Pairs of observations: operators, angles, sums over pairs, curves and draws."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import sgtbx, uctbx

from dials_spread.observations import build_observations, unique_indices
from dials_spread.simulation.tables import KnownSpread, make_table
from dials_spread.spread.size.residuals import build_residuals, residuals_of_arrays
from dials_spread.spread.variogram.angle_bins import Binned, binned, robust_variogram
from dials_spread.spread.variogram.curves import (
    SHAPES,
    choose_shape,
    fit_curves,
    fitted_bins,
    why_not,
)
from dials_spread.spread.variogram.directions import map_directions
from dials_spread.spread.variogram.pair_table import (
    BETWEEN,
    COUNT,
    EDGES,
    N_BINS,
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
    beam, s = table[5], 0.3
    pairs = sum_pairs(
        residuals, directions_of(table[0], beam), groups, s, np.random.default_rng(0)
    )
    weights = np.array([[1.0] * 5, [2.0, 0.0, 1.0, 1.0, 1.0]])
    total = {k: np.zeros((2, N_BINS, 2)) for k in (WITHIN, BETWEEN)}
    n = len(residuals)
    size = np.bincount(residuals.unique)
    for a in range(n):
        for b in range(a + 1, n):
            u = residuals.unique[a]
            if residuals.unique[b] != u or residuals.image[a] == residuals.image[b]:
                continue
            own = residuals.unique == u
            level = residuals.intensity[own].mean()
            noise = residuals.variance[own].mean() / level**2 + s**2
            weight = 1 / noise**2 / (size[u] - 1)
            square = level**2 * (1 + 3 * noise / size[u])
            gamma = (residuals.intensity[a] - residuals.intensity[b]) ** 2
            gamma = (gamma - residuals.variance[a] - residuals.variance[b]) / 2 / square
            cosine = np.clip(beam[residuals.image[a]] @ beam[residuals.image[b]], -1, 1)
            k = np.searchsorted(EDGES, np.degrees(np.arccos(cosine))) - 1
            one, two = residuals.crystal[a], residuals.crystal[b]
            for d, draw in enumerate(weights):
                times = draw[one] if one == two else draw[one] * draw[two]
                total[int(one != two)][d, k] += times * weight * np.array([1, gamma])
    for kind in (WITHIN, BETWEEN):
        found = binned(pairs, weights, kind)
        np.testing.assert_allclose(found.weight, total[kind][..., 0], atol=1e-9)
        product = np.nan_to_num(found.gamma) * found.weight
        np.testing.assert_allclose(product, total[kind][..., 1], atol=1e-9)
    assert pairs.n_pairs == pairs.sums[..., COUNT].sum()


def test_a_sample_of_pairs_tells_the_same(table, directions_of):
    residuals, groups = crystals_of(table)
    directions = directions_of(table[0], table[5])
    every = sum_pairs(residuals, directions, groups, 0.3, np.random.default_rng(0))
    some = sum_pairs(residuals, directions, groups, 0.3, np.random.default_rng(0), 2500)
    assert 0 < some.n_pairs <= 2500 < every.n_pairs <= every.n_all
    mean = [
        np.nansum(b.gamma * b.weight) / b.weight.sum()
        for b in (binned(t, np.ones((1, 5))) for t in (every, some))
    ]
    assert mean[1] == pytest.approx(mean[0], rel=0.15)
    again = sum_pairs(
        residuals, directions, groups, 0.3, np.random.default_rng(0), 2500, 1
    )
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
        images=SimpleNamespace(beam=beams),
    )
    directions = map_directions(observations)
    seen = directions.beam[directions.operator, np.arange(len(names))]
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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_curve_is_fitted_exactly(shape):
    """Points on a curve of each form, the far ones also from the opposite side."""
    angle = 0.5 * (EDGES[:-1] + EDGES[1:])
    folded = np.minimum(angle, 180 - angle)
    width = 9.0
    gamma = 0.05 + 0.3 * SHAPES[shape](folded / width)
    ones = np.ones((1, N_BINS))
    data = Binned(ones, gamma[None], angle[None], 100 * ones)
    assert why_not(data) == ""
    found, opposite, weight = choose_shape(data, 0.01)
    assert (found, opposite) == (shape, True)
    curves = fit_curves(data._replace(angle=folded[None]), fitted_bins(data), weight)
    # Between the ranges that are tried, which are 12 % apart.
    assert curves.range[0] == pytest.approx(width, rel=0.01)
    assert curves.nugget[0] == pytest.approx(0.05, abs=0.003)
    assert curves.partial_sill[0] == pytest.approx(0.3, abs=0.003)


def test_too_few_pairs_are_said_to_be_few():
    ones = np.ones((1, N_BINS))
    angle = 0.5 * (EDGES[:-1] + EDGES[1:])[None]
    none = Binned(ones, ones, angle, 0 * ones)
    assert "no angle has enough pairs" in why_not(none)
    far = Binned(ones, ones, angle, np.where(angle > 10, 100, 0))
    assert "within 4°; the nearest that do are 11.2° apart" in why_not(far)
    near = Binned(ones, ones, angle, np.where(angle < 5, 100, 0))
    assert "beyond 15°" in why_not(near)


def test_the_robust_variogram_of_normal_differences_is_the_mean_one(directions_of):
    rng = np.random.default_rng(5)
    made = make_table(rng, KnownSpread(rest=0.2), n_crystals=8, n_images=10)
    residuals, groups = crystals_of(made)
    pairs = sum_pairs(residuals, directions_of(made[0], made[5]), groups, 0.2, rng)
    data = binned(pairs, np.ones((1, 8)))
    many = data.pairs[0] > 500
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
