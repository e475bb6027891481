from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cctbx import crystal

from dials_spread.simulation.geometry import rotation_experiments
from dials_spread.simulation.prediction import predict

SYMMETRY = crystal.symmetry(
    unit_cell=(7.3, 10.2, 12.4, 90, 90, 90), space_group_symbol="P212121"
)


@pytest.fixture(scope="module")
def simulated():
    experiments = rotation_experiments(
        np.random.default_rng(6), SYMMETRY, 2, scan_width=20
    )
    return experiments, predict(experiments, 0.9)


def rotated(experiment, table):
    """The scattering vectors [1/Å] in the laboratory at the predicted angles."""
    A = np.array(experiment.crystal.get_A()).reshape(3, 3)
    hkl = table["miller_index"].as_vec3_double().as_numpy_array()
    phi = table["xyzcal.mm"].parts()[2].as_numpy_array()
    axis = np.array(experiment.goniometer.get_rotation_axis())
    return Rotation.from_rotvec(phi[:, None] * axis).apply(hkl @ A.T)


def test_ewald_condition(simulated):
    experiments, reflections = simulated
    for index, experiment in enumerate(experiments):
        table = reflections.select(reflections["id"] == index)
        s0 = np.array(experiment.beam.get_s0())
        s1 = rotated(experiment, table) + s0
        assert len(table) > 300
        np.testing.assert_allclose(s1, table["s1"].as_numpy_array(), atol=1e-9)
        np.testing.assert_allclose(
            np.linalg.norm(s1, axis=1), 1 / 0.02508, rtol=0, atol=1e-8
        )


def test_lorentz_factor_is_the_rate_of_the_excitation_error(simulated):
    experiments, reflections = simulated
    experiment = experiments[0]
    table = reflections.select(reflections["id"] == 0)
    s0 = np.array(experiment.beam.get_s0())
    K = np.linalg.norm(s0)
    step = 1e-5

    def excitation(angle):
        turn = Rotation.from_rotvec(angle * np.array([1.0, 0.0, 0.0]))
        return (K**2 - np.sum((turn.apply(g) + s0) ** 2, axis=1)) / (2 * K)

    g = rotated(experiment, table)
    rate = np.abs(excitation(step) - excitation(-step)) / (2 * step)
    np.testing.assert_allclose(table["lp"].as_numpy_array(), rate / K, rtol=1e-6)


def test_lorentz_factor_against_dials(simulated):
    experiments, reflections = simulated
    ours = reflections["lp"].as_numpy_array()
    theirs = reflections.copy().compute_corrections(experiments).as_numpy_array()
    # The rest is the polarisation that DIALS adds, 1 - sin²(2θ)/2.
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_every_reflection_in_the_scan_is_predicted(simulated):
    """Brute force: sign changes of the excitation error in steps of 0.01 degrees."""
    experiments, reflections = simulated
    experiment = experiments[0]
    limits = [range(-h, h + 1) for h in (8, 11, 13)]
    hkl = np.array(np.meshgrid(*limits)).reshape(3, -1).T
    A = np.array(experiment.crystal.get_A()).reshape(3, 3)
    g = hkl @ A.T
    norm = np.linalg.norm(g, axis=1)
    keep = (norm > 0) & (norm < 1 / 0.9)
    hkl, g = hkl[keep], g[keep]
    s0 = np.array(experiment.beam.get_s0())
    angles = np.deg2rad(np.arange(-10, 10.005, 0.01))
    signs = [
        np.sign(
            np.sum((Rotation.from_rotvec([a, 0, 0]).apply(g) + s0) ** 2, 1) - s0 @ s0
        )
        for a in angles
    ]
    crossings = np.abs(np.diff(np.array(signs), axis=0)).sum(axis=0) / 2
    found = {tuple(int(x) for x in row) for row in hkl[crossings > 0]}
    table = reflections.select(reflections["id"] == 0)
    predicted = set(table["miller_index"])
    absent = {
        row for row in found if sum(x != 0 for x in row) == 1 and sum(row) % 2 == 1
    }
    # Left out: absences, and what lies near the rotation axis or the ends of the scan.
    assert predicted <= found
    assert len(found - absent - predicted) < 0.06 * len(found)


def test_nothing_recorded():
    experiments = rotation_experiments(
        np.random.default_rng(6), SYMMETRY, 1, scan_width=1
    )
    with pytest.raises(ValueError, match="No reflection"):
        predict(experiments, 13.0)
