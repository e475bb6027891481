"""
Statistics of the rings that an annulus is cut into.

Functions:
    ring_level: the mean over an annulus from the means of its rings
    ring_ceilings: what is far above the others at its radius
"""

from __future__ import annotations

import numba as nb
import numpy as np

ROUNDS = 2
"""Times that pixels above the others at their radius are looked for."""

CENTRAL = (15.87, 84.13)
"""Percentiles one standard deviation below and above the middle of a normal one."""

PIXELS_FOR_NOISE = 4_000
"""Pixels that tell how noisy the background is, where there are more."""


def ring_level(sums: np.ndarray, counts: np.ndarray, full: np.ndarray) -> float:
    """
    Give the mean over an annulus from what is left of its rings.

    Args:
        sums: Shape (rings,), over the pixels left in each.
        counts: Shape (rings,), how many these are.
        full: Shape (rings,), how many there are on the detector.

    Returns:
        The mean of the rings' means with all their pixels as weights; rings without a
        pixel have no say. nan where none has any.
    """
    has = counts > 0
    if not has.any():
        return np.nan
    return float(np.sum(full[has] * sums[has] / counts[has]) / full[has].sum())


def ring_ceilings(
    values: np.ndarray, ring: np.ndarray, n_rings: int, sigmas: float
) -> np.ndarray:
    """
    Give what is far above the others at its radius: a spot that nobody predicted.

    Counts have a long tail where they are few; their square roots have not, and the
    same noise at all radii: standard deviation 1/2 for quanta, which is the least that
    is assumed. It is taken from percentiles, so that spots have no say in it; from the
    level of a ring they are taken out in rounds.

    Args:
        values: Shape (n,), good pixels [quanta].
        ring: Shape (n,), int.
        n_rings: Number of rings.
        sigmas: Standard deviations; 0 finds nothing.

    Returns:
        Shape (rings,) [quanta]; infinite where there is no pixel.
    """
    ceiling = np.full(n_rings, np.inf)
    if not sigmas > 0 or not len(values):
        return ceiling
    roots, step = np.sqrt(np.maximum(values, 0)), len(values) // PIXELS_FOR_NOISE + 1
    values_tried, roots_tried, ring_tried = values[::step], roots[::step], ring[::step]
    for _ in range(ROUNDS):
        n, level = _ring_levels(values, roots, ring, ceiling)
        kept = values_tried <= ceiling[ring_tried]
        off = (roots_tried - level[ring_tried])[kept]
        low, high = np.percentile(off, CENTRAL) if len(off) else (0.0, 0.0)
        limit = level + sigmas * max(0.5 * (high - low), 0.5)
        ceiling = np.where(n > 0, limit**2, np.inf)
    return ceiling


@nb.njit(cache=True, nogil=True)
def _ring_levels(values, roots, ring, ceiling):
    """Number and mean root of the values in each ring that are not above its ceiling."""
    n, total = np.zeros(len(ceiling), np.int64), np.zeros(len(ceiling))
    for i in range(len(values)):
        k = ring[i]
        if values[i] <= ceiling[k]:
            n[k] += 1
            total[k] += roots[i]
    return n, total / np.maximum(n, 1)
