"""
The second correction: data, a first estimate and a provisional structure in, amplitudes out.

Steps are repeated as long as observations that were left out are predicted better: those
that were held out take no part in the amplitudes that predict them. The last step, with
which the tables are corrected, uses all.

Classes:
    SecondCorrection: what was found

Functions:
    correct_with_structure: the entry point
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cctbx import xray
from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.correction.apply.correct import Subject
from dials_spread.correction.apply.error_law import MEAN_OF_NORMAL
from dials_spread.correction.apply.estimates import CorrectedAmplitudes
from dials_spread.reindexing import Reindexing
from dials_spread.thickness.curves import Shape
from dials_spread.with_structure.crossing_table import CrossingTable
from dials_spread.with_structure.crystal_shapes import CrystalShape
from dials_spread.with_structure.hands import Hands, compare_hands
from dials_spread.with_structure.inversion import (
    INTRACLASS,
    FirstEstimate,
    InversionStep,
    solve,
)
from dials_spread.with_structure.local_simulation import LocalSettings
from dials_spread.with_structure.problem import StructureProblem, set_up

logger = logging.getLogger("dials.spread.second_correction")

MOST_STEPS = 3

HELD_OUT = 0.1
"""Part of the observations, and of the reflections, that predict nothing."""

LARGEST_RELATIVE = 2.0
"""Factors of observations of one reflection differ from their mean by no more."""


@dataclass(frozen=True)
class HeldOutPredictions:
    """
    How well observations are predicted that took no part in the amplitudes.

    Attributes:
        observations: R1 after each step, that of the first estimate first; of
            observations held out one by one.
        reflections: Likewise of all observations of reflections held out.
        n_observations, n_reflections: How many observations these are.
    """

    observations: tuple[float, ...]
    reflections: tuple[float, ...]
    n_observations: int
    n_reflections: int


@dataclass(frozen=True)
class SecondCorrection:
    """
    What was found.

    Attributes:
        first: The estimate that it started from.
        estimate: The one that it ended with.
        crystals: Their shapes.
        held_out: What the steps are judged by.
        n_steps: Steps that were taken; 0 where none predicts better.
        step: The last.
        prior: What it started from, on the scale of F [Å].
        calculated: Shape (u,), |F| of the structure [Å].
        response: Shape (observations,), d ln I / 2 d ln |F|: 1 in single scattering, 0 for
            an observation that does not depend on its own |F|; nan where unknown.
        unique: Shape (observations,).
        r1: R1 of observations with single and with multiple scattering, first estimate.
        to_F: Factor from amplitudes of the data to F [Å].
        hands: The structure against its mirror image; None for a centrosymmetric one, or
            where that was not looked for.
        centrosymmetric: Whether it is.
    """

    first: CorrectedAmplitudes
    estimate: CorrectedAmplitudes
    crystals: tuple[CrystalShape, ...]
    held_out: HeldOutPredictions
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


def correct_with_structure(
    subject: Subject,
    first: CorrectedAmplitudes,
    structure: xray.structure,
    choice: Reindexing,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    settings: LocalSettings = LocalSettings(),  # noqa: B008, it is immutable
    intraclass: float = INTRACLASS,
    seed: int = 0,
    nproc: int | None = None,
    shapes: Sequence[Shape] | None = None,
    hand: bool = True,
) -> SecondCorrection:
    """
    Correct amplitudes with a provisional structure.

    Args:
        subject: The data.
        first: Amplitudes without a structure, with their errors.
        structure: The structure.
        choice: From the indices of the data to those of the structure.
        experiments, tables: That the data were read from.
        settings: Of the simulation.
        intraclass: Correlation of the errors of observations of a reflection.
        seed: Of what is held out, and of the fit of thicknesses.
        nproc: Threads; all cores by default.
        shapes: Of the crystals, where they are known.
        hand: Compare with the mirror image of the structure.

    Raises:
        ValueError: A crystal is a still, or no crystal has enough observations for a
            thickness.
    """
    problem, told, to_F = set_up(
        subject, first, structure, choice, experiments, tables, settings, seed, nproc,
        shapes,
    )  # fmt: skip
    held = _held_out(problem.table, np.random.default_rng([seed, 1]))
    step, linear, figures, n_steps, r1 = _steps(problem, held, intraclass)
    relative, response = _relative(problem, step, linear)
    of = problem.table.of_observation
    known = of >= 0
    ratio = np.where(known, relative[of], 1.0)
    estimate = first
    if n_steps:
        sigma_F = step.sigma / to_F
        F, error_F = step.F / to_F, MEAN_OF_NORMAL * sigma_F
        estimate = replace(
            first, method="structure", F=F, relative=ratio, error_F=error_F,
            sigma_F=sigma_F, predicted_r1=float(error_F.sum() / F.sum()),
            evidence=None, simulated_r1=None,
        )  # fmt: skip
    return SecondCorrection(
        first=first,
        estimate=estimate,
        crystals=tuple(told),
        held_out=figures,
        n_steps=n_steps,
        step=step,
        prior=problem.prior,
        calculated=problem.potential.calculated,
        response=np.where(known, response[of], np.nan),
        unique=subject.prepared.measured.unique,
        r1=r1,
        to_F=to_F,
        hands=compare_hands(problem, seed) if hand else None,
        centrosymmetric=problem.centrosymmetric,
    )


def _held_out(
    table: CrossingTable, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose observations, of reflections with others, and whole reflections."""
    n = np.bincount(table.unique)
    whole = (rng.random(len(n)) < HELD_OUT)[table.unique]
    single = ~whole & (rng.random(len(table)) < HELD_OUT) & (n[table.unique] > 2)
    return single, whole


