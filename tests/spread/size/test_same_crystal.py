"""Observations on one crystal: against covariance matrices, and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.spread.size.residuals import residuals_of_arrays
from dials_spread.spread.size.same_crystal import HIGHEST, correlate
from dials_spread.spread.size.size import deviations
from dials_spread.statistics.bootstrap import group_crystals, variance_interval
from dials_spread.statistics.excess_spread import (
    Deviations,
    likelihood_table,
    most_likely,
)


def simulate(rng, of_crystal, of_rest, n_crystals=6, sigma=0.02, n_unique=3000):
    """Each reflection on some crystals, one to five times on each."""
    unique, crystal = [], []
    for u in range(n_unique):
        on = rng.choice(n_crystals, rng.integers(1, min(n_crystals, 4) + 1), False)
        crystal.append(np.repeat(on, rng.integers(1, 6, len(on))))
        unique.append(np.full(len(crystal[-1]), u))
    unique, crystal = np.concatenate(unique), np.concatenate(crystal)
    # One deviation for each reflection and crystal: as many independent ones as that.
    common = rng.standard_normal((n_unique, n_crystals))[unique, crystal]
    r = of_crystal * common + of_rest * rng.standard_normal(len(unique))
    intensity = 100 * (1 + r + sigma * rng.standard_normal(len(unique)))
    variance = np.full(len(unique), (100 * sigma) ** 2)
    return residuals_of_arrays(unique, crystal, crystal, intensity, variance)


def size_of(residuals):
    cell = np.zeros(len(residuals), dtype=int)
    return most_likely(likelihood_table(deviations(residuals), cell, 1))[0]


@pytest.mark.parametrize("of_crystal, of_rest", [(0.0, 0.2), (0.15, 0.15), (0.2, 0.05)])
def test_correlation_and_spread_are_those_put_in(of_crystal, of_rest):
    residuals = simulate(np.random.default_rng(1), of_crystal, of_rest)
    square = of_crystal**2 + of_rest**2
    rho = correlate(residuals).correlation
    assert rho == pytest.approx(of_crystal**2 / square, abs=0.05)
    assert size_of(residuals) == pytest.approx(np.sqrt(square), rel=0.03)


def test_variances_are_those_of_the_covariance_matrix():
    """For one reflection on three crystals, and one on a single crystal."""
    residuals = simulate(np.random.default_rng(2), 0.15, 0.1, n_unique=400)
    found = correlate(residuals)
    for first, stop in zip(residuals.start[:-1], residuals.start[1:]):
        crystal, n = residuals.crystal[first:stop], stop - first
        same = crystal[:, None] == crystal
        covariance = np.where(same, found.correlation, 0.0)
        np.fill_diagonal(covariance, 1)
        # Each less the mean of the others.
        contrast = np.eye(n) - (1 - np.eye(n)) / (n - 1)
        expected = np.diag(contrast @ covariance @ contrast.T)
        np.testing.assert_allclose(1 + found.of_deviation[first:stop], expected)
        of_mean = covariance.mean() * n
        np.testing.assert_allclose(found.of_mean[first:stop], of_mean)


def test_one_crystal_or_one_observation_of_each_are_as_if_independent():
    rng = np.random.default_rng(3)
    unique = np.repeat(np.arange(200), 4)
    intensity, variance = 100 + 20 * rng.standard_normal(800), np.ones(800)
    for crystal in (np.zeros(800, dtype=int), np.tile(np.arange(4), 200)):
        found = correlate(
            residuals_of_arrays(unique, crystal, crystal, intensity, variance)
        )
        assert found.correlation == 0
        np.testing.assert_allclose(found.of_deviation, 1 / 3)
        assert (found.of_mean == 1).all()


def test_crystals_that_only_differ_by_a_factor_are_found_alike():
    """Nothing but noise within a crystal."""
    residuals = simulate(np.random.default_rng(4), 0.2, 0.0)
    assert 0.95 < correlate(residuals).correlation <= HIGHEST
    assert size_of(residuals) == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize("n", [4, 6, 10, 40])
def test_intervals_of_variances_hold_them_from_both_sides(n):
    """Of normal deviates: about 95 of 100, missed as often from below as from above."""
    rng, above, below, draws = np.random.default_rng(5), 0, 0, 400
    for _ in range(draws):
        x = rng.standard_normal(n)
        weights = group_crystals(np.arange(n), n, rng).draws(rng, 300)
        mean = weights @ x / n
        freedom = 1 - (weights**2).sum(axis=1) / n**2
        values = (weights @ x**2 / n - mean**2) / freedom
        low, high = variance_interval(values, n)
        above, below = above + (low > 1), below + (high < 1)
    assert above + below < 0.1 * draws
    assert max(above, below) < 0.06 * draws


def test_likelihood_is_finite_however_little_a_level_is_worth():
    """Reflections far below their noise, of crystals that agree in all they have."""
    noise = np.array([0.0, 0.5, 5.0, 50.0, 500.0])
    one = np.ones(len(noise))
    known = noise * 2 + 1e-6
    data = Deviations(one, known, one, noise, 1.01 * one)
    table = likelihood_table(data, np.arange(len(noise)), len(noise), nproc=1)
    assert np.isfinite(table).all()
    # Without noise the spread is about the deviation, and noise explains it as well.
    s = most_likely(table)
    assert s[0] > 0.5 and np.all(np.diff(s) <= 0) and s[-1] == 0
