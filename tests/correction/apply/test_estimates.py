from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.apply.estimates import (
    LIMITS,
    observation_factors,
    relative_factors,
)
from dials_spread.rfactor.merging import merge


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    unique = np.repeat(np.arange(300), 6)
    F = rng.rayleigh(10, 300) + 3
    bias = rng.normal(0, 0.3, len(unique))
    I = (F[unique] * (1 + bias)) ** 2
    sigma = 0.05 * I + 2
    return I + sigma * rng.normal(size=len(I)), sigma, unique, F, bias


def merged(I, sigma, unique):
    return merge(I, sigma**2, unique, int(unique.max()) + 1, 1 / sigma**2).intensity


@pytest.mark.parametrize("blend", [0.0, 0.5, 1.0])
def test_merging_the_corrected_table_gives_F_squared(data, blend):
    I, sigma, unique, F, bias = data
    relative = relative_factors(np.ones(300), bias, unique, blend)
    factors = observation_factors(I, sigma, unique, F, relative)
    found = merged(*factors.apply(I, sigma), unique)
    assert factors.reached.mean() > 0.97
    np.testing.assert_allclose(found, F**2)
    told = factors.as_dict()
    assert told["reflections_reached"] == factors.reached.sum()
    assert told["reflections_shifted"] == (~factors.reached).sum()


def test_one_factor_for_all_keeps_every_relative_difference(data):
    I, sigma, unique, F, bias = data
    relative = relative_factors(np.ones(300), bias, unique, 0.0)
    np.testing.assert_array_equal(relative, 1)
    factor = observation_factors(I, sigma, unique, F, relative).factor
    np.testing.assert_allclose(np.ptp(factor.reshape(300, 6), axis=1), 0, atol=1e-12)


def test_known_deviations_come_out_and_noise_stays(data):
    I, sigma, unique, F, bias = data
    relative = relative_factors(np.ones(300), bias, unique, 1.0)
    factors = observation_factors(I, sigma, unique, F, relative)
    corrected = (I * factors.factor).reshape(300, 6)
    before = I.reshape(300, 6)
    spread = np.std(before, axis=1) / np.mean(before, axis=1)
    after = np.std(corrected, axis=1) / np.mean(corrected, axis=1)
    noise = np.median((sigma / I).reshape(300, 6))
    # What is left is neither the bias nor less than the noise was.
    assert np.median(after) < 0.5 * np.median(spread)
    assert np.median(after) > 0.7 * noise
    ratio = (I / sigma) / (I * factors.factor / (sigma * factors.factor))
    np.testing.assert_allclose(ratio, 1)


def test_what_is_too_weak_for_a_factor_is_shifted_and_told():
    """Negative; a hundredth of what is wanted; as it should be; a hundred times that."""
    unique = np.array([0, 0, 1, 1, 2, 3])
    I = np.array([-3.0, 1.0, 0.5, 1.5, 4.0, 100.0])
    F = np.array([2.0, 10.0, 1.0, 1.0])
    factors = observation_factors(I, np.ones(6), unique, F, np.ones(6))
    np.testing.assert_allclose(factors.factor, [1, 1, 1, 1, 0.25, LIMITS[0]])
    np.testing.assert_allclose(factors.offset, [5, 5, 99, 99, 0, -9])
    np.testing.assert_array_equal(factors.reached, [False, False, True, False])
    after, sigma = factors.apply(I, np.ones(6))
    # Observations differ by as much as they did, by as much as σ says.
    np.testing.assert_allclose(after, [2, 6, 99.5, 100.5, 1, 1])
    np.testing.assert_allclose(sigma, factors.factor)
    half = factors.weakened(0.5)
    np.testing.assert_allclose(half.offset, factors.offset / 2)
    np.testing.assert_allclose(half.factor[4], 0.5)


def test_weak_reflections_are_not_made_noisier():
    """Of noise about a true mean the scatter stays as σ says it is."""
    rng = np.random.default_rng(1)
    unique = np.repeat(np.arange(400), 4)
    I, sigma = 0.2 + rng.standard_normal(1600), np.ones(1600)
    factors = observation_factors(I, sigma, unique, np.ones(400), np.ones(1600))
    assert 0.2 < (~factors.reached).mean() < 0.8
    after, sigma = factors.apply(I, sigma)
    np.testing.assert_allclose(merged(after, sigma, unique), 1)
    shifted = ~factors.reached[unique]
    spread = np.std(after[shifted].reshape(-1, 4), axis=1, ddof=1)
    assert np.sqrt(np.mean(spread**2)) == pytest.approx(1, rel=0.1)


def test_relative_factors_are_bounded_and_smooth_at_zero():
    E = np.array([0.0, 1.0])
    found = relative_factors(E, np.array([-5.0, 5.0, 0.0]), np.array([0, 1, 0]), 1.0)
    np.testing.assert_allclose(found, [4, 0.25, 1])
