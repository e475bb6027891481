"""
The operators that one image may be mapped with.

A symmetry operator of the Laue group acts on indices (``h' = W h``) and, in the same
Cartesian crystal frame, on directions (``G = B W B⁻¹``); the inversion belongs to it
only where Friedel's law is used, and then reverses the beam with the indices: h is
excited at beam direction b where -h is excited at -b.

Functions:
    laue_operators: W and G of all operators of the Laue group
    same_group: whether two space groups differ by their origin at most
    indexing_choices: ways to index a crystal that its lattice cannot tell apart
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import crystal, sgtbx, uctbx
from cctbx.array_family import flex
from cctbx.sgtbx import lattice_symmetry

PERIOD = 12
"""Absences repeat with it along each axis: translations are multiples of 1/12."""


@dataclass(frozen=True)
class LaueOperators:
    """
    The operators that one image may be mapped with.

    Attributes:
        symbols: One a operator, as ``-h,k,-l``.
        on_indices: Shape (m, 3, 3), int: ``h' = on_indices @ h``. The identity first.
        on_directions: Shape (m, 3, 3): the same in the Cartesian crystal frame.
    """

    symbols: tuple[str, ...]
    on_indices: np.ndarray
    on_directions: np.ndarray

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def inverse(self) -> np.ndarray:
        """Number of the operator that undoes each, shape (m,)."""
        products = np.einsum("aij,bjk->abik", self.on_indices, self.on_indices)
        return (products == np.eye(3, dtype=int)).all(axis=(2, 3)).argmax(axis=1)


def laue_operators(
    space_group: sgtbx.space_group, basis: np.ndarray, friedel: bool
) -> LaueOperators:
    """
    List the operators that leave a crystal's intensities as they are.

    Args:
        space_group: Of the crystals; translations and centring do not matter here.
        basis: Shape (3, 3) [Å⁻¹], B of the reference cell.
        friedel: Take Friedel mates as equivalent: the operators are those of the Laue
            group. Otherwise those of the point group, which has the inversion only
            where the crystal is centrosymmetric.

    Returns:
        The operators, the identity first.
    """
    if friedel:
        group = space_group.build_derived_laue_group()
    else:
        group = space_group.build_derived_point_group()
    rotations = {op.r().as_hkl(): op.r() for op in group.all_ops()}
    # The identity, then the other rotations, then those with an inversion.
    symbols = sorted(
        rotations, key=lambda s: (s != "h,k,l", -rotations[s].determinant(), s)
    )
    # cctbx multiplies from the right, h' = h R with a row vector, hence the transpose.
    on_indices = np.array(
        [np.reshape(rotations[s].num(), (3, 3)).T for s in symbols], dtype=np.int64
    )
    inverse = np.linalg.inv(basis)
    return LaueOperators(
        symbols=tuple(symbols),
        on_indices=on_indices,
        on_directions=np.einsum("ij,mjk,kl->mil", basis, on_indices, inverse),
    )


def same_group(one: sgtbx.space_group, other: sgtbx.space_group) -> bool:
    """
    Say whether two space groups are one but for the origin, which intensities lack.

    dials.reindex leaves the origin elsewhere: P 2₁ 2₁ 2₁ with two axes exchanged becomes
    P 21 21 21 (a+1/4,b-1/4,c-1/4). Another setting (P 2₁/n for P 2₁/c, I 2 for C 2,
    reverse for obverse, rhombohedral axes for hexagonal) has other operators or absences
    on the same axes; the other enantiomorph has another number.

    Args:
        one, other: Both on the axes of their cells.
    """
    if one == other:
        return True
    if one.type().number() != other.type().number():
        return False
    rotations = [{op.r().num() for op in g.all_ops()} for g in (one, other)]
    if rotations[0] != rotations[1]:
        return False
    half = PERIOD // 2
    every = range(-half, half)
    hkl = flex.miller_index([(h, k, l) for h in every for k in every for l in every])
    return bool((one.is_sys_absent(hkl) == other.is_sys_absent(hkl)).all_eq(True))


def indexing_choices(space_group: sgtbx.space_group, unit_cell: uctbx.unit_cell) -> int:
    """
    Count the ways to index a crystal that its lattice cannot tell apart.

    Args:
        space_group: Of the crystal.
        unit_cell: Its cell.

    Returns:
        The order of the lattice's rotation group (within 2°, Le Page (1982), J. Appl.
        Cryst. 15, 255) divided by that of the crystal's: 1 where there is no choice.
    """
    symmetry = crystal.symmetry(unit_cell=unit_cell, space_group=space_group)
    primitive = symmetry.change_basis(symmetry.change_of_basis_op_to_minimum_cell())
    lattice = lattice_symmetry.group(primitive.unit_cell(), max_delta=2.0)
    rotations = primitive.space_group().build_derived_laue_group().order_p() // 2
    return lattice.order_p() // rotations
