"""
What observations of one reflection on the same crystal have in common.

Crystals differ by factors and by orientation, so two observations of a reflection on one
crystal agree better than on two. The mean of the others of an observation includes some
of its own crystal: a deviation from it is smaller than the spread, and the mean itself is
less certain than its number of observations says.

With the correlation ρ of two deviations on one crystal (none between crystals), and n
others, a of them on the crystal of the observation itself and p pairs of them on one
crystal,

    Var(I - μ) / s²μ² = 1 + 1/n - 2ρa/n + 2ρp/n²

exactly, the design effect of clustered samples (Kish (1965), Survey Sampling, ch. 5). ρ
comes from pairs, which need no mean: half the mean square of a difference, less counting
noise, is s² between crystals and (1 - ρ)s² within one (as in an analysis of variance;
Searle, Casella and McCulloch (1992), Variance Components, ch. 3).

Functions:
    correlate: ρ, and what a and p make of the variances
    correlation_of_sums: ρ, from sums of pairs
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread.spread.size.residuals import Residuals

HIGHEST = 0.99
"""Of ρ: where all of the spread is between crystals, noise remains between pairs."""


class SameCrystal(NamedTuple):
    """
    The correlation within crystals and its effects; arrays of length n.

    Attributes:
        correlation: ρ, from 0 to HIGHEST; 0 for one crystal, whose spread is within it.
        of_deviation: 1/n - 2ρa/n + 2ρp/n², with which s²μ² adds to the variance of the
            deviation from the mean of the others.
        of_mean: Factor by which the mean of all observations of the reflection has a
            larger variance than that of as many independent ones.
    """

    correlation: float
    of_deviation: np.ndarray
    of_mean: np.ndarray


@nb.njit(cache=True, nogil=True)
def _sum_crystals(start, crystal, n_crystals, intensity, variance, level, own, sums):
    """Observations on the crystal of each; sums over pairs in one crystal and in two."""
    count = np.zeros(n_crystals)
    first = np.zeros(n_crystals)
    second = np.zeros(n_crystals)
    noise = np.zeros(n_crystals)
    for u in range(len(start) - 1):
        rows = range(start[u], start[u + 1])
        n = n_1 = n_2 = n_noise = 0.0
        for i in rows:
            k, x = crystal[i], intensity[i] / level[i] - 1
            v = variance[i] / level[i] ** 2
            count[k] += 1
            first[k] += x
            second[k] += x * x
            noise[k] += v
            n, n_1, n_2, n_noise = n + 1, n_1 + x, n_2 + x * x, n_noise + v
        for i in rows:
            own[i] = count[crystal[i]]
        for i in rows:
            k = crystal[i]
            m = count[k]
            if m > 0:
                sums[u, 0] += m * (m - 1) / 2
                sums[u, 1] += (m * second[k] - first[k] ** 2 - (m - 1) * noise[k]) / 2
                count[k] = first[k] = second[k] = noise[k] = 0
        sums[u, 2] = n * (n - 1) / 2 - sums[u, 0]
        sums[u, 3] = (n * n_2 - n_1**2 - (n - 1) * n_noise) / 2 - sums[u, 1]


def correlation_of_sums(sums: np.ndarray, noise: np.ndarray) -> float:
    """
    Compare pairs on one crystal with pairs on two, of the same reflections.

    Each kind gives a mean for each reflection, and both means are weighted alike: by
    the number of pairs of the rarer kind, mostly, and by 1/(ν + s²)², ν = noise.
    """
    within, s_within, between, s_between = sums.T
    both = (within > 0) & (between > 0)
    if not both.any():
        return 0.0
    within, between = within[both], between[both]
    of_pairs = within * between / (within + between)
    gamma = np.array([s_within[both] / within, s_between[both] / between])
    square = max(float(gamma[1] @ of_pairs / of_pairs.sum()), 0.0)
    one, two = gamma @ (of_pairs / (noise[both] + square) ** 2)
    return float(np.clip(1 - one / two, 0, HIGHEST)) if two > 0 else 0.0


def correlate(residuals: Residuals) -> SameCrystal:
    """
    Say how alike observations on one crystal are, and what that does to variances.

    Args:
        residuals: n of them, sorted by reflection.

    Returns:
        The correlation and its effects.
    """
    start, n = residuals.start, residuals.number
    if residuals.n_crystals == 1:
        # Its spread is within it: as many independent observations.
        return SameCrystal(0.0, 1 / n, np.ones(len(residuals)))
    own, sums = np.zeros(len(residuals)), np.zeros((len(start) - 1, 4))
    _sum_crystals(
        start, residuals.crystal, residuals.n_crystals, residuals.intensity,
        residuals.variance, residuals.level, own, sums,
    )  # fmt: skip
    size = np.diff(start)
    number = np.repeat(np.arange(len(size)), size)
    total = np.bincount(number, residuals.variance, minlength=len(size))
    noise = total / size / residuals.level[start[:-1]] ** 2
    rho = correlation_of_sums(sums, noise)
    together, with_own = sums[number, 0], own - 1
    others = 2 * (together - with_own) / n - 2 * with_own
    return SameCrystal(
        correlation=rho,
        of_deviation=(1 + rho * others) / n,
        of_mean=1 + rho * 2 * together / (n + 1),
    )
