"""The excess spread: against scipy, by hand, with a truth, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from dials_spread.statistics import excess_spread
from dials_spread.statistics.excess_spread import (
    GRID,
    Deviations,
    excess_spreads,
    likelihood_interval,
    likelihood_table,
    most_likely,
    most_likely_near,
    of_level,
    robust_spread,
    well_known,
)

EXACT = 1e12
"""So many observations make a level that has no errors."""


def exact_level(square, known, unknown):
    """Deviations relative to a level that is known."""
    nothing = np.zeros(len(square))
    return Deviations(square, known, unknown, nothing, nothing + EXACT)


def minus_log_likelihood(s, square, known, unknown):
    total = known + s**2 * unknown
    return 0.5 * np.sum(np.log(total) + square / total, axis=-1)


def best_by_scipy(*arrays):
    """The highest of all maxima: a fine scan of log s, then a bounded minimiser."""
    scan = np.concatenate([[0.0], np.exp(np.linspace(np.log(2e-3), 2.3, 2001))])
    values = minus_log_likelihood(scan[:, None], *arrays)
    best = int(np.argmin(values))
    if best == 0:
        return 0.0, values[0]
    span = scan[best - 1], scan[min(best + 1, len(scan) - 1)]
    found = optimize.minimize_scalar(
        minus_log_likelihood, bounds=span, args=arrays, method="bounded",
        options={"xatol": 1e-9 * span[1]},
    )  # fmt: skip
    return found.x, found.fun


@pytest.mark.parametrize("unequal", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("s", [0.0, 0.05, 0.4])
def test_it_is_the_highest_maximum_of_the_likelihood(unequal, s):
    """With very unequal errors there are several maxima: 0.3 % of the cells or so."""
    rng = np.random.default_rng(17)
    cell = np.repeat(np.arange(100), rng.integers(2, 20, 100))
    mu = rng.lognormal(4, unequal, len(cell))
    known, unknown = 2 * (mu + 4), 2 * mu**2
    square = rng.normal(0, np.sqrt(known + s**2 * unknown)) ** 2
    found = excess_spreads(exact_level(square, known, unknown), cell, 100)
    for c, value in enumerate(found):
        arrays = [x[cell == c] for x in (square, known, unknown)]
        expected, least = best_by_scipy(*arrays)
        assert value == pytest.approx(expected, rel=0.02, abs=2e-3)
        if max(value, expected) > 3e-3:
            # The parabola through three points of the grid is as good as the summit;
            # below the grid, 0.2 %, there is nothing to tell.
            assert minus_log_likelihood(value, *arrays) <= least + 1e-3


def test_the_higher_of_two_maxima_is_taken():
    """One precise pair that agrees cannot hide nine that disagree wildly."""
    square = np.array([0.9e-6, *[101.0] * 9])
    known = np.array([1e-6, *[1.0] * 9])
    data = exact_level(square, known, np.full(10, 10.0))
    found = excess_spreads(data, np.zeros(10, int), 1)
    assert found[0] ** 2 == pytest.approx(9, rel=0.02)


def test_equal_errors_have_a_closed_form():
    square = np.array([4.0, 9.0, 1.0, 1.0, 0.5, 0.2])
    cell = np.repeat([0, 1], 3)
    data = exact_level(square, np.full(6, 2.0), np.full(6, 5.0))
    found = excess_spreads(data, cell, 3)
    np.testing.assert_allclose(found[:2], [np.sqrt((14 / 3 - 2) / 5), 0.0], rtol=3e-3)
    assert np.isnan(found[2])
    # Half of the squares are below 4, which is 0.4549 (2 + 5 s²).
    robust = robust_spread(data, cell, 3)
    assert robust[0] == pytest.approx(np.sqrt((4 / 0.45494 - 2) / 5), rel=1e-4)
    assert robust[1] == 0 and np.isnan(robust[2])


@pytest.mark.parametrize("known", [0.0, 1e-3])
def test_the_peak_between_points_of_the_grid_is_found(known):
    """Of n equal squares D the likelihood is highest at s² = D - known, wherever that is."""
    s = np.geomspace(0.08, 4.0, 301)[:, None]
    variance = np.square(s) + known
    tried = GRID[None, 1:] ** 2 + known
    table = -500 * (np.log(tried) + variance / tried)
    table = np.column_stack([np.full(len(s), -np.inf if known == 0 else -1e6), table])
    np.testing.assert_allclose(most_likely(table), s[:, 0], rtol=4e-4)


def test_units_and_order_do_not_matter():
    rng = np.random.default_rng(2)
    cell = np.repeat(np.arange(20), 20)
    known, unknown = rng.uniform(1, 5, 400), rng.uniform(1, 50, 400)
    square = rng.normal(0, np.sqrt(known + 0.3 * unknown)) ** 2
    data = exact_level(square, known, unknown)
    found = excess_spreads(data, cell, 20)
    bright = Deviations(100 * square, 100 * known, 100 * unknown, *data[3:])
    np.testing.assert_allclose(excess_spreads(bright, cell, 20), found, rtol=1e-6)
    order = rng.permutation(400)
    mixed = Deviations(*(x[order] for x in data))
    again = excess_spreads(mixed, cell[order], 20)
    np.testing.assert_allclose(again, found, rtol=1e-6)


def test_s_and_its_interval_end_where_the_grid_does():
    """A row whose likelihood still rises at the last point, as of a few wild spots."""
    x = np.arange(len(GRID)) - len(GRID)
    rising = -((x - np.array([[-0.6], [0.0], [1.5]])) ** 2) * 0.3
    s = most_likely(rising)
    low, high = likelihood_interval(rising)
    assert (s[1:] == GRID[-1]).all()
    assert ((low <= s) & (s <= high)).all()


@pytest.mark.parametrize("s", [0.0, 2.5e-3, 0.1, 3.0])
def test_from_nearby_the_same_s_is_found(s):
    """From below, from above, and from where it is; nothing where σ suffices."""
    rng = np.random.default_rng(3)
    mu, known = np.full(4000, 100.0), np.full(4000, 1e-4)
    square = rng.normal(0, np.sqrt(known * 0.9 + 2 * (s * mu) ** 2)) ** 2
    data = exact_level(square, known, 2 * mu**2)
    every = most_likely(likelihood_table(data, np.zeros(4000, dtype=int), 1))[0]
    for start in (0.0, 0.01, 0.2, 9.0, np.nan):
        assert most_likely_near(data, start, 1) == every


@pytest.mark.parametrize("s", [0.0, 0.1, 0.3])
def test_a_known_spread_is_recovered(s):
    """Over 400 cells of 30: the mean of s² is right within three standard errors."""
    rng = np.random.default_rng(8)
    cell = np.repeat(np.arange(400), 30)
    mu = rng.exponential(300, len(cell)) + 20
    known = 2 * mu
    square = rng.normal(0, np.sqrt(known + 2 * (s * mu) ** 2)) ** 2
    found = excess_spreads(exact_level(square, known, 2 * mu**2), cell, 400)
    error = np.std(found**2) / 20
    if s:
        assert abs(np.mean(found**2) - s**2) < 3 * error + 0.03 * s**2
    else:
        # Half of the cells are at the boundary, zero, as theory has it.
        assert abs(np.mean(found == 0) - 0.5) < 0.1
        assert np.median(found) < 0.02


def observe(rng, s, n_all, counts, n=40_000):
    """Normal observations of known variance: intensity and variance, (n, n_all)."""
    mu = (rng.exponential(counts, n) + 0.2 * counts)[:, None]
    variance = np.broadcast_to(mu + 5.0, (n, n_all))
    scatter = np.hypot(s * mu, np.sqrt(variance))
    return mu + scatter * rng.standard_normal((n, n_all)), variance


@pytest.mark.parametrize("counts", [20, 1000])
@pytest.mark.parametrize("n_all", [2, 3, 8])
@pytest.mark.parametrize("s", [0.1, 0.3])
def test_an_uncertain_level_does_not_pass_for_another_spread(s, n_all, counts):
    """The difference of two, relative to the mean of two, three or eight."""
    intensity, variance = observe(np.random.default_rng(4), s, n_all, counts)
    level, noise = intensity.mean(axis=1), variance.mean(axis=1)
    square = (intensity[:, 0] - intensity[:, 1]) ** 2
    number = np.full(len(level), n_all)
    data = of_level(square, variance[:, :2].sum(axis=1), 2, level, noise, number)
    keep = well_known(level, noise, number)
    one = np.zeros(len(level), dtype=int)
    found = excess_spreads(data, one, 1, keep)[0]
    # Weak reflections say little of a small spread.
    assert found == pytest.approx(s, rel=0.04, abs=0.02 if counts < 100 else 0.002)
    if n_all == 2 and s == 0.3 and counts > 100:
        # As though the level had no errors, s would be 5 % too large.
        known = data._replace(noise=0 * noise, n_all=number * EXACT)
        assert excess_spreads(known, one, 1, keep)[0] > 1.04 * s


def test_levels_count_by_hand():
    level = np.array([4.0, 4.0, 4.0, 1.5, -5.0])
    noise = np.array([4.0, 4.0, 20.0, 4.0, 1.0])
    n_all = np.array([9, 2, 400, 100, 9])
    # σ(L) = 0.67, 1.41, 0.22, 0.2, 0.33; the third and fourth are below the σ of one.
    np.testing.assert_array_equal(
        well_known(level, noise, n_all), [True, False, False, False, False]
    )


def test_cells_add_up_and_threads_do_not_matter():
    rng = np.random.default_rng(5)
    known, unknown = rng.uniform(1, 5, 500), rng.uniform(1, 50, 500)
    square = rng.normal(0, np.sqrt(known + 0.3 * unknown)) ** 2
    data, cell = exact_level(square, known, unknown), rng.integers(0, 4, 500)
    parts = likelihood_table(data, cell, 5, nproc=1)
    whole = likelihood_table(data, np.zeros_like(cell), 1, nproc=2)
    np.testing.assert_allclose(parts.sum(axis=0), whole[0])


def test_likelihood_intervals_hold_the_truth():
    """Of 200 crystals with 60 observations each, about 95 %."""
    rng = np.random.default_rng(6)
    known, unknown = np.full(12_000, 1.0), np.full(12_000, 25.0)
    square = (1 + 0.2**2 * 25) * rng.standard_normal(12_000) ** 2
    table = likelihood_table(
        exact_level(square, known, unknown), np.arange(12_000) // 60, 200
    )
    low, high = likelihood_interval(table)
    assert 0.9 <= np.mean((low <= 0.2) & (high >= 0.2)) <= 0.99


@st.composite
def cells(draw):
    """Deviations of some cells, from levels that are more or less certain."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_cells = draw(st.integers(1, 60)), draw(st.integers(1, 4))
    s = draw(st.sampled_from([0.0, 0.1, 0.5, 2.0]))
    known, unknown = rng.uniform(0.5, 5, n), rng.exponential(30, n) + 0.1
    square = rng.normal(0, np.sqrt(known + s**2 * unknown)) ** 2
    noise, n_all = rng.uniform(0, 0.5, n), rng.integers(2, 30, n).astype(float)
    data = Deviations(square, known, unknown, noise, n_all)
    return data, rng.integers(0, n_cells, n), n_cells, rng


