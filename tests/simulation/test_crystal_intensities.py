"""One crystal as a task: many thicknesses, plates, threads, precision, processes."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import (
    ThicknessModel,
    crystal_intensities,
    potential_for,
)
from dials_spread.scattering.rocking import rocking_integrals
from dials_spread.scattering.scans import RotationScan, angle_blocks
from dials_spread.simulation.structures import random_structure

K = 1 / 0.02508
D_MIN = 1.1
CELL = (6.1, 7.3, 8.2, 90, 90, 90)


@pytest.fixture(scope="module", params=["P 21 21 21", "P 1 21/c 1"])
def crystal(request):
    return make_crystal(request.param)


def make_crystal(space_group, limits=(0.0, 10.0)):
    """Potential, scan, and reflections with the angles where they cross the sphere."""
    structure = random_structure(np.random.default_rng(3), CELL, space_group)
    potential = potential_for(structure, 1 / K, D_MIN)
    basis = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3).T
    scan = RotationScan(
        A=Rotation.random(random_state=4).as_matrix() @ basis,
        s0=np.array([0, 0, -K]),
        axis=np.array([0.0, 1.0, 0.0]),
        limits=tuple(np.deg2rad(limits)),
    )
    angles = np.linspace(*scan.limits, 2000)
    g = potential.beams @ scan.A.T
    s = -(g @ scan.wave_vectors(angles).T) / K
    s -= 0.5 / K * np.sum(g**2, axis=1)[:, None]
    crossing = np.diff(np.sign(s), axis=1) != 0
    length = np.linalg.norm(g, axis=1)
    good = (crossing.sum(axis=1) == 1) & (length > 0) & (length < 1 / D_MIN)
    good &= np.abs(g @ scan.axis) < 0.9 * length
    return potential, scan, potential.beams[good], angles[np.argmax(crossing[good], 1)]


def test_many_thicknesses_in_one_run_are_those_of_runs_of_their_own(crystal):
    # All below 450 Å have the coarsest angular step.
    thicknesses = np.array([50.0, 200.0, 400.0])
    together = crystal_intensities(*crystal, thicknesses)
    assert together.shape == (len(crystal[2]), 3) and len(crystal[2]) > 30
    for column, thickness in enumerate(thicknesses):
        alone = crystal_intensities(*crystal, np.array([thickness]))
        np.testing.assert_allclose(together[:, column], alone[:, 0], rtol=1e-4)


def test_layers_are_averaged_as_intensities(crystal):
    """Not as |F|²: a thick part of a crystal scatters more."""
    layers = ThicknessModel(within=0.5, n_within=3).distribution(300.0)
    averaged = crystal_intensities(*crystal, layers[None])
    assert averaged.shape == (len(crystal[2]), 1)
    dynamical, kinematic = rocking_integrals(
        crystal[0].table, crystal[0].beams, *crystal[1:], layers, BeamSelection(), 0.0022
    )  # fmt: skip
    expected = dynamical.sum(axis=1) / kinematic.sum(axis=1) * crystal[0].F_squared
    np.testing.assert_allclose(averaged[:, 0], expected, rtol=1e-4)


def test_neither_threads_nor_another_process_changes_a_bit(crystal):
    first = crystal_intensities(*crystal, np.array([300.0]))
    for nproc in (2, 3, None):
        again = crystal_intensities(*crystal, np.array([300.0]), nproc=nproc)
        assert np.array_equal(first, again)
    sent = pickle.loads(pickle.dumps(crystal))
    assert np.array_equal(first, crystal_intensities(*sent, np.array([300.0])))


def test_single_precision(crystal):
    """Errors below 1e-5 of the mean intensity, and of each of the stronger half."""
    thicknesses = np.array([100.0, 1000.0])
    single = crystal_intensities(*crystal, thicknesses)
    double = crystal_intensities(
        *crystal, thicknesses, BeamSelection(precision="double")
    )
    error = np.abs(single - double)
    assert np.max(error) < 1e-5 * np.mean(double)
    strong = double > np.median(double)
    assert np.max(error[strong] / double[strong]) < 1e-5
    assert np.any(error > 0)  # it is another path


def test_absorption_agrees_between_methods_to_first_order(crystal):
    absorbing = BeamSelection(absorption=0.03)
    exact = crystal_intensities(*crystal, np.array([300.0]), absorbing)
    first_order = crystal_intensities(
        *crystal, np.array([300.0]), replace(absorbing, method="diagonalisation")
    )
    without = crystal_intensities(*crystal, np.array([300.0]))
    assert np.sum(exact) < 0.95 * np.sum(without)
    strong = exact > np.median(exact)
    np.testing.assert_allclose(exact[strong], first_order[strong], rtol=0.02)


def test_a_plate_is_as_thick_as_it_looks():
    """Over a narrow scan it is a parallel crystal of thickness t / cos(angle)."""
    crystal = make_crystal("P 1 21/c 1", (40.0, 42.0))
    tilt = np.deg2rad(41.0 - 5.0)
    plate = crystal_intensities(
        *crystal, np.array([500.0]), slab=True, slab_angle=np.deg2rad(5.0)
    )
    parallel = crystal_intensities(*crystal, np.array([500.0 / np.cos(tilt)]))
    thinner = crystal_intensities(*crystal, np.array([500.0]))
    difference, control = (
        np.sum(np.abs(np.sqrt(x) - np.sqrt(plate))) / np.sum(np.sqrt(plate))
        for x in (parallel, thinner)
    )
    assert difference < 0.3 * control and control > 0.005, (difference, control)


def test_a_plate_seen_edge_on():
    crystal = make_crystal("P 1 21/c 1", (80.0, 88.0))
    with pytest.raises(ValueError, match="cannot be turned by 88"):
        crystal_intensities(*crystal, np.array([200.0]), slab=True)


def test_thickness_must_be_positive(crystal):
    with pytest.raises(ValueError, match="not 0.0 Å"):
        crystal_intensities(*crystal, np.array([100.0, 0.0]))


def test_a_crystal_that_moves_is_followed():
    """Settings that turn with the scan, at a third of its speed, are a faster scan."""
    potential, scan, hkl, phi = make_crystal("P 1 21/c 1", (0.0, 6.0))
    angles = np.linspace(*scan.limits, 61)
    turns = Rotation.from_rotvec(angles[:, None] / 3 * scan.axis).as_matrix()
    moving = replace(scan, settings=turns @ scan.A)
    faster = replace(scan, limits=(0.0, scan.limits[1] * 4 / 3))
    inner = (phi > 0.02) & (phi < 0.08)
    arguments = (np.array([300.0]), BeamSelection(step_factor=0.2))
    found = crystal_intensities(
        potential, moving, hkl[inner], phi[inner] * 0.75, *arguments
    )
    expected = crystal_intensities(
        potential, faster, hkl[inner], phi[inner], *arguments
    )
    still = crystal_intensities(potential, scan, hkl[inner], phi[inner], *arguments)
    assert np.count_nonzero(inner) > 10
    np.testing.assert_allclose(np.sqrt(found), np.sqrt(expected), rtol=0.02, atol=0.02)
    np.testing.assert_allclose(np.sqrt(still), np.sqrt(expected), rtol=0.02, atol=0.02)


def test_blocks_cover_the_scan_and_its_margins():
    blocks = angle_blocks((0.1, 0.5), 0.002)
    angles = np.concatenate(blocks)
    assert np.all(np.diff(angles) > 0) and np.max(np.diff(angles)) <= 0.002 + 1e-12
    assert angles[0] < 0.1 and angles[-1] > 0.5
    assert max(map(len, blocks)) <= 16
