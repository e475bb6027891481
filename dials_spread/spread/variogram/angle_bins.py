"""
The variogram in bins of the angle between two beams, for draws of crystals.

Functions:
    binned: the mean estimator, from the sums over pairs
    robust_variogram: from the median of the squared differences
    crystals_in_bins: how many crystals the pairs of a bin come from
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.spread.variogram.pair_table import (
    BETWEEN,
    COUNT,
    GAMMA,
    LEVELS,
    N_BINS,
    SUM_OF_ANGLES,
    WEIGHT,
    PairTable,
)

BLOCK = 64
"""Draws summed at once, to bound the memory."""


class Binned(NamedTuple):
    """
    Variograms, arrays of shape (draws, N_BINS).

    Attributes:
        weight: Sum of weights.
        gamma: Weighted mean of γ; nan for an empty bin.
        angle: Weighted mean angle [°].
        pairs: Number of pairs.
    """

    weight: np.ndarray
    gamma: np.ndarray
    angle: np.ndarray
    pairs: np.ndarray


def binned(table: PairTable, weights: np.ndarray, kind: int = BETWEEN) -> Binned:
    """
    Give the variogram for draws of crystals.

    Args:
        table: Sums over pairs.
        weights: Shape (draws, groups), how often each group of crystals counts.
        kind: WITHIN crystals or BETWEEN them.

    Returns:
        One variogram a draw.
    """
    part = table.sums[:, :, kind]
    n = len(part)
    own = part[np.arange(n), np.arange(n)].reshape(n, -1)
    other = part.copy()
    other[np.arange(n), np.arange(n)] = 0
    other = other.reshape(n, -1)
    total = weights @ own
    for first in range(0, len(weights), BLOCK):
        block = weights[first : first + BLOCK]
        total[first : first + BLOCK] += np.einsum(
            "dg,dgk->dk", block, (block @ other).reshape(len(block), n, -1)
        )
    total = total.reshape(len(weights), N_BINS, -1)
    weight = total[..., WEIGHT]
    safe = np.where(weight > 0, weight, np.nan)
    return Binned(
        weight=weight,
        gamma=total[..., GAMMA] / safe,
        angle=total[..., SUM_OF_ANGLES] / safe,
        pairs=total[..., COUNT],
    )


def robust_variogram(table: PairTable, kind: int = BETWEEN) -> np.ndarray:
    """
    Give the variogram for which the median squared difference is that of normal ones.

    A few wild observations do not move it. Where it is far below the mean variogram,
    few pairs make most of the disagreement.

    Args:
        table: Sums over pairs.
        kind: WITHIN crystals or BETWEEN them.

    Returns:
        Shape (N_BINS,); nan for an empty bin.
    """
    total = np.cumsum(table.histogram[kind], axis=-1)
    half = 0.5 * total[:, -1:]
    place = np.clip((total < half).sum(axis=-1), 1, len(LEVELS) - 1)
    row = np.arange(len(total))
    below, above = total[row, place - 1], total[row, place]
    step = np.where(above > below, above - below, 1)
    part = np.clip((half[:, 0] - below) / step, 0, 1)
    value = LEVELS[place - 1] + part * (LEVELS[place] - LEVELS[place - 1])
    return np.where(half[:, 0] > 0, value, np.nan)


def crystals_in_bins(table: PairTable, kind: int = BETWEEN) -> np.ndarray:
    """
    Count the crystals (or groups of crystals) that the pairs of each bin come from.

    Args:
        table: Sums over pairs.
        kind: WITHIN crystals or BETWEEN them.

    Returns:
        Shape (N_BINS,).
    """
    has = table.sums[:, :, kind, :, COUNT] > 0
    return (has.any(axis=0) | has.any(axis=1)).sum(axis=0)
