"""
Dynamical intensities integrated over the rotation, for one crystal.

The intensity of a reflection is ∫ I_g |ds_g/dφ| dφ over |s_g| < s_window, the factor
being the Lorentz factor. It is reported as the |F|² that would give the same integral
kinematically: both integrals are summed over the same angles, so that what the window
and the ends of the scan cut off cancels to first order, and a thin crystal gives its
kinematic |F|² exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from dials_spread.simulation.bloch import (
    bloch_amplitudes,
    excitation_errors,
    kinematic_intensity,
)
from dials_spread.simulation.chebyshev import propagate
from dials_spread.simulation.potential import coupling_matrix, mean_potential

# Limits of the angular step [rad]: finer is never needed below 2,600 Å, and coarser
# would miss reflections near the rotation axis of thin crystals.
STEP_LIMITS = (0.0003, 0.0022)

# Orientations of one block, which share the beams and the off-diagonal matrix.
BLOCK = 16

# Rotation simulated beyond both ends of a scan [rad], to complete the rocking curves.
MARGIN = np.deg2rad(0.5)


@dataclass(frozen=True)
class BeamSelection:
    """
    Which beams interact, and over which part of the rocking curve is integrated.

    Attributes:
        s_max: Largest excitation error of a beam that takes part [1/Å].
        s_window: Largest excitation error that is integrated [1/Å].
        g_max: Largest reciprocal-lattice vector of a beam [1/Å]; 1.2 times that of the
            data without it. At 800 Å and 0.9 Å resolution the defaults change
            amplitudes by 0.8 % and R1 against |F| by 0.0005.
        absorption: Imaginary potential over real potential.
        method: "chebyshev" or "diagonalisation"; the same numbers, the second slower.
    """

    s_max: float = 0.012
    s_window: float = 0.01
    g_max: float | None = None
    absorption: float = 0.0
    method: str = "chebyshev"

    def __post_init__(self) -> None:
        if not 0 < self.s_window <= self.s_max:
            raise ValueError(
                "The integrated range of excitation errors must be positive and within "
                f"that of the beams: s_window={self.s_window}, s_max={self.s_max}."
            )
        if not self.absorption >= 0:
            raise ValueError(f"absorption={self.absorption} is negative.")
        if self.method not in ("chebyshev", "diagonalisation"):
            raise ValueError(f"Unknown method: {self.method}.")


@dataclass(frozen=True)
class RotationScan:
    """
    The geometry of one crystal's scan, in the laboratory frame.

    Attributes:
        A: Setting matrix UB at rotation zero [1/Å], of shape (3, 3).
        s0: Incident wave vector [1/Å], of shape (3,).
        axis: Unit vector along the rotation axis, of shape (3,).
        limits: First and last angle of the scan [rad].
    """

    A: np.ndarray
    s0: np.ndarray
    axis: np.ndarray
    limits: tuple[float, float]

    def wave_vectors(self, phi: np.ndarray) -> np.ndarray:
        """
        Incident wave vectors in the frame of the crystal at rotation zero.

        Args:
            phi: Angles [rad], of shape (m,).

        Returns:
            Vectors [1/Å], of shape (m, 3).
        """
        return Rotation.from_rotvec(-phi[:, None] * self.axis).apply(self.s0)


def rotation_step(d_min: float, thickness: float) -> float:
    """
    The largest angular step that samples every rocking curve.

    A crystal of thickness t has no feature in s narrower than 1/t, and no excitation
    error changes faster than 1/d_min per radian: sampled closer than 1/t in s the sum
    over a rocking curve equals the integral.

    Args:
        d_min: Resolution limit [Å].
        thickness: The largest [Å].

    Returns:
        Step [rad].
    """
    return float(np.clip(0.9 * d_min / thickness, *STEP_LIMITS))


def integrated_intensities(
    table: np.ndarray,
    candidates: np.ndarray,
    scan: RotationScan,
    hkl: np.ndarray,
    phi: np.ndarray,
    thicknesses: np.ndarray,
    selection: BeamSelection,
    step: float,
    slab: bool = False,
) -> np.ndarray:
    """
    Integrate all reflections of a crystal over its scan.

    Args:
        table: U_g as from `potential_table`.
        candidates: Indices of all beams that may take part, the origin included, of
            shape (c, 3).
        scan: Orientation and scan.
        hkl: Indices of the reflections, of shape (n, 3), all among the candidates.
        phi: Angles at which they pass the Ewald sphere [rad], of shape (n,).
        thicknesses: Thicknesses over which to average, with equal areas of the crystal
            [Å], of shape (p,).
        selection: Beams, window and method.
        step: Largest angular step [rad].
        slab: The crystal is a plate normal to the beam at rotation zero, so that the
            path through it is t / cos φ. It is constant within a block of steps.

    Returns:
        The |U_g|² that would give these intensities kinematically [1/Å⁴], of shape
        (n,); NaN where the window was never met.
    """
    rows = rows_of(candidates, hkl)
    g = candidates @ scan.A.T
    k_crossing = scan.wave_vectors(phi)
    side = np.sign(np.sum(g[rows] * np.cross(scan.axis, k_crossing), axis=1))
    dynamical, kinematic = np.zeros(len(hkl)), np.zeros(len(hkl))
    for block in angle_blocks(scan.limits, step):
        k = scan.wave_vectors(block)
        s = excitation_errors(g, k)
        path = np.asarray(thicknesses, dtype=float)
        if slab:
            path = path / np.cos(block.mean())
        targets = np.flatnonzero(np.any(np.abs(s[rows]) < selection.s_window, axis=1))
        if not len(targets):
            continue
        beams = rows[targets]
        # Of the two passages of a reflection, each row takes the side it belongs to.
        rates = g[beams] @ np.cross(scan.axis, k).T * side[targets, None]
        weight = np.where(np.abs(s[beams]) < selection.s_window, rates, 0.0).clip(0.0)
        K = np.linalg.norm(scan.s0)
        intensity = _block_intensities(table, candidates, s, K, path, selection)
        unit = kinematic_intensity(s[beams], path[:, None, None], K).mean(axis=0)
        dynamical[targets] += np.sum(weight * intensity[beams], axis=1)
        kinematic[targets] += np.sum(weight * unit, axis=1)
    return np.divide(
        dynamical, kinematic, out=np.full(len(hkl), np.nan), where=kinematic > 0
    )


def angle_blocks(limits: tuple[float, float], step: float) -> list[np.ndarray]:
    """Equally spaced angles [rad] over a scan and its margins, cut into blocks."""
    low, high = limits[0] - MARGIN, limits[1] + MARGIN
    angles = np.linspace(low, high, int(np.ceil((high - low) / step)) + 1)
    return np.array_split(angles, int(np.ceil(len(angles) / BLOCK)))


def rows_of(candidates: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    """
    Where indices stand in a list.

    Raises:
        ValueError: One of them is not in it.
    """
    lookup = {tuple(row): i for i, row in enumerate(candidates.tolist())}
    try:
        return np.array([lookup[tuple(row)] for row in hkl.tolist()], dtype=int)
    except KeyError as error:
        raise ValueError(f"Reflection {error} is not among the beams.") from None


def _block_intensities(
    table: np.ndarray,
    candidates: np.ndarray,
    s: np.ndarray,
    K: float,
    thicknesses: np.ndarray,
    selection: BeamSelection,
) -> np.ndarray:
    """
    Intensities of all candidates, averaged over the thicknesses.

    Args:
        s: Excitation errors [1/Å], of shape (c, m).

    Returns:
        Of shape (c, m), zero for beams that take no part.
    """
    active = np.abs(s) <= selection.s_max
    used = np.flatnonzero(np.any(active, axis=1))
    coupling = coupling_matrix(table, candidates[used])
    options = {
        "absorption": selection.absorption,
        "mean_potential": mean_potential(table),
    }
    result = np.zeros(s.shape)
    is_origin = ~np.any(candidates[used], axis=1)
    if selection.method == "chebyshev":
        psi = propagate(
            coupling,
            s[used],
            K,
            thicknesses,
            active[used],
            origin=int(np.flatnonzero(is_origin)[0]),
            **options,
        )
        result[used] = np.mean(np.abs(psi) ** 2, axis=0)
        return result
    for column in range(s.shape[1]):
        on = active[used, column]
        psi = bloch_amplitudes(
            coupling[np.ix_(on, on)],
            s[used[on], column],
            K,
            thicknesses,
            origin=int(np.flatnonzero(is_origin[on])[0]),
            **options,
        )
        result[used[on], column] = np.mean(np.abs(psi) ** 2, axis=0)
    return result
