"""Wilson statistics against samples of the known distributions, and cctbx."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.rfactor.r1 import r1_gain, r_factor
from dials_spread.rfactor.wilson_statistics import (
    cumulative,
    expected_cumulative,
    fourth_moment,
    mixed_moment,
    shell_means,
)

N = 200_000


def random_sums(centric: bool) -> np.ndarray:
    """|F| of reflections from many random phases, without any formula of Wilson's."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (N // 10, 60))
    wave = 2 * np.cos(phase) if centric else np.exp(1j * phase)
    return np.abs(wave.sum(axis=1))


@pytest.mark.parametrize("centric, moment", [(False, 2.0), (True, 3.0)])
def test_random_atoms_have_the_moments_and_distribution_expected(centric, moment):
    F = random_sums(centric)
    found = fourth_moment(F)
    assert found == pytest.approx(moment, rel=0.05)
    assert found == pytest.approx(mixed_moment(np.full(5, centric)), rel=0.05)
    z = F**2 / np.mean(F**2)
    at = np.array([0.05, 0.2, 0.5, 1.0, 2.0])
    assert cumulative(z, at) == pytest.approx(
        expected_cumulative(at, centric), abs=0.01
    )


def test_published_values_of_n_of_z():
    """Howells, Phillips & Rogers (1950), table 1, at z = 0.1, 0.5 and 1."""
    z = np.array([0.1, 0.5, 1.0])
    assert expected_cumulative(z, False) == pytest.approx(
        [0.095, 0.393, 0.632], abs=1e-3
    )
    assert expected_cumulative(z, True) == pytest.approx(
        [0.248, 0.521, 0.683], abs=1e-3
    )


def test_a_mixture_lies_between():
    assert mixed_moment(np.array([True, False, False, False])) == pytest.approx(2.25)
    assert np.isnan(fourth_moment(np.zeros(3))) and np.isnan(fourth_moment(np.empty(0)))


def test_counted_by_hand():
    z = np.array([0.5, 0.1, 0.5, 2.0])
    assert cumulative(z, np.array([0.0, 0.1, 0.5, 3.0])).tolist() == [0, 0.25, 0.75, 1]
    assert np.isnan(cumulative(np.empty(0), z)).all()


def test_mean_intensities_by_shell_are_those_of_cctbx():
    symmetry = crystal.symmetry((11, 7, 9, 90, 100, 90), "P 1 21/c 1")
    points = symmetry.build_miller_set(anomalous_flag=False, d_min=1.2)
    rng = np.random.default_rng(2)
    intensity = rng.exponential(10, points.size())
    d = points.d_spacings().data().as_numpy_array()
    epsilon = points.epsilons().data().as_numpy_array().astype(float)
    x, mean, n = shell_means(intensity, epsilon, d, 1)
    array = miller.array(points, data=flex.double(intensity))
    array = array.set_observation_type_xray_intensity()
    array.setup_binner(n_bins=1)
    theirs = array.mean_of_intensity_divided_by_epsilon(use_binning=True).data
    assert mean[0] == pytest.approx(next(v for v in theirs if v is not None))
    stol_sq = points.sin_theta_over_lambda_sq().data()
    assert x[0] == pytest.approx(flex.mean(stol_sq)) and n.tolist() == [points.size()]
    assert shell_means(intensity, epsilon, d, 5)[2].sum() == points.size()


def test_a_gain_is_the_difference_of_two_r1_and_its_uncertainty_covers():
    """True gains of many small samples scatter about that of all as their su says."""
    rng = np.random.default_rng(5)
    f_c = rng.exponential(10, 40_000) + 2
    before, after = (f_c * (1 + s * rng.normal(size=len(f_c))) for s in (0.2, 0.18))
    before, after = np.abs(before), np.abs(after)
    whole = r1_gain(before, after, f_c)[0]
    assert whole == pytest.approx(r_factor(before, f_c)[0] - r_factor(after, f_c)[0])
    parts = [r1_gain(*(x[k::200] for x in (before, after, f_c))) for k in range(200)]
    gain, su = np.array(parts).T
    inside = np.mean(np.abs(gain - whole) < su)
    assert 0.6 < inside < 0.76
    assert np.isnan(r1_gain(before, after, np.full(len(f_c), np.nan))).all()
