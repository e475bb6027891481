"""
The second correction: data, a first estimate and a provisional structure in, amplitudes out.

A first step is taken where observations that were left out are predicted better by it, by
2.5 standard deviations, 1 where the structure was solved from the data (cross_validation), and a second where some that took part in neither are. The last step,
with which the tables are corrected, uses all. Observations are linearised around amplitudes
between those of the data and of the structure (believed_amplitudes), or of the data, whichever
predicts what was left out better.

Classes:
    SecondCorrection: what was found

Functions:
    correct_with_structure: the entry point
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dials_spread.correction.apply.estimates import CorrectedAmplitudes
from dials_spread.correction.model.posterior import MEAN_OF_NORMAL
from dials_spread.with_structure.believed_amplitudes import BelievedAmplitudes
from dials_spread.with_structure.cross_validation import (
    FOLDS,
    HeldOutPredictions,
    Start,
    choose_start,
    compare,
)
from dials_spread.with_structure.crossing_table import CrossingTable
from dials_spread.with_structure.crystal_shapes import CrystalShape
from dials_spread.with_structure.hands import Hands, compare_hands
from dials_spread.with_structure.inversion import (
    INTRACLASS,
    FirstEstimate,
    InversionStep,
    LinearisedObservations,
    solve,
    step_of,
    weigh,
)
from dials_spread.with_structure.problem import (
    StructureInput,
    StructureProblem,
    set_up,
)
from dials_spread.with_structure.tilts import Tilts, fit_tilts

logger = logging.getLogger("dials.spread.second_correction")

GoesOn = Callable[[CrossingTable, float, np.ndarray], bool]
"""Told the observations, to_F, and predicted as SecondCorrection has them."""

MOST_STEPS = 2

HELD_OUT = 0.2
"""Part of the observations that decides whether a second step is taken."""

DEALS = 3
"""Ways of dealing observations into parts, whose mean decides on the first step: one alone moves
z by some 0.5."""

SIGNIFICANT = 2.5
"""Standard deviations by which held-out observations must be predicted better. Of a simulated
compound, with atoms moved by 0.3 to 0.8 Å (18 times): above it R1 against true |F| fell in all,
between 2 and 2.5 it rose in one of seven (docs/with_structure.rst)."""

SIGNIFICANT_IF_SOLVED = 1.0
"""The same where the structure was solved from these very data: that its phases obey the space
group says already that it is right. Of 15 simulated sets with z from 1 to 2.5 R1 against true
|F| fell in 11, by up to a third, stayed in 2, and rose by .004 and .005 in 2
(benchmarks/solved_structures.py)."""

LARGEST_RELATIVE = 2.0
"""Factors of observations of one reflection differ from their mean by no more."""


@dataclass(frozen=True)
class SecondCorrection:
    """
    What was found.

    Attributes:
        first: The estimate that it started from.
        estimate: The one that it ended with.
        crystals: Their shapes.
        by_observation: Held-out observations, by which the first step is judged.
        by_reflection: All observations of reflections that were held out.
        by_crystal: All observations of crystals that were held out; of a single crystal
            nothing is left to predict it from, and before and after are the same. So they
            are, of reflections too, where `goes_on` ended it.
        steps_r1: Residuals of the observations that decide on further steps, after each
            step, that of the first estimate first.
        n_steps: Steps that were taken; 0 where none predicts better.
        step: The last.
        prior: What it started from, on the scale of F [Å], and how far observations were
            followed.
        calculated: Shape (u,), |F| of the structure [Å].
        response: Shape (observations,), d ln I / 2 d ln |F|: 1 in single scattering, 0 for
            an observation that does not depend on its own |F|; nan where unknown.
        unique: Shape (observations,).
        r1: R1 of observations with single and with multiple scattering, first estimate.
        to_F: Factor from amplitudes of the data to F [Å].
        hands: The structure against its mirror image; None for a centrosymmetric one, or
            where that was not looked for.
        centrosymmetric: Whether it is.
        apart: The estimate that observations set apart had no say in; the first estimate
            where no step was taken.
        predicted: Shape (crossings,), intensities of the observations set apart after a step
            that they had no say in, on the scale of the data; nan for all others.
        problem: The structure laid on the data.
        upright: The same, with the orientations of the data.
        tilts: What orientations are off by.
        needed: z of by_observation from which a step is taken.
        believed: Amplitudes of the potential between those of the data and of the structure;
            None where those of the data predict held-out observations better.
    """

    first: CorrectedAmplitudes
    estimate: CorrectedAmplitudes
    crystals: tuple[CrystalShape, ...]
    by_observation: HeldOutPredictions
    by_reflection: HeldOutPredictions
    by_crystal: HeldOutPredictions
    steps_r1: tuple[float, ...]
    n_steps: int
    step: InversionStep
    prior: FirstEstimate
    calculated: np.ndarray
    response: np.ndarray
    unique: np.ndarray
    r1: tuple[float, float]
    to_F: float
    hands: Hands | None
    centrosymmetric: bool
    apart: CorrectedAmplitudes
    predicted: np.ndarray
    problem: StructureProblem
    upright: StructureProblem
    tilts: Tilts
    needed: float = SIGNIFICANT
    believed: BelievedAmplitudes | None = None

    def with_hands(self, given: StructureInput) -> SecondCorrection:
        """Compare with the mirror image of the structure; known thicknesses are kept."""
        refit = given.shapes is None
        hands = compare_hands(self.upright, self.tilts, given.seed, refit)
        return replace(self, hands=hands)


def correct_with_structure(
    given: StructureInput,
    intraclass: float = INTRACLASS,
    hand: bool = True,
    goes_on: GoesOn | None = None,
) -> SecondCorrection:
    """
    Correct amplitudes with a provisional structure.

    Args:
        given: Data, first estimate and structure.
        intraclass: Correlation of the errors of observations of a reflection.
        hand: Compare with the mirror image of the structure.
        goes_on: Whether anything is done after the first step; all by default.

    Raises:
        ValueError: A still, or no crystal has enough observations for a thickness.
    """
    upright, told, to_F = set_up(given)
    problem, tilts = fit_tilts(upright, np.random.default_rng([given.seed, 3]))
    needed = SIGNIFICANT_IF_SOLVED if given.solved else SIGNIFICANT
    rng = np.random.default_rng([given.seed, 1])

    def wanted(predicted: np.ndarray) -> bool:
        return not goes_on or goes_on(problem.table, to_F, predicted / to_F**2)

    steps = _steps(problem, intraclass, rng, needed, wanted)
    prepared = given.subject.prepared
    relative, response = _relative(problem, steps.step, steps.began_with)

    def amplitudes_of(step: InversionStep) -> CorrectedAmplitudes:
        return _estimate(given.first, step, relative, to_F)

    found = SecondCorrection(
        first=given.first,
        estimate=amplitudes_of(steps.step) if steps.n else given.first,
        crystals=tuple(told),
        by_observation=steps.by_observation,
        by_reflection=steps.by_reflection,
        by_crystal=steps.by_crystal,
        steps_r1=steps.r1_steps,
        n_steps=steps.n,
        step=steps.step,
        prior=steps.prior,
        calculated=problem.potential.calculated,
        response=response,
        unique=prepared.measured.unique,
        r1=steps.r1,
        to_F=to_F,
        hands=None,
        centrosymmetric=problem.centrosymmetric,
        apart=amplitudes_of(steps.apart) if steps.n else given.first,
        predicted=steps.predicted / to_F**2,
        problem=problem,
        upright=upright,
        tilts=tilts,
        needed=needed,
        believed=steps.believed,
    )
    return found.with_hands(given) if hand else found


def _estimate(
    first: CorrectedAmplitudes,
    step: InversionStep,
    ratio: np.ndarray,
    to_F: float,
) -> CorrectedAmplitudes:
    """Give the amplitudes of a step on the scale of the data."""
    sigma, F = step.sigma / to_F, step.F / to_F
    error_F = MEAN_OF_NORMAL * sigma
    return replace(
        first,
        method="structure",
        F=F,
        relative=ratio,
        error_F=error_F,
        sigma_F=sigma,
        predicted_r1=float(error_F.sum() / F.sum()),
        evidence=None,
        simulated_r1=None,
        intensity=F**2 + sigma**2,
        sigma_intensity=np.sqrt(4 * (F * sigma) ** 2 + 2 * sigma**4),
    )


@dataclass(frozen=True)
class _Steps:
    """
    The steps, see SecondCorrection.

    began_with is what the last one was linearised around; predicted is on the scale of
    the crossing table.
    """

    step: InversionStep
    prior: FirstEstimate
    began_with: LinearisedObservations
    n: int
    by_observation: HeldOutPredictions
    by_reflection: HeldOutPredictions
    by_crystal: HeldOutPredictions
    r1_steps: tuple[float, ...]
    r1: tuple[float, float]
    apart: InversionStep
    predicted: np.ndarray
    believed: BelievedAmplitudes | None


def _steps(
    problem: StructureProblem,
    intraclass: float,
    rng: np.random.Generator,
    needed: float,
    wanted: Callable[[np.ndarray], bool],
) -> _Steps:
    """Take steps as long as they predict what was left out."""
    table, prior = problem.table, problem.prior
    n = np.bincount(table.unique)[table.unique]
    held = (rng.random(len(table)) < HELD_OUT) & (n > 2)
    every = np.ones(len(table), bool)
    first = problem.linearised(prior.F, every)
    r1 = _first_r1(problem, first[0].calculated)
    believed = problem.believed(prior.F, prior.sigma)
    starts = [first, problem.linearised(believed.F, every)]
    by_chance, together = _folds(table, rng)
    start, prior, by_observation = _begin(starts, prior, intraclass, by_chance, needed)
    observations, scale = starts[start]
    step = solve(observations, prior, every, intraclass)
    taken = int(by_observation.z > needed)
    figures = [problem.r1(first[0].calculated, first[1], held)]
    apart = solve(observations, prior, ~held, intraclass)
    predicted = np.where(held, observations.predict(apart.F) / scale, np.nan)
    most = MOST_STEPS
    if not wanted(predicted):
        most, together = taken, [np.zeros_like(fold) for fold in together]
    by_reflection, by_crystal = (
        _left_out(problem, observations, first[0], prior, intraclass, fold)
        for fold in together
    )
    while 0 < taken < most:
        F = problem.believed(apart.F, apart.sigma).F if start else apart.F
        later, scale = problem.linearised(F, ~held)
        now = later.calculated
        if start:
            now, _ = problem.simulated(apart.F, held, gradient=False)
        figures.append(problem.r1(now, scale, held))
        # Residuals of observations that F was fitted to are too small.
        later_step = solve(later, prior, ~held, intraclass, law_from=held)
        again, _ = problem.simulated(later_step.F, held, gradient=False)
        figures.append(problem.r1(again, scale, held))
        if not figures[-1] < figures[-2]:
            break
        step = solve(later, prior, every, intraclass, law_from=held)
        observations, apart = later, later_step
        taken += 1
    return _Steps(
        step, prior, observations, taken, by_observation, by_reflection, by_crystal, tuple(figures),
        r1, apart, predicted, believed if start else None,
    )  # fmt: skip


def _begin(
    starts: Sequence[Start],
    prior: FirstEstimate,
    intraclass: float,
    folds: Sequence[np.ndarray],
    needed: float,
) -> tuple[int, FirstEstimate, HeldOutPredictions]:
    """
    Choose the amplitudes to start from: of the data where others do not bear a step out.

    Others change more, so that what is gained can be more and yet less certain.
    """
    found = choose_start(starts, prior, intraclass, folds)
    if found[0] == 0 or found[2].z > needed:
        return found
    return choose_start(starts[:1], prior, intraclass, folds)


def _left_out(
    problem: StructureProblem,
    observations: LinearisedObservations,
    first: LinearisedObservations,
    prior: FirstEstimate,
    intraclass: float,
    fold: np.ndarray,
) -> HeldOutPredictions:
    """
    Simulate reflections or crystals with the amplitudes that others give.

    Their own amplitudes stay those of the first estimate, far from where observations were
    linearised: by derivatives whole crystals of carbamazepine seemed worse (z = −3.3 for 0.1).
    """
    predicted = np.array(first.calculated)
    parts = np.unique(fold)
    # Of a single part nothing is left to predict it from.
    for part in parts if len(parts) > 1 else ():
        own = fold == part
        weighed = weigh(observations, prior, ~own, intraclass)
        F = step_of(weighed, observations.F, prior)
        predicted[own] = problem.simulated(F, own, gradient=False)[0][own]
    return compare(first.intensity, first.calculated, predicted, first.unique)


def _folds(
    table: CrossingTable, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Deal observations into parts, in several ways, and reflections and crystals."""
    by_chance = [rng.integers(0, FOLDS, len(table)) for _ in range(DEALS)]
    reflections = rng.integers(0, FOLDS, int(table.unique.max()) + 1)
    return by_chance, [reflections[table.unique], table.crystal % FOLDS]


