"""
A structure for the second correction, solved from the first where none is given.

Classes:
    SolvedStructure: atoms, and what speaks for them
    NotSolved: that there is none

Functions:
    solve_structure: from corrected amplitudes
    obeyed_instead: which space group maps obey, if not that of the data
    believed: a structure of a map, if it predicts what was left out
    correct_solved: correct with it, with the hand that the data agree with
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from cctbx import miller, sgtbx, xray
from cctbx.array_family import flex

from dials_spread.correction.apply.estimates import CorrectedAmplitudes
from dials_spread.correction.apply.merged_files import unique_array
from dials_spread.correction.apply.subject import Subject
from dials_spread.refinement import Refinement
from dials_spread.solution import (
    AssignedStructure,
    Solutions,
    assign_atoms,
    other_space_groups,
    solve,
)
from dials_spread.with_structure.completing import (
    Completed,
    complete_structure,
    left_out_r1,
)
from dials_spread.with_structure.cycles import Cycles, correct_in_cycles
from dials_spread.with_structure.problem import StructureInput
from dials_spread.with_structure.right_hand import in_right_hand

logger = logging.getLogger("dials.spread.solved")

LIKELIER = 1.0
"""Standard deviations from which the other hand is taken, and everything done anew: a choice
of the likelier of two, and no claim, for which it takes 3."""


WRONG_R1 = 0.4
"""R1 against the first correction from which what was found is no solution, of all reflections
or of those left out in turn. Right ones have 0.05 to 0.32 and 0.12 to 0.34; amplitudes that were
exchanged give 0.36 to 0.67 and 0.45 to 0.81, data to 1.4 Å and compositions of other compounds
0.42 to 0.51 in the first way (docs/with_structure.rst)."""


class NotSolved(ValueError):
    """
    No structure: the data can be corrected without.

    Attributes:
        more_starts: Whether more random starts may find one.
    """

    def __init__(self, told: str, more_starts: bool = False) -> None:
        super().__init__(told)
        self.more_starts = more_starts


@dataclass(frozen=True)
class SolvedStructure:
    """
    Atoms, and what speaks for them.

    Attributes:
        assigned: From the map of the best start.
        completed: Refined, with atoms that difference maps showed.
        d_min: Resolution that was used for the map [Å].
        r1_left_out: R1 of reflections that took no part, see completing.left_out_r1.
        composition: Of a formula unit; None where it is not known.
        turned: Whether its mirror image was taken in the end.
    """

    assigned: AssignedStructure
    completed: Completed
    d_min: float
    r1_left_out: float
    composition: str | None = None
    turned: bool = False

    @property
    def structure(self) -> xray.structure:
        """The structure."""
        return self.completed.structure

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        made = self.completed
        return {
            **self.assigned.as_dict(),
            "d_min": self.d_min,
            "added": made.n_added,
            "added_hydrogen": made.n_hydrogen,
            "removed": made.n_removed,
            "r1_completed": made.refinement.r1_all,
            "r1_left_out": self.r1_left_out,
            "mirror_image": self.turned,
        }


def solve_structure(
    subject: Subject,
    first: CorrectedAmplitudes,
    composition: str | None = None,
    starts: int = 500,
    seed: int = 0,
    nproc: int | None = None,
) -> SolvedStructure:
    """
    Solve the structure from amplitudes of the first correction, and complete it.

    Args:
        subject: The data.
        first: Their amplitudes with errors.
        composition: Of a formula unit, as "C 8 H 9 N O 2"; None where it is not known.
        starts: Random starts of charge flipping, at most.
        seed: Of these.
        nproc: Threads; all cores by default.

    Raises:
        NotSolved: No start solves.
        ValueError: The composition cannot be read.
    """
    array = first_intensities(subject, first)
    try:
        solutions = solve(
            array, n_starts=starts, seed=seed, nproc=nproc, until_solved=True,
            progress="Solving the structure",
        )  # fmt: skip
    except ValueError as error:  # too few reflections, or too low a resolution
        raise NotSolved(str(error)) from None
    try:
        if solutions.n_solved:
            return believed(solutions, array, composition, seed)
    except NotSolved as error:
        instead = obeyed_instead(solutions, seed)
        if not instead:
            raise
        raise NotSolved(f"{error}; {instead}") from None
    instead = obeyed_instead(solutions, seed)
    raise NotSolved(
        f"no map of {counted_starts(len(solutions))} of charge flipping obeys the "
        f"space group ({solutions.amplitudes.n_unique:,} reflections to "
        f"{solutions.amplitudes.d_min:.2f} Å)" + (f"; {instead}" if instead else ""),
        more_starts=not instead,
    )


def obeyed_instead(solutions: Solutions, seed: int = 0) -> str:
    """
    Say which other space group the maps obey.

    Args:
        solutions: Of random starts, none of them right.
        seed: Of random phases, for comparison.

    Returns:
        What is to be done, or an empty string.
    """
    found = other_space_groups(solutions, seed)
    if not found:
        return ""
    own, (_, best) = solutions.amplitudes.space_group, found[0]
    names = [str(sgtbx.space_group_info(group=group)) for group, _ in found[:3]]
    return (
        f"the data are in {sgtbx.space_group_info(group=own)}, but maps obey "
        f"{' or '.join(names)} better (agreement of phases {best:.2f}). Systematic absences "
        "tell more; give the data that were given here the right one (dials.reindex "
        f'space_group="{names[0]}"), and run this again'
    )


def believed(
    solutions: Solutions, array: miller.array, composition: str | None, seed: int = 0
) -> SolvedStructure:
    """
    Make a structure of a map, if it predicts reflections that it was not refined against.

    Args:
        solutions: Of which one has solved.
        array: The intensities.
        composition, seed: As for `solve_structure`.

    Raises:
        NotSolved: It does not.
        ValueError: The composition cannot be read.
    """
    assigned = assign_atoms(solutions, composition)
    try:
        completed = complete_structure(assigned.structure, array, composition, seed)
    except ValueError as error:
        raise NotSolved(f"what was found cannot be refined: {error}") from None
    d_min, r1 = solutions.amplitudes.d_min, completed.refinement.r1_all
    left_out = left_out_r1(completed.refinement, array, seed)
    if np.isnan(left_out):
        raise NotSolved(
            f"{array.size():,} reflections are too few to leave some out, which would show "
            "whether what was found is right"
        )
    if not max(r1, left_out) < WRONG_R1:
        doubt = (
            f", and so has a wrong composition ({composition})" if composition else ""
        )
        raise NotSolved(
            f"what was found to {d_min:.2f} Å has R1 {r1:.2f}, and {left_out:.2f} of "
            f"reflections left out, as wrong structures have{doubt}"
        )
    return SolvedStructure(assigned, completed, d_min, left_out, composition)


def correct_solved(
    given: StructureInput,
    solved: SolvedStructure,
    n_cycles: int = 1,
    least_change: float = 0.0,
) -> tuple[Cycles, SolvedStructure]:
    """
    Correct with a structure that was solved, completing it between cycles.

    Phases of charge flipping may be of either hand: if the data agree better with the mirror
    image, by a standard deviation, everything is done anew with that.

    Args:
        given: Data, first estimate and the structure.
        solved: How it was found.
        n_cycles: Corrections at most.
        least_change: As for cycles.correct_in_cycles.

    Returns:
        All cycles, and the structure of the hand that was taken.

    Raises:
        ValueError: A still, or no crystal has enough observations for a thickness.
    """

    def between(structure: xray.structure, array: miller.array) -> Refinement:
        return complete_structure(
            structure, array, solved.composition, given.seed
        ).refinement

    right = in_right_hand(replace(given, solved=True), LIKELIER)
    cycles = correct_in_cycles(
        right.given, n_cycles, between=between, begun=right.correction,
        least_change=least_change,
    )  # fmt: skip
    return cycles, replace(solved, turned=right.turned is not None)


def counted_starts(n: int) -> str:
    """One random start, or several."""
    return "the one random start" if n == 1 else f"{n:,} random starts"


def first_intensities(subject: Subject, first: CorrectedAmplitudes) -> miller.array:
    """
    Give the intensities of the first correction, Friedel mates averaged.

    Args:
        subject: The data.
        first: Their amplitudes with errors.
    """
    I, sigma = first.intensities()
    assert sigma is not None  # structure= wants a model that gives errors
    array = unique_array(subject.prepared.measured, I, sigma)
    known = np.isfinite(I) & np.isfinite(sigma) & (sigma > 0)
    array = array.select(flex.bool(known)).set_observation_type_xray_intensity()
    array = array.map_to_asu()
    return array.average_bijvoet_mates() if array.anomalous_flag() else array
