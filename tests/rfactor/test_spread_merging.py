"""R_meas and CC½ against iotbx.merging_statistics, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, miller
from cctbx.array_family import flex
from iotbx import merging_statistics

from dials_spread.observations import build_observations
from dials_spread.rfactor.merging import cc_half, r_meas


def statistics(observations):
    """What iotbx makes of the same observations."""
    symmetry = crystal.symmetry(
        unit_cell=observations.unit_cell, space_group=observations.space_group
    )
    hkl = flex.miller_index([tuple(map(int, h)) for h in observations.miller_index])
    indices = miller.set(symmetry, hkl, anomalous_flag=False)
    data = miller.array(
        indices,
        data=flex.double(observations.intensity),
        sigmas=flex.double(observations.sigma),
    ).set_observation_type_xray_intensity()
    return merging_statistics.dataset_statistics(
        data, n_bins=1, sigma_filtering=None, cc_one_half_method="sigma_tau"
    ).overall


@pytest.mark.parametrize("name", ["abiraterone/integrated", "l_cysteine/scaled_20_25"])
def test_they_are_those_of_iotbx(read_measured, name):
    experiments, tables = read_measured(name)
    o = build_observations([*experiments], tables)
    theirs = statistics(o)
    assert theirs.n_obs == pytest.approx(len(o), abs=2)
    ours = r_meas(o.intensity, o.unique, o.unique.max() + 1, 1 / o.variance)[0]
    assert ours == pytest.approx(theirs.r_meas, rel=1e-6)
    half = cc_half(o.unique, o.intensity)
    assert half == pytest.approx(theirs.cc_one_half_sigma_tau, abs=1e-6)
    # Random halves are merged with weights 1/σ², which matters for electrons.
    if o.scaled:
        assert half == pytest.approx(theirs.cc_one_half, abs=0.003)


def test_r_meas_by_hand():
    """Two reflections: 10, 14 and 4, 4, 7, all of the same σ; one seen once."""
    unique = np.array([0, 0, 1, 1, 1, 2])
    intensity = np.array([10.0, 14, 4, 4, 7, 1000])
    expected = np.sqrt(2) * (2 + 2) + np.sqrt(3 / 2) * (1 + 1 + 2)
    assert r_meas(intensity, unique, 4, np.ones(6))[0] == pytest.approx(expected / 39)
    assert r_meas(7 * intensity, unique, 4, 3 * np.ones(6))[0] == pytest.approx(
        expected / 39
    )
    # Means 12 and 5, their variances 8/2 and 3/3.
    y, e = 49 / 2, (4 + 1) / 2
    assert cc_half(unique, intensity) == pytest.approx((y - e) / (y + e))


def test_nothing_observed_twice_is_not_a_number():
    alone = (np.arange(3), np.ones(3))
    assert np.isnan(r_meas(np.ones(3), np.arange(3), 3, np.ones(3))[0])
    assert np.isnan(cc_half(*alone))
    assert np.isnan(cc_half(np.zeros(4, dtype=int), np.arange(4.0)))