def both_spreads(data, cell, n_cells):
    return np.stack(
        [excess_spreads(data, cell, n_cells), robust_spread(data, cell, n_cells)]
    )


@settings(max_examples=50, deadline=None)
@given(cells(), st.floats(1e-3, 1e3))
def test_order_unit_and_repetition_do_not_matter(drawn, unit):
    data, cell, n_cells, rng = drawn
    found = both_spreads(data, cell, n_cells)
    order, new = rng.permutation(len(cell)), rng.permutation(n_cells)
    mixed = Deviations(*(column[order] for column in data))
    again = both_spreads(mixed, new[cell][order], n_cells)[:, new]
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-9)
    scaled = Deviations(*(unit * column for column in data[:3]), *data[3:])
    again = both_spreads(scaled, cell, n_cells)
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-9)
    twice = Deviations(*(np.tile(column, 2) for column in data))
    again = both_spreads(twice, np.tile(cell, 2), n_cells)
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(cells())
def test_s_is_relative(drawn):
    """Of intensities three times as strong with the same deviations, s is a third."""
    data, cell, n_cells, _ = drawn
    # An estimated level is as uncertain as s makes it, so that this needs an exact one.
    data = exact_level(*data[:3])
    strong = data._replace(unknown=9 * data.unknown)
    found, third = (robust_spread(d, cell, n_cells) for d in (data, strong))
    np.testing.assert_allclose(third, found / 3)
    # The likelihood has a grid, of which zero and the ends have no third.
    found, third = (excess_spreads(d, cell, n_cells) for d in (data, strong))
    inside = (found > 0.02) & (found < 5)
    np.testing.assert_allclose(third[inside], found[inside] / 3, rtol=0.01)


