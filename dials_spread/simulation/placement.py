"""Random places for atoms in a cell, none too near to another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from cctbx import crystal
from cctbx.eltbx import covalent_radii

# Shortest distance of two atoms, over the sum of their covalent radii.
CONTACT = 0.85

# Random places tried for one atom before the cell is called full.
MAX_TRIALS = 400

# Part of the atoms with which a cell counts as filled.
ENOUGH = 0.5

# How far the mates of the last atom may exceed what is wanted.
EXCESS = 1.33


def place_atoms(
    rng: np.random.Generator,
    symmetry: crystal.symmetry,
    elements: Sequence[str],
    wanted: int,
    special: bool,
) -> list[tuple[str, np.ndarray]]:
    """
    Place atoms one by one at random, discarding places too near to earlier atoms.

    Args:
        rng: Source of all random numbers.
        symmetry: Cell and space group.
        elements: Of the asymmetric unit, in the order of placing.
        wanted: Atoms in the cell.
        special: Move an atom that is too near to its own mates onto the special position
            between them. Such atoms have fewer mates than others; the list is gone
            through again until there are as many as wanted, or a third more.

    Returns:
        Element and fractional coordinates, of shape (3,), of each atom.

    Raises:
        ValueError: Fewer than half of the atoms, or none but hydrogen, find a place.
    """
    cell = _Cell(symmetry)
    order = list(elements)
    placed = 0
    while order and placed < wanted:
        element = order.pop(0)
        most = max(EXCESS * wanted - placed, 1.0) if special else cell.order
        multiplicity = cell.place(rng, element, special, most)
        placed += multiplicity
        if not multiplicity:
            order = [other for other in order if other != element]
        elif special and multiplicity < cell.order:
            order.append(element)
    if placed < ENOUGH * wanted or all(element == "H" for element, _ in cell.atoms):
        raise ValueError(
            f"{placed} of {wanted} atoms found a place in {symmetry.unit_cell()}, "
            f"{symmetry.space_group_info()}."
        )
    return cell.atoms


class _Cell:
    """The atoms of a cell so far, with all their mates."""

    def __init__(self, symmetry: crystal.symmetry):
        self.symmetry = symmetry
        operators = symmetry.space_group().all_ops()
        self.order = len(operators)
        self.rotations = np.array([o.r().as_double() for o in operators])
        self.rotations = self.rotations.reshape(-1, 3, 3)
        self.translations = np.array([o.t().as_double() for o in operators])
        orth = symmetry.unit_cell().orthogonalization_matrix()
        self.orth = np.array(orth).reshape(3, 3)
        self.shifts = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))
        self.sites = np.empty((0, 3))
        self.radii = np.empty(0)
        self.atoms: list[tuple[str, np.ndarray]] = []

    def place(
        self, rng: np.random.Generator, element: str, special: bool, most: float
    ) -> int:
        """Place one atom, give its multiplicity up to most, 0 without a place."""
        radius = covalent_radii.table(element).radius()
        positions = crystal.special_position_settings(
            self.symmetry, min_distance_sym_equiv=2 * CONTACT * radius
        )
        for _ in range(MAX_TRIALS):
            try:
                at = positions.site_symmetry(tuple(float(x) for x in rng.random(3)))
            except RuntimeError:  # between many mates cctbx finds no special position
                continue
            if at.multiplicity() > most:
                continue
            if at.multiplicity() != self.order and not special:
                continue
            site = np.array(at.exact_site())
            mates = self.rotations @ site + self.translations
            if self._has_room(site, mates, radius):
                self._add(element, site, mates, radius)
                return at.multiplicity()
        return 0

    def _has_room(self, site: np.ndarray, mates: np.ndarray, radius: float) -> bool:
        # From one atom to all others and their mates; and from it to its own mates, which
        # coincide with it on a special position.
        to_others = self._distances(self.sites - site)
        if np.any(to_others < (CONTACT * (self.radii + radius))[:, None]):
            return False
        own = self._distances(mates - site)
        return not np.any((own > 0.01) & (own < 2 * CONTACT * radius))

    def _distances(self, differences: np.ndarray) -> np.ndarray:
        """Distances [Å] modulo the lattice, of shape (n, number of shifts)."""
        differences = differences - np.round(differences)
        vectors = (differences[:, None, :] + self.shifts) @ self.orth.T
        return np.sqrt(np.sum(vectors**2, axis=2))

    def _add(
        self, element: str, site: np.ndarray, mates: np.ndarray, radius: float
    ) -> None:
        self.sites = np.vstack([self.sites, mates])
        self.radii = np.append(self.radii, np.full(len(mates), radius))
        self.atoms.append((element, site))
