"""Permutation p-values, likelihood ratios, false discovery rate, normality."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dials_spread.spread.chance import likelihood
from dials_spread.spread.chance.correlation import fit_correlation
from dials_spread.spread.chance.likelihood import pair_ratios
from dials_spread.spread.chance.pools import CommonSpots, build_pools
from dials_spread.spread.size.residuals import residuals_of_arrays
from dials_spread.spread.sources.normality import describe_normality, standardise
from dials_spread.statistics.bootstrap import group_crystals
from dials_spread.statistics.false_discovery import benjamini_hochberg

N_COMMON = 15


def simulate(
    seed, shared=0.0, n_pairs=60, n_unique=600, n_other=12, s=0.2, freedom=None
):
    """Pairs of images with 15 common spots, and other images of all reflections."""
    rng = np.random.default_rng(seed)
    mu = rng.exponential(50, n_unique) + 50
    unique, image = [], []
    for pair in range(n_pairs):
        common = rng.choice(n_unique, N_COMMON, replace=False)
        unique += [common, common]
        image += [np.full(N_COMMON, 2 * pair), np.full(N_COMMON, 2 * pair + 1)]
    for other in range(n_other):
        unique.append(np.arange(n_unique))
        image.append(2 * n_pairs + 50 * other + np.sort(np.arange(n_unique) % 50))
    unique, image = np.concatenate(unique), np.concatenate(image)
    order = np.argsort(image, kind="stable")
    unique, image = unique[order], image[order]
    e = rng.standard_normal(len(unique))
    if freedom:
        e = rng.standard_t(freedom, len(unique)) * np.sqrt((freedom - 2) / freedom)
    a, b = (np.flatnonzero((image < 2 * n_pairs) & (image % 2 == k)) for k in (0, 1))
    e[b] = shared * e[a] + np.sqrt(1 - shared**2) * e[b]
    intensity = mu[unique] * (1 + s * e) + 5 * rng.standard_normal(len(unique))
    variance = np.full(len(unique), 25.0)
    pools = build_pools(image, image, unique, intensity, variance)
    spots = CommonSpots(
        np.arange(n_pairs + 1) * N_COMMON,
        np.zeros(n_pairs, dtype=bool),
        unique[a],
        *(intensity[a], variance[a], intensity[b], variance[b]),
    )
    return spots, pools, rng


ALONE, TOGETHER = 10**9, 0
"""Common spots for each reflection from which on pairs of images share what is drawn."""


@pytest.mark.parametrize("freedom", [None, 3])
@pytest.mark.parametrize("shared", [ALONE, TOGETHER])
def test_p_values_of_pure_chance_are_uniform(freedom, shared, monkeypatch):
    """Whatever the shape of the distribution; Kolmogorov and Smirnov over 600 pairs."""
    monkeypatch.setattr(likelihood, "SHARED", shared)
    p_values = []
    for seed in range(10):
        spots, pools, rng = simulate(seed, freedom=freedom)
        p_values.append(pair_ratios(spots, pools, 0.2, 0.5, rng, 499)[1])
    p = np.concatenate(p_values)
    assert len(p) == 600
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert (benjamini_hochberg(p) > 0.05).mean() > 0.99


def test_what_pairs_share_is_found():
    spots, pools, rng = simulate(1, shared=0.9)
    correlation = fit_correlation(spots, pools, 0.2)
    assert correlation == pytest.approx(0.9, abs=0.06)
    ratio, p = pair_ratios(spots, pools, 0.2, correlation, rng)
    assert (benjamini_hochberg(p) <= 0.05).all()
    assert np.median(ratio) > 3
    nothing = simulate(1)
    assert fit_correlation(*nothing[:2], 0.2) <= 0.1


def test_the_likelihood_ratio_is_that_of_scipy():
    """From the covariance of all observations of a reflection, taken to deviations."""
    spots, pools, rng = simulate(2, shared=0.5, n_pairs=3)
    s, rho = 0.2, 0.6
    ratio, _ = pair_ratios(spots, pools, s, rho, rng, 99)
    expected = np.zeros(3)
    for q in range(3 * N_COMMON):
        own = slice(pools.start[spots.unique[q]], pools.start[spots.unique[q] + 1])
        n = own.stop - own.start
        mean = pools.drawn[own, 0].mean(dtype=float)
        spread = s**2 * mean**2
        # The first two are a and b.
        contrast = (np.eye(n) - 1 / n)[:2]
        deviation = np.array([spots.intensity_a[q], spots.intensity_b[q]]) - mean
        for shared, sign in ((rho * spread, 1), (0.0, -1)):
            matrix = (25.0 + spread) * np.eye(n)
            matrix[0, 1] = matrix[1, 0] = shared
            expected[q // N_COMMON] += sign * stats.multivariate_normal.logpdf(
                deviation, [0, 0], contrast @ matrix @ contrast.T
            )
    # The mean is taken here of numbers of seven digits.
    np.testing.assert_allclose(ratio, expected, rtol=1e-5)


@pytest.mark.parametrize("together", [ALONE, TOGETHER])
@pytest.mark.parametrize("part", [0.0, 0.2, 0.8])
def test_shared_draws_are_those_of_each_pair_alone(together, part, monkeypatch):
    """p against the share of many drawn pairs of images that are as alike."""
    monkeypatch.setattr(likelihood, "SHARED", together)
    monkeypatch.setattr(likelihood, "SHARED_DRAWS", (64, 64))  # several rounds
    spots, pools, rng = simulate(5, shared=part)
    _, p = pair_ratios(spots, pools, 0.2, 0.5, rng, 1500)
    monkeypatch.setattr(likelihood, "SHARED", ALONE)
    monkeypatch.setattr(likelihood, "ENOUGH", 10**6)
    _, truth = pair_ratios(spots, pools, 0.2, 0.5, rng, 20_000)
    # 30 are counted at least, unless all 1500 are drawn; one is the observed pair then.
    counted = np.clip(1500 * truth, 1, 30)
    z = np.log(p / (truth + (p < 30 / 1500) / 1500)) * np.sqrt(counted)
    assert np.abs(z).max() < 4
    assert abs(z.mean()) < 0.4


@pytest.mark.parametrize("together", [ALONE, TOGETHER])
def test_what_is_observed_is_drawn_as_an_equal_number(together, monkeypatch):
    """Of one observation on each of three images that are alike, every pair is as alike."""
    monkeypatch.setattr(likelihood, "SHARED", together)
    rng = np.random.default_rng(6)
    unique, image = np.tile(np.arange(20), 3), np.repeat(np.arange(3), 20)
    intensity = np.tile(rng.uniform(50, 90, 20), 3)
    pools = build_pools(image, image, unique, intensity, np.full(60, 25.0))
    columns = (intensity[:20], np.full(20, 25.0)) * 2
    spots = CommonSpots(np.array([0, 20]), np.zeros(1, bool), np.arange(20), *columns)
    _, p = pair_ratios(spots, pools, 0.2, 0.5, np.random.default_rng(0), 99)
    np.testing.assert_array_equal(p, 1.0)


@pytest.mark.parametrize("one_crystal", [False, True])
@pytest.mark.parametrize("together", [ALONE, TOGETHER])
def test_the_images_of_a_pair_may_be_exchanged(one_crystal, together, monkeypatch):
    """As may the unit of intensity: sign and size of the ratio, and p, stay."""
    monkeypatch.setattr(likelihood, "SHARED", together)
    spots, pools, _ = simulate(4, shared=0.6)
    spots = spots._replace(one_crystal=np.full(60, one_crystal))
    exchanged = spots._replace(
        intensity_a=spots.intensity_b,
        variance_a=spots.variance_b,
        intensity_b=spots.intensity_a,
        variance_b=spots.variance_a,
    )
    k = 1024.0  # which rounds nothing
    brighter = spots._replace(
        intensity_a=k * spots.intensity_a,
        variance_a=k**2 * spots.variance_a,
        intensity_b=k * spots.intensity_b,
        variance_b=k**2 * spots.variance_b,
    )
    drawn = pools.drawn * np.array([k, k**2], dtype=np.float32)
    bright_pools = pools._replace(
        drawn=drawn, sum=k * pools.sum, noise=k**2 * pools.noise
    )
    (ratio, p), *others = (
        pair_ratios(x, y, 0.2, 0.5, np.random.default_rng(1), 999)
        for x, y in ((spots, pools), (exchanged, pools), (brighter, bright_pools))
    )
    for other_ratio, other_p in others:
        np.testing.assert_allclose(other_ratio, ratio, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(other_p, p)


@pytest.mark.parametrize("together", [ALONE, TOGETHER])
def test_results_do_not_depend_on_threads_and_order(together, monkeypatch):
    monkeypatch.setattr(likelihood, "SHARED", together)
    spots, pools, _ = simulate(3, shared=0.5)
    one, two = (
        pair_ratios(spots, pools, 0.2, 0.5, np.random.default_rng(1), 199, nproc)
        for nproc in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_false_discovery_rate_by_hand():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    q = benjamini_hochberg(p)
    np.testing.assert_allclose(q[[0, 2, 3, 4]], [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert np.isnan(q[1])


def residuals_from(rng, draw, s=0.2):
    n_unique, m = 500, 12
    unique = np.repeat(np.arange(n_unique), m)
    mu = rng.uniform(100, 1000, n_unique)[unique]
    intensity = mu * (1 + s * draw(len(unique))) + 3 * rng.standard_normal(len(unique))
    crystal = np.tile(np.arange(m), n_unique)
    variance = np.full(len(unique), 9.0)
    return residuals_of_arrays(unique, crystal, crystal, intensity, variance)


def test_normal_and_other_residuals_are_told_apart():
    rng = np.random.default_rng(7)
    gaussian = residuals_from(rng, rng.standard_normal)
    heavy = residuals_from(rng, lambda n: rng.standard_t(5, n) * np.sqrt(3 / 5))
    results = []
    for residuals in (gaussian, heavy):
        groups = group_crystals(residuals.crystal, 12, rng)
        weights = groups.draws(rng)
        results.append(describe_normality(residuals, 0.2, groups, weights, rng))
        z = standardise(residuals, 0.2)
        found = results[-1]
        assert np.std(z) == pytest.approx(1, abs=0.06)
        assert found.skewness[0] == pytest.approx(stats.skew(z))
        assert found.excess_kurtosis[0] == pytest.approx(stats.kurtosis(z))
        assert found.anderson_darling == pytest.approx(stats.anderson(z).statistic)
    normal, student = results
    assert normal.gaussian and not student.gaussian
    assert normal.excess_kurtosis[0] == pytest.approx(0, abs=0.3)
    # Of Student's t with 5 degrees of freedom it is 6, of a sample less.
    assert student.excess_kurtosis[1] > 1
    assert student.beyond_3 > 2 * normal.beyond_3


def test_a_handful_of_residuals_says_nothing():
    rng = np.random.default_rng(8)
    one = np.ones(4)
    index = np.array([0, 0, 1, 1])
    residuals = residuals_of_arrays(index, index, index, 10 * one, one)
    groups = group_crystals(residuals.crystal, 2, rng)
    found = describe_normality(residuals, 0.1, groups, groups.draws(rng), rng)
    assert found.gaussian is None
    assert (
        found.reason == "4 residuals are too few to say anything of their distribution."
    )
