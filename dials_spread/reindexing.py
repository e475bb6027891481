"""
How the indices of two descriptions of one crystal can correspond.

A structure may be published in another setting than the one that was measured (P2₁/c
and P2₁/n, axes exchanged, a centred cell and its primitive one), and a lattice may have
more symmetry than the crystal, so that it can be indexed in several ways that only
intensities tell apart. Both are found together: all operators that bring one reduced
cell onto the other within tolerances, less those that differ by symmetry operators.

Functions:
    reindexing_choices: the ways in which indices can correspond
    reindexed: indices by one of them
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import crystal, sgtbx, uctbx

LENGTH_TOLERANCE = 0.05
"""Edges of the reduced cells may differ by this part; cells from electron diffraction
are known to some per cent."""

ANGLE_TOLERANCE = 3.0
"""Their angles may differ by so many degrees."""


@dataclass(frozen=True)
class Reindexing:
    """
    One way in which the indices of two descriptions correspond.

    Attributes:
        symbol: The operator as cctbx writes it, such as ``h,k,-h-l``.
        on_indices: Shape (3, 3): ``h_there = on_indices @ h_here``.
        symmetric: Whether all symmetry of the one description is also symmetry of the
            other; if not, reflections equivalent here differ there.
    """

    symbol: str
    on_indices: np.ndarray
    symmetric: bool


def reindexing_choices(
    here: crystal.symmetry,
    there: crystal.symmetry,
    length_tolerance: float = LENGTH_TOLERANCE,
    angle_tolerance: float = ANGLE_TOLERANCE,
) -> list[Reindexing]:
    """
    List the ways in which indices can correspond.

    Args:
        here: Cell and space group of the indices that are given.
        there: Cell and space group of those that are wanted.
        length_tolerance: For the edges of the reduced cells, a part of them.
        angle_tolerance: For their angles [°].

    Returns:
        One operator of each set of equivalent ones. Those that keep the symmetry come
        first, and unchanged indices before others; operators that do not keep it are
        left out where others do.

    Raises:
        ValueError: The cells do not fit.
    """
    operators = _operators(here, there, length_tolerance, angle_tolerance)
    if not operators:
        raise ValueError(
            f"The cell {_told(there.unit_cell())} in {there.space_group_info()} cannot "
            f"be brought onto {_told(here.unit_cell())} in {here.space_group_info()}: "
            f"reduced, they are {_told(_reduced(there).unit_cell())} and "
            f"{_told(_reduced(here).unit_cell())}"
        )
    own = laue_matrices(here.space_group())
    other = laue_matrices(there.space_group())
    choices: dict[tuple[float, ...], Reindexing] = {}
    for operator in sorted(operators, key=_simplicity):
        matrix = index_matrix(operator)
        choices.setdefault(
            _least_equivalent(matrix, own, other),
            Reindexing(operator.as_hkl(), matrix, _keeps(matrix, own, other)),
        )
    found = [*choices.values()]
    symmetric = [choice for choice in found if choice.symmetric]
    return symmetric or found


def reindexed(miller_index: np.ndarray, choice: Reindexing) -> np.ndarray:
    """
    Apply an operator to indices.

    Args:
        miller_index: Shape (n, 3), int.
        choice: The operator.

    Returns:
        Shape (n, 3), int.

    Raises:
        ValueError: An index has no counterpart, as it is absent from the lattice.
    """
    moved = np.asarray(miller_index) @ choice.on_indices.T
    whole = np.rint(moved)
    odd = np.abs(moved - whole).max(axis=1, initial=0) > 0.01
    if odd.any():
        first = tuple(int(x) for x in np.asarray(miller_index)[odd][0])
        raise ValueError(
            f"{np.count_nonzero(odd)} of {len(moved)} indices, {first} among them, "
            f"are no whole numbers after {choice.symbol}: they do not belong to the "
            "lattice"
        )
    return whole.astype(int)


def _told(cell: uctbx.unit_cell) -> str:
    return "(" + ", ".join(f"{p:.4g}" for p in cell.parameters()) + ")"


def _reduced(symmetry: crystal.symmetry) -> crystal.symmetry:
    return symmetry.change_basis(symmetry.change_of_basis_op_to_minimum_cell())


def _operators(
    here: crystal.symmetry,
    there: crystal.symmetry,
    length_tolerance: float,
    angle_tolerance: float,
) -> list[sgtbx.change_of_basis_op]:
    """List all operators from here to there, by way of the reduced cells."""
    to_reduced = here.change_of_basis_op_to_minimum_cell()
    from_reduced = there.change_of_basis_op_to_minimum_cell().inverse()
    cell_here, cell_there = _reduced(here).unit_cell(), _reduced(there).unit_cell()
    operators = []
    for generators in (1, 2):
        # Cells at the border of two kinds of reduction need larger numbers.
        matrices = cell_there.similarity_transformations(
            cell_here, length_tolerance, angle_tolerance, generators
        )
        for matrix in matrices:
            between = sgtbx.change_of_basis_op(sgtbx.rt_mx(sgtbx.rot_mx(matrix, 1)))
            between = between.new_denominators(to_reduced)
            for step in (between, between.inverse()):
                if cell_here.change_basis(step).is_similar_to(
                    cell_there, length_tolerance, angle_tolerance
                ):
                    operators.append(from_reduced * step * to_reduced)
                    break
        if operators:
            break
    return operators


def index_matrix(operator: sgtbx.change_of_basis_op) -> np.ndarray:
    """Give the matrix that an operator applies to an index as a column, shape (3, 3)."""
    # cctbx multiplies from the right, h' = h R with a row vector.
    return np.reshape(operator.c_inv().r().as_double(), (3, 3)).T


def laue_matrices(space_group: sgtbx.space_group) -> np.ndarray:
    """Give the operators of the Laue group on indices as columns, shape (m, 3, 3)."""
    group = space_group.build_derived_laue_group()
    unique = {op.r().num() for op in group.all_ops()}
    return np.array([np.reshape(r, (3, 3)).T for r in sorted(unique)], dtype=float)


def _simplicity(operator: sgtbx.change_of_basis_op) -> tuple:
    matrix = index_matrix(operator)
    return (
        not np.allclose(matrix, np.eye(3)),
        np.abs(matrix).sum(),
        -np.trace(matrix),
        operator.as_hkl(),
    )


def _least_equivalent(
    matrix: np.ndarray, own: np.ndarray, other: np.ndarray
) -> tuple[float, ...]:
    """Give one name to all operators that differ by symmetry operators."""
    products = np.einsum("aij,jk,bkl->abil", other, matrix, own)
    return min(map(tuple, np.round(products, 6).reshape(-1, 9).tolist()))


def _keeps(matrix: np.ndarray, own: np.ndarray, other: np.ndarray) -> bool:
    """Say whether each symmetry operator here is one there."""
    moved = np.einsum("ij,ajk,kl->ail", matrix, own, np.linalg.inv(matrix))
    differences = np.abs(moved[:, None] - other[None]).max(axis=(2, 3))
    return bool((differences.min(axis=1) < 1e-3).all())
