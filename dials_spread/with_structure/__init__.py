"""
A second correction for multiple scattering, with a provisional structure.

Modules:
    believed_amplitudes: between those of data and structure, by how far either is believed
    cross_validation: whether held-out observations are predicted better
    completing: atoms that difference maps show
    crossing_table: what was measured, by crossing of the Ewald sphere
    cycles: corrections and refinements in turn
    crystal_shapes: how thick each crystal is
    data_potential: amplitudes that are given, phases from the structure
    hands: the structure against its mirror image
    inversion: amplitudes from all observations by least squares
    local_beams: which beams matter to one observation
    local_simulation: intensities of observations, and what each |F| does to them
    local_waves: the wave of one observation, and its derivative
    problem: a structure laid on the data
    provisional: whether a structure is one of the measured crystals
    right_hand: the structure or its mirror image
    second_correction: data, first estimate and structure in, amplitudes out
    solved: a structure solved from the first correction
    stronger_atoms: elements where no composition is given
    tilts: small errors of orientation along a rotation
"""

from __future__ import annotations

from dials_spread.with_structure.completing import Completed, complete_structure
from dials_spread.with_structure.cycles import (
    LEAST_CHANGE,
    MOST_CYCLES,
    Cycles,
    correct_in_cycles,
    in_structure_setting,
    refine_against,
)
from dials_spread.with_structure.hands import Hands
from dials_spread.with_structure.problem import StructureInput
from dials_spread.with_structure.provisional import (
    LaidOnData,
    lay_on_data,
    refuse_others,
)
from dials_spread.with_structure.right_hand import SURE, RightHand, in_right_hand
from dials_spread.with_structure.second_correction import (
    SecondCorrection,
    correct_with_structure,
)
from dials_spread.with_structure.solved import (
    NotSolved,
    SolvedStructure,
    correct_solved,
    solve_structure,
)

__all__ = [
    "LEAST_CHANGE",
    "MOST_CYCLES",
    "SURE",
    "Completed",
    "Cycles",
    "Hands",
    "LaidOnData",
    "NotSolved",
    "RightHand",
    "SecondCorrection",
    "SolvedStructure",
    "StructureInput",
    "complete_structure",
    "correct_in_cycles",
    "correct_solved",
    "correct_with_structure",
    "in_right_hand",
    "in_structure_setting",
    "lay_on_data",
    "refine_against",
    "refuse_others",
    "solve_structure",
]
