"""
Where the beam runs in the crystal, and how two images are turned to one another.

All crystals are described in one Cartesian frame: that of a reference cell, in which
the reciprocal vector of index h is ``g = B h`` for every crystal. A crystal of a
slightly different cell is thereby strained onto the reference; what it excites does not
change, because ``h · (Aᵀ k)`` does not.

Functions:
    reciprocal_basis: B of a cell
    setting_matrices, setting_matrix: A of images, in the laboratory
    incident_beams, incident_beam: their s0
    on_indices: vectors of the laboratory against the indices, at many moments
    scan_points, at_points: what a scan-varying model is then
    rotated: vectors about an axis
    beam_direction: the unit vector b along the beam in the crystal frame
    angle_between, relative_rotation, misorientation, in_plane_angle: of two images
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from cctbx import uctbx
from dxtbx.model import Experiment

from dials_spread.versions import is_still


def reciprocal_basis(unit_cell: uctbx.unit_cell) -> np.ndarray:
    """
    Give the matrix that takes Miller indices to Cartesian reciprocal vectors.

    Args:
        unit_cell: Cell lengths in Å.

    Returns:
        Shape (3, 3) [Å⁻¹], the transposed fractionalisation matrix: B of Busing and
        Levy (1967), Acta Cryst. 22, 457, in the axis convention of cctbx.
    """
    return np.array(unit_cell.fractionalization_matrix()).reshape(3, 3).T


def _scan_point(experiment: Experiment, z: float, n_points: int) -> int:
    """Give the scan point nearest to z; they lie at the edges of the frames."""
    point = int(round(z - experiment.scan.get_array_range()[0]))
    return min(max(point, 0), n_points - 1)


def setting_matrices(experiment: Experiment, z: np.ndarray) -> np.ndarray:
    """
    Give the matrices that take indices to reciprocal vectors in the laboratory.

    Args:
        experiment: With a crystal; static and scan-varying models alike.
        z: Shape (n,), array indices of moments in the scan; not used for a still.

    Returns:
        Shape (n, 3, 3) [Å⁻¹]: S R(φ) F A with the goniometer's setting rotation S, fixed
        rotation F and scan rotation R (Waterman et al. (2016), Acta Cryst. D72, 558).
    """
    crystal = experiment.crystal
    if is_still(experiment):
        return np.repeat(_matrices([crystal.get_A()]), len(z), axis=0)
    scan, goniometer = experiment.scan, experiment.goniometer
    a_matrices = [crystal.get_A()]
    if n_points := crystal.num_scan_points:
        points = [_scan_point(experiment, x, n_points) for x in z]
        a_matrices = [crystal.get_A_at_scan_point(point) for point in points]
    settings = [goniometer.get_setting_rotation()]
    if n_points := goniometer.num_scan_points:
        points = [_scan_point(experiment, x, n_points) for x in z]
        settings = [goniometer.get_setting_rotation_at_scan_point(p) for p in points]
    angles = [scan.get_angle_from_array_index(float(x), deg=False) for x in z]
    axis = np.array(goniometer.get_rotation_axis_datum())
    rotations = Rotation.from_rotvec(np.outer(angles, axis)).as_matrix()
    fixed = _matrices([goniometer.get_fixed_rotation()])
    return _matrices(settings) @ rotations @ fixed @ _matrices(a_matrices)


def _matrices(flat: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array(flat).reshape(-1, 3, 3)


def setting_matrix(experiment: Experiment, z: float) -> np.ndarray:
    """
    Give the matrix that takes indices to reciprocal vectors in the laboratory.

    Args:
        experiment: With a crystal; static and scan-varying models alike.
        z: Array index of the moment in the scan; not used for a still.

    Returns:
        Shape (3, 3) [Å⁻¹], see setting_matrices.
    """
    return setting_matrices(experiment, np.array([z]))[0]


def incident_beams(experiment: Experiment, z: np.ndarray) -> np.ndarray:
    """
    Give the wave vectors s0 in the laboratory.

    Args:
        experiment: With a beam that may vary along the scan.
        z: Shape (n,), array indices of moments in the scan.

    Returns:
        Shape (n, 3) [Å⁻¹], of length 1/λ.
    """
    beam = experiment.beam
    if beam.num_scan_points == 0 or is_still(experiment):
        return np.tile(beam.get_s0(), (len(z), 1))
    points = [_scan_point(experiment, x, beam.num_scan_points) for x in z]
    return np.array([beam.get_s0_at_scan_point(point) for point in points])


def incident_beam(experiment: Experiment, z: float) -> np.ndarray:
    """
    Give the wave vector s0 in the laboratory.

    Args:
        experiment: With a beam that may vary along the scan.
        z: Array index of the moment in the scan.

    Returns:
        Shape (3,) [Å⁻¹], of length 1/λ.
    """
    return incident_beams(experiment, np.array([z]))[0]


def on_indices(experiment: Experiment, z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """
    Give products of vectors with reciprocal vectors, as products with the indices.

    Args:
        experiment: With a crystal; static and scan-varying models alike.
        z: Shape (n,), array indices of moments in the scan; not used for a still.
        v: Shape (n, 3), vectors in the laboratory.

    Returns:
        Shape (n, 3): Aᵀ v with the setting matrix A of the moment, so that
        ``h · (Aᵀ v) = (A h) · v``.
    """
    crystal = experiment.crystal
    if is_still(experiment):
        return v @ np.array(crystal.get_A()).reshape(3, 3)
    goniometer = experiment.goniometer
    fixed = np.array(goniometer.get_fixed_rotation()).reshape(3, 3)
    v = _through_setting(experiment, z, v)
    start, width = experiment.scan.get_oscillation(deg=False)
    phi = start + width * (z - experiment.scan.get_array_range()[0])
    v = rotated(v, np.array(goniometer.get_rotation_axis_datum()), -phi) @ fixed
    if crystal.num_scan_points > 0:
        points = scan_points(experiment, z, crystal.num_scan_points)
        matrices = at_points(crystal.get_A_at_scan_point, points).reshape(-1, 3, 3)
        return np.einsum("nji,nj->ni", matrices, v)
    return v @ np.array(crystal.get_A()).reshape(3, 3)


def _through_setting(
    experiment: Experiment, z: np.ndarray, v: np.ndarray
) -> np.ndarray:
    goniometer = experiment.goniometer
    if goniometer.num_scan_points > 0:
        points = scan_points(experiment, z, goniometer.num_scan_points)
        matrices = at_points(goniometer.get_setting_rotation_at_scan_point, points)
        return np.einsum("nji,nj->ni", matrices.reshape(-1, 3, 3), v)
    return v @ np.array(goniometer.get_setting_rotation()).reshape(3, 3)


def scan_points(experiment: Experiment, z: np.ndarray, n_points: int) -> np.ndarray:
    """
    Give the scan points nearest to some moments; they lie at the edges of the frames.

    Args:
        experiment: With a scan.
        z: Shape (n,), array indices.
        n_points: Scan points of the model.

    Returns:
        Shape (n,), from 0.
    """
    points = np.round(z - experiment.scan.get_array_range()[0]).astype(int)
    return np.clip(points, 0, n_points - 1)


def at_points(get, points: np.ndarray) -> np.ndarray:
    """
    Give a property of a scan-varying model at scan points.

    Args:
        get: Called once for each point that occurs.
        points: Shape (n,).

    Returns:
        Shape (n, …).
    """
    distinct, number = np.unique(points, return_inverse=True)
    return np.array([tuple(get(int(p))) for p in distinct])[np.ravel(number)]


def rotated(v: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """
    Rotate vectors about one axis by Rodrigues' formula.

    Args:
        v: Shape (n, 3).
        axis: Shape (3,), of any length.
        angle: Shape (n,) [rad].

    Returns:
        Shape (n, 3).
    """
    axis = axis / np.linalg.norm(axis)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along = (v @ axis)[:, None] * axis
    return along + c * (v - along) + s * np.cross(axis, v)


def beam_direction(
    setting: np.ndarray, s0: np.ndarray, basis: np.ndarray
) -> np.ndarray:
    """
    Give the direction of the beam in the frame of the reference crystal.

    Args:
        setting: Shape (..., 3, 3) [Å⁻¹], the setting matrices A of the images.
        s0: Shape (..., 3) [Å⁻¹].
        basis: Shape (3, 3) [Å⁻¹], B of the reference cell.

    Returns:
        Shape (..., 3), unit vectors b with ``(B h) · b = (A h) · s0/|s0|`` up to the
        difference between the crystal's own cell and the reference.
    """
    on_indices = np.einsum("...ji,...j->...i", setting, s0)
    direction = on_indices @ np.linalg.inv(basis)
    return direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """
    Give the angle between unit vectors, exact for small and for large ones.

    Args:
        a: Shape (..., 3).
        b: Shape (..., 3).

    Returns:
        Shape (...) [°], by Kahan's formula 2 atan2(|a - b|, |a + b|).
    """
    difference = np.linalg.norm(a - b, axis=-1)
    return np.degrees(2 * np.arctan2(difference, np.linalg.norm(a + b, axis=-1)))


def crystal_to_laboratory(setting: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """
    Give the rotation from the reference crystal frame to the laboratory.

    Args:
        setting: Shape (..., 3, 3) [Å⁻¹].
        basis: Shape (3, 3) [Å⁻¹].

    Returns:
        Shape (..., 3, 3): the orthogonal matrix nearest to A B⁻¹, by singular values.
    """
    u, _, vt = np.linalg.svd(setting @ np.linalg.inv(basis))
    return u @ vt


def relative_rotation(a: np.ndarray, b: np.ndarray, operator: np.ndarray) -> np.ndarray:
    """
    Give what turns image b's reflections onto image a's in the laboratory.

    Args:
        a: Shape (..., 3, 3), crystal to laboratory for image a.
        b: Shape (..., 3, 3), the same for image b.
        operator: Shape (..., 3, 3), on directions: takes b's indices to a's.

    Returns:
        Shape (..., 3, 3), orthogonal; determinant -1 for an operator with inversion.
    """
    return a @ operator @ np.swapaxes(b, -1, -2)


def misorientation(rotation: np.ndarray) -> np.ndarray:
    """
    Give the angle of the full rotation between two crystals.

    Args:
        rotation: Shape (..., 3, 3), from relative_rotation. For an operator with
            inversion the lattices are compared with the inversion taken out.

    Returns:
        Shape (...) [°], 0 to 180.
    """
    sign = np.sign(np.linalg.det(rotation))
    trace = sign * np.trace(rotation, axis1=-2, axis2=-1)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def in_plane_angle(
    rotation: np.ndarray, axes_a: np.ndarray, axes_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the turn about the beam that lays image b over image a.

    Args:
        rotation: Shape (..., 3, 3), from relative_rotation.
        axes_a: Shape (..., 2, 3), from axes_across for image a.
        axes_b: Shape (..., 2, 3), the same for image b.

    Returns:
        The angle [°], shape (...), -180 to 180, anticlockwise; and whether the picture
        is to be mirrored (right to left) before it is turned, shape (...).
    """
    plane = np.einsum("...ai,...ij,...bj->...ab", axes_a, rotation, axes_b)
    mirrored = np.linalg.det(plane) < 0
    sign = np.where(mirrored, -1.0, 1.0)
    sine = sign * plane[..., 1, 0] - plane[..., 0, 1]
    cosine = sign * plane[..., 0, 0] + plane[..., 1, 1]
    return np.degrees(np.arctan2(sine, cosine)), mirrored


def turn_matrix(angle: float, mirrored: bool) -> np.ndarray:
    """
    Give the matrix that turns positions on image b onto image a.

    Args:
        angle: [°], anticlockwise.
        mirrored: Mirror right to left first.

    Returns:
        Shape (2, 2), orthogonal.
    """
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[c, -s], [s, c]])
    return turn @ np.diag([-1.0, 1.0]) if mirrored else turn


def axes_across(s0: np.ndarray) -> np.ndarray:
    """
    Give two unit vectors across the beam.

    Args:
        s0: Shape (..., 3).

    Returns:
        Shape (..., 2, 3): the laboratory's x (y, where x is near the beam) made
        perpendicular to the beam, and the vector that makes a right-handed set with it
        and the direction against the beam.
    """
    k = s0 / np.linalg.norm(s0, axis=-1, keepdims=True)
    near_x = np.abs(k[..., :1]) > 0.9
    start = np.where(near_x, [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])
    right = start - np.sum(start * k, axis=-1, keepdims=True) * k
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    return np.stack([right, np.cross(-k, right)], axis=-2)
