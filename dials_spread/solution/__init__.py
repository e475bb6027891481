"""
Structures from scratch: charge flipping from many random starts, and atoms from the map.

Modules:
    amplitudes: merged intensities as charge flipping takes them
    assign: from the best solution to a structure
    composition: what a cell holds
    flipping: one start
    other_groups: which space group maps obey, if not that of the data
    peaks: the highest peaks of a map
    polish: a first refinement of atoms that were found
    rates: how often a structure solves, against the known one
    shifts: the shift of the origin that makes two maps agree, or a map with its symmetry
    solve: many starts, and which of them solved
"""

from __future__ import annotations

from dials_spread.solution.assign import AssignedStructure, assign_atoms
from dials_spread.solution.other_groups import other_space_groups
from dials_spread.solution.rates import SolutionRates, compare_solutions
from dials_spread.solution.solve import Solution, Solutions, solve

__all__ = [
    "AssignedStructure",
    "Solution",
    "SolutionRates",
    "Solutions",
    "assign_atoms",
    "compare_solutions",
    "other_space_groups",
    "solve",
]
