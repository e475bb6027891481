"""
What must hold of a structure before it is simulated.

Functions:
    check_structure: all of it
    overlapping_atoms: pairs of atoms that are too near
    beyond_physical: atoms whose displacement is no ellipsoid
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from cctbx import adptbx, xray

from dials_spread.scattering.structure_factors import MIN_D_SPACING
from dials_spread.valid_input.models import CELL_LENGTH

logger = logging.getLogger("dials.spread.structure_checks")

# Two whole atoms closer than this [Å] are a mistake; the shortest bond, that of hydrogen,
# has 0.74 Å.
MIN_DISTANCE = 0.5

# What the occupancies at one place may exceed one by: 0.333 three times, or 0.51 + 0.5.
OCCUPANCY_TOLERANCE = 0.05

# Largest displacement [Å²] that is taken for one; a disordered solvent reaches 0.5.
LARGEST_U = 2.0


def check_structure(structure: xray.structure, d_min: float) -> None:
    """
    Check that a structure can be simulated.

    Args:
        structure: With the scattering types of cctbx.
        d_min: Resolution limit [Å].

    Raises:
        ValueError: One line for each problem: no atoms, a cell, occupancies or
            displacements out of range, overlapping atoms, d_min beyond the form factors.
    """
    scatterers = structure.scatterers()
    if not scatterers.size():
        raise ValueError("The structure has no atoms.")
    problems = _d_min_problems(structure, d_min) + _cell_problems(structure)
    problems += _atom_problems(scatterers)
    if not problems:
        problems = _ellipsoid_problems(structure)
    if not problems:
        problems += _overlap_problems(structure)
    if problems:
        raise ValueError("\n".join(problems))
    odd = beyond_physical(structure)
    if odd:
        logger.warning(
            "The displacement ellipsoids of %s are not positive definite; they are "
            "used as they are.",
            _some(odd),
        )
    still = [s.label for s in scatterers if s.flags.use_u_iso() and not s.u_iso]
    if still:
        logger.warning("%s have no displacement (U = 0).", _some(still))


def _some(labels: Sequence[str], most: int = 5) -> str:
    labels = [label.strip() for label in labels]
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more


def _d_min_problems(structure: xray.structure, d_min: float) -> list[str]:
    if d_min < MIN_D_SPACING:
        return [
            f"d_min={d_min:g} Å is beyond the electron form factors, which end at "
            f"{MIN_D_SPACING} Å."
        ]
    return []


def _cell_problems(structure: xray.structure) -> list[str]:
    lengths = structure.unit_cell().parameters()[:3]
    if all(CELL_LENGTH[0] <= x <= CELL_LENGTH[1] for x in lengths):
        return []
    told = ", ".join(f"{x:g}" for x in lengths)
    return [f"The unit cell, of {told} Å, is that of no crystal."]


def _ellipsoid_problems(structure: xray.structure) -> list[str]:
    """Say which anisotropic displacements are too large, of whichever sign."""
    cell = structure.unit_cell()
    bad = [
        s.label
        for s in structure.scatterers()
        if s.flags.use_u_aniso()
        and not np.abs(adptbx.u_star_as_u_cart(cell, s.u_star)).max() <= LARGEST_U
    ]
    told = f"Elements of U are not below {LARGEST_U:g} Å²: {_some(bad)}."
    return [told] if bad else []


def _atom_problems(scatterers) -> list[str]:
    """Say which atoms have an occupancy or a displacement that cannot be."""
    limit = 1.0 + OCCUPANCY_TOLERANCE
    bad = [s.label for s in scatterers if not 0 <= s.occupancy <= limit]
    far = [s.label for s in scatterers if not np.all(np.abs(s.site) < 1e3)]
    moved = [
        s.label
        for s in scatterers
        if s.flags.use_u_iso() and not 0 <= s.u_iso <= LARGEST_U
    ]
    empty = all(s.occupancy == 0 for s in scatterers)
    return [
        *([f"Occupancies are not between 0 and 1: {_some(bad)}."] if bad else []),
        *(["All occupancies are zero."] if empty else []),
        *([f"Coordinates are not fractions of the cell: {_some(far)}."] if far else []),
        *(
            [f"U is not between 0 and {LARGEST_U:g} Å²: {_some(moved)}."]
            if moved
            else []
        ),
    ]


def overlapping_atoms(
    structure: xray.structure, cutoff: float = MIN_DISTANCE
) -> list[tuple[int, int, float]]:
    """
    Pairs of atoms, symmetry mates included, too near for their occupancies.

    Two atoms may share a place if together they fill it once: mixed occupancy, and
    disorder.

    Args:
        structure: The structure.
        cutoff: Distance [Å] below which atoms share a place.

    Returns:
        Numbers of both atoms and their distance [Å].
    """
    scatterers = structure.scatterers()
    table = structure.pair_asu_table(distance_cutoff=cutoff)
    found = []
    cell = structure.unit_cell()
    for pair in table.extract_pair_sym_table().iterator():
        i, j = pair.i_seq, pair.j_seq
        if scatterers[i].occupancy + scatterers[j].occupancy <= 1 + OCCUPANCY_TOLERANCE:
            continue
        mate = pair.rt_mx_ji * scatterers[j].site
        found.append((i, j, cell.distance(scatterers[i].site, mate)))
    return found


def _overlap_problems(structure: xray.structure) -> list[str]:
    found = overlapping_atoms(structure)
    if not found:
        return []
    labels = [scatterer.label.strip() for scatterer in structure.scatterers()]
    i, j, distance = min(found, key=lambda pair: pair[2])
    mate = " (a symmetry mate)" if i == j else ""
    pairs = "1 pair" if len(found) == 1 else f"{len(found)} pairs"
    return [
        f"{pairs} of atoms too near to each other: {labels[i]} and {labels[j]}{mate} are "
        f"{distance:.2f} Å apart, with occupancies that add up to more than one."
    ]


def beyond_physical(structure: xray.structure) -> list[str]:
    """Labels of atoms whose anisotropic displacement is not positive definite."""
    cell = structure.unit_cell()
    return [
        scatterer.label
        for scatterer in structure.scatterers()
        if scatterer.flags.use_u_aniso()
        and not adptbx.is_positive_definite(
            adptbx.u_star_as_u_cart(cell, scatterer.u_star)
        )
    ]
