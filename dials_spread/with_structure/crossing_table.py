"""
Measured intensities of crossings of the Ewald sphere, on the scale of the structure.

A crossing that several neighbouring images list is one measurement.

Classes:
    CrossingTable: intensities by crossing

Functions:
    crossing_table: from observations on one scale
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.statistics.groups import group_means
from dials_spread.thickness.preparation import MIN_RATE
from dials_spread.with_structure.local_simulation import LocalCrystal


@dataclass(frozen=True)
class CrossingTable:
    """
    Crossings that were measured, n of them, of u unique reflections.

    Attributes:
        crystal: Shape (n,), number of the crystal.
        crossing: Shape (n,), number of the crossing in it.
        unique: Shape (n,).
        intensity: Shape (n,), on the scale of |F|² [Å²].
        sigma: Shape (n,), counting errors.
        of_observation: Shape (observations,), the crossing of each; -1 for none.
    """

    crystal: np.ndarray
    crossing: np.ndarray
    unique: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    of_observation: np.ndarray

    def __len__(self) -> int:
        return len(self.intensity)

    def rows_of(self, crystal: int) -> np.ndarray:
        """Give the crossings of a crystal, as its own simulation numbers them."""
        return self.crossing[self.crystal == crystal]


def crossing_table(
    scaled: Observations,
    counted: np.ndarray,
    crystals: Sequence[LocalCrystal],
    to_F_squared: float,
) -> CrossingTable:
    """
    Join observations by crossing.

    Args:
        scaled: Observations on one scale, with their geometry.
        counted: Shape (observations,), their counting errors, on that scale.
        crystals: Their crossings, by number of the crystal.
        to_F_squared: Factor from that scale to that of |F|² [Å²].
    """
    number = np.full(len(scaled), -1)
    parts, base = [], 0
    fast = scaled.rate >= MIN_RATE * np.sqrt(scaled.d_star_sq[scaled.unique])
    for c, crystal in enumerate(crystals):
        own = np.flatnonzero((scaled.crystal == c) & fast)
        own = own[crystal.of_row[scaled.row[own]] >= 0]
        crossing, inverse = np.unique(
            crystal.of_row[scaled.row[own]], return_inverse=True
        )
        number[own] = base + np.ravel(inverse)
        parts.append(np.column_stack([np.full(len(crossing), c), crossing]))
        base += len(crossing)
    found = np.concatenate(parts).astype(int)
    used, of_used = np.flatnonzero(number >= 0), number[number >= 0]
    first = np.unique(of_used, return_index=True)[1]
    # Listings of one crossing are no independent measurements: σ is their root mean square.
    variance = group_means(counted[used] ** 2, of_used, base)
    return CrossingTable(
        crystal=found[:, 0],
        crossing=found[:, 1],
        unique=scaled.unique[used][first],
        intensity=to_F_squared * group_means(scaled.intensity[used], of_used, base),
        sigma=to_F_squared * np.sqrt(variance),
        of_observation=number,
    )
