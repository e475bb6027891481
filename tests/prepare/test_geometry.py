from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from dials_spread.observations import build_observations
from dials_spread.observations.intensities import centroid_array_index
from dials_spread.orientation import (
    beam_direction,
    incident_beam,
    reciprocal_basis,
    setting_matrix,
)
from dials_spread.prepare.geometry import LARGEST_TURN, observation_geometry


def geometry_of(read_measured, name):
    experiments, tables = read_measured(name)
    observations = build_observations(experiments, tables)
    geometry = observation_geometry(observations, experiments, tables)
    return experiments, tables, observations, geometry


def test_the_rate_is_the_lorentz_factor_that_dials_wrote(read_measured):
    _, tables, observations, geometry = geometry_of(read_measured, "quartz/integrated")
    lp = tables[0]["lp"].as_numpy_array()[observations.row]
    # lp is of the refined moment too, computed from s1 of the prediction.
    np.testing.assert_allclose(geometry.rate * geometry.wavelength, lp, rtol=2e-3)


def test_predicted_reflections_are_on_the_sphere(read_measured):
    _, _, _, geometry = geometry_of(read_measured, "quartz/integrated")
    # to within the interpolation between scan points
    assert np.abs(geometry.excitation).max() < 1e-4


def test_excitation_errors_are_those_of_jana(read_measured):
    _, tables, observations, geometry = geometry_of(
        read_measured, "abiraterone/integrated"
    )
    for crystal, table in enumerate(tables):
        own = observations.crystal == crystal
        written = table["jana.excitation_error"].as_numpy_array()
        np.testing.assert_allclose(
            -geometry.excitation[own], written[observations.row[own]], atol=1e-5
        )


def test_a_refined_beam_puts_the_reflection_on_the_sphere(read_measured):
    _, _, observations, geometry = geometry_of(read_measured, "glycine/integrated")
    g = observations.miller_index @ reciprocal_basis(observations.unit_cell).T
    s = -np.sum(g * geometry.beam, axis=1)
    s -= geometry.wavelength * np.sum(g**2, axis=1) / 2
    reachable = np.abs(geometry.excitation / geometry.rate) < 0.9 * LARGEST_TURN
    assert reachable.mean() > 0.8
    assert np.abs(s[reachable]).max() < 1e-5


def test_unrefined_beams_are_those_of_the_images(read_measured, monkeypatch):
    monkeypatch.setattr("dials_spread.prepare.geometry.LARGEST_TURN", 0.0)
    experiments, tables, observations, geometry = geometry_of(
        read_measured, "abiraterone/integrated"
    )
    basis = reciprocal_basis(observations.unit_cell)
    for i in range(0, len(observations), 997):
        experiment = experiments[int(observations.crystal[i])]
        table = tables[int(observations.crystal[i])]
        z = centroid_array_index(experiment, table)[observations.row[i]]
        A, s0 = setting_matrix(experiment, z), incident_beam(experiment, z)
        np.testing.assert_allclose(
            geometry.beam[i], beam_direction(A, s0, basis), atol=1e-9
        )
        r = A @ observations.miller_index[i]
        axis = np.array(experiment.goniometer.get_rotation_axis())
        rate = abs(np.cross(axis, r) @ s0) / np.linalg.norm(s0)
        assert geometry.rate[i] == pytest.approx(rate, abs=1e-9)


def test_stills_have_a_beam_and_no_rate(read_measured):
    _, _, _, geometry = geometry_of(read_measured, "cunir_stills/integrated")
    assert np.isnan(geometry.rate).all()
    np.testing.assert_allclose(np.linalg.norm(geometry.beam, axis=1), 1)


def test_different_voltages_are_refused(simulated):
    experiments, tables = simulated
    observations = build_observations(experiments, tables)
    other = deepcopy(experiments)
    beam = deepcopy(other[0].beam)
    beam.set_wavelength(0.0197)
    other[0].beam = beam
    with pytest.raises(ValueError, match="Wavelengths from 0.01970 to 0.02508"):
        observation_geometry(observations, other, tables)
