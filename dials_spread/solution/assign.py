"""
From the best solution to a structure: peaks, their elements, and how sure that is.

Classes:
    AssignedStructure: atoms and what speaks for them

Functions:
    assign_atoms: do it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import crystal, sgtbx, xray
from cctbx.array_family import flex

from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.form_factors import electron_form_factor
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution.amplitudes import SphereAmplitudes
from dials_spread.solution.composition import (
    VOLUME_PER_ATOM,
    formula_units,
    parse_composition,
    without_hydrogen,
)
from dials_spread.solution.peaks import NEAREST, highest_peaks
from dials_spread.solution.polish import model_r1, refine_sites
from dials_spread.solution.shifts import Equivalents, map_correlation, symmetrised
from dials_spread.solution.solve import SAME_MAP, Solution, Solutions

START_U = 0.03
"""Mean square displacement before it is refined [Å²]."""

SPECIAL = 0.5
"""A peak nearer to its own symmetry mates than this [Å] is on the special position."""


@dataclass(frozen=True)
class AssignedStructure:
    """
    Atoms found, and what speaks for them.

    Attributes:
        structure: In the space group of the data, isotropic, without hydrogen, scattering
            types those assigned.
        r1: Σ|k Fo - Fc| / Σ Fc of this model with all reflections used.
        n_reflections: How many unique ones those are.
        n_agree: Starts, the best one included, whose map is that of the best one.
        n_starts: Number of starts.
        agreement: Of the best start with the space group; nan in P1.
        solved: Whether the best start is solved by its own criterion.
        Z: Formula units in the cell; None without a composition.
        by_composition: Whether elements come from a composition; otherwise all are carbon.
        n_expected: Atoms in the cell that were searched for.
        n_found: Atoms in the cell that the structure has.
    """

    structure: xray.structure
    r1: float
    n_reflections: int
    n_agree: int
    n_starts: int
    agreement: float
    solved: bool
    Z: int | None
    by_composition: bool
    n_expected: float
    n_found: float

    def as_dict(self) -> dict:
        """For JSON."""
        atoms = [
            {
                "label": one.label,
                "element": one.scattering_type,
                "site": [float(x) for x in one.site],
                "u_iso": float(one.u_iso),
                "multiplicity": one.multiplicity(),
            }
            for one in self.structure.scatterers()
        ]
        return {
            "space_group": str(self.structure.space_group_info()),
            "r1": self.r1,
            "n_reflections": self.n_reflections,
            "n_agree": self.n_agree,
            "n_starts": self.n_starts,
            "agreement": self.agreement if np.isfinite(self.agreement) else None,
            "solved": self.solved,
            "Z": self.Z,
            "by_composition": self.by_composition,
            "n_expected": self.n_expected,
            "n_found": self.n_found,
            "atoms": atoms,
        }

    def sentence(self) -> str:
        """Say how sure it is."""
        start = (
            f"{self.n_agree} of {self.n_starts} starts end in this map; R1 of the model "
            f"with {self.n_reflections} reflections {self.r1:.2f}"
        )
        if not self.solved:
            return f"Not solved, by its own criterion: {start}."
        kinds = (
            "elements by peak height and composition: neighbours in the periodic table "
            "may be exchanged"
            if self.by_composition
            else "all atoms carbon, as no composition is given"
        )
        return f"Solved: {start}; {kinds}; no hydrogen."


def assign_atoms(
    solutions: Solutions, composition: str | None = None, Z: int | None = None
) -> AssignedStructure:
    """
    Make a structure of the best solution.

    Its map, at the origin of the space group, is averaged over the symmetry; the highest
    peaks become atoms until the cell is full. The elements are ordered by the height that
    their form factors give at the resolution of the data, the highest peaks getting the
    highest. Then sites and one displacement parameter for all are refined (smtbx), two
    elements are exchanged as long as that lowers R1, and sites are refined with a
    displacement parameter each.

    Args:
        solutions: From `solve`.
        composition: Of a formula unit, as "C 8 H 9 N 1 O 2"; hydrogen is left out. None:
            one atom for 18 Å³, all of them carbon.
        Z: Formula units in the cell; by default from the volume.

    Raises:
        ValueError: The composition cannot be read, Z is not positive, or there is no peak.
    """
    amplitudes, best = solutions.amplitudes, solutions.best
    counts, Z = _wanted(amplitudes, composition, Z)
    sites, multiplicity = asymmetric_peaks(amplitudes, best, sum(counts.values()))
    if not len(sites):
        raise ValueError("the map of the best start has no peak: nothing to assign")
    elements = elements_by_height(counts, multiplicity, amplitudes)
    structure = make_structure(amplitudes, sites, elements)
    structure = _refined(structure, amplitudes)
    agree = sum(
        map_correlation(amplitudes.miller_index, one.F, best.F).correlation > SAME_MAP
        for one in solutions.starts
    )
    return AssignedStructure(
        structure=structure,
        r1=model_r1(structure, amplitudes),
        n_reflections=amplitudes.n_unique,
        n_agree=int(agree),
        n_starts=len(solutions),
        agreement=best.agreement,
        solved=best.solved,
        Z=Z,
        by_composition=composition is not None,
        n_expected=float(sum(counts.values())),
        n_found=float(multiplicity.sum()),
    )


def _wanted(
    amplitudes: SphereAmplitudes, composition: str | None, Z: int | None
) -> tuple[dict[str, float], int | None]:
    """Atoms in the cell by element, and Z."""
    if composition is None:
        n = amplitudes.unit_cell.volume() / VOLUME_PER_ATOM
        return {"C": float(max(1, round(n)))}, None
    if Z is not None and Z < 1:
        raise ValueError(f"Z={Z}: there is one formula unit in a cell at least")
    formula = parse_composition(composition)
    Z = Z or formula_units(formula, amplitudes.unit_cell, amplitudes.space_group)
    return {key: n * Z for key, n in without_hydrogen(formula).items()}, Z


def asymmetric_peaks(
    amplitudes: SphereAmplitudes, solution: Solution, n: float
) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the highest peaks of the map averaged over the space group.

    Args:
        amplitudes: What was solved.
        solution: One start; its origin is that of the space group.
        n: Atoms in the cell.

    Returns:
        Fractional sites, one of all equivalents, shape (p, 3), highest first, and
        multiplicities, shape (p,), with a sum that just reaches n where there are enough.
    """
    cell, group = amplitudes.unit_cell, amplitudes.space_group
    equivalents = Equivalents(amplitudes.miller_index, group)
    F = symmetrised(equivalents, solution.F)
    peaks, _ = highest_peaks(
        cell, amplitudes.miller_index, F, int(np.ceil(1.5 * n)) + 4
    )
    sites: list[tuple] = []
    multiplicity: list[int] = []
    for peak in peaks:
        if sum(multiplicity) >= n - 0.5:
            break
        own = sgtbx.site_symmetry(cell, group, tuple(peak), SPECIAL, False)
        copies = sgtbx.sym_equiv_sites(own)
        if any(
            sgtbx.min_sym_equiv_distance_info(copies, other).dist() < NEAREST
            for other in sites
        ):
            continue
        sites.append(own.exact_site())
        multiplicity.append(own.multiplicity())
    return np.array(sites).reshape(-1, 3), np.array(multiplicity, dtype=int)


