"""How thick crystals are, each other and within themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ThicknessModel:
    """
    How thick the crystals are.

    Attributes:
        median: Median over the crystals [Å].
        spread: Standard deviation of the logarithm from crystal to crystal.
        within: Half range within a crystal, relative to its mean: 0.5 for a wedge from
            half to one and a half of it.
        n_within: Thicknesses that stand for this range.
        slab: The crystals are plates normal to the beam at rotation zero.
    """

    median: float = 400.0
    spread: float = 0.3
    within: float = 0.3
    n_within: int = 5
    slab: bool = False

    def __post_init__(self) -> None:
        if not self.median > 0:
            raise ValueError(f"The thickness must be positive, not {self.median} Å.")
        if not (self.spread >= 0 and 0 <= self.within < 1 and self.n_within >= 1):
            raise ValueError(
                "spread must not be negative, within be from 0 to below 1 and n_within "
                f"positive, not {self.spread}, {self.within} and {self.n_within}."
            )

    def draw(self, rng: np.random.Generator, n_crystals: int) -> np.ndarray:
        """The mean thickness of each crystal [Å], of shape (n_crystals,)."""
        return self.median * np.exp(self.spread * rng.standard_normal(n_crystals))

    def distribution(self, mean: float) -> np.ndarray:
        """
        Thicknesses of equal area within a crystal [Å], midpoints of equal intervals.

        Args:
            mean: The mean thickness of the crystal [Å].
        """
        if not self.within:
            return np.array([mean])
        midpoints = (2 * np.arange(self.n_within) + 1) / self.n_within - 1
        return mean * (1 + self.within * midpoints)