@pytest.mark.parametrize("n_cells", [1, 7, 300])
@pytest.mark.parametrize("rows", [23, 10_000])
def test_the_table_is_the_formula_written_out(monkeypatch, n_cells, rows):
    """
    Cells in any order, levels worth nothing, and no sum that one cell hands on.

    Cells that several threads add to, all of one cell, and of one or two deviations.
    """
    monkeypatch.setattr(excess_spread, "ROWS", rows)
    rng, n = np.random.default_rng(3), 400
    square, known, unknown = rng.exponential(size=(3, n)) * [[1e6], [1e3], [1e5]]
    noise, n_all = rng.exponential(3, n), rng.integers(2, 9, n).astype(float)
    cell, grid = rng.integers(0, n_cells - (n_cells > 1), n), np.geomspace(1e-3, 10, 5)
    grid[0] = 0.0
    data = Deviations(square, known, unknown, noise, n_all)
    found = likelihood_table(data, cell, n_cells, 2, grid)
    expected = np.zeros((n_cells, len(grid)))
    for i in range(n):
        for k, s in enumerate(grid):
            share = s**2 * unknown[i] / (s**2 * unknown[i] + known[i])
            p, q = 2 - 4 * share, 4 - 4 * share
            level = min((s**2 + noise[i]) / n_all[i], 4.0)
            bias = (1 + p * (p - 1) / 2 * level) / (1 + q * (q - 1) / 2 * level)
            total = known[i] + s**2 * unknown[i] * bias
            expected[cell[i], k] -= (np.log(total) + square[i] / total) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
