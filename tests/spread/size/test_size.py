"""The size of the spread: simulated truth, and its properties."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.spread.size.residuals import mean_levels, residuals_of_arrays
from dials_spread.spread.size.size import deviations, measure_size, shared_means
from dials_spread.statistics.bootstrap import group_crystals
from dials_spread.statistics.excess_spread import (
    likelihood_table,
    most_likely,
    robust_spread,
)


def simulate(rng, s, m, n_unique=2000, sigma=0.1, wild=0.0):
    unique = np.repeat(np.arange(n_unique), m)
    mu = 100 * (rng.exponential(1, n_unique) + 0.3)[unique]
    noise = sigma * np.sqrt(100 * mu)
    n = len(unique)
    intensity = mu * (1 + s * rng.standard_normal(n))
    intensity[rng.random(n) < wild] *= 4
    intensity += noise * rng.standard_normal(n)
    crystal = np.tile(np.arange(m), n_unique)
    return residuals_of_arrays(unique, crystal, crystal, intensity, noise**2)


def overall(residuals):
    cell = np.zeros(len(residuals), dtype=int)
    data = deviations(residuals)
    table = likelihood_table(data, cell, 1)
    return most_likely(table)[0], robust_spread(data, cell, 1)[0]


@pytest.mark.parametrize("m", [2, 3, 12])
@pytest.mark.parametrize("s", [0.05, 0.2, 0.5])
def test_the_truth_is_found_with_few_others_too(m, s):
    """One or two others make an uncertain mean: it must not pass for spread."""
    residuals = simulate(np.random.default_rng(1), s, m, 12_000 // m)
    likely, robust = overall(residuals)
    assert likely == pytest.approx(s, rel=0.06, abs=0.005)
    assert robust == pytest.approx(s, rel=0.08, abs=0.01)


def test_noise_alone_is_no_spread():
    assert overall(simulate(np.random.default_rng(2), 0, 8))[0] < 0.02


def test_wild_observations_do_not_move_the_robust_twin():
    likely, robust = overall(simulate(np.random.default_rng(3), 0.1, 10, wild=0.004))
    assert robust == pytest.approx(0.1, abs=0.02)
    assert likely > 0.15


def test_scale_and_order_do_not_matter_and_bins_add_up():
    rng = np.random.default_rng(7)
    first = simulate(rng, 0.2, 6, 300)
    columns = [getattr(first, n) for n in ("unique", "crystal", "image")]
    order = np.random.default_rng(8).permutation(len(first))
    other = residuals_of_arrays(
        *(c[order] for c in columns),
        5 * first.intensity[order],
        25 * first.variance[order],
    )
    sizes = []
    for residuals in (first, other):
        groups = group_crystals(residuals.crystal, residuals.n_crystals, rng)
        weights = groups.draws(np.random.default_rng(1))
        levels = mean_levels(residuals, groups, weights)
        d = np.linspace(5, 1, 300)
        sizes.append(measure_size(residuals, d, groups, weights, levels))
    one, two = sizes
    assert one.s == pytest.approx(two.s)
    for name in ("by_intensity", "by_resolution", "by_crystal"):
        a, b = getattr(one, name), getattr(two, name)
        np.testing.assert_allclose(a.s, b.s)
        assert a.n.sum() == len(first)
    assert (one.by_intensity.low[1:] == one.by_intensity.high[:-1]).all()
    assert one.overall.s_low[0] < 0.2 < one.overall.s_high[0]


def test_two_crystals_give_no_interval_and_say_why():
    residuals = simulate(np.random.default_rng(9), 0.2, 2, 400)
    groups = group_crystals(residuals.crystal, 2, np.random.default_rng(0))
    weights = groups.draws(np.random.default_rng(0))
    assert weights.tolist() == [[1.0, 1.0]]
    size = measure_size(residuals, np.ones(400), groups, weights, np.ones(1))
    assert np.isnan(size.overall.s_low[0])
    assert "There are 2 crystals: no interval, which takes 3 crystals" in size.reason
    assert size.s == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("m", [2, 3, 8])
def test_means_that_crystals_share_leave_m_less_one_degrees_of_freedom(m):
    """The scatter of Σ(I - mean of the others)² over draws, over that of independent ones."""
    rng = np.random.default_rng(m)
    residuals = simulate(rng, 0.1, m, 300)
    groups = group_crystals(residuals.crystal, m, rng)
    shared = shared_means(residuals, groups)
    assert shared == pytest.approx(np.sqrt(m / (m - 1)))
    drawn = rng.standard_normal((20_000, m))
    others = (drawn.sum(axis=1, keepdims=True) - drawn) / (m - 1)
    square = (drawn - others) ** 2
    independent = np.sqrt(m * square.var())
    assert square.sum(axis=1).std() / independent == pytest.approx(shared, rel=0.04)


def test_means_within_one_crystal_are_drawn_with_it():
    """All observations of a reflection in one group: drawn together, nothing is added."""
    unique = np.repeat(np.arange(200), 4)
    crystal = np.repeat(np.arange(200) % 5, 4)
    intensity = 100 * (1 + 0.1 * np.random.default_rng(0).standard_normal(800))
    residuals = residuals_of_arrays(unique, crystal, crystal, intensity, np.ones(800))
    groups = group_crystals(crystal, 5, np.random.default_rng(0))
    assert shared_means(residuals, groups) == 1
