"""The rotation of a crystal in the beam, and the angles at which it is simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from dials_spread.scattering.bloch import excitation_errors

# Orientations of one block, which share the beams and the off-diagonal matrix: the more,
# the better the processor is used, and the more beams only some of them need.
BLOCK = 16

# Rotation simulated beyond both ends of a scan [rad], to complete the rocking curves.
MARGIN = np.deg2rad(0.5)


@dataclass(frozen=True)
class RotationScan:
    """
    The geometry of one crystal's scan, in the laboratory frame.

    Attributes:
        A: Setting matrix UB at rotation zero [1/Å], of shape (3, 3).
        s0: Incident wave vector [1/Å], of shape (3,).
        axis: Unit vector along the rotation axis, of shape (3,).
        limits: First and last angle of the scan [rad].
        settings: Where the crystal moves, UB at equally spaced angles from the first
            to the last limit, of shape (k, 3, 3).
    """

    A: np.ndarray
    s0: np.ndarray
    axis: np.ndarray
    limits: tuple[float, float]
    settings: np.ndarray | None = None

    def wave_vectors(self, phi: np.ndarray) -> np.ndarray:
        """
        Incident wave vectors in the frame of the crystal at rotation zero.

        Args:
            phi: Angles [rad], of shape (m,).

        Returns:
            Vectors [1/Å], of shape (m, 3).
        """
        return Rotation.from_rotvec(-phi[:, None] * self.axis).apply(self.s0)

    def setting(self, phi: float) -> np.ndarray:
        """UB at an angle [rad], interpolated, of shape (3, 3) [1/Å]."""
        if self.settings is None:
            return self.A
        angles = np.linspace(*self.limits, len(self.settings))
        elements = self.settings.reshape(len(angles), 9).T
        return np.array([np.interp(phi, angles, x) for x in elements]).reshape(3, 3)

    def excitation_errors(self, hkl: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """
        How far reflections are from the Ewald sphere, during a part of the scan.

        Args:
            hkl: Miller indices, of shape (n, 3).
            phi: Angles in ascending order [rad], of shape (m,); the setting of a moving
                crystal is interpolated between that at the first and at the last.

        Returns:
            s [1/Å], of shape (n, m).
        """
        k = self.wave_vectors(phi)
        first = excitation_errors(hkl @ self.setting(phi[0]).T, k)
        if self.settings is None or phi[0] == phi[-1]:
            return first
        last = excitation_errors(hkl @ self.setting(phi[-1]).T, k)
        share = (phi - phi[0]) / (phi[-1] - phi[0])
        return (1.0 - share) * first + share * last


def angle_blocks(limits: tuple[float, float], step: float) -> list[np.ndarray]:
    """Equally spaced angles [rad] over a scan and its margins, cut into blocks."""
    low, high = limits[0] - MARGIN, limits[1] + MARGIN
    angles = np.linspace(low, high, int(np.ceil((high - low) / step)) + 1)
    return np.array_split(angles, int(np.ceil(len(angles) / BLOCK)))
