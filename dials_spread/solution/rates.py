"""
How often a structure solves, against the known one.

Classes:
    SolutionRates: of all starts

Functions:
    compare_solutions: do it
    wilson_interval: of a rate
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cctbx import crystal, sgtbx, xray

from dials_spread.rfactor.r1 import finite_or_none
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution.amplitudes import SphereAmplitudes
from dials_spread.solution.peaks import apart
from dials_spread.solution.shifts import Overlay, map_correlation
from dials_spread.solution.solve import Solution, Solutions

SOLVED_CORRELATION = 0.6
"""
Map correlation from which a start has solved. Maps of right amplitudes and random phases
reach 0.15 to 0.4 at the best of all origins, the more the smaller the structure; solved ones
0.7 to 0.95, with few between.
"""

FOUND_WITHIN = 0.5
"""A peak so near to an atom is that atom [Å]: a third of a bond."""

HALF_OCCUPIED = 0.5


@dataclass(frozen=True)
class SolutionRates:
    """
    How often starts solve.

    Attributes:
        correlation: Shape (s,), map correlation of each start with the true map, at the
            best origin and hand.
        atoms_found: Shape (s,), int: atoms of the asymmetric unit, not hydrogen, most of
            whose copies in the cell are within 0.5 Å of one of the highest peaks (as many
            as there are such atoms in the cell).
        n_atoms: How many atoms there are to find.
        solved: Shape (s,), bool, map correlation above 0.6.
        own_criterion: Shape (s,), bool, what the starts said of themselves.
    """

    correlation: np.ndarray
    atoms_found: np.ndarray
    n_atoms: int
    solved: np.ndarray
    own_criterion: np.ndarray

    def __len__(self) -> int:
        return len(self.correlation)

    @property
    def n_solved(self) -> int:
        """Number of starts that solved."""
        return int(np.count_nonzero(self.solved))

    @property
    def rate(self) -> float:
        """Share of starts that solved."""
        return self.n_solved / len(self)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the rate."""
        return wilson_interval(self.n_solved, len(self))

    def as_dict(self) -> dict:
        """For JSON."""
        best = int(np.argmax(self.correlation))
        return {
            "n_starts": len(self),
            "n_solved": self.n_solved,
            "rate": self.rate,
            "interval": list(self.interval),
            "correlation": finite_or_none(self.correlation),
            "median_correlation": float(np.median(self.correlation)),
            "best_correlation": float(self.correlation[best]),
            "atoms_found": self.atoms_found.tolist(),
            "best_atoms_found": int(self.atoms_found[best]),
            "n_atoms": self.n_atoms,
            "own_criterion": {
                "solved": int(np.count_nonzero(self.own_criterion)),
                "right": int(np.count_nonzero(self.own_criterion == self.solved)),
                "false_solved": int(
                    np.count_nonzero(self.own_criterion & ~self.solved)
                ),
                "false_unsolved": int(
                    np.count_nonzero(~self.own_criterion & self.solved)
                ),
            },
        }


def wilson_interval(n_solved: int, n: int) -> tuple[float, float]:
    """
    Give the 95 % interval of a rate.

    Wilson (1927), J. Am. Stat. Assoc. 22, 209; recommended for small numbers by Newcombe
    (1998), Stat. Med. 17, 857.

    Args:
        n_solved: Successes.
        n: Trials.
    """
    interval = stats.binomtest(n_solved, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def compare_solutions(solutions: Solutions, structure: xray.structure) -> SolutionRates:
    """
    Judge each start by the known structure.

    Args:
        solutions: All starts.
        structure: The true one, in the setting of the data, of either hand; its cell may
            differ a little.

    Raises:
        ValueError: The cells do not belong together, or there is nothing but hydrogen.
    """
    amplitudes = solutions.amplitudes
    structure = in_cell_of(amplitudes, structure)
    true = structure_factors(structure, amplitudes.miller_index)
    copies = atom_copies(structure)
    overlays = [
        map_correlation(amplitudes.miller_index, one.F, true)
        for one in solutions.starts
    ]
    correlation = np.array([overlay.correlation for overlay in overlays])
    found = [
        _atoms_found(one, overlay, copies, amplitudes)
        for one, overlay in zip(solutions.starts, overlays)
    ]
    return SolutionRates(
        correlation=correlation,
        atoms_found=np.array(found, dtype=int),
        n_atoms=len(copies),
        solved=correlation > SOLVED_CORRELATION,
        own_criterion=np.array([one.solved for one in solutions.starts], dtype=bool),
    )


def in_cell_of(
    amplitudes: SphereAmplitudes, structure: xray.structure
) -> xray.structure:
    """
    Put a structure into the cell of the data, fractional coordinates as they are.

    Raises:
        ValueError: The cells differ by more than 5 % or 5°.
    """
    cell, own = amplitudes.unit_cell, structure.unit_cell()
    if not cell.is_similar_to(own, 0.05, 5.0):
        told = [", ".join(f"{x:.2f}" for x in one.parameters()) for one in (own, cell)]
        raise ValueError(
            f"the cell of the structure ({told[0]}) is not that of the data ({told[1]})"
        )
    symmetry = crystal.symmetry(unit_cell=cell, space_group=structure.space_group())
    # Occupancies of special positions and site symmetries stay those of the structure.
    settings = crystal.special_position_settings(
        symmetry, min_distance_sym_equiv=structure.min_distance_sym_equiv()
    )
    return xray.structure(
        special_position_settings=settings, scatterers=structure.scatterers()
    )


def atom_copies(structure: xray.structure) -> list[np.ndarray]:
    """
    Give the copies in the cell of each atom that can be found.

    Args:
        structure: Any.

    Returns:
        Shape (copies, 3), fractional, of each atom that is not hydrogen and at least half
        occupied.

    Raises:
        ValueError: There is none.
    """
    copies = []
    for scatterer in structure.scatterers():
        if scatterer.element_symbol() in ("H", "D"):
            continue
        if scatterer.occupancy < HALF_OCCUPIED:
            continue
        own = sgtbx.site_symmetry(
            structure.unit_cell(),
            structure.space_group(),
            scatterer.site,
            structure.min_distance_sym_equiv(),
        )
        equivalent = sgtbx.sym_equiv_sites(own).coordinates()
        copies.append(np.array(list(equivalent)).reshape(-1, 3))
    if not copies:
        n = structure.scatterers().size()
        raise ValueError(f"none of the {n} atoms of the structure can be searched for")
    return copies


def _atoms_found(
    solution: Solution,
    overlay: Overlay,
    copies: list[np.ndarray],
    amplitudes: SphereAmplitudes,
) -> int:
    """Count atoms most of whose copies are among the highest peaks."""
    n = sum(len(one) for one in copies)
    sites = solution.sites[:n]
    if not len(sites):
        return 0
    placed = (-sites if overlay.inverted else sites) + overlay.shift
    count = 0
    for own in copies:
        distance = apart(amplitudes.unit_cell, placed[None], own[:, None]).min(axis=1)
        count += bool((distance < FOUND_WITHIN).mean() >= 0.5)
    return count
