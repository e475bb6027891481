"""
The potential of a crystal with amplitudes that are given and phases from a structure.

Amplitudes of reflections that were measured are the best estimates there are: of the data, or
between those of data and structure (believed_amplitudes). All others, and all phases, are
those of the provisional structure.

Classes:
    DataPotential: the potential, and which reflection each coefficient is

Functions:
    data_potential: from a structure
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cctbx import xray

from dials_spread.observations import Observations, unique_indices
from dials_spread.orientation import reciprocal_basis
from dials_spread.reindexing import Reindexing
from dials_spread.scattering.electrons import relativistic_mass_ratio
from dials_spread.scattering.potential import indices_within
from dials_spread.scattering.structure_factors import MIN_D_SPACING, structure_factors
from dials_spread.thickness.settings import whole_indices
from dials_spread.with_structure.local_beams import lines_of

G_FACTOR = 1.2
"""Beams go so much farther than the data, as in scattering.dynamical."""

NEARLY = 0.94
"""Of the end of the form factors: the cell of the structure may be smaller."""


@dataclass(frozen=True)
class DataPotential:
    """
    Coefficients of the potential, in the indices of the data.

    Attributes:
        table: U_g by index [1/Å²], complex, index 0 in the middle.
        unique: Number of the unique reflection by index; -1 where none was measured.
        beams: Shape (c, 3), indices of all beams that may take part.
        n_unique: Measured unique reflections, u.
        F_squared: What turns |U_g|² [1/Å⁴] into |F_g|² [Å²].
        calculated: Shape (u,), |F| of the structure [Å].
        lines: Where lines of beams begin, from local_beams.lines_of.
    """

    table: np.ndarray
    unique: np.ndarray
    beams: np.ndarray
    n_unique: int
    F_squared: float
    calculated: np.ndarray
    lines: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What compiled loops take: table, unique, middle, beams, lines."""
        middle = (np.array(self.table.shape) - 1) // 2
        return self.table, self.unique, middle, self.beams, self.lines

    def with_amplitudes(self, F: np.ndarray) -> DataPotential:
        """
        Take other amplitudes, and the phases that are there.

        Args:
            F: Shape (u,), |F| of the measured reflections [Å].
        """
        size = np.abs(self.table)
        phase = np.where(size > 0, self.table / np.where(size > 0, size, 1), 1)
        U = F[np.maximum(self.unique, 0)] / np.sqrt(self.F_squared)
        table = np.where(self.unique >= 0, U * phase, self.table)
        return replace(self, table=table.astype(np.complex64))

    def other_hand(self) -> DataPotential:
        """Give that of the mirror image of the structure."""
        return replace(self, table=np.conj(self.table))


def data_potential(
    structure: xray.structure, measured: Observations, choice: Reindexing
) -> DataPotential:
    """
    Compute the potential of a structure, and find the reflections that were measured.

    Args:
        structure: The provisional structure.
        measured: The observations, with their geometry.
        choice: From the indices of the data to those of the structure.
    """
    cell, wavelength = measured.unit_cell, measured.wavelength
    g_data = float(np.sqrt(measured.d_star_sq.max())) * (1 + 1e-6)
    g_max = G_FACTOR * g_data
    beams = indices_within(cell, g_max)
    limits = 2 * np.abs(beams).max(axis=0)
    indices = indices_within(cell, min(2 * g_max, NEARLY / MIN_D_SPACING))
    indices = indices[np.all(np.abs(indices) <= limits, axis=1)]
    gamma = relativistic_mass_ratio(wavelength)
    to_F = np.pi * cell.volume() / gamma
    # The potential is real: one of each Friedel pair is enough.
    half = indices[indices @ (limits.max() * 4 + 1) ** np.array([2, 1, 0]) >= 0]
    hkl, exists = whole_indices(half, choice)
    F = np.zeros(len(half), complex)
    # The waves are exp(+2πi k·r): see scattering.potential.
    F[exists] = np.conj(structure_factors(structure, hkl[exists])) / to_F
    table = np.zeros(2 * limits + 1, np.complex64)
    table[tuple((half + limits).T)] = F
    table[tuple((limits - half).T)] = np.conj(F)
    unique = np.full(table.shape, -1)
    length = np.linalg.norm(indices @ reciprocal_basis(cell).T, axis=1)
    near = indices[(length <= g_data) & np.any(indices != 0, axis=1)]
    unique[tuple((near + limits).T)] = _numbers(measured, near)
    own = np.abs(table[tuple((measured.unique_index + limits).T)]) * to_F
    given = (table, unique, beams, measured.n_unique, to_F**2, own)
    return DataPotential(*given, lines_of(beams))


def _numbers(measured: Observations, hkl: np.ndarray) -> np.ndarray:
    """Give the unique reflection of each index; -1 where it was not measured."""
    both = np.concatenate([measured.unique_index, hkl.astype(np.int32)])
    # |F| of Friedel mates is one: the potential is real.
    index, number = unique_indices(both, measured.space_group, True)
    number = np.ravel(number)
    known = np.full(len(index), -1)
    known[number[: measured.n_unique]] = np.arange(measured.n_unique)
    return known[number[measured.n_unique :]]