def _steps(
    problem: StructureProblem, held: tuple[np.ndarray, np.ndarray], intraclass: float
) -> tuple[InversionStep, tuple, HeldOutPredictions, int, tuple[float, float]]:
    """
    Repeat steps while held-out observations are predicted better.

    Returns:
        The step with all observations, intensities and derivatives that it started
        from, what was held out, how many steps, and R1 of the first estimate.
    """
    table, prior = problem.table, problem.prior
    either, every = held[0] | held[1], np.ones(len(table), bool)
    F, scale = prior.F, np.ones(len(table))
    found: list[tuple[InversionStep, tuple]] = []
    figures: list[tuple[float, ...]] = []
    r1 = (np.nan, np.nan)
    for number in range(MOST_STEPS + 1):
        last = number == MOST_STEPS
        I, J = problem.simulated(F, either if last else None, gradient=not last)
        scale = scale if last else problem.scales(I, ~either)
        figures.append(tuple(problem.r1(I, scale, rows) for rows in held))
        logger.debug("Step %d: held-out R1 %.4f, %.4f", number, *figures[-1])
        if number == 0:
            r1 = _first_r1(problem, I)
        elif not figures[-1][0] < figures[-2][0]:
            break
        if not last:
            observed = (table.intensity * scale, table.sigma * scale)
            given = (observed, (I, J), table.unique, F, prior)
            found.append((solve(*given, every, intraclass), (I, J, F)))
            F = solve(*given, ~either, intraclass).F
    # The last step was the first that did not help, or there was none such.
    n_steps = len(figures) - 1 if figures[-1][0] < figures[-2][0] else len(figures) - 2
    step, linear = found[max(n_steps - 1, 0)]
    observations, reflections = zip(*figures)
    told = HeldOutPredictions(
        observations, reflections, int(held[0].sum()), int(held[1].sum())
    )
    return step, linear, told, n_steps, r1


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
    problem: StructureProblem, step: InversionStep, linear: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Give the factor that sets each crossing apart from others, and its response."""
    I, J, F = linear
    unique = problem.table.unique
    now = I + J @ (step.F - F)
    own = np.asarray(J[np.arange(len(I)), unique]).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        response = own * F[unique] / (2 * I)
        now = np.maximum(now, 0.05 * I)
        # Where an intensity does not depend on |F| it says nothing of it.
        relative = (step.F[unique] ** 2 / now) ** np.clip(response, 0.0, 1.0)
    relative = np.where(np.isfinite(relative), relative, 1.0)
    bounded = np.clip(relative, 1 / LARGEST_RELATIVE, LARGEST_RELATIVE)
    return bounded, response
