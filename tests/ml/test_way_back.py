from __future__ import annotations

import numpy as np
import pytest

from dials_spread.ml.way_back import LIMITS, observation_factors, relative_factors
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
    found = merged(I * factors.factor, sigma * factors.factor, unique)
    assert factors.reached.mean() > 0.97
    np.testing.assert_allclose(found[factors.reached], F[factors.reached] ** 2)
    assert factors.as_dict()["reflections_reached"] == factors.reached.sum()


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


def test_what_cannot_be_reached_stays_and_is_told():
    unique = np.array([0, 0, 1, 1, 2])
    I = np.array([-3.0, 1.0, 1.0, 1.0, 4.0])
    F = np.array([2.0, 100.0, 1.0])
    factors = observation_factors(I, np.ones(5), unique, F, np.ones(5))
    np.testing.assert_allclose(factors.factor, [1, 1, LIMITS[1], LIMITS[1], 0.25])
    np.testing.assert_array_equal(factors.reached, [False, False, True])


def test_relative_factors_are_bounded_and_smooth_at_zero():
    E = np.array([0.0, 1.0])
    found = relative_factors(E, np.array([-5.0, 5.0, 0.0]), np.array([0, 1, 0]), 1.0)
    np.testing.assert_allclose(found, [4, 0.25, 1])
