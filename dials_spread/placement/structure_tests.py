"""
Refinement and solution of each branch: what the user will do with the data.

All branches are refined from the same starts, against the same reflections, and their
R1 is taken over the same strong ones.

Functions:
    describe_structure: what one branch gives
    refined_draws: refinements against resampled data
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.refinement.held_out import HeldOutR1, held_out_r1
from dials_spread.refinement.hydrogen_peaks import HydrogenPeaks, hydrogen_peaks
from dials_spread.refinement.refine import RefinementSettings, refine
from dials_spread.refinement.result import Refinement
from dials_spread.solution import SolutionRates, compare_solutions, solve

COMMON_WEIGHTS = (0.15, 0.0)
"""a and b of WGHT, the same for all: 1/σ² alone would rank the σ, not the intensities."""

DRAWN_CYCLES = 12
"""Cycles for resampled data, which start from the reference and stay near it."""


@dataclass(frozen=True)
class StructureChoices:
    """
    What a user may choose about refinement and solution.

    Attributes:
        refine: Whether to refine.
        start_shift: [Å], by which atoms are moved before.
        max_cycles: Of least squares.
        weights: a and b of WGHT; None to refine them.
        solve: Whether to solve from scratch.
        starts: Random starts of it.
        draws: Refinements against resampled data.
        seed: For random numbers.
    """

    refine: bool = True
    start_shift: float = 0.1
    max_cycles: int = 60
    weights: tuple[float, float] | None = None
    solve: bool = True
    starts: int = 50
    draws: int = 20
    seed: int = 0


@dataclass(frozen=True)
class StructureTests:
    """
    What a structure says of the data of one branch.

    Attributes:
        moved: Refined from moved coordinates; None where that was not possible.
        given: Refined from coordinates as given.
        common_weights: Likewise, with one pair of weights for all branches.
        held_out: R1 of reflections left out of the refinement.
        hydrogen: Hydrogen found in a map without it; None where there is none.
        solution: Solved from scratch; None where that was not possible.
        problems: Why a part is missing, by its name.
    """

    moved: Refinement | None = None
    given: Refinement | None = None
    common_weights: Refinement | None = None
    held_out: HeldOutR1 | None = None
    hydrogen: HydrogenPeaks | None = None
    solution: SolutionRates | None = None
    problems: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        parts = ("moved", "given", "common_weights", "held_out", "hydrogen", "solution")
        found = {name: getattr(self, name) for name in parts}
        document = {name: part and part.as_dict() for name, part in found.items()}
        return {**document, "problems": dict(self.problems)}


def describe_structure(
    structure: xray.structure,
    f_sq: miller.array,
    strong: np.ndarray,
    choices: StructureChoices,
) -> StructureTests:
    """
    Refine and solve with the data of one branch.

    Args:
        structure: The reference.
        f_sq: Merged intensities with σ, in its setting.
        strong: Shape (reflections,), bool: those of R1 for strong ones.
        choices: What is done.
    """
    found: dict = {}
    problems: dict[str, str] = {}
    selection = flex.bool(np.ascontiguousarray(strong))

    def settings(shift: float, weights) -> RefinementSettings:
        return RefinementSettings(
            start_shift=shift, max_cycles=choices.max_cycles, weights=weights
        )

    def keep(name: str, make) -> None:
        # The same random numbers for all branches: the same starts.
        try:
            found[name] = make(np.random.default_rng(choices.seed))
        except ValueError as error:
            problems[name] = str(error)

    if choices.refine:
        own = settings(0.0, choices.weights)
        for name, how in (
            ("moved", settings(choices.start_shift, choices.weights)),
            ("given", own),
            ("common_weights", settings(0.0, COMMON_WEIGHTS)),
        ):
            keep(
                name,
                lambda rng, how=how: refine(
                    structure, f_sq, strong=selection, settings=how, rng=rng
                ),
            )
        keep(
            "held_out",
            lambda rng: held_out_r1(
                structure, f_sq, strong=selection, settings=own, rng=rng
            ),
        )
        keep(
            "hydrogen",
            lambda rng: hydrogen_peaks(
                structure, f_sq, strong=selection, settings=own, rng=rng
            ),
        )
    if choices.solve:
        keep("solution", lambda rng: _solve(structure, f_sq, choices))
    return StructureTests(**found, problems=problems)


def _solve(
    structure: xray.structure, f_sq: miller.array, choices: StructureChoices
) -> SolutionRates:
    solutions = solve(f_sq, n_starts=choices.starts, seed=choices.seed)
    return compare_solutions(solutions, structure)


def refined_draws(
    structure: xray.structure,
    points: miller.set,
    intensity: np.ndarray,
    sigma: np.ndarray,
    strong: np.ndarray,
    weights: tuple[float, float],
) -> np.ndarray:
    """
    Refine against resampled data.

    Args:
        structure: The start, and the reference for shifts.
        points: n reflections in its setting.
        intensity: Shape (draws, n), nan where a draw has none.
        sigma: Shape (n,).
        strong: Shape (n,), bool.
        weights: a and b of WGHT.

    Returns:
        Shape (draws, 2): R1 of strong reflections, and the mean shift from the reference
        [Å]; nan where a refinement did not end well.
    """
    how = RefinementSettings(start_shift=0.0, max_cycles=DRAWN_CYCLES, weights=weights)
    found = np.full((len(intensity), 2), np.nan)
    for row, values in zip(found, intensity):
        there = np.isfinite(values)
        kept = flex.bool(np.ascontiguousarray(there))
        f_sq = miller.array(
            points.select(kept),
            flex.double(np.ascontiguousarray(values[there])),
            flex.double(np.ascontiguousarray(sigma[there])),
        ).set_observation_type_xray_intensity()
        selection = flex.bool(np.ascontiguousarray(strong[there]))
        try:
            one = refine(
                structure,
                f_sq,
                strong=selection,
                settings=how,
                rng=np.random.default_rng(0),
            )
        except ValueError:
            continue
        row[:] = one.r1_strong, one.mean_shift
    return found