def elements_by_height(
    counts: dict[str, float], multiplicity: np.ndarray, amplitudes: SphereAmplitudes
) -> list[str]:
    """
    Give the highest peaks the elements that scatter most.

    Args:
        counts: Atoms in the cell by element.
        multiplicity: Shape (p,), of peaks, highest first.
        amplitudes: Whose reflections make the peaks.

    Returns:
        An element of each peak. A peak of larger multiplicity than what is left of an
        element goes to the next one that has enough, or to what has most left.
    """
    power = scattering_power(list(counts), amplitudes)
    order = sorted(counts, key=lambda key: -power[key])
    left, elements = dict(counts), []
    for m in multiplicity:
        fitting = [key for key in order if left[key] >= m - 0.5]
        element = fitting[0] if fitting else max(order, key=lambda key: left[key])
        left[element] -= m
        elements.append(element)
    return elements


def scattering_power(
    elements: list[str], amplitudes: SphereAmplitudes
) -> dict[str, float]:
    """Mean electron form factor [Å] over the reflections: as high as a peak is."""
    s = amplitudes.s
    damping = np.exp(-8 * np.pi**2 * START_U * s**2)
    return {
        key: float(np.mean(electron_form_factor(key, 0.0, s) * damping))
        for key in elements
    }


def make_structure(
    amplitudes: SphereAmplitudes, sites: np.ndarray, elements: list[str]
) -> xray.structure:
    """Atoms named by element and number, isotropic."""
    symmetry = crystal.symmetry(
        unit_cell=amplitudes.unit_cell, space_group=amplitudes.space_group
    )
    structure = xray.structure(
        special_position_settings=crystal.special_position_settings(
            symmetry, min_distance_sym_equiv=SPECIAL
        )
    )
    number: dict[str, int] = {}
    for site, element in zip(sites, elements):
        number[element] = number.get(element, 0) + 1
        structure.add_scatterer(
            xray.scatterer(
                label=f"{element}{number[element]}",
                scattering_type=element,
                site=tuple(float(x) for x in site),
                u=START_U,
            )
        )
    structure.scattering_type_registry(table="electron")
    return structure


