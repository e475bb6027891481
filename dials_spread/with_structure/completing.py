"""
A structure that was solved, completed: atoms that the difference map shows, without those that
have no density.

Classes:
    Contents: how many atoms there may be
    Completed: the structure, and what was changed

Functions:
    complete_structure: do it
    left_out_r1: R1 of reflections that took no part
    carbon_height: of a map
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cctbx import miller, sgtbx, xray
from cctbx.array_family import flex

from dials_spread.refinement import Refinement, RefinementSettings, refine
from dials_spread.refinement.difference_map import POTENTIAL, Peak, nearest
from dials_spread.refinement.hydrogen import find_parents
from dials_spread.refinement.model import hydrogen_atoms, without_density
from dials_spread.scattering.form_factors import electron_form_factor, parse_type
from dials_spread.solution.assign import SPECIAL
from dials_spread.solution.composition import (
    VOLUME_PER_ATOM,
    formula_units,
    parse_composition,
)
from dials_spread.stages import stage
from dials_spread.structures.connected import connected
from dials_spread.structures.structure_checks import overlapping_atoms
from dials_spread.with_structure.stronger_atoms import name_stronger_atoms, new_name

logger = logging.getLogger("dials.spread.solution")

ROUNDS = 6
"""Refinements, each with the atoms that the map of the one before shows."""

HEAVY_HIGH = 5.0
"""Standard deviations of the map from which a peak may be an atom other than hydrogen."""

HYDROGEN_HIGH = 3.0
"""The same for hydrogen, whose distance from its parent speaks for it too."""

BONDED = 1.15
"""Atoms other than hydrogen are not nearer to each other than this [Å]."""

HYDROGEN_BOND = (0.8, 1.3)
"""Distances of hydrogen from its parent [Å]; nuclei, which electrons see, are at 0.96 to 1.1."""

HYDROGEN_LENGTH = {"C": 1.08, "N": 1.02, "O": 0.98}
"""Of bonds to hydrogen nuclei, by neutron diffraction [Å] (Allen & Bruno (2010), Acta Cryst.
B66, 380), where hydrogen is put unless R1 rises."""

HYDROGEN_APART = 1.4
"""Hydrogen is not nearer than this [Å] to a second atom other than hydrogen."""

HYDROGENS_APART = 1.4
"""Two hydrogen atoms are not nearer to each other than this [Å]; in water they are 1.5 Å."""

LIGHT = 0.3
"""Of the height of carbon, below which a peak may be hydrogen, and above which another atom."""

MORE = 1.3
"""Atoms without a composition, relative to one in 18 Å³, at most; and twice that of hydrogen."""

LOOSE = (0.15, 3.0)
"""U [Å²], and times the median one, from which an atom of a solution is left out."""

N_PEAKS = 60

FIFTHS = 5


@dataclass(frozen=True)
class Contents:
    """
    How many atoms the cell may hold.

    Attributes:
        by_element: Atoms in the cell of each element; empty where it is not known.
        volume: Of the cell [Å³].
    """

    by_element: Mapping[str, float]
    volume: float

    @classmethod
    def of(cls, structure: xray.structure, composition: str | None) -> Contents:
        """
        Take a composition, or the volume.

        Args:
            structure: With cell and space group.
            composition: Of a formula unit; None where it is not known.

        Raises:
            ValueError: The composition cannot be read.
        """
        cell, group = structure.unit_cell(), structure.space_group()
        if composition is None:
            return cls({}, cell.volume())
        unit = parse_composition(composition)
        Z = formula_units(unit, cell, group)
        return cls({key: n * Z for key, n in unit.items()}, cell.volume())

    def lacking(self, structure: xray.structure) -> dict[str, float]:
        """Give how many atoms of each element the structure may have more."""
        there: dict[str, float] = {}
        for scatterer in structure.scatterers():
            element = parse_type(scatterer.scattering_type)[0]
            there[element] = there.get(element, 0.0) + scatterer.multiplicity()
        if self.by_element:
            return {key: n - there.get(key, 0) for key, n in self.by_element.items()}
        most = MORE * self.volume / VOLUME_PER_ATOM
        heavy = sum(n for key, n in there.items() if key != "H")
        return {"C": most - heavy, "H": 2 * most - there.get("H", 0)}


@dataclass(frozen=True)
class Completed:
    """
    A structure, and what was changed.

    Attributes:
        refinement: Of the structure as completed, isotropic.
        n_added, n_hydrogen, n_removed: Atoms of the asymmetric unit, by kind; hydrogen is
            not among those added.
        n_rounds: That were kept.
    """

    refinement: Refinement
    n_added: int
    n_hydrogen: int
    n_removed: int
    n_rounds: int

    @property
    def structure(self) -> xray.structure:
        """The structure, refined."""
        return self.refinement.structure


@stage("Completing the structure")
def complete_structure(
    structure: xray.structure,
    f_sq: miller.array,
    composition: str | None = None,
    seed: int = 0,
) -> Completed:
    """
    Refine, and add what the difference map shows, in turns.

    A round is kept where R1 √(n / (n - p)) of n reflections and p parameters falls: more
    atoms always lower R1.

    Args:
        structure: Solved, without hydrogen or with some of it.
        f_sq: Merged intensities with sigmas, in its setting.
        composition: Of a formula unit; None where it is not known, and atoms that are
            added are carbon and hydrogen.
        seed: Of random numbers.

    Raises:
        ValueError: It cannot be refined, or the composition cannot be read.
    """
    contents = Contents.of(structure, composition)
    structure = connected(structure)
    start = _refined(structure, f_sq, seed)
    best = Completed(start, 0, 0, _lost(structure, start), 0)
    if composition is None:
        best = _with_elements(best, f_sq, seed)
    for _ in range(ROUNDS):
        trial, counts = _changed(best.refinement, f_sq, contents)
        if not any(counts):
            break
        try:
            refinement = _refined(trial, f_sq, seed)
        except ValueError:  # more parameters than reflections
            break
        if not _figure(refinement) < _figure(best.refinement):
            break
        best = Completed(
            refinement,
            best.n_added + counts[0],
            best.n_hydrogen + counts[1],
            best.n_removed + counts[2] + _lost(trial, refinement),
            best.n_rounds + 1,
        )
    return _with_bond_lengths(best, f_sq, seed)


def _lost(structure: xray.structure, one: Refinement) -> int:
    """Atoms that its refinement has taken out."""
    return len(structure.scatterers()) - len(one.structure.scatterers())


def _with_elements(best: Completed, f_sq: miller.array, seed: int) -> Completed:
    """Atoms that scatter much more than others get an element that does, if R1 falls."""
    named = name_stronger_atoms(best.refinement, f_sq)
    if named is None:
        return best
    refinement = _refined(named, f_sq, seed)
    better = _figure(refinement) < _figure(best.refinement)
    return replace(best, refinement=refinement) if better else best


def _refined(structure: xray.structure, f_sq: miller.array, seed: int) -> Refinement:
    """Refine; of two atoms that run into one place the more smeared one goes."""
    settings = RefinementSettings(
        start_shift=0.0, anisotropic=False, riding_hydrogen=True, n_peaks=N_PEAKS
    )
    for _ in range(len(structure.scatterers())):
        rng = np.random.default_rng(seed)
        one = refine(structure, f_sq, settings=settings, rng=rng)
        u = one.structure.extract_u_iso_or_u_equiv()
        double = {
            i if u[i] > u[j] else j
            for i, j, _ in overlapping_atoms(one.structure)
            if i != j
        }
        if not double:
            break
        kept = flex.bool([i not in double for i in range(len(u))])
        structure = one.structure.select(kept)
    return one


def _figure(one: Refinement) -> float:
    """R1 of all, as if parameters cost nothing; of hydrogen, which rides, its place counts."""
    n, n_hydrogen = one.n_observations, int(hydrogen_atoms(one.structure).sum())
    free = max(n - one.n_parameters - 3 * n_hydrogen, 1)
    return one.r1_all * float(np.sqrt(n / free))


def _changed(
    one: Refinement, f_sq: miller.array, contents: Contents
) -> tuple[xray.structure, tuple[int, int, int]]:
    """The structure without atoms of no density, with peaks; how many of which."""
    loose = {label for label, _ in without_density(one.structure, *LOOSE)}
    kept = flex.bool([s.label not in loose for s in one.structure.scatterers()])
    model = one.structure.select(kept)
    lacking = contents.lacking(model)
    added = [0, 0]
    height = carbon_height(model, f_sq)
    for peak in one.peaks:
        element = _element(peak, model, lacking, height)
        if element is None:
            continue
        own = sgtbx.site_symmetry(
            model.unit_cell(), model.space_group(), peak.site, SPECIAL, False
        )
        label = new_name(model, element)
        model.add_scatterer(
            xray.scatterer(
                label=label, scattering_type=element, site=own.exact_site(), u=0.04
            )
        )
        lacking[element] -= own.multiplicity()
        added[element == "H"] += 1
    return connected(model), (added[0], added[1], len(loose))


def _element(
    peak: Peak, model: xray.structure, lacking: Mapping[str, float], height: float
) -> str | None:
    """Which atom a peak may be; None for none."""
    if peak.in_sigma < HYDROGEN_HIGH:
        return None
    sites = np.array(model.sites_frac())
    distance, _ = nearest(model, sites, np.array([peak.site]))
    hydrogen = hydrogen_atoms(model)
    heavy = np.sort(distance[~hydrogen])
    to_hydrogen = distance[hydrogen].min() if hydrogen.any() else np.inf
    if to_hydrogen < HYDROGEN_BOND[0]:
        return None
    light = peak.height < LIGHT * height
    if HYDROGEN_BOND[0] < heavy[0] < HYDROGEN_BOND[1]:
        second = heavy[1] if len(heavy) > 1 else np.inf
        fits = second > HYDROGEN_APART and to_hydrogen > HYDROGENS_APART
        fits = fits and lacking.get("H", 0) > 0
        return "H" if light and fits else None
    if heavy[0] < BONDED or peak.in_sigma < HEAVY_HIGH or light:
        return None
    wanted = {key: n for key, n in lacking.items() if key != "H" and n > 0.5}
    return max(wanted, key=lambda key: wanted[key]) if wanted else None


def _with_bond_lengths(best: Completed, f_sq: miller.array, seed: int) -> Completed:
    """Hydrogen at usual distances from its parents, if R1 does not rise."""
    model = best.structure.deep_copy_scatterers()
    cell, parent, scatterers = (
        model.unit_cell(),
        find_parents(model),
        model.scatterers(),
    )
    hydrogen = np.flatnonzero(hydrogen_atoms(model) & (parent >= 0))
    for h in hydrogen:
        start = np.array(scatterers[int(parent[h])].site)
        along = np.array(scatterers[int(h)].site) - start
        length = cell.length(tuple(along))
        element = parse_type(scatterers[int(parent[h])].scattering_type)[0]
        wanted = HYDROGEN_LENGTH.get(element, length)
        scatterers[int(h)].site = tuple(start + along * wanted / length)
    if not len(hydrogen):
        return best
    refinement = _refined(model, f_sq, seed)
    better = _figure(refinement) <= _figure(best.refinement)
    return replace(best, refinement=refinement) if better else best


def left_out_r1(one: Refinement, f_sq: miller.array, seed: int = 0) -> float:
    """
    Refine without a fifth of the reflections, each fifth in turn, and give R1 of these.

    A few reflections are fitted by a wrong structure, too: natrolite of 280 reflections that
    were exchanged among each other to R1 of 0.36 to 0.41, and 0.46 to 0.58 where left out.
    Atoms start 0.1 Å away, so as to forget the reflections that they were found with.

    Args:
        one: Of the structure as completed.
        f_sq: The reflections.
        seed: Of the fifths, and of the directions.

    Returns:
        The mean; nan where there are too few reflections.
    """
    fold = np.random.default_rng([seed, 5]).integers(0, FIFTHS, f_sq.size())
    settings = RefinementSettings(start_shift=0.1, anisotropic=False, n_peaks=1)
    told = []
    for k in range(FIFTHS):
        rng = np.random.default_rng([seed, k])
        try:
            own = refine(
                one.structure, f_sq, held_out=fold == k, settings=settings, rng=rng
            )
        except ValueError:  # more parameters than reflections
            return float("nan")
        told.append(own.r1_held_out)
    return float(np.mean(told))


def carbon_height(structure: xray.structure, f_sq: miller.array) -> float:
    """
    Give the height of a carbon atom in a map of these reflections [V].

    Args:
        structure: Whose median displacement carbon has.
        f_sq: The reflections, merged.
    """
    u = structure.extract_u_iso_or_u_equiv().as_numpy_array()
    s_sq = f_sq.sin_theta_over_lambda_sq().data().as_numpy_array()
    damping = np.exp(-8 * np.pi**2 * float(np.median(u)) * s_sq)
    mates = f_sq.multiplicities().data().as_numpy_array()  # of the whole sphere
    f = electron_form_factor("C", 0.0, np.sqrt(s_sq)) * damping
    return float(POTENTIAL * np.sum(mates * f) / f_sq.unit_cell().volume())
