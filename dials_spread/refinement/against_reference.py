"""
A refined structure against its reference: shifts of atoms, and bond lengths.

Functions:
    compare_structures: both
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import sgtbx, xray
from smtbx.utils import connectivity_table

from dials_spread.refinement.model import hydrogen_atoms


@dataclass(frozen=True)
class AgainstReference:
    """
    How far a refined structure is from its reference.

    Attributes:
        shifts: Shape (a,), of each atom [Å], the mean shift along polar axes taken out;
            nan for hydrogen.
        bond_differences: Shape (b,), bond lengths less those of the reference [Å],
            between atoms other than hydrogen.
        bonds: The two atoms of each, by label.
    """

    shifts: np.ndarray
    bond_differences: np.ndarray
    bonds: tuple[tuple[str, str], ...]

    def mean_shift(self) -> float:
        """Over atoms other than hydrogen [Å]; nan where there is none."""
        own = self.shifts[np.isfinite(self.shifts)]
        return float(own.mean()) if len(own) else float("nan")

    def largest_shift(self) -> float:
        """Of atoms other than hydrogen [Å]; nan where there is none."""
        own = self.shifts[np.isfinite(self.shifts)]
        return float(own.max()) if len(own) else float("nan")

    def bond_rms(self) -> float:
        """Root mean square difference of bond lengths [Å]; nan without bonds."""
        own = self.bond_differences
        return float(np.sqrt(np.mean(own**2))) if len(own) else float("nan")


def polar_directions(space_group: sgtbx.space_group) -> np.ndarray:
    """Directions in which the origin floats, fractional; shape (axes, 3)."""
    found = sgtbx.structure_seminvariants(space_group).vectors_and_moduli()
    return np.array([one.v for one in found if one.m == 0], float).reshape(-1, 3)


def compare_structures(
    refined: xray.structure, reference: xray.structure
) -> AgainstReference:
    """
    Compare a refined structure with its reference.

    Args:
        refined: With the atoms of the reference, in their order, of the same cell.
        reference: The reference.
    """
    heavy = ~hydrogen_atoms(reference)
    to_cartesian = np.reshape(reference.unit_cell().orthogonalization_matrix(), (3, 3))
    apart = np.array(refined.sites_frac()) - np.array(reference.sites_frac())
    apart = apart @ to_cartesian.T
    shift = floating_shift(apart[heavy], reference)
    shifts = np.linalg.norm(apart - shift, axis=1)
    bonds, lengths = _bonds(reference, refined)
    return AgainstReference(
        shifts=np.where(heavy, shifts, np.nan),
        bond_differences=lengths[:, 0] - lengths[:, 1],
        bonds=tuple(bonds),
    )


def floating_shift(apart: np.ndarray, structure: xray.structure) -> np.ndarray:
    """
    The part of a mean shift that is along polar axes.

    Args:
        apart: Shape (a, 3), Cartesian shifts [Å].
        structure: With the space group.

    Returns:
        Shape (3,) [Å].
    """
    polar = polar_directions(structure.space_group())
    if not len(polar) or not len(apart):
        return np.zeros(3)
    to_cartesian = np.reshape(structure.unit_cell().orthogonalization_matrix(), (3, 3))
    span, _ = np.linalg.qr((polar @ to_cartesian.T).T)
    return span @ (span.T @ apart.mean(axis=0))


def _bonds(
    reference: xray.structure, refined: xray.structure
) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Bonds of the reference and their lengths, refined and there; shape (b, 2)."""
    heavy = hydrogen_atoms(reference) == 0
    cell, scatterers = reference.unit_cell(), reference.scatterers()
    bonds, lengths = [], []
    for i, row in enumerate(connectivity_table(reference).pair_sym_table):
        for j, operators in row.items():
            if not (heavy[i] and heavy[j]):
                continue
            for operator in operators:
                bonds.append((scatterers[i].label, scatterers[j].label))
                lengths.append(
                    [
                        cell.distance(own[i].site, operator * own[j].site)
                        for own in (refined.scatterers(), scatterers)
                    ]
                )
    return bonds, np.array(lengths).reshape(-1, 2)
