"""
How hydrogen rides on its parent.

Where the bonds of the parent say which geometry it has (CH, CH2, CH3, aromatic CH, NH,
NH2, NH3, OH), hydrogen is put there anew in every cycle, as by AFIX in SHELXL, with the
bond length of the reference. Where the reference itself does not obey that geometry, and
where none is known, hydrogen keeps its distance and direction from the parent. U of
hydrogen is 1.2 times U(eq) of the parent, 1.5 times for CH3, NH3 and OH.

Functions:
    find_parents: the atom on which each hydrogen rides
    bring_to_parents: hydrogen to the symmetry equivalent beside its parent
    riding: which geometry each group has
    riding_constraints, parametrise: what smtbx is told
    idealised: hydrogen where it rides
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from cctbx import xray
from smtbx.refinement import constraints
from smtbx.refinement.constraints import InvalidConstraint
from smtbx.refinement.constraints.adp import (
    u_iso_proportional_to_pivot_u_eq,
)
from smtbx.refinement.constraints.geometrical import hydrogens
from smtbx.refinement.constraints.rigid import rigid_riding_expandable_group
from smtbx.utils import connectivity_table

from dials_spread.refinement.model import hydrogen_atoms, special_positions
from dials_spread.scattering.form_factors import parse_type

# A hydrogen atom farther than this [Å] from all other atoms rides on none.
LONGEST_BOND = 1.6

# The geometry is that of the reference where no hydrogen of it is farther than this [Å]
# from where the geometry puts it.
OBEYED = 0.05

GEOMETRIES = {
    ("C", 1, 1): hydrogens.terminal_linear_ch_site,
    ("C", 1, 2): hydrogens.secondary_planar_xh_site,
    ("C", 1, 3): hydrogens.tertiary_xh_site,
    ("C", 2, 1): hydrogens.terminal_planar_xh2_sites,
    ("C", 2, 2): hydrogens.secondary_xh2_sites,
    ("C", 3, 1): hydrogens.terminal_tetrahedral_xh3_sites,
    ("N", 1, 2): hydrogens.secondary_planar_xh_site,
    ("N", 1, 3): hydrogens.tertiary_xh_site,
    ("N", 2, 1): hydrogens.terminal_planar_xh2_sites,
    ("N", 2, 2): hydrogens.secondary_xh2_sites,
    ("N", 3, 1): hydrogens.terminal_tetrahedral_xh3_sites,
    ("B", 1, 3): hydrogens.tertiary_xh_site,
    ("O", 1, 1): hydrogens.terminal_tetrahedral_xh_site,
    ("S", 1, 1): hydrogens.terminal_tetrahedral_xh_site,
}
"""By element, number of hydrogen atoms, and number of other neighbours."""

FREE_TO_TURN = {("C", 3, 1), ("N", 3, 1), ("O", 1, 1), ("S", 1, 1)}
"""Groups whose hydrogen has 1.5 times U of the parent."""


@dataclass(frozen=True)
class RidingGroup:
    """
    Hydrogen atoms of one parent.

    Attributes:
        parent: Number of the atom.
        hydrogen: Numbers of its hydrogen atoms.
        geometry: The constraint of smtbx; None where they keep their distance and
            direction.
        length: Bond length [Å].
        u_ratio: U of hydrogen over U(eq) of the parent.
    """

    parent: int
    hydrogen: tuple[int, ...]
    geometry: type | None
    length: float
    u_ratio: float


def find_parents(structure: xray.structure) -> np.ndarray:
    """
    Find the atom on which each hydrogen rides.

    Args:
        structure: With hydrogen beside its parents, see `bring_to_parents`.

    Returns:
        Shape (a,): the nearest atom other than hydrogen, within 1.6 Å; the atom itself
        where it is not hydrogen; -1 for hydrogen without parent or on a special
        position.
    """
    cell, sites = structure.unit_cell(), structure.sites_frac()
    hydrogen, special = hydrogen_atoms(structure), special_positions(structure)
    parent = np.arange(len(hydrogen))
    for h in np.flatnonzero(hydrogen):
        apart = {
            cell.distance(sites[int(h)], sites[int(i)]): int(i)
            for i in np.flatnonzero(~hydrogen)
        }
        near = min(apart, default=np.inf)
        parent[h] = apart[near] if near < LONGEST_BOND and not special[h] else -1
    return parent


def bring_to_parents(structure: xray.structure) -> None:
    """
    Move hydrogen to the symmetry equivalent that is nearest to another atom.

    Args:
        structure: Changed in place.
    """
    cell, scatterers = structure.unit_cell(), structure.scatterers()
    to_cartesian = np.reshape(cell.orthogonalization_matrix(), (3, 3))
    hydrogen = hydrogen_atoms(structure)
    sites = np.array(structure.sites_frac())
    others = sites[~hydrogen]
    if not len(others):
        return
    operators = [
        (np.reshape(op.r().as_double(), (3, 3)), np.array(op.t().as_double()))
        for op in structure.space_group()
    ]
    for h in np.flatnonzero(hydrogen & ~special_positions(structure)):
        images = np.array([r @ sites[h] + t for r, t in operators])
        apart = images[:, None] - others[None]
        cells = np.round(apart)
        distance = np.linalg.norm((apart - cells) @ to_cartesian.T, axis=2)
        # The operator 1 comes first and wins where two are equally near.
        image, other = np.unravel_index(distance.argmin(), distance.shape)
        if distance[0].min() < distance[image, other] + 1e-3:
            image, other = 0, distance[0].argmin()
        scatterers[int(h)].site = tuple(images[image] - cells[image, other])


def riding(reference: xray.structure) -> list[RidingGroup]:
    """
    Say how each hydrogen atom rides.

    Args:
        reference: With hydrogen beside its parents.

    Returns:
        One group for each parent. Hydrogen without parent is in none.
    """
    parent = find_parents(reference)
    hydrogen = hydrogen_atoms(reference)
    table = connectivity_table(reference)
    neighbours = table.pair_asu_table.extract_pair_sym_table(
        skip_j_seq_less_than_i_seq=False, all_interactions_from_inside_asu=True
    )
    cell, sites = reference.unit_cell(), reference.sites_frac()
    groups = []
    for pivot in sorted(set(parent[hydrogen & (parent >= 0)].tolist())):
        own = tuple(np.flatnonzero(hydrogen & (parent == pivot)).tolist())
        bonded = sum(len(ops) for j, ops in neighbours[pivot].items() if j not in own)
        element = parse_type(reference.scatterers()[pivot].scattering_type)[0]
        key = (element, len(own), bonded)
        group = RidingGroup(
            parent=pivot,
            hydrogen=own,
            geometry=None,
            length=float(np.mean([cell.distance(sites[pivot], sites[h]) for h in own])),
            u_ratio=1.5 if key in FREE_TO_TURN else 1.2,
        )
        if key in GEOMETRIES:
            # smtbx puts the hydrogen atoms of a group in an order of its own.
            trials = [
                replace(group, geometry=GEOMETRIES[key], hydrogen=order)
                for order in permutations(own)
            ]
            obeyed = (trial for trial in trials if _is_obeyed(trial, reference, table))
            group = next(obeyed, group)
        groups.append(group)
    return groups


def _is_obeyed(
    group: RidingGroup, reference: xray.structure, table: connectivity_table
) -> bool:
    """Whether the geometry puts hydrogen where the reference has it."""
    trial = reference.deep_copy_scatterers()
    try:
        placed = constraints.reparametrisation(
            structure=trial,
            constraints=[_site_constraint(group)],
            connectivity_table=table,
        )
        placed.linearise()
        placed.store()
    except (InvalidConstraint, RuntimeError, IndexError, AssertionError):
        # smtbx found other neighbours than such a group has
        return False
    before, after = reference.sites_cart(), trial.sites_cart()
    apart = [np.subtract(after[h], before[h]) for h in group.hydrogen]
    return bool(np.linalg.norm(apart, axis=1).max() < OBEYED)


def _site_constraint(group: RidingGroup) -> object:
    if group.geometry is None:
        return rigid_riding_expandable_group(
            center=group.parent, ind_sequence=group.hydrogen, sizeable=False
        )
    return group.geometry(
        pivot=group.parent,
        constrained_site_indices=group.hydrogen,
        bond_length=group.length,
    )


def riding_constraints(groups: list[RidingGroup]) -> list:
    """Give smtbx the constraints on sites and displacements of hydrogen."""
    found = []
    for group in groups:
        found.append(_site_constraint(group))
        found += [
            u_iso_proportional_to_pivot_u_eq(h, group.parent, group.u_ratio)
            for h in group.hydrogen
        ]
    return found


def parametrise(
    model: xray.structure, groups: list[RidingGroup]
) -> constraints.reparametrisation:
    """
    Set up the parameters of a model for smtbx.

    Args:
        model: With flags of what is refined.
        groups: Of hydrogen that rides.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", constraints.ConflictingConstraintWarning)
        return constraints.reparametrisation(
            structure=model,
            constraints=riding_constraints(groups),
            connectivity_table=connectivity_table(model),
        )


def idealised(structure: xray.structure) -> xray.structure:
    """
    Put hydrogen where it rides, with the U it then has.

    Args:
        structure: As `model.electron_model` gives it.

    Returns:
        A copy, which a refinement against its own intensities gives back exactly.
    """
    model = structure.deep_copy_scatterers()
    bring_to_parents(model)
    placed = parametrise(model, riding(model))
    placed.linearise()
    placed.store()
    return model
