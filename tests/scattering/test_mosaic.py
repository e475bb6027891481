from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dials_spread.scattering.beams import BeamSelection
from dials_spread.scattering.dynamical import crystal_intensities, potential_for
from dials_spread.scattering.mosaic import mosaic_scans
from dials_spread.scattering.scans import RotationScan
from dials_spread.simulation.structures import random_structure

K = 1 / 0.02508
D_MIN = 1.2
MOSAICITY = 0.3  # degrees


@pytest.fixture(scope="module")
def crystal():
    """A small crystal, its scan, and the reflections that pass well within it."""
    structure = random_structure(
        np.random.default_rng(3), (7.3, 9.2, 11.4, 90, 95, 90), "P 1 21/c 1"
    )
    potential = potential_for(structure, 1 / K, D_MIN)
    basis = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3).T
    scan = RotationScan(
        A=Rotation.random(random_state=4).as_matrix() @ basis,
        s0=np.array([0, 0, -K]),
        axis=np.array([0.0, 1.0, 0.0]),
        limits=(0.0, np.deg2rad(6)),
    )
    hkl, phi = crossings(scan, potential.beams)
    return potential, scan, hkl, phi


def crossings(scan, hkl):
    """Reflections that cross the sphere in the inner part of a scan, and where."""
    angles = np.linspace(scan.limits[0] + 0.02, scan.limits[1] - 0.02, 3000)
    k = scan.wave_vectors(angles)
    g = hkl @ scan.A.T
    s = -(g @ k.T) / K - 0.5 / K * np.sum(g**2, axis=1)[:, None]
    changes = np.diff(np.sign(s), axis=1) != 0
    fast = np.abs(g @ np.cross(scan.axis, scan.s0)) / K < 1.0 / D_MIN
    good = (
        (changes.sum(axis=1) == 1)
        & np.any(hkl, axis=1)
        & (np.linalg.norm(g, axis=1) < 1 / D_MIN)
        & fast
        & (np.abs(g @ scan.axis) < 0.8 * np.linalg.norm(g, axis=1))
    )
    return hkl[good], angles[np.argmax(changes[good], axis=1)]


def relative_difference(a, b):
    return np.sum(np.abs(np.sqrt(a) - np.sqrt(b))) / np.sum(np.sqrt(b))


@pytest.mark.slow
def test_average_over_blocks_turned_every_way(crystal):
    """The one direction of tilt does what all three do, drawn at random here."""
    potential, scan, hkl, phi = crystal
    thickness = np.array([700.0])
    arguments = (hkl, phi, thickness)
    found = crystal_intensities(
        potential, scan, *arguments, BeamSelection(mosaicity=MOSAICITY)
    )[:, 0]
    perfect = crystal_intensities(potential, scan, *arguments)[:, 0]
    blocks = []
    rng = np.random.default_rng(1)
    for _ in range(50):
        turn = Rotation.from_rotvec(np.deg2rad(MOSAICITY) * rng.standard_normal(3))
        block = replace(scan, A=turn.as_matrix() @ scan.A)
        blocks.append(crystal_intensities(potential, block, *arguments)[:, 0])
    expected = np.mean(blocks, axis=0)
    error = np.std(blocks, axis=0, ddof=1) / np.sqrt(len(blocks))
    z = (found - expected) / (error + 0.003 * expected)
    assert np.sqrt(np.mean(z**2)) < 1.3
    far = relative_difference(perfect, expected)
    assert relative_difference(found, expected) < 0.5 * far and far > 0.006


def test_thin_crystals_do_not_notice(crystal):
    potential, scan, hkl, phi = crystal
    perfect, mosaic = (
        crystal_intensities(potential, scan, hkl, phi, np.array([5.0]), selection)
        for selection in (BeamSelection(), BeamSelection(mosaicity=MOSAICITY))
    )
    assert relative_difference(mosaic, perfect) < 0.002


def test_no_mosaicity_is_one_scan(crystal):
    scan = crystal[1]
    assert mosaic_scans(scan, 0.0, 0.002) == [(1.0, scan)]


@pytest.mark.parametrize("phase", [0.5, 2.0, 5.0, 12.0])
def test_tilts_integrate_a_gaussian(crystal, phase):
    """Against the characteristic function exp(-p²/2), and mean and variance."""
    scan = crystal[1]
    mosaicity = 0.002
    parts = mosaic_scans(scan, mosaicity, 2 * np.pi * mosaicity / phase)
    weights = np.array([weight for weight, _ in parts])
    # The beam is turned towards the axis: its component along it is K sin(tilt).
    tilts = np.array([np.arcsin(part.s0 @ scan.axis / K) for _, part in parts])
    assert weights.sum() == pytest.approx(1)
    assert np.sum(weights * tilts) == pytest.approx(0, abs=1e-12)
    assert np.sqrt(np.sum(weights * tilts**2)) == pytest.approx(mosaicity, rel=0.05)
    for fraction in (0.5, 1.0):
        p = fraction * phase
        average = np.sum(weights * np.cos(p * tilts / mosaicity))
        assert average == pytest.approx(np.exp(-(p**2) / 2), abs=0.03)
    for _, part in parts:
        assert np.linalg.norm(part.s0) == pytest.approx(K)


def test_negative_mosaicity():
    with pytest.raises(ValueError, match="mosaicity=-1"):
        BeamSelection(mosaicity=-1.0)
