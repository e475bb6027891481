"""The formulas for many groups at once, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from dials_spread.pairs import statistics


@pytest.fixture
def groups():
    """Random groups of 3 to 30 with values that are partly equal."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(3, 31, 60)
    start = np.concatenate([[0], np.cumsum(sizes)])
    x = np.round(rng.normal(size=start[-1]), 1)
    return start, x, np.round(x + rng.normal(size=len(x)), 1)


def parts(start, *arrays):
    return zip(*(np.split(a, start[1:-1]) for a in arrays))


def test_correlations_are_those_of_scipy(groups):
    start, x, y = groups
    expected = [stats.pearsonr(*p)[0] for p in parts(start, x, y)]
    np.testing.assert_allclose(statistics.correlations(x, y, start), expected)
    ranked = (statistics.ranks(x, start), statistics.ranks(y, start))
    expected = [stats.spearmanr(*p)[0] for p in parts(start, x, y)]
    np.testing.assert_allclose(statistics.correlations(*ranked, start), expected)
    shifted = statistics.correlations(3 * x - 7, 0.1 * y + 5, start)
    np.testing.assert_allclose(shifted, statistics.correlations(x, y, start))


def test_ranks_are_those_of_scipy(groups):
    start, x, _ = groups
    expected = [stats.rankdata(p) - 1 for (p,) in parts(start, x)]
    np.testing.assert_array_equal(statistics.ranks(x, start), np.concatenate(expected))


def test_correlation_is_not_defined_for_two_or_where_nothing_varies():
    x = np.array([1.0, 2.0, 5.0, 5.0, 5.0, 1.0, 2.0, 3.0])
    start = np.array([0, 2, 5, 8])
    r = statistics.correlations(x, np.arange(8.0), start)
    np.testing.assert_array_equal(np.isnan(r), [True, True, False])


def test_medians_are_those_of_numpy(groups):
    start, x, _ = groups
    group = statistics.group_numbers(start)
    order = np.random.default_rng(1).permutation(len(x))
    found = statistics.medians(x[order], group[order] + 1, len(start) + 1)
    expected = [np.nan, *(np.median(p) for (p,) in parts(start, x)), np.nan]
    np.testing.assert_allclose(found, expected)


def test_robust_scale_by_hand():
    one = np.ones(5)
    a = np.array([20.0, 30.0, 90.0, 400.0, 2.0])
    b = np.array([10.0, 10.0, 30.0, 10.0, 50.0])
    # Ratios of the four that are strong on both: 2, 3, 3, 40; their median is 3.
    start = np.array([0, 5])
    k = statistics.robust_scales(a, one, b, one, start)
    np.testing.assert_allclose(k, [3.0])
    np.testing.assert_allclose(statistics.robust_scales(b, one, a, one, start), [1 / 3])
    twice = statistics.robust_scales(2 * a, 2 * one, b, one, start)
    np.testing.assert_allclose(twice, [6.0])
    # None is strong: the ratio of the sums.
    weak = statistics.robust_scales(a, 200 * one, b, 200 * one, start)
    np.testing.assert_allclose(weak, [542 / 110])
    nothing = statistics.robust_scales(-a, one, b, one, start)
    assert np.isnan(nothing[0])


def negative_log_likelihood(v, square, known, unknown):
    total = known + v * unknown
    return 0.5 * np.sum(np.log(total) + square / total, axis=-1)


def best_by_scipy(*arrays):
    """The highest of all maxima: a fine scan of log v, then a bounded minimiser."""
    scan = np.concatenate([[0.0], np.exp(np.linspace(-25, 15, 2001))])
    values = negative_log_likelihood(scan[:, None], *arrays)
    best = int(np.argmin(values))
    if best == 0:
        return 0.0, values[0]
    span = scan[best - 1], scan[min(best + 1, len(scan) - 1)]
    found = optimize.minimize_scalar(
        negative_log_likelihood, bounds=span, args=arrays, method="bounded",
        options={"xatol": 1e-9 * span[1]},
    )  # fmt: skip
    return found.x, found.fun


@pytest.mark.parametrize("unequal", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("s", [0.0, 0.05, 0.4])
def test_excess_variance_is_the_highest_maximum_of_the_likelihood(unequal, s):
    """With very unequal errors there are several maxima: 0.3 % of the groups or so."""
    rng = np.random.default_rng(17)
    sizes = rng.integers(2, 20, 100)
    start = np.concatenate([[0], np.cumsum(sizes)])
    mu = rng.lognormal(4, unequal, start[-1])
    known, unknown = 2 * (mu + 4), 2 * mu**2
    square = rng.normal(0, np.sqrt(known + s**2 * unknown)) ** 2
    found = statistics.excess_variances(square, known, unknown, start)
    for v, arrays in zip(found, parts(start, square, known, unknown)):
        expected, least = best_by_scipy(*arrays)
        assert negative_log_likelihood(v, *arrays) <= least + 1e-6
        if expected > 1e-6:
            assert v == pytest.approx(expected, rel=1e-3)


def test_the_higher_of_two_maxima_is_taken():
    """One precise pair that agrees cannot hide ten that disagree wildly."""
    square = np.array([0.9e-6, *[101.0] * 9])
    known = np.array([1e-6, *[1.0] * 9])
    v = statistics.excess_variances(square, known, np.ones(10), np.array([0, 10]))
    assert v[0] == pytest.approx(90, rel=0.02)


def test_excess_variance_has_a_closed_form_for_equal_errors():
    square = np.array([4.0, 9.0, 1.0, 1.0, 0.5, 0.2])
    start = np.array([0, 3, 6])
    known, unknown = np.full(6, 2.0), np.full(6, 5.0)
    v = statistics.excess_variances(square, known, unknown, start)
    np.testing.assert_allclose(v, [(14 / 3 - 2) / 5, 0.0], rtol=1e-9)
    v = statistics.excess_variances(square, known, 0 * unknown, start)
    assert np.isnan(v).all()


def test_excess_variance_scales():
    rng = np.random.default_rng(2)
    start = np.arange(0, 401, 20)
    known, unknown = rng.uniform(1, 5, 400), rng.uniform(1, 50, 400)
    square = rng.normal(0, np.sqrt(known + 0.3 * unknown)) ** 2
    v = statistics.excess_variances(square, known, unknown, start)
    again = statistics.excess_variances(100 * square, 100 * known, unknown, start)
    np.testing.assert_allclose(again, 100 * v, rtol=1e-6)
    order = np.concatenate([rng.permutation(20) + i for i in start[:-1]])
    mixed = (square[order], known[order], unknown[order])
    np.testing.assert_allclose(statistics.excess_variances(*mixed, start), v, rtol=1e-6)


@pytest.mark.parametrize("s", [0.0, 0.1, 0.3])
def test_a_known_spread_is_recovered(s):
    """Over 400 groups of 30: the mean of v is right within three standard errors."""
    rng = np.random.default_rng(8)
    start = np.arange(0, 400 * 30 + 1, 30)
    mu = rng.exponential(300, start[-1]) + 20
    known = 2 * mu
    square = rng.normal(0, np.sqrt(known + 2 * (s * mu) ** 2)) ** 2
    v = statistics.excess_variances(square, known, 2 * mu**2, start)
    error = v.std() / np.sqrt(len(v))
    if s:
        assert abs(v.mean() - s**2) < 3 * error + 0.03 * s**2
    else:
        # Half of the groups are at the boundary, zero, as theory has it.
        assert abs(np.mean(v == 0) - 0.5) < 0.1
        assert np.sqrt(np.median(v)) < 0.02
