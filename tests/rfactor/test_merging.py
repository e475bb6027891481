"""Merging statistics against iotbx, and the likelihood against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, miller
from cctbx.array_family import flex
from iotbx import merging_statistics

from dials_spread.observations import unique_indices
from dials_spread.rfactor import merging


@pytest.fixture
def repeated():
    """Observations of a monoclinic crystal with known spread: hkl, I, σ, unique."""
    rng = np.random.default_rng(7)
    symmetry = crystal.symmetry((11, 7, 9, 90, 100, 90), "P 1 21/c 1")
    one = symmetry.build_miller_set(anomalous_flag=False, d_min=1.2)
    unique = one.indices().as_vec3_double().as_numpy_array().astype(np.int32)
    hkl = np.repeat(unique, rng.integers(1, 8, len(unique)), axis=0)
    hkl = hkl * rng.choice([[1, 1, 1], [-1, -1, -1], [-1, 1, -1]], len(hkl))
    hkl = hkl[rng.permutation(len(hkl))]
    number = unique_indices(hkl, symmetry.space_group(), True)[1]
    truth = rng.exponential(100.0, number.max() + 1) + 5
    sigma = rng.uniform(1, 4, len(hkl))
    intensity = truth[number] * (1 + 0.2 * rng.normal(size=len(hkl)))
    intensity += sigma * rng.normal(size=len(hkl))
    return symmetry, hkl, intensity, sigma, number


@pytest.mark.parametrize("weighted", [False, True])
def test_r_meas_is_that_of_iotbx(repeated, weighted):
    symmetry, hkl, intensity, sigma, number = repeated
    used = sigma if weighted else np.ones(len(sigma))
    array = miller.array(
        miller.set(
            symmetry, flex.miller_index([tuple(map(int, h)) for h in hkl]), False
        ),
        data=flex.double(intensity),
        sigmas=flex.double(used),
    ).set_observation_type_xray_intensity()
    stats = merging_statistics.dataset_statistics(
        array, n_bins=1, sigma_filtering=None, use_internal_variance=False
    )
    found, n = merging.r_meas(intensity, number, number.max() + 1, used**-2.0)
    assert found == pytest.approx(stats.overall.r_meas, rel=1e-6)
    assert n == np.sum(np.bincount(number) > 1)
    merged = merging.merge(intensity, used**2, number, number.max() + 1, used**-2.0)
    outside = array.merge_equivalents(use_internal_variance=False).array()
    np.testing.assert_allclose(np.sort(merged.intensity), np.sort(outside.data()))
    np.testing.assert_allclose(np.sort(merged.sigma), np.sort(outside.sigmas()))


def test_r_meas_does_not_depend_on_scale_or_order(repeated):
    _, _, intensity, _, number = repeated
    n = number.max() + 1
    order = np.random.default_rng(0).permutation(len(number))
    found = merging.r_meas(intensity, number, n)
    changed = merging.r_meas(7 * intensity[order], number[order], n)
    assert changed == pytest.approx(found)


def test_r_meas_needs_a_reflection_measured_twice():
    value, n = merging.r_meas(np.array([1.0, 2.0]), np.array([0, 1]), 2)
    assert np.isnan(value) and n == 0


def simulated(s, n=4000, seed=0, floor=0.0):
    """Intensities on a fifth of the scale of F_c², with known errors."""
    rng = np.random.default_rng(seed)
    f_c = np.sqrt(rng.exponential(50.0, n))
    sigma = rng.uniform(0.1, 0.4, n)
    intensity = f_c**2 * (1 + s * rng.normal(size=n)) + floor * 50 * rng.normal(size=n)
    return 0.2 * intensity + sigma * rng.normal(size=n), sigma, f_c


@pytest.mark.parametrize("s, floor", [(0.1, 0.0), (0.4, 0.0), (0.3, 0.2)])
def test_likelihood_finds_the_simulated_spread(s, floor):
    found = merging.likelihood(*simulated(s, floor=floor))
    assert found.relative_misfit == pytest.approx(s, rel=0.08)
    assert found.floor == pytest.approx(floor, abs=0.03)


def test_likelihood_prefers_the_better_data_and_knows_no_scale():
    intensity, sigma, f_c = simulated(0.3)
    found = merging.likelihood(intensity, sigma, f_c)
    assert merging.likelihood(*simulated(0.15)).per_reflection > found.per_reflection
    changed = merging.likelihood(40 * intensity, 40 * sigma, 3 * f_c)
    assert changed.per_reflection == pytest.approx(found.per_reflection, abs=1e-5)
    assert changed.relative_misfit == pytest.approx(found.relative_misfit, rel=1e-3)


def test_likelihood_without_spread_is_that_of_the_noise():
    found = merging.likelihood(*simulated(0.0))
    assert found.relative_misfit < 0.03


def test_too_few_reflections():
    assert np.isnan(merging.correlation(np.ones(2), np.ones(2)))
    assert np.isnan(merging.likelihood(np.ones(3), np.ones(3), np.ones(3)).floor)
    assert np.isnan(merging.correlation(np.ones(5), np.arange(5.0)))


def test_correlation_is_of_intensities():
    f_c = np.arange(1.0, 9.0)
    assert merging.correlation(3 * f_c**2 + 1, f_c) == pytest.approx(1)
    with_gap = np.where(f_c == 4, np.nan, f_c)
    assert merging.correlation(-(f_c**2), with_gap) == pytest.approx(-1)
