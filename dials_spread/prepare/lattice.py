"""
Amplitudes and potentials at all points of the reciprocal lattice.

Merged amplitudes are spread over their equivalents; points that were not measured
have the expected amplitude, E = 1, and systematic absences none. They lie in a box that
holds every difference of two beams, flattened, so that the place of h - g is a
difference of places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import crystal, miller
from cctbx.array_family import flex

from dials_spread.observations import Observations, unique_indices
from dials_spread.orientation import reciprocal_basis
from dials_spread.prepare.normalisation import Interaction, potentials


@dataclass(frozen=True)
class Lattice:
    """
    The reciprocal lattice of a compound.

    Attributes:
        hkl: Shape (m, 3), all points to the resolution of the data but the origin and
            systematic absences.
        vectors: Shape (m, 3) [Å⁻¹], in the crystal frame.
        E: Shape (m,), amplitudes.
        U: Shape (m,) [Å⁻²].
        place: Shape (m,), place of each in the box.
        strides: Shape (3,), places per step of each index.
        origin: Place of index (0, 0, 0).
        box_U: Shape (box,) [Å⁻²], to twice the resolution; 0 at the origin.
        box_E: Shape (box,); nan where nothing was measured, 0 at absences.
    """

    hkl: np.ndarray
    vectors: np.ndarray
    E: np.ndarray
    U: np.ndarray
    place: np.ndarray
    strides: np.ndarray
    origin: int
    box_U: np.ndarray
    box_E: np.ndarray

    def places_of(self, hkl: np.ndarray) -> np.ndarray:
        """Give the places in the box of indices within the resolution, shape (n,)."""
        return np.asarray(hkl, dtype=np.int64) @ self.strides + self.origin


def build_lattice(
    measured: Observations, E_k: np.ndarray, interaction: Interaction
) -> Lattice:
    """
    Spread merged amplitudes over the reciprocal lattice.

    Args:
        measured: The compound.
        E_k: Shape (u,), merged amplitudes; nan where one is not known.
        interaction: Strength of the interaction.

    Returns:
        All points, to the resolution of the data.
    """
    basis = reciprocal_basis(measured.unit_cell)
    g_max = np.sqrt(measured.d_star_sq.max()) * (1 + 1e-9)
    edges = np.array(measured.unit_cell.parameters()[:3])
    limits = np.floor(2 * g_max * edges).astype(np.int64)
    shape = 2 * limits + 1
    axes = [np.arange(-limit, limit + 1) for limit in limits]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    squared = np.sum((hkl @ basis.T) ** 2, axis=1)
    inside = np.flatnonzero((squared <= 4 * g_max**2) & (squared > 0))
    epsilon, absent = _symmetry_factors(measured, hkl[inside])
    U_rms = interaction.U_rms(squared[inside], epsilon)
    E = _known_amplitudes(measured, E_k, hkl[inside], squared[inside] <= g_max**2)
    E[absent] = 0.0
    expected = np.where(np.isnan(E), 1.0, E)
    box_E, box_U = np.full(len(hkl), np.nan), np.zeros(len(hkl))
    box_E[inside], box_U[inside] = E, potentials(expected, U_rms)
    beams = (squared[inside] <= g_max**2) & ~absent
    place = inside[beams]
    return Lattice(
        hkl=hkl[place],
        vectors=hkl[place] @ basis.T,
        E=expected[beams],
        U=box_U[place],
        place=place,
        strides=np.array([shape[1] * shape[2], shape[2], 1], dtype=np.int64),
        origin=int(len(hkl) // 2),
        box_U=box_U,
        box_E=box_E,
    )


def _symmetry_factors(
    measured: Observations, hkl: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give ε and whether a point is systematically absent, shape (n,) each."""
    symmetry = crystal.symmetry(
        unit_cell=measured.unit_cell,
        space_group=measured.space_group,
        assert_is_compatible_unit_cell=False,
    )
    h, k, l = (flex.int(np.ascontiguousarray(c, dtype=np.int32)) for c in hkl.T)
    points = miller.set(symmetry, flex.miller_index(h, k, l), anomalous_flag=True)
    epsilon = points.epsilons().data().as_numpy_array().astype(float)
    absent = points.sys_absent_flags().data().as_numpy_array()
    return np.maximum(epsilon, 1.0), absent


def _known_amplitudes(
    measured: Observations, E_k: np.ndarray, hkl: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Look up the merged amplitude of each wanted point; nan where there is none."""
    points = hkl[wanted].astype(np.int32)
    both = np.concatenate([measured.unique_index, points])
    index, number = unique_indices(both, measured.space_group, measured.friedel)
    amplitude = np.full(len(index), np.nan)
    amplitude[number[: measured.n_unique]] = E_k
    result = np.full(len(hkl), np.nan)
    result[wanted] = amplitude[number[measured.n_unique :]]
    return result