def _first_r1(problem: StructureProblem, I: np.ndarray) -> tuple[float, float]:
    """R1 of all observations with single and with multiple scattering."""
    every = np.ones(len(I), bool)
    single = np.where(
        np.isfinite(I), problem.prior.F[problem.table.unique] ** 2, np.nan
    )
    first, second = (
        problem.r1(x, problem.scales(x, every), every) for x in (single, I)
    )
    return first, second


def _relative(
    problem: StructureProblem, step: InversionStep, began_with: LinearisedObservations
) -> tuple[np.ndarray, np.ndarray]:
    """Give the factor that sets each observation apart from others, and its response."""
    I, unique = began_with.calculated, np.array(began_with.unique)
    now = began_with.predict(step.F)
    with np.errstate(divide="ignore", invalid="ignore"):
        response = began_with.own_response * began_with.F[unique] / (2 * I)
        now = np.maximum(now, 0.05 * I)
        # Where an intensity does not depend on |F| it says nothing of it.
        relative = (step.F[unique] ** 2 / now) ** np.clip(response, 0.0, 1.0)
    relative = np.where(np.isfinite(relative), relative, 1.0)
    bounded = np.clip(relative, 1 / LARGEST_RELATIVE, LARGEST_RELATIVE)
    of = problem.table.of_observation
    known = of >= 0
    return np.where(known, bounded[of], 1.0), np.where(known, response[of], np.nan)
