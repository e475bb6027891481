"""
Refinement and solution of each branch: what the user will do with the data.

All branches are refined from the same starts, against the same reflections, and their
R1 is taken over the same strong ones.

Functions:
    describe_structure: what one branch gives
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.refinement import (
    HeldOutR1,
    HydrogenPeaks,
    Refinement,
    RefinementSettings,
    held_out_r1,
    hydrogen_peaks,
    refine,
    refine_resampled,
)
from dials_spread.solution import SolutionRates, compare_solutions, solve

COMMON_WEIGHTS = (0.15, 0.0)
"""a and b of WGHT, the same for all: 1/σ² alone would rank the σ, not the intensities."""


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
        seed: For random numbers.
    """

    refine: bool = True
    start_shift: float = 0.1
    max_cycles: int = 60
    weights: tuple[float, float] | None = None
    solve: bool = True
    starts: int = 50
    seed: int = 0


class Draws(NamedTuple):
    """
    Resampled intensities of one branch, as refine_resampled takes them.

    Attributes:
        points: n reflections in the setting of the structure.
        intensity: Shape (draws, n), nan where a draw has none.
        sigma: Shape (n,).
        strong: Shape (n,), bool.
    """

    points: miller.set
    intensity: np.ndarray
    sigma: np.ndarray
    strong: np.ndarray


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
        drawn: Shape (draws, 2), R1 of strong reflections and mean shift [Å] of resampled
            data, with the common weights; None where these were not refined.
    """

    moved: Refinement | None = None
    given: Refinement | None = None
    common_weights: Refinement | None = None
    held_out: HeldOutR1 | None = None
    hydrogen: HydrogenPeaks | None = None
    solution: SolutionRates | None = None
    problems: dict[str, str] = field(default_factory=dict)
    drawn: np.ndarray | None = None

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
    draws: Draws | None = None,
) -> StructureTests:
    """
    Refine and solve with the data of one branch.

    Args:
        structure: The reference.
        f_sq: Merged intensities with σ, in its setting.
        strong: Shape (reflections,), bool: those of R1 for strong ones.
        choices: What is done.
        draws: Resampled intensities, for intervals; None for none.
    """
    found: dict = {}
    problems: dict[str, str] = {}
    selection = flex.bool(np.ascontiguousarray(strong))
    own = _settings(choices, 0.0)
    moved = _settings(choices, choices.start_shift)
    common = replace(own, weights=COMMON_WEIGHTS)

    def refined(how: RefinementSettings):
        return lambda rng: refine(
            structure, f_sq, strong=selection, settings=how, rng=rng
        )

    def tried(test):
        return lambda rng: test(
            structure, f_sq, strong=selection, settings=own, rng=rng
        )

    parts: dict[str, Callable[[np.random.Generator], object]] = {}
    if choices.refine:
        parts["moved"], parts["given"] = refined(moved), refined(own)
        parts["common_weights"] = refined(common)
        parts["held_out"] = lambda rng: held_out_r1(
            structure, f_sq, strong=selection, settings=own, rng=rng,
            start=found.get("given"),
        )  # fmt: skip
        parts["hydrogen"] = lambda rng: hydrogen_peaks(
            structure, f_sq, strong=selection, settings=own, rng=rng
        )
        parts["drawn"] = lambda rng: _resampled(found.get("common_weights"), draws)
    if choices.solve:
        parts["solution"] = lambda rng: _solve(structure, f_sq, choices)
    for name, make in parts.items():
        # The same random numbers for all branches: the same starts.
        try:
            found[name] = make(np.random.default_rng(choices.seed))
        except ValueError as error:
            problems[name] = str(error)
    return StructureTests(**found, problems=problems)


def _settings(choices: StructureChoices, shift: float) -> RefinementSettings:
    return RefinementSettings(
        start_shift=shift, max_cycles=choices.max_cycles, weights=choices.weights
    )


def _solve(
    structure: xray.structure, f_sq: miller.array, choices: StructureChoices
) -> SolutionRates:
    solutions = solve(f_sq, n_starts=choices.starts, seed=choices.seed)
    return compare_solutions(solutions, structure)


def _resampled(
    common_weights: Refinement | None, draws: Draws | None
) -> np.ndarray | None:
    """Give refined R1 and mean shift of each draw, shape (draws, 2); None without."""
    if draws is None or common_weights is None or not common_weights.converged:
        return None
    found = refine_resampled(common_weights, *draws)
    return np.column_stack([found.r1_strong, found.mean_shift])
