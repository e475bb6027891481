"""
Solve a structure from merged intensities by charge flipping, from many random starts.

A start is called solved where its phases, found in P1, obey the space group of the data:
charge flipping never saw the symmetry, so that this is an independent witness (Palatinus
& van der Lee (2008), J. Appl. Cryst. 41, 975). In P1 there is none; there a start is solved
where another one ends in the same map.

Classes:
    Solution: what one start ends with
    Solutions: of all starts

Functions:
    solve: do it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cctbx import miller

from dials_spread.solution.amplitudes import SphereAmplitudes, sphere_amplitudes
from dials_spread.solution.composition import VOLUME_PER_ATOM
from dials_spread.solution.flipping import flip, make_grid
from dials_spread.solution.peaks import highest_peaks
from dials_spread.solution.shifts import (
    Equivalents,
    fit_symmetry,
    map_correlation,
    moved,
)
from dials_spread.threads import run_blocks

N_CYCLES = 300
"""Cycles of a start. Kinematic paracetamol takes 50 to 100, measured data up to 300."""

AGREES = 0.5
"""Agreement with the space group from which a start is solved."""

SETTLED = 0.6
"""From this agreement more cycles change nothing, and polishing begins."""

CHANCE_STARTS, CHANCE_DEVIATIONS = 20, 4.0
"""The agreement has to exceed that of random phases by so many standard deviations."""

ROUND = 20
"""Starts after which it is looked whether one has solved, where one is enough."""

SAME_MAP = 0.6
"""Two maps that correlate so well are one solution."""


@dataclass(frozen=True)
class Solution:
    """
    What one start ends with.

    Attributes:
        start: Its number.
        cycles: How many it took.
        r_flipping: R of the flipping, see `Flipped`.
        skewness: Of the map.
        agreement: Of the phases with the space group, see `SymmetryFit`; nan in P1.
        solved: By its own criterion; see the module.
        F: Shape (n,), complex: measured amplitudes with phases, in P1, the origin where
            the space group has it.
        sites: Shape (p, 3), fractional, the highest peaks.
        heights: Shape (p,), in standard deviations of the map.
    """

    start: int
    cycles: int
    r_flipping: float
    skewness: float
    agreement: float
    solved: bool
    F: np.ndarray
    sites: np.ndarray
    heights: np.ndarray

    def as_dict(self) -> dict:
        """Figures alone; what is not finite becomes None."""
        return {
            "start": self.start,
            "cycles": self.cycles,
            "r_flipping": _finite(self.r_flipping),
            "skewness": _finite(self.skewness),
            "agreement": _finite(self.agreement),
            "solved": self.solved,
        }


@dataclass(frozen=True)
class Solutions:
    """
    What all starts end with.

    Attributes:
        amplitudes: What was solved.
        starts: One a start.
        n_cycles: Allowed of each, before polishing.
        threshold: Agreement from which a start is solved; nan in P1.
    """

    amplitudes: SphereAmplitudes
    starts: tuple[Solution, ...]
    n_cycles: int
    threshold: float

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_solved(self) -> int:
        """Starts solved by their own criterion."""
        return sum(one.solved for one in self.starts)

    @property
    def best(self) -> Solution:
        """Solved ones first, then by agreement, then by skewness."""
        return max(
            self.starts,
            key=lambda one: (
                one.solved,
                one.agreement if np.isfinite(one.agreement) else 0.0,
                one.skewness if np.isfinite(one.skewness) else -np.inf,
            ),
        )

    def as_dict(self) -> dict:
        """Figures alone."""
        return {
            "d_min": self.amplitudes.d_min,
            "n_reflections": self.amplitudes.n_unique,
            "n_floating": len(self.amplitudes.floating),
            "n_starts": len(self.starts),
            "n_cycles": self.n_cycles,
            "n_solved": self.n_solved,
            "threshold": _finite(self.threshold),
            "starts": [one.as_dict() for one in self.starts],
        }


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None


def solve(
    f_sq: miller.array,
    *,
    n_starts: int = 50,
    n_cycles: int = N_CYCLES,
    seed: int = 0,
    nproc: int | None = 1,
    d_min: float | None = None,
    progress: str | None = None,
    until_solved: bool = False,
) -> Solutions:
    """
    Run charge flipping from random phases.

    Args:
        f_sq: Merged intensities, any space group; σ are not used.
        n_starts: Number of starts.
        n_cycles: Cycles of each, before 30 of polishing. A start stops early when its
            phases obey the space group.
        seed: Of the random phases; the same seed gives the same solutions for any nproc.
        nproc: Number of threads; None for all cores.
        d_min: Resolution [Å]; by default that of `usable_resolution`.
        progress: What a progress bar says; none by default.
        until_solved: End after the first 20 starts, or 40, …, of which one has solved.

    Returns:
        All starts. One whose map becomes empty or not finite is not solved.

    Raises:
        ValueError: Reflections are too few, not merged, or of too low a resolution; or
            there is no start or cycle.
    """
    if n_starts < 1 or n_cycles < 1:
        raise ValueError(
            f"n_starts={n_starts} and n_cycles={n_cycles} must be 1 or more"
        )
    amplitudes = sphere_amplitudes(f_sq, d_min)
    equivalents = Equivalents(amplitudes.miller_index, amplitudes.space_group)
    threshold = chance_level(amplitudes, equivalents, seed)
    one_start = _starting(amplitudes, equivalents, threshold, n_cycles, seed)
    found: list[Solution] = []
    while len(found) < n_starts and not any(one.solved for one in found):
        size = min(ROUND, n_starts - len(found)) if until_solved else n_starts
        found += _side_by_side(one_start, len(found), size, nproc, progress)
        if np.isnan(threshold):
            found = _solved_by_repetition(found, amplitudes)
    return Solutions(amplitudes, tuple(found), n_cycles, threshold)


def _starting(
    amplitudes: SphereAmplitudes,
    equivalents: Equivalents,
    threshold: float,
    n_cycles: int,
    seed: int,
) -> Callable[[int], Solution]:
    """Give what makes a solution of the number of a start."""
    grid = make_grid(amplitudes)

    def settled(phase: np.ndarray) -> bool:
        fit = fit_symmetry(equivalents, amplitudes.F * phase, refine=False)
        return bool(fit.agreement > max(SETTLED, threshold))

    def one_start(start: int) -> Solution:
        rng = np.random.default_rng([seed, start])
        flipped = flip(grid, rng, n_cycles, settled, every=50)
        return _solution(start, flipped, amplitudes, equivalents, threshold)

    return one_start


def _side_by_side(
    one_start: Callable[[int], Solution],
    begin: int,
    size: int,
    nproc: int | None,
    progress: str | None,
) -> list[Solution]:
    """Make so many starts, the first of this number."""
    found: list = [None] * size

    def block(first: int, stop: int) -> None:
        for k in range(first, stop):
            found[k] = one_start(begin + k)

    run_blocks(block, size, 1, nproc, progress)
    return found


def chance_level(
    amplitudes: SphereAmplitudes, equivalents: Equivalents, seed: int
) -> float:
    """
    Give the agreement with the space group that chance does not reach.

    The fewer reflections, the better random phases fit at the best of all origins.

    Args:
        amplitudes: What is to be solved.
        equivalents: Of these.
        seed: Of the random phases.

    Returns:
        0.5, or more where the mean of random phases and four standard deviations are
        more; nan where symmetry says nothing, as in P1.
    """
    rng, chance = np.random.default_rng([seed, 20_08]), []
    for _ in range(CHANCE_STARTS):
        phase = np.exp(2j * np.pi * rng.random(len(amplitudes)))
        fit = fit_symmetry(equivalents, amplitudes.F * phase, refine=False)
        chance.append(fit.agreement)
    level = float(np.mean(chance) + CHANCE_DEVIATIONS * np.std(chance, ddof=1))
    return max(AGREES, level) if np.isfinite(level) else float("nan")


def n_atoms_expected(amplitudes: SphereAmplitudes) -> int:
    """Atoms other than hydrogen in the cell, from its volume."""
    return max(1, round(amplitudes.unit_cell.volume() / VOLUME_PER_ATOM))


def _solution(start, flipped, amplitudes, equivalents, threshold) -> Solution:
    """Move the map of one start to the origin of the space group, and judge it."""
    phase = flipped.phase_factor
    if not np.isfinite(phase).all():
        phase = np.zeros(len(amplitudes), dtype=complex)
    F = amplitudes.F * phase
    fit = fit_symmetry(equivalents, F)
    F = moved(amplitudes.miller_index, F, fit.shift, fit.inverted)
    sites, heights = highest_peaks(
        amplitudes.unit_cell,
        amplitudes.miller_index,
        F,
        2 * n_atoms_expected(amplitudes),
    )
    return Solution(
        start=start,
        cycles=flipped.cycles,
        r_flipping=flipped.r_flipping,
        skewness=flipped.skewness,
        agreement=fit.agreement,
        solved=bool(fit.agreement >= threshold),
        F=F,
        sites=sites,
        heights=heights,
    )


def _solved_by_repetition(
    found: list[Solution], amplitudes: SphereAmplitudes
) -> list[Solution]:
    """Call those solved whose map another start has too."""
    solved = np.zeros(len(found), dtype=bool)
    for i, one in enumerate(found):
        for j in range(i):
            if solved[i] and solved[j]:
                continue
            overlay = map_correlation(amplitudes.miller_index, one.F, found[j].F)
            if overlay.correlation > SAME_MAP:
                solved[i] = solved[j] = True
    return [
        Solution(**{**one.__dict__, "solved": bool(yes)})
        for one, yes in zip(found, solved)
    ]
