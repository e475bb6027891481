"""
Measured experiments as the simulation takes them.

A reflection passes the Ewald sphere, and all rows that record one crossing share their
simulated intensity: a virtual frame lists what its neighbour lists too.

Functions:
    measured_scan: orientation, beam and rotation, all of which may vary along the scan
    find_crossings: which reflection passed, when, and which rows recorded it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations.indices import as_array
from dials_spread.observations.intensities import centroid_array_index
from dials_spread.orientation import incident_beam, setting_matrix
from dials_spread.scattering.dynamical import rotation_scan_of
from dials_spread.scattering.scans import RotationScan
from dials_spread.versions import is_still, probe


def measured_scan(experiment: Experiment, number: int = 0) -> RotationScan:
    """
    The geometry of a measured scan, scan-static or scan-varying.

    Whatever varies is described as a movement of the crystal: of the orientation and
    cell, of the goniometer's setting, and of the beam, which is turned back.

    Args:
        experiment: With crystal, goniometer, scan and beam.
        number: Of the crystal, for messages.

    Raises:
        ValueError: It is a still, or was not measured with electrons.
    """
    if is_still(experiment):
        raise ValueError(
            f"Crystal {number} is a still: intensities are integrated over a rotation."
        )
    if probe(experiment.beam) != "electrons":
        raise ValueError(
            f"Crystal {number} was measured with {probe(experiment.beam)}, at a "
            f"wavelength of {experiment.beam.get_wavelength():.4g} Å."
        )
    scan = rotation_scan_of(experiment)
    models = (experiment.crystal, experiment.goniometer, experiment.beam)
    if not any(model.num_scan_points for model in models):
        return scan
    first, last = experiment.scan.get_array_range()
    points = range(first, last + 1)
    settings = np.array([_setting_at(experiment, scan, float(z)) for z in points])
    return RotationScan(scan.A, scan.s0, scan.axis, scan.limits, settings)


def _setting_at(experiment: Experiment, scan: RotationScan, z: float) -> np.ndarray:
    """The UB that with the static beam and goniometer gives what they were at z."""
    goniometer = experiment.goniometer
    static = np.array(goniometer.get_setting_rotation()).reshape(3, 3)
    angle = experiment.scan.get_angle_from_array_index(float(z), deg=False)
    rotation = Rotation.from_rotvec(angle * scan.axis).as_matrix()
    beam = incident_beam(experiment, z)
    turned_back = _rotation_between(beam, np.array(experiment.beam.get_s0()))
    return rotation.T @ static.T @ turned_back @ setting_matrix(experiment, z)


def _rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes the direction of a to that of b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    if sine == 0:
        return np.eye(3)
    return Rotation.from_rotvec(
        axis / sine * np.arctan2(sine, np.dot(a, b))
    ).as_matrix()


@dataclass(frozen=True)
class EwaldCrossings:
    """
    Crossings of the Ewald sphere by reflections in one crystal.

    Attributes:
        miller_index: Shape (p, 3).
        phi: Shape (p,), the angle recorded nearest to the crossing [rad].
        of_row: Shape (n,), the crossing of each row of the table; -1 for rows without
            an index or beyond the resolution limit.
    """

    miller_index: np.ndarray
    phi: np.ndarray
    of_row: np.ndarray

    def __len__(self) -> int:
        return len(self.phi)

    def select(self, keep: np.ndarray) -> EwaldCrossings:
        """Those of some crossings, shape (p,) bool; rows of the others get none."""
        number = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1)
        return EwaldCrossings(
            self.miller_index[keep], self.phi[keep], number[self.of_row]
        )


def find_crossings(
    experiment: Experiment,
    table: flex.reflection_table,
    scan: RotationScan,
    d_min: float = 0.0,
) -> EwaldCrossings:
    """
    Sort the rows of a table by the crossing that they recorded.

    Args:
        experiment: The crystal.
        table: Its n rows.
        scan: From `measured_scan`.
        d_min: Resolution limit [Å].

    Returns:
        The crossings. Rows of one index on one side of the Ewald sphere are one crossing,
        as long as a scan covers less than a full turn.
    """
    hkl = as_array(table["miller_index"]).astype(int)
    z = centroid_array_index(experiment, table)
    start, width = experiment.scan.get_oscillation(deg=False)
    phi = start + width * (z - experiment.scan.get_array_range()[0])
    lengths = np.linalg.norm(hkl @ scan.A.T, axis=1)
    used = hkl.any(axis=1) & np.isfinite(phi)
    if d_min > 0:
        # Rounding must not cut what the limit was taken from.
        used &= lengths <= (1 + 1e-6) / d_min
    rows = np.flatnonzero(used)
    k = scan.wave_vectors(phi[rows])
    g = hkl[rows] @ scan.A.T
    entering = np.sum(g * np.cross(scan.axis, k), axis=1) > 0
    # 2K |s|: the row nearest to the sphere comes first and gives the angle.
    error = np.abs(2 * np.sum(g * k, axis=1) + np.sum(g**2, axis=1))
    order = np.argsort(error, kind="stable")
    keys = np.column_stack([hkl[rows], entering])[order]
    unique, first, number = np.unique(
        keys, axis=0, return_index=True, return_inverse=True
    )
    of_row = np.full(len(table), -1)
    of_row[rows[order]] = np.ravel(number)
    return EwaldCrossings(unique[:, :3], phi[rows][order][first], of_row)