def _refined(structure: xray.structure, amplitudes: SphereAmplitudes) -> xray.structure:
    """Refine with one displacement for all, exchange elements, refine with one each."""
    structure = refine_sites(structure, amplitudes, displacements=False)
    structure = exchange_elements(structure, amplitudes)
    return refine_sites(structure, amplitudes, displacements=True)


def exchange_elements(
    structure: xray.structure, amplitudes: SphereAmplitudes
) -> xray.structure:
    """
    Exchange elements of two atoms as long as that lowers R1 of the outer half of the data.

    Args:
        structure: Displacements the same for all atoms: else they make up for a wrong
            element.
        amplitudes: The data.

    Returns:
        A new structure.
    """
    rows = amplitudes.unique
    s = amplitudes.s[rows]
    # Hydrogen, which is not in the model, scatters to low angles.
    high = s >= np.median(s)
    rows, s = rows[high], s[high]
    index, F_o = amplitudes.miller_index[rows], amplitudes.F[rows]
    scatterers = structure.scatterers()
    elements = [one.scattering_type for one in scatterers]
    multiplicity = [one.multiplicity() for one in scatterers]
    f = {key: electron_form_factor(key, 0.0, s) for key in set(elements)}
    unit = []
    for i in range(len(elements)):
        alone = structure.select(flex.bool([j == i for j in range(len(elements))]))
        unit.append(structure_factors(alone, index) / f[elements[i]])
    total = sum(u * f[key] for u, key in zip(unit, elements))
    r1 = r_factor(F_o, np.abs(total))[0]
    for _ in range(2 * len(elements)):
        best = None
        for i in range(len(elements)):
            for j in range(i):
                a, b = elements[i], elements[j]
                if a == b or multiplicity[i] != multiplicity[j]:
                    continue
                other = total + (unit[i] - unit[j]) * (f[b] - f[a])
                own = r_factor(F_o, np.abs(other))[0]
                if own < r1 - 1e-5:
                    best, r1, better = (i, j), own, other
        if best is None:
            break
        i, j = best
        elements[i], elements[j] = elements[j], elements[i]
        total = better
    made = make_structure(
        amplitudes, np.array(structure.sites_frac()).reshape(-1, 3), elements
    )
    made.set_u_iso(value=None, values=structure.extract_u_iso_or_u_equiv())
    return made
