"""Beam directions and turns on constructed rotations, and by a fit of positions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cctbx import uctbx

from dials_spread.orientation import (
    angle_between,
    axes_across,
    beam_direction,
    crystal_to_laboratory,
    in_plane_angle,
    misorientation,
    reciprocal_basis,
    relative_rotation,
    turn_matrix,
)

CELL = uctbx.unit_cell((7.1, 9.3, 12.9, 81, 97, 105))
BASIS = reciprocal_basis(CELL)


def rotations(n, seed=0):
    return Rotation.random(n, random_state=seed).as_matrix()


def test_basis_gives_the_spacings_of_cctbx():
    hkl = np.random.default_rng(1).integers(-9, 10, (50, 3))
    hkl = hkl[hkl.any(axis=1)]
    d = [CELL.d(tuple(h)) for h in hkl.tolist()]
    np.testing.assert_allclose(1 / np.linalg.norm(hkl @ BASIS.T, axis=1), d)


def test_beam_direction_gives_the_excitation_in_any_frame():
    """h · (Aᵀ k) is the same in the laboratory and in the crystal."""
    u = rotations(20)
    s0 = np.random.default_rng(2).normal(size=(20, 3))
    setting = u @ BASIS
    b = beam_direction(setting, s0, BASIS)
    np.testing.assert_allclose(np.linalg.norm(b, axis=1), 1)
    hkl = np.random.default_rng(3).integers(-9, 10, (30, 3))
    k = s0 / np.linalg.norm(s0, axis=1, keepdims=True)
    laboratory = np.einsum("nij,mj,ni->nm", setting, hkl, k)
    np.testing.assert_allclose((hkl @ BASIS.T) @ b.T, laboratory.T, atol=1e-12)
    # Turning the crystal together with the beam changes nothing.
    r = rotations(1, seed=9)[0]
    np.testing.assert_allclose(beam_direction(r @ setting, s0 @ r.T, BASIS), b)
    # Nor does another wavelength.
    np.testing.assert_allclose(beam_direction(setting, 7 * s0, BASIS), b)


def test_a_strained_crystal_has_the_same_zone_axis():
    """What h · (Aᵀ k) = 0 holds for does not depend on the cell it is drawn in."""
    strain = np.eye(3) + 0.02 * np.random.default_rng(4).normal(size=(3, 3))
    setting = (rotations(1)[0] @ BASIS @ strain)[None]
    zone = np.array([1.0, 2.0, -1.0])
    s0 = np.linalg.solve(setting[0].T, zone)[None]
    b = beam_direction(setting, s0, BASIS)[0]
    np.testing.assert_allclose(np.cross(BASIS.T @ b, zone), 0, atol=1e-12)


def test_angles_are_exact_even_for_tiny_ones():
    for angle in (1e-7, 1e-3, 1.0, 60.0, 90.0, 179.0, 180.0):
        turned = Rotation.from_rotvec([0, 0, np.radians(angle)]).apply([1.0, 0, 0])
        assert angle_between(np.array([1.0, 0, 0]), turned) == pytest.approx(angle)


def test_the_rotation_is_found_in_a_strained_crystal():
    u = rotations(5)
    np.testing.assert_allclose(crystal_to_laboratory(u @ BASIS, BASIS), u, atol=1e-12)
    small = 1e-3 * np.random.default_rng(0).normal(size=(3, 3))
    strain = np.eye(3) + small + small.T
    found = crystal_to_laboratory(u @ strain @ BASIS, BASIS)
    np.testing.assert_allclose(found, u, atol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 0.01, 12.5, 90.0, 179.0, 180.0])
def test_misorientation_of_constructed_rotations(angle):
    axis = np.array([1.0, -2.0, 0.5]) / np.linalg.norm([1.0, -2.0, 0.5])
    turn = Rotation.from_rotvec(np.radians(angle) * axis).as_matrix()
    u = rotations(1)[0]
    found = misorientation(relative_rotation(turn @ u, u, np.eye(3)))
    assert found == pytest.approx(angle, abs=1e-5)
    inverted = misorientation(relative_rotation(turn @ u, u, -np.eye(3)))
    assert inverted == pytest.approx(angle, abs=1e-5)
    back = misorientation(relative_rotation(u, turn @ u, np.eye(3)))
    assert back == pytest.approx(angle, abs=1e-5)


BEAMS = [(0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0.02, 0), (0.03, -0.05, 1), (1, 1, 1)]


@pytest.mark.parametrize("s0", BEAMS)
def test_axes_across_are_right_handed_as_seen_against_the_beam(s0):
    right, up = axes_across(np.array(s0, dtype=float))
    against = -np.array(s0) / np.linalg.norm(s0)
    np.testing.assert_allclose(np.cross(right, up), against, atol=1e-12)
    assert right @ right == pytest.approx(1) and up @ up == pytest.approx(1)


@pytest.mark.parametrize("s0", BEAMS)
@pytest.mark.parametrize("angle", [-170.0, -30.0, 0.0, 45.0, 120.0])
def test_a_turn_about_the_beam_is_found(s0, angle):
    s0 = np.array(s0, dtype=float)
    against = -s0 / np.linalg.norm(s0)
    turn = Rotation.from_rotvec(np.radians(angle) * against).as_matrix()
    u, axes = rotations(1)[0], axes_across(s0)
    rotation = relative_rotation(turn @ u, u, np.eye(3))
    found, mirrored = in_plane_angle(rotation, axes, axes)
    assert found == pytest.approx(angle, abs=1e-9) and not mirrored
    hkl = np.random.default_rng(5).integers(-4, 5, (20, 3))
    on_a, on_b = (hkl @ (axes @ m @ BASIS).T for m in (turn @ u, u))
    np.testing.assert_allclose(on_b @ turn_matrix(found, mirrored).T, on_a, atol=1e-9)


def test_a_crystal_seen_from_behind_is_mirrored():
    """A twofold axis across the beam reverses it: the picture is mirrored."""
    s0, u = np.array([0.0, 0.0, 1.0]), rotations(1)[0]
    axes = axes_across(s0)
    half_turn = Rotation.from_rotvec([0, np.pi, 0]).as_matrix()
    for angle in (0.0, 35.0, -140.0):
        turn = Rotation.from_rotvec([0, 0, -np.radians(angle)]).as_matrix()
        a = turn @ half_turn @ u
        found, mirrored = in_plane_angle(relative_rotation(a, u, np.eye(3)), axes, axes)
        assert mirrored
        hkl = np.random.default_rng(6).integers(-4, 5, (20, 3))
        on_a, on_b = (hkl @ (axes @ m @ BASIS).T for m in (a, u))
        turned = on_b @ turn_matrix(found, mirrored).T
        np.testing.assert_allclose(turned, on_a, atol=1e-9)


def best_turn(on_a, on_b):
    """Orthogonal Procrustes, Schönemann (1966): with or without a mirror."""
    u, _, vt = np.linalg.svd(on_a.T @ on_b)
    return u @ vt


@pytest.mark.parametrize("flipped", [False, True])
def test_the_turn_is_that_of_a_fit_to_the_positions(flipped):
    """Images tilted by 3° to one another: a Procrustes fit of many spots agrees."""
    rng = np.random.default_rng(7)
    for _ in range(10):
        s0 = np.array([0.02, -0.03, 1.0])
        axes = axes_across(s0)
        u = rotations(1, seed=rng.integers(1000))[0]
        tilt = Rotation.from_rotvec(np.radians([2.0, 2.2, 0])).as_matrix()
        about = Rotation.from_rotvec(rng.uniform(-3, 3) * s0 / np.linalg.norm(s0))
        a = tilt @ about.as_matrix() @ u
        if flipped:
            a = Rotation.from_rotvec([np.pi, 0, 0]).as_matrix() @ a
        grid = np.array(np.meshgrid(*[np.arange(-5, 6)] * 3)).reshape(3, -1).T
        # The spots of b: near the plane across its beam.
        b = beam_direction((u @ BASIS)[None], s0[None], BASIS)[0]
        hkl = grid[np.abs(grid @ BASIS.T @ b) < 0.02]
        on_a, on_b = (hkl @ (axes @ m @ BASIS).T for m in (a, u))
        angle, mirrored = in_plane_angle(relative_rotation(a, u, np.eye(3)), axes, axes)
        expected = best_turn(on_a, on_b)
        assert (np.linalg.det(expected) < 0) == mirrored == flipped
        off = turn_matrix(float(angle), bool(mirrored)) @ expected.T
        assert np.degrees(np.arccos(min(1, np.trace(off) / 2))) < 0.3
