"""
R_meas and CC½ of unmerged intensities, as iotbx.merging_statistics computes them.

Functions:
    r_meas: the multiplicity-weighted merging R factor
    cc_half: the correlation of half data sets, without dealing out halves
"""

from __future__ import annotations

import numpy as np


def r_meas(unique: np.ndarray, intensity: np.ndarray, variance: np.ndarray) -> float:
    """
    Give R_meas over all reflections that were observed twice.

    Args:
        unique: Shape (n,), number of the unique reflection, from 0.
        intensity: Shape (n,).
        variance: Shape (n,), positive; the mean is weighted by 1/σ².

    Returns:
        Σ sqrt(m/(m-1)) Σ|I - <I>| / ΣΣ I of m observations each: Diederichs and Karplus
        (1997), Nat. Struct. Biol. 4, 269. nan without such a reflection.
    """
    n = np.bincount(unique)
    weight = 1 / variance
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(unique, weight * intensity) / np.bincount(unique, weight)
        factor = np.sqrt(n / (n - 1))
    several = n > 1
    deviation = np.bincount(unique, np.abs(intensity - mean[unique]))
    total = np.bincount(unique, intensity)[several].sum()
    if not total > 0:
        return np.nan
    return float((factor[several] * deviation[several]).sum() / total)


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
