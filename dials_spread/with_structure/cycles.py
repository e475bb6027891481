"""
Corrections and refinements of the structure in turn.

Each cycle corrects with the structure that the refinement before it left, always from the
first estimate, so that no amplitude rests on a structure twice. A fifth of the
observations is set apart throughout: the amplitudes that the structure is refined against
between cycles know nothing of them, and a cycle stays only if it predicts them better
than the one before, by a standard deviation. R1 decides nothing.

Classes:
    Cycle: one correction, and the refinement after it
    Cycles: all of them

Functions:
    correct_in_cycles: the entry point
    refine_against: a structure against corrected intensities
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cctbx import miller, xray

from dials_spread.observations import Observations
from dials_spread.refinement import Refinement, RefinementSettings, refine
from dials_spread.refinement.merged_data import in_setting_of
from dials_spread.reindexing import Reindexing
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.stages import stage
from dials_spread.thickness.settings import whole_indices
from dials_spread.with_structure.cross_validation import HeldOutPredictions, compare
from dials_spread.with_structure.crossing_table import CrossingTable
from dials_spread.with_structure.inversion import INTRACLASS
from dials_spread.with_structure.problem import StructureInput
from dials_spread.with_structure.second_correction import (
    GoesOn,
    SecondCorrection,
    correct_with_structure,
)

logger = logging.getLogger("dials.spread.cycles")

Between = Callable[[xray.structure, miller.array], Refinement]

MOST_CYCLES = 3
"""Corrections at most, unless it is told: of simulated structures with atoms moved the third
changed R1 by .001 (benchmarks/with_structure_cycles.py)."""

SIGNIFICANT = 1.0
"""Standard deviations by which the observations set apart must be predicted better. Of simulated
structures with atoms moved by 0.1 and 0.3 Å z of the second cycle is 5 to 9, of others -2 to 1.1;
above 0 is not enough: R1 rose by .005 in one."""

LEAST_CHANGE = 0.1
"""Σ|ΔF|/Σ|F| by which refinement must change structure factors, with their phases, for another
cycle to be tried, unless it is told. Of right structures, incomplete ones among them, it changes
them by less, and further cycles gain nothing but take their time."""

FROM_GIVEN = RefinementSettings(start_shift=0.0)
"""A refinement that starts where the structure is."""


@dataclass(frozen=True)
class Cycle:
    """
    One correction, and the refinement after it.

    Attributes:
        correction: With the structure of the cycle before.
        structure: That structure.
        gain: Observations set apart, predicted by the cycle before and by this one; None
            for the first.
        refinement: Against its amplitudes, without those observations; None where no
            further cycle was to follow, or where it could not be.
    """

    correction: SecondCorrection
    structure: xray.structure
    gain: HeldOutPredictions | None
    refinement: Refinement | None = None


@dataclass(frozen=True)
class Cycles:
    """
    All cycles.

    Attributes:
        cycles: In their order; those after the last kept one predicted worse.
        n_kept: How many were kept, 1 at least.
        n_wanted: How many were asked for.
        reason: Why there are fewer; empty otherwise.
    """

    cycles: tuple[Cycle, ...]
    n_kept: int
    n_wanted: int
    reason: str = ""

    @property
    def last(self) -> Cycle:
        """The last one kept: its correction is what is written."""
        return self.cycles[self.n_kept - 1]


def correct_in_cycles(
    given: StructureInput,
    n_cycles: int = 1,
    settings: RefinementSettings = FROM_GIVEN,
    intraclass: float = INTRACLASS,
    between: Between | None = None,
    begun: SecondCorrection | None = None,
    least_change: float = 0.0,
) -> Cycles:
    """
    Correct, refine, correct again.

    Args:
        given: Data, first estimate and structure.
        n_cycles: Corrections at most.
        settings: Of refinements between them.
        intraclass: Correlation of the errors of observations of a reflection.
        between: What refines between cycles; by default `refine_against` with settings.
        begun: The correction of the first cycle, where it has been made.
        least_change: Σ|ΔF|/Σ|F| by which a refinement must change structure factors for
            another cycle to follow.

    Raises:
        ValueError: A still, or no crystal has enough observations for a thickness.
    """
    if between is None:
        between = lambda s, array: refine_against(s, array, settings, given.seed)  # noqa: E731
    done: list[Cycle] = []
    kept, reason, structure = 0, "", given.structure
    for number in range(1, n_cycles + 1):
        own = replace(given, structure=structure)
        if number == 1 and begun is not None:
            correction = begun
        else:
            goes_on = _better_than(done[-1].correction) if done else None
            correction = correct_with_structure(own, intraclass, False, goes_on)
        gain = gain_of(done[-1].correction, correction) if done else None
        cycle = Cycle(correction, structure, gain)
        worse = _why_not(number, done[-1].correction, cycle) if done else ""
        if worse:
            done.append(cycle)
            reason = worse
            break
        kept = number
        if number < n_cycles:
            refined, reason = refined_between(own, correction, between)
            if refined and not reason:
                reason = _hardly_changed(own, refined.structure, least_change)
            cycle = replace(cycle, refinement=refined)
        done.append(cycle)
        if reason:
            break
        structure = cycle.refinement.structure if cycle.refinement else structure
    last = done[kept - 1]
    if last.correction.hands is None:
        done[kept - 1] = replace(last, correction=last.correction.with_hands(given))
    return Cycles(tuple(done), kept, n_cycles, reason)


def gain_of(before: SecondCorrection, after: SecondCorrection) -> HeldOutPredictions:
    """Compare predictions of the observations set apart."""
    return _gain(before, after.problem.table, after.to_F, after.predicted)


def _gain(
    before: SecondCorrection, table: CrossingTable, to_F: float, after: np.ndarray
) -> HeldOutPredictions:
    return compare(table.intensity / to_F**2, before.predicted, after, table.unique)


def _better_than(before: SecondCorrection) -> GoesOn:
    """A cycle that will not be kept need not be finished."""
    return lambda *after: _gain(before, *after).z > SIGNIFICANT


def _why_not(number: int, before: SecondCorrection, cycle: Cycle) -> str:
    """Say why a cycle after another one is not kept; empty where it is."""
    if before.n_steps and not cycle.correction.n_steps:
        # What would be written is the first estimate, which the cycle before improved on.
        return f"left-out observations bear out no step in cycle {number}"
    gain = cycle.gain
    if gain is not None and gain.z > SIGNIFICANT:
        return ""
    z = np.nan if gain is None else gain.z
    return (
        f"cycle {number} does not predict observations set apart better than "
        f"cycle {number - 1} by a standard deviation (z = {z:.1f})"
    )


def refined_between(
    given: StructureInput, correction: SecondCorrection, between: Between
) -> tuple[Refinement | None, str]:
    """Refine between cycles; the reason why there will be no further one, if any."""
    I, sigma = correction.apart.intensities()
    assert sigma is not None  # structure= wants a model that gives errors
    measured = given.subject.prepared.measured
    try:
        array = in_structure_setting(given.structure, measured, given.choice, I, sigma)
        found = between(given.structure, array)
    except ValueError as error:
        return None, f"the structure cannot be refined: {error}"
    if not found.converged:
        return found, f"the refinement did not converge: {found.reason}"
    return found, ""


def _hardly_changed(
    given: StructureInput, refined: xray.structure, least: float
) -> str:
    """Say that a refinement has hardly changed structure factors; empty where it has."""
    hkl, exists = whole_indices(
        given.subject.prepared.measured.unique_index, given.choice
    )
    before, after = (
        structure_factors(s, hkl[exists]) for s in (given.structure, refined)
    )
    change = float(np.abs(after - before).sum() / np.abs(before).sum())
    if change >= least:
        return ""
    return f"refinement changes structure factors by {100 * change:.0f} % only"


def in_structure_setting(
    structure: xray.structure,
    measured: Observations,
    choice: Reindexing,
    intensity: np.ndarray,
    sigma: np.ndarray,
) -> miller.array:
    """
    Give intensities of unique reflections in the setting of the structure.

    Args:
        structure: The structure.
        measured: With the indices of unique reflections.
        choice: From these to those of the structure.
        intensity, sigma: Shape (u,).
    """
    there = np.isfinite(intensity) & np.isfinite(sigma)
    given = (measured.unique_index[there], choice, intensity[there], sigma[there])
    return in_setting_of(structure, *given)[0]


@stage("Least squares of the structure")
def refine_against(
    structure: xray.structure,
    array: miller.array,
    settings: RefinementSettings = FROM_GIVEN,
    seed: int = 0,
) -> Refinement:
    """
    Refine a structure against corrected intensities, from where it is.

    Displacements are isotropic where anisotropic ones become not positive definite, unless
    they were asked for: a potential needs some that exist.

    Args:
        structure: The structure.
        array: Intensities with σ, in its setting.
        settings: Of the refinement.
        seed: Of random numbers.

    Raises:
        ValueError: It cannot be refined against them.
    """
    found = refine(structure, array, settings=settings, rng=np.random.default_rng(seed))
    if found.nonpositive and found.anisotropic and settings.anisotropic is None:
        own = replace(settings, anisotropic=False)
        found = refine(structure, array, settings=own, rng=np.random.default_rng(seed))
    return found
