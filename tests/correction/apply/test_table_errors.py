"""The σ of corrected tables, against data whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.apply.estimates import intensity_errors, relative_factors
from dials_spread.correction.apply.table_errors import (
    common_errors,
    factors_with_errors,
    plain_errors,
    remaining_spread,
)
from dials_spread.rfactor.merging import merge

N = 500


@pytest.fixture
def data():
    """Normalised intensities with counting errors, and amplitudes off by 0.04 and 10 %."""
    rng = np.random.default_rng(1)
    unique = np.repeat(np.arange(N), 6)
    E = rng.rayleigh(0.7, N)
    off = np.hypot(0.04, 0.1 * E)[unique] * rng.normal(size=6 * N)
    sigma = 0.02 + 0.02 * rng.random(6 * N)
    return (E[unique] + off) ** 2 + sigma * rng.normal(size=6 * N), sigma, E, unique


def test_what_is_left_is_found(data):
    I, sigma, E, unique = data
    k, spread = remaining_spread(I, sigma, E, unique)
    assert 1 <= k < 1.6
    strong, weak = E > 1, E < 0.2
    expected = 2 * E * np.hypot(0.04, 0.1 * E)
    ratio = np.sqrt(np.mean(spread[strong] ** 2) / np.mean(expected[strong] ** 2))
    assert 0.85 < ratio < 1.15
    assert np.median(spread[weak]) < 0.1 * np.median(spread[strong])


def test_reflections_whose_observations_disagree_are_told(data):
    I, sigma, E, unique = data
    I = I.copy()
    I[unique == 3] += np.array([5, -5, 5, -5, 5, -5.0])
    spread = remaining_spread(I, sigma, E, unique)[1]
    assert spread[3] > 3


def test_where_nothing_was_measured_twice_nothing_is_added():
    k, spread = remaining_spread(np.ones(5), np.ones(5), np.ones(5), np.arange(5))
    assert k == 1 and not spread.any()


def test_means_that_are_not_corrected_have_errors_by_how_equivalents_differ(data):
    I, sigma, E, unique = data
    level = np.random.default_rng(3).uniform(1, 9, N)
    each = level[unique]
    found = plain_errors(I * each, sigma * each, unique, np.arange(len(I)), level)
    mean = np.bincount(unique, I * each) / 6
    # The square of an amplitude that is off is in the mean more than the true square.
    true = level * (E**2 + 0.04**2 + (0.1 * E) ** 2)
    z = np.abs(mean - true) / found
    assert 0.62 < np.mean(z < 1) < 0.78 and np.mean(z < 2) > 0.92
    counted = np.sqrt(np.bincount(unique, (sigma * each) ** 2)) / 6
    assert np.mean(np.abs(mean - true) < counted) < 0.5


def test_a_crossing_that_is_listed_twice_makes_no_mean_better(data):
    I, sigma, _, unique = data
    crossing = np.arange(len(I))
    once = plain_errors(I, sigma, unique, crossing, np.ones(N))
    twice = [np.repeat(x, 2) for x in (I, sigma, unique, crossing)]
    np.testing.assert_allclose(plain_errors(*twice, np.ones(N)), once)


def factors_of(data):
    I, sigma, E, unique = data
    bias = 0.1 * np.random.default_rng(2).normal(size=len(I))
    relative = relative_factors(E, bias, unique)
    known = (1.1 * E, np.ones(N))
    crossing = np.arange(len(I))
    return factors_with_errors(I, sigma, sigma, unique, crossing, known, relative)


def test_merging_with_these_sigmas_gives_F_squared_and_they_cover(data):
    I, sigma, E, unique = data
    factors = factors_of(data)
    after, own = factors.apply(I, sigma)
    merged = merge(after, own**2, unique, N, 1 / own**2).intensity
    np.testing.assert_allclose(
        merged[factors.reached], (1.1 * E**2 * 1.1)[factors.reached]
    )
    assert np.all(factors.inflation >= 1)
    z = np.abs(after - merged[unique]) / own * np.sqrt(6 / 5)
    assert 0.63 < np.mean(z < 1) < 0.74
    counted = np.abs(after - merged[unique]) / (sigma * factors.factor) * np.sqrt(6 / 5)
    assert np.mean(counted < 1) < 0.5


def test_nothing_is_added_at_strength_nought(data):
    I, sigma, _, _ = data
    none = factors_of(data).weakened(0.0)
    np.testing.assert_array_equal(none.apply(I, sigma), (I, sigma))


def test_the_common_part_makes_up_the_whole():
    """By hand: σ of 2 and 2 merge to √2; 3 in all leaves √7, in units of each σ."""
    sigma, unique = np.array([2.0, 2.0, 1.0]), np.array([0, 0, 1])
    merged = merge(sigma, sigma**2, unique, 2, 1 / sigma**2).sigma
    common = common_errors(sigma, unique, np.array([3.0, 0.5]), merged)
    np.testing.assert_allclose(common, [np.sqrt(7) / 2, np.sqrt(7) / 2, 0])


def test_errors_of_squares():
    np.testing.assert_allclose(intensity_errors(np.array([0.0, 10.0]), 2.0), [4, 44])
