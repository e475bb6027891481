"""
The crystal potential as fast electrons meet it.

The Fourier coefficients of the scaled potential are U_g = γ F_g / (π Ω) [1/Å²], γ being
the relativistic mass ratio and Ω the volume of the cell (Spence & Zuo (1992), Electron
Microdiffraction, eq. 2.11). The reduced potential is the sum of U_g exp(+2πi g·r), the
waves are exp(+2πi k·r). With that sign F_g is the *conjugate* of the structure factor of
crystallography, Σ f exp(+2πi h·x): to mix the two simulates the enantiomorph, which
kinematic intensities do not show and dynamical ones do.
"""

from __future__ import annotations

import numpy as np

from cctbx import uctbx, xray

from dials_spread.simulation.structure_factors import MIN_D_SPACING, structure_factors

# Planck constant / (electron mass x speed of light) [Å] (CODATA 2018).
COMPTON_WAVELENGTH = 0.0242631023867


def relativistic_mass_ratio(wavelength: float) -> float:
    """
    The mass of a fast electron over its rest mass.

    Args:
        wavelength: [Å]. From the momentum h/λ: γ² = 1 + (h / (m c λ))².
    """
    return float(np.sqrt(1.0 + (COMPTON_WAVELENGTH / wavelength) ** 2))


def indices_within(unit_cell: uctbx.unit_cell, g_max: float) -> np.ndarray:
    """
    All indices within a sphere, the origin included.

    Args:
        unit_cell: The cell.
        g_max: Radius [1/Å].

    Returns:
        Integers of shape (n, 3), in a fixed order.
    """
    limits = [int(np.floor(g_max * edge)) for edge in unit_cell.parameters()[:3]]
    axes = [np.arange(-limit, limit + 1) for limit in limits]
    indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.array(unit_cell.fractionalization_matrix()).reshape(3, 3)
    return indices[np.sum((indices @ rows) ** 2, axis=1) <= g_max**2]


def potential_table(
    structure: xray.structure, wavelength: float, g_max: float
) -> np.ndarray:
    """
    U_g for every difference of two beams within a sphere.

    Args:
        structure: The crystal structure; displacements damp its coefficients.
        wavelength: [Å].
        g_max: Radius of the sphere of beams [1/Å]; the table reaches twice as far,
            or to the end of the form factors, beyond which U is negligible.

    Returns:
        U [1/Å²], complex, of shape (2H + 1, 2K + 1, 2L + 1). Index (h, k, l) is at
        [h + H, k + K, l + L]; zero where nothing was computed.
    """
    cell = structure.unit_cell()
    edges = np.array(cell.parameters()[:3])
    limits = 2 * np.floor(g_max * edges).astype(int)
    radius = min(2.0 * g_max, 1.0 / MIN_D_SPACING)
    indices = indices_within(cell, radius)
    indices = indices[np.all(np.abs(indices) <= limits, axis=1)]
    F = np.conj(structure_factors(structure, indices))
    table = np.zeros(2 * limits + 1, dtype=complex)
    table[tuple((indices + limits).T)] = F
    return table * (relativistic_mass_ratio(wavelength) / (np.pi * cell.volume()))


def coupling_matrix(table: np.ndarray, beams: np.ndarray) -> np.ndarray:
    """
    The off-diagonal part of the structure matrix, A_gh = U_{g-h}.

    Args:
        table: What `potential_table` returns.
        beams: Indices of the beams, of shape (n, 3).

    Returns:
        Hermitian matrix of shape (n, n) with a zero diagonal [1/Å²], the mean potential
        being left out. Real where all coefficients are: centrosymmetric about the
        origin.
    """
    limits = (np.array(table.shape) - 1) // 2
    differences = beams[:, None, :] - beams[None, :, :] + limits
    matrix = table[tuple(np.moveaxis(differences, -1, 0))]
    np.fill_diagonal(matrix, 0.0)
    if np.max(np.abs(matrix.imag)) <= 1e-10 * np.max(np.abs(matrix)):
        return np.ascontiguousarray(matrix.real)
    return matrix


def mean_potential(table: np.ndarray) -> float:
    """U_0 [1/Å²] from what `potential_table` returns."""
    return float(table[tuple((np.array(table.shape) - 1) // 2)].real)
