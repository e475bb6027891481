"""
Whether the disagreement of observations grows with the angle at all.

The mean γ within each of several angles is compared with the plateau. The largest
difference, in its standard errors, is held against the largest of every sample about the
estimates, so that trying several angles is paid for (a maximum statistic, as in Westfall
and Young (1993), Resampling-Based Multiple Testing, ch. 2).

It is claimed only where shuffled observations do not do it either (shuffles).

Functions:
    growth_p_value: the probability of as large a difference without any growth
"""

from __future__ import annotations

import numpy as np

from dials_spread.spread.variogram.angle_bins import Binned
from dials_spread.spread.variogram.curves import FEWEST_PAIRS, far_bins, fitted_bins
from dials_spread.spread.variogram.pair_table import EDGES
from dials_spread.spread.variogram.shuffles import Shuffled, shuffled_p_value
from dials_spread.statistics.bootstrap import standard_errors_of_mean

WITHIN = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Angles [°] within which γ is compared with the plateau."""

LEAST_PLATEAU = 1.96
"""Its standard errors that γ far from 0° is at least: of no spread nothing depends on the
orientation, though γ, which is free of counting noise, is below nought somewhere."""

LEVEL = 0.05
"""A p-value above which growth is not claimed."""


def growth_p_value(
    data: Binned,
    n: int,
    both_sides: bool = True,
    shuffled: Shuffled | None = None,
    without_factors: bool = False,
) -> float:
    """
    Test whether γ is lower near 0° than far from it.

    Args:
        data: The variogram with its samples.
        n: Number of groups of crystals.
        both_sides: Take beams from opposite sides as alike.
        shuffled: The same pairs, with shuffled observations.
        without_factors: Whether factors of images were taken off.

    Returns:
        The p-value, the larger one of both tests; 1 where there is no spread far from
        0°; nan without samples, or without pairs at both ends.
    """
    over_crystals = _over_crystals(data, n, both_sides)
    if shuffled is None:
        return over_crystals
    other = shuffled_p_value(shuffled, both_sides, without_factors, FEWEST_PAIRS)
    return float(np.fmax(over_crystals, other)) if over_crystals >= 0 else np.nan


def _over_crystals(data: Binned, n: int, both_sides: bool) -> float:
    """The p-value of the largest difference, by samples over crystals."""
    chosen = fitted_bins(data, both_sides)
    far = far_bins(chosen)
    if len(data.gamma) < 2 or not far.any():
        return np.nan
    plateau = np.average(data.gamma[:, far], weights=data.weight[far], axis=1)
    if not plateau[0] > LEAST_PLATEAU * standard_errors_of_mean(plateau[1:], n):
        return 1.0
    side = both_sides | (EDGES[1:] <= 90)
    outer = np.maximum(EDGES[:-1], EDGES[1:])
    outer = np.where(outer <= 90, outer, 180 - EDGES[:-1])
    differences = []
    for angle in WITHIN:
        near = side & (outer <= angle + 1e-9) & (data.weight > 0)
        if data.pairs[near].sum() < FEWEST_PAIRS:
            continue
        mean = np.average(data.gamma[:, near], weights=data.weight[near], axis=1)
        differences.append(plateau - mean)
    if not differences:
        return np.nan
    found = np.array(differences)
    error = standard_errors_of_mean(found[:, 1:], n)
    if not (error > 0).all():
        return np.nan
    largest = float((found[:, 0] / error).max())
    # The samples scatter less than the estimate does, as its standard error says.
    plain = np.std(found[:, 1:], axis=1)
    about = ((found[:, 1:] - found[:, :1]) / plain[:, None]).max(axis=0)
    return float((1 + np.sum(about >= largest)) / (1 + len(about)))
