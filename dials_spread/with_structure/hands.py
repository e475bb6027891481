"""
The hand of a structure: which of the two mirror images the data agree with.

Intensities of Friedel mates and of mirror images differ by multiple scattering alone. Both
are simulated with the amplitudes of the first correction, which know nothing of a hand,
each with thickness and orientation fitted to it, and the differences of the residuals, of normalised
amplitudes, are summed by reflection: observations of one reflection are not independent.

Functions:
    compare_hands: the z-score
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from dials_spread.rfactor import amplitudes
from dials_spread.with_structure.cross_validation import z_over_reflections
from dials_spread.with_structure.crystal_shapes import fit_shapes
from dials_spread.with_structure.problem import StructureProblem
from dials_spread.with_structure.tilts import fit_tilts

MOST = 10_000
"""Observations compared."""


@dataclass(frozen=True)
class Hands:
    """
    The structure as given against its mirror image.

    Attributes:
        r1: Of observations, of both.
        z: By how many standard deviations that as given agrees better; negative where
            the other does.
        probability: That the hand as given is right, from z.
        n: Observations.
        n_reflections: Reflections that they are of.
    """

    r1: tuple[float, float]
    z: float
    probability: float
    n: int
    n_reflections: int

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "r1_given": self.r1[0],
            "r1_inverted": self.r1[1],
            "z": self.z,
            "probability": self.probability,
            "observations": self.n,
            "reflections": self.n_reflections,
        }


def compare_hands(
    problem: StructureProblem,
    upright: StructureProblem | None = None,
    seed: int = 0,
    refit: bool = True,
) -> Hands | None:
    """
    Compare both hands.

    Args:
        problem: With orientations fitted to the structure as given, by tilts.fit_tilts.
        upright: With those of the data: for the mirror image they are fitted as well. The
            same by default.
        seed: Of the choice of observations, and of the fit of thicknesses.
        refit: Fit thicknesses with the mirror image, too; otherwise both have the same.

    Returns:
        None for a centrosymmetric structure, which is its own mirror image.
    """
    table = problem.table
    if problem.centrosymmetric:
        return None
    F, rng = problem.prior.F, np.random.default_rng([seed, 2])
    rows = np.zeros(len(table), bool)
    rows[rng.permutation(len(table))[:MOST]] = True
    upright = problem if upright is None else upright
    other = replace(upright, potential=problem.potential.other_hand())
    if refit:
        fit_rng = np.random.default_rng(seed)
        given = (upright.crystals, table, other.potential, problem.settings, fit_rng)
        told = fit_shapes(*given, problem.nproc)
        other = replace(other, shapes=[t.shape for t in told])
    other, _ = fit_tilts(other, np.random.default_rng([seed, 3]))
    residuals, r1 = [], []
    for one in (problem, other):
        I, _ = one.simulated(F, rows, gradient=False)
        scale = one.scales(I, rows)
        r1.append(one.r1(I, scale, rows))
        residuals.append(
            np.abs(amplitudes(table.intensity * scale) - np.sqrt(np.maximum(I, 0)))
        )
    # Normalised amplitudes: else a few of the strongest reflections would decide.
    better = (residuals[1] - residuals[0]) / problem.prior.expected[table.unique]
    known = rows & np.isfinite(better)
    z = z_over_reflections(better[known], table.unique[known])
    return Hands(
        r1=(r1[0], r1[1]),
        z=z,
        probability=float(special.ndtr(z)),
        n=int(known.sum()),
        n_reflections=len(np.unique(table.unique[known])),
    )
