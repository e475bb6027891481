"""
The hand of a structure: which of the two mirror images the data agree with.

Intensities of Friedel mates and of mirror images differ by multiple scattering alone. Both
are simulated with the amplitudes of the first correction, which know nothing of a hand,
each with thickness and orientation fitted to it, and the differences of the residuals, of normalised
amplitudes, are summed by reflection: observations of one reflection are not independent.

Observations are held out: orientation (tilts) and scale of each come from other ones, in five
parts. Thicknesses, one or two figures a crystal from up to 300 observations, do not
(docs/with_structure.rst has what that is worth).

Functions:
    compare_hands: the z-score
    held_out_residuals: of one hand
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from dials_spread.rfactor import amplitudes
from dials_spread.stages import stage
from dials_spread.with_structure.cross_validation import z_over_reflections
from dials_spread.with_structure.crystal_shapes import fit_shapes
from dials_spread.with_structure.problem import StructureProblem
from dials_spread.with_structure.tilts import Tilts, apply_tilts, fit_tilts

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


@stage("Absolute structure")
def compare_hands(
    upright: StructureProblem,
    tilts: Tilts | None = None,
    seed: int = 0,
    refit: bool = True,
) -> Hands | None:
    """
    Compare both hands.

    Args:
        upright: The structure as given, with the orientations of the data.
        tilts: Those that tilts.fit_tilts finds with it, where that has been done.
        seed: Of the choice of observations, their parts, and the fit of thicknesses.
        refit: Fit thicknesses with the mirror image, too; otherwise both have the same.

    Returns:
        None for a centrosymmetric structure, which is its own mirror image.
    """
    table = upright.table
    if upright.centrosymmetric:
        return None
    rng = np.random.default_rng([seed, 2])
    rows = np.zeros(len(table), bool)
    rows[rng.permutation(len(table))[:MOST]] = True
    other = replace(upright, potential=upright.potential.other_hand())
    if refit:
        fit_rng = np.random.default_rng(seed)
        given = (upright.crystals, table, other.potential, upright.settings, fit_rng)
        told = fit_shapes(*given, upright.nproc)
        other = replace(other, shapes=[t.shape for t in told])
    if tilts is None:
        _, tilts = fit_tilts(upright, np.random.default_rng([seed, 3]))
    # The same numbers: both hands have the same parts.
    _, of_other = fit_tilts(other, np.random.default_rng([seed, 3]))
    own, r1 = held_out_residuals(upright, tilts, rows)
    inverted, r1_inverted = held_out_residuals(other, of_other, rows)
    # Normalised amplitudes: else a few of the strongest reflections would decide.
    better = (inverted - own) / upright.prior.expected[table.unique]
    known = rows & np.isfinite(better)
    z = z_over_reflections(better[known], table.unique[known])
    return Hands(
        r1=(r1, r1_inverted),
        z=z,
        probability=float(special.ndtr(z)),
        n=int(known.sum()),
        n_reflections=len(np.unique(table.unique[known])),
    )


def held_out_residuals(
    upright: StructureProblem, tilts: Tilts, rows: np.ndarray
) -> tuple[np.ndarray, float]:
    """
    Give residuals of amplitudes with tilts and scales from other observations.

    Args:
        upright: With the orientations of the data.
        tilts: What they are off by, from tilts.fit_tilts.
        rows: Shape (n,), bool, observations wanted.

    Returns:
        Shape (n,) [Å], nan for others; and R1.
    """
    one, table = apply_tilts(upright, tilts.apart), upright.table
    I, _ = one.simulated(one.prior.F, rows, gradient=False)
    scale = np.ones(len(table))
    for part in np.unique(tilts.part):
        left_out = tilts.part == part
        scale[left_out] = one.scales(I, rows & ~left_out)[left_out]
    off = np.abs(amplitudes(table.intensity * scale) - np.sqrt(np.maximum(I, 0)))
    return off, one.r1(I, scale, rows)
