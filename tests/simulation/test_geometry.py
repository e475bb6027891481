from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal

from dials_spread.simulation.geometry import random_orientation, rotation_experiments

TRICLINIC = crystal.symmetry(
    unit_cell=(6.1, 7.2, 9.8, 97, 104, 112), space_group_symbol="P -1"
)


def test_models_keep_cell_and_space_group():
    experiments = rotation_experiments(
        np.random.default_rng(1),
        TRICLINIC,
        3,
        scan_width=[40, 20, 10],
        image_width=[1, 0.5, 0.25],
    )
    assert [len(e.imageset) for e in experiments] == [40, 40, 40]
    scans = [e.scan.get_oscillation() for e in experiments]
    wanted = [(-20.0, 1.0), (-10.0, 0.5), (-5.0, 0.25)]
    np.testing.assert_allclose(scans, wanted, rtol=1e-12)
    for experiment in experiments:
        cell = experiment.crystal.get_unit_cell()
        assert cell.parameters() == pytest.approx(TRICLINIC.unit_cell().parameters())
        U = np.array(experiment.crystal.get_U()).reshape(3, 3)
        assert np.allclose(U @ U.T, np.eye(3)) and np.linalg.det(U) > 0
    assert len({e.identifier for e in experiments}) == 3


def test_detector_records_d_min_at_its_edge():
    experiment = rotation_experiments(
        np.random.default_rng(1), TRICLINIC, 1, d_min=0.8
    )[0]
    d_edge = experiment.detector[0].get_max_resolution_ellipse(experiment.beam.get_s0())
    assert 0.74 < d_edge < 0.8


def test_orientations_are_uniform():
    rng = np.random.default_rng(4)
    z = np.array([random_orientation(rng, TRICLINIC)[2, 2] for _ in range(2000)])
    # The cosine to any axis is uniform between -1 and 1.
    assert abs(z.mean()) < 0.04
    assert z.var() == pytest.approx(1 / 3, abs=0.02)


def test_plates_lie_flat():
    rng = np.random.default_rng(4)
    tilts = []
    for _ in range(500):
        U = random_orientation(rng, TRICLINIC, tilt_spread=5.0)
        tilts.append(np.rad2deg(np.arccos(abs(U[2, 2]))))
    # A Rayleigh distribution: its mean is sigma times the root of pi / 2.
    assert np.mean(tilts) == pytest.approx(5 * np.sqrt(np.pi / 2), rel=0.1)


def test_as_many_widths_as_crystals():
    with pytest.raises(ValueError, match="2 values were given for 3 crystals"):
        rotation_experiments(
            np.random.default_rng(1), TRICLINIC, 3, scan_width=[40, 20]
        )


def test_scan_without_images():
    with pytest.raises(ValueError, match="has no image"):
        rotation_experiments(np.random.default_rng(1), TRICLINIC, 1, scan_width=0.1)
