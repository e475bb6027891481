"""
From corrected amplitudes of reflections back to an unmerged table.

Each observation is multiplied by a factor. Were it F²/I of its own, all observations of
a reflection would become equal and the agreement a lie; were it one factor for all,
what is known of each observation would be lost. What model 1 expects of an observation,
``(E + b)²`` where E is true, does not depend on its noise, so ``E²/(E + b)²`` can be
taken out without making noise smaller; a common factor then puts the mean on F².

No factor makes a mean positive that is not, and a large one makes noise larger. Where a
reflection is that weak, its observations stay as they are and what their mean lacks is
added to each: how they differ, and their σ, remain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dials_spread.statistics.groups import group_means

BLEND = 0.5
"""How much of an observation's own expected deviation is taken out: 0 to 1."""

LARGEST_RELATIVE = 2.0
"""Factors of observations of one reflection differ from their mean by no more."""

LIMITS = (0.1, 10.0)
"""Range of a factor: σ is multiplied too, and nothing should become exact by it."""

SMALLEST_E = 0.1
"""Amplitude below which relative deviations say nothing."""


@dataclass(frozen=True)
class Factors:
    """
    What observations are to be multiplied with, and what is added to them.

    Attributes:
        factor: Shape (n,), positive; σ is multiplied by it as well.
        offset: Shape (n,), added to the product, on the scale of the intensities; 0
            where a factor is enough.
        reached: Shape (u,), bool: a factor is enough.
    """

    factor: np.ndarray
    offset: np.ndarray
    reached: np.ndarray

    def apply(
        self, intensity: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Correct observations.

        Args:
            intensity: Shape (n,).
            sigma: Shape (n,).

        Returns:
            Intensities and their σ, shape (n,) each.
        """
        return intensity * self.factor + self.offset, sigma * self.factor

    def weakened(self, strength: float) -> Factors:
        """Give a part of the correction, from 0 for nothing to 1."""
        factor, offset = self.factor**strength, self.offset * strength
        return replace(self, factor=factor, offset=offset)

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "median": float(np.median(self.factor)),
            "quartiles": [float(x) for x in np.quantile(self.factor, [0.25, 0.75])],
            "reflections": len(self.reached),
            "reflections_reached": int(self.reached.sum()),
            "reflections_shifted": int((~self.reached).sum()),
        }


def relative_factors(
    E: np.ndarray, bias: np.ndarray, unique: np.ndarray, blend: float = BLEND
) -> np.ndarray:
    """
    Give (E / (E + b))^(2 blend), bounded.

    Args:
        E: Shape (u,), corrected amplitudes.
        bias: Shape (n,), of each observation.
        unique: Shape (n,).
        blend: From 0, one factor for all of a reflection, to 1.

    Returns:
        Shape (n,), within a factor of 2 to either side.
    """
    own = np.maximum(E, SMALLEST_E)[unique]
    ratio = own / np.maximum(own + bias, 0.5 * SMALLEST_E)
    return np.clip(ratio, 1 / LARGEST_RELATIVE, LARGEST_RELATIVE) ** (2 * blend)


def observation_factors(
    intensity: np.ndarray,
    sigma: np.ndarray,
    unique: np.ndarray,
    F: np.ndarray,
    relative: np.ndarray,
) -> Factors:
    """
    Give the factor of every observation, and what is added where none is enough.

    Args:
        intensity: Shape (n,), scaled.
        sigma: Shape (n,), scaled, positive.
        unique: Shape (n,).
        F: Shape (u,), corrected amplitudes on the scale of the intensities.
        relative: Shape (n,), positive, from relative_factors.

    Returns:
        Factors such that merging the products with weights 1/σ² gives F², wherever
        that takes no factor beyond LIMITS; offsets for the other reflections.
    """
    n = len(F)
    weight = 1 / (relative * sigma) ** 2
    merged = group_means(relative * intensity, unique, n, weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(merged > 0, F**2 / merged, np.inf)
        factor = wanted[unique] * relative
    beyond = np.bincount(unique, factor > LIMITS[1], minlength=n) > 0
    bounded = np.where(beyond[unique], 1.0, np.clip(factor, *LIMITS))
    reached = np.bincount(unique, bounded != factor, minlength=n) == 0
    found = group_means(bounded * intensity, unique, n, 1 / (bounded * sigma) ** 2)
    offset = np.where(reached, 0.0, F**2 - found)
    return Factors(bounded, offset[unique], reached)
