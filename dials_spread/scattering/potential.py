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

from dataclasses import dataclass

import numpy as np

from cctbx import uctbx, xray

from dials_spread.scattering.electrons import relativistic_mass_ratio
from dials_spread.scattering.structure_factors import MIN_D_SPACING, structure_factors


@dataclass(frozen=True)
class CrystalPotential:
    """
    What the beams of one compound meet, in arrays alone, so that it travels well.

    Attributes:
        table: U_g as from `potential_table` [1/Å²], real where it can be.
        beams: Indices of all beams that may take part, of shape (c, 3).
        volume: Of the cell [Å³].
        wavelength: [Å].
        d_min: Resolution limit of the reflections [Å].
    """

    table: np.ndarray
    beams: np.ndarray
    volume: float
    wavelength: float
    d_min: float

    @property
    def F_squared(self) -> float:
        """What turns |U_g|² [1/Å⁴] into |F_g|² [Å²]."""
        gamma = relativistic_mass_ratio(self.wavelength)
        return float((np.pi * self.volume / gamma) ** 2)


def crystal_potential(
    structure: xray.structure, wavelength: float, d_min: float, g_max: float
) -> CrystalPotential:
    """
    Compute what all crystals of one compound share.

    Args:
        structure: The crystal structure.
        wavelength: [Å].
        d_min: Resolution limit of the reflections [Å].
        g_max: Radius of the sphere of beams [1/Å], raised to that of the reflections.
    """
    # Rounding must not put a reflection at the limit outside its own sphere.
    g_max = max(g_max, (1 + 1e-9) / d_min)
    cell = structure.unit_cell()
    table = potential_table(structure, wavelength, g_max)
    return CrystalPotential(
        table=without_zero_imaginary_part(table),
        beams=indices_within(cell, g_max),
        volume=cell.volume(),
        wavelength=wavelength,
        d_min=d_min,
    )


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
    return without_zero_imaginary_part(differences(table, beams))


def differences(table: np.ndarray, beams: np.ndarray) -> np.ndarray:
    """
    As `coupling_matrix`, of the kind that the table is.

    Args:
        table: What `potential_table` returns, or its real part where that is all.
        beams: Indices of the beams, of shape (n, 3).
    """
    # Places in the flattened table: those of differences are differences of those.
    strides = np.array([table.shape[1] * table.shape[2], table.shape[2], 1])
    places = beams @ strides
    middle = (table.size - 1) // 2
    matrix = np.take(table.ravel(), places[:, None] - (places - middle)[None, :])
    np.fill_diagonal(matrix, 0.0)
    return matrix


def without_zero_imaginary_part(array: np.ndarray) -> np.ndarray:
    """The real part alone where the rest is rounding, else the array itself."""
    if np.iscomplexobj(array):
        if np.max(np.abs(array.imag)) <= 1e-10 * np.max(np.abs(array)):
            return np.ascontiguousarray(array.real)
    return array


def mean_potential(table: np.ndarray) -> float:
    """U_0 [1/Å²] from what `potential_table` returns."""
    return float(table[tuple((np.array(table.shape) - 1) // 2)].real)
