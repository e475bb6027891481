"""
CC½ of unmerged intensities, as iotbx.merging_statistics computes it.

Functions:
    cc_half: the correlation of half data sets, without dealing out halves
"""

from __future__ import annotations

import numpy as np


def cc_half(unique: np.ndarray, intensity: np.ndarray) -> float:
    """
    Give CC½ by the σ-τ method.

    Args:
        unique: Shape (n,), number of the unique reflection, from 0.
        intensity: Shape (n,).

    Returns:
        (y - e)/(y + e) of y, the variance of the merged means, and e, the mean of their
        own variances: Assmann, Brehm and Diederichs (2016), J. Appl. Cryst. 49, 1021.
        nan with fewer than two reflections that were observed twice.
    """
    n = np.bincount(unique)
    several = n > 1
    if several.sum() < 2:
        return np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(unique, intensity) / n
        square = np.bincount(unique, (intensity - mean[unique]) ** 2)
        of_mean = (square / (n - 1) / n)[several].mean()
    between = np.var(mean[several], ddof=1)
    if not between + of_mean > 0:
        return np.nan
    return float((between - of_mean) / (between + of_mean))
