"""
What the σ of a corrected table are made of.

A corrected observation is off by its counting error, by what the correction leaves of the
difference between orientations, and by what is wrong with all observations of its
reflection. The first two are its own: they go into its variance, which becomes

    k² c² σ² + e²,    e² = (2 E s)² + 2 s⁴,    s² = a² + b² E²

for normalised intensities, with k, a and b such that 68 % of the observations lie within one
standard deviation of the mean of their reflection. So dials.scale, which takes observations
for independent, finds them neither better nor worse than they are: it weighs, scales and
rejects by these σ. e follows from the amplitude of the reflection and not from the
observation itself, since weights that are large for small observations pull the mean down.

What is common to all observations of a reflection does not become smaller by merging, and no
variance of an observation can say so. It stands in a column of its own, in units of σ, so that
no scale has to be known.

Functions:
    remaining_spread: e of each reflection, from how corrected equivalents differ
    factors_with_errors: factors of observations, and of their variances
    merged_errors: what merging leaves of σ
    plain_errors: σ of plain means, from how equivalents differ
    common_errors: what all observations of a reflection share
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Callable

import numpy as np
from scipy import optimize

from dials_spread.correction.apply.estimates import Factors, observation_factors
from dials_spread.observations import Observations
from dials_spread.observations.crossings import first_listings
from dials_spread.rfactor.merging import merge
from dials_spread.stages import stage
from dials_spread.statistics import ONE_SIGMA
from dials_spread.statistics.groups import group_means, group_sums
from dials_spread.versions import available_cores

FEWEST = 60
"""Observations of reflections measured more than once, to tell e from."""

LARGEST_INFLATION = 1e12
"""Of a variance, which stays finite."""

PRIOR = 2.0
"""Observations of a reflection that the law is worth, when its own differ from each other
more, or less, than others of its strength do."""

LARGEST_K = 5.0
"""By which counting errors may be too small."""

ROUNDS = 4

BLOCK = 32_768
"""Observations whose likelihood is computed at a time, within the processor's own cache."""


def _variance(E: np.ndarray, a: float, b: float) -> np.ndarray:
    """Give e² of normalised intensities."""
    s_sq = a**2 + (b * E) ** 2
    return 4 * E**2 * s_sq + 2 * s_sq**2


def _fit_law(
    off: np.ndarray, own: np.ndarray, counted: np.ndarray, run: Callable
) -> np.ndarray:
    """
    Fit the law of remaining differences.

    Args:
        off: Shape (n,), absolute differences from the mean.
        own: Shape (n,), amplitudes of their reflections.
        counted: Shape (n,), squared counting errors.
        run: As map.

    Returns:
        Logarithms of k, a and b.
    """
    blocks = [slice(k, k + BLOCK) for k in range(0, len(off), BLOCK)]

    def mean(of: Callable[[slice], np.ndarray]) -> float:
        return sum(run(lambda some: float(of(some).sum()), blocks)) / len(off)

    def sd(p: np.ndarray, some: slice) -> np.ndarray:
        k, a, b = np.exp(p)
        return np.sqrt(k**2 * counted[some] + _variance(own[some], a, b) + 1e-12)

    def minus(p: np.ndarray) -> float:
        def terms(some: slice) -> np.ndarray:
            # Errors have heavy tails: the likelihood is that of Laplace's distribution.
            width = sd(p, some)
            return np.log(width) + np.sqrt(2) * off[some] / width

        return mean(terms)

    start = np.log([1.2, 0.05, 0.1])
    bounds = [(0.0, np.log(LARGEST_K)), *[(np.log(1e-4), 0.0)] * 2]
    found = optimize.minimize(minus, start, method="L-BFGS-B", bounds=bounds).x

    def within(shift: float) -> float:
        return mean(lambda some: off[some] <= sd(found + shift, some)) - ONE_SIGMA

    low, high = -6.0, 2.0
    if within(low) < 0 < within(high):
        found = found + optimize.brentq(within, low, high, xtol=1e-3)
    return found


def remaining_spread(
    intensity: np.ndarray,
    sigma: np.ndarray,
    E: np.ndarray,
    unique: np.ndarray,
    nproc: int | None = 1,
) -> tuple[float, np.ndarray]:
    """
    Say by how much observations of a reflection differ beyond their σ.

    Args:
        intensity: Shape (n,), corrected and normalised, ⟨I⟩ = 1; independent.
        sigma: Shape (n,), their counting errors.
        E: Shape (u,), corrected normalised amplitudes.
        unique: Shape (n,).
        nproc: Threads; all cores where it is None.

    Returns:
        k, 1 and more, by which σ are too small, and e of shape (u,); 1 and nought where too
        few reflections were measured more than once.
    """
    n_unique = len(E)
    n = np.bincount(unique, minlength=n_unique)[unique]
    difference = intensity - group_means(intensity, unique, n_unique)[unique]
    off = np.abs(difference)
    used = np.flatnonzero((n > 1) & np.isfinite(off) & np.isfinite(sigma))
    if len(used) < FEWEST:
        return 1.0, np.zeros(n_unique)
    # An observation has part in the mean that it is compared with.
    off = off[used] * np.sqrt(n[used] / (n[used] - 1))
    own, counted = E[unique[used]], sigma[used] ** 2
    with ThreadPoolExecutor(nproc or available_cores()) as pool:
        found = _fit_law(off, own, counted, pool.map if nproc != 1 else map)
    # To a per cent: sums in another order of rows must not make another table.
    k, a, b = np.exp(np.round(found, 2))
    law = _variance(E, a, b)
    # What a reflection's own observations say of it, beside the law.
    seen = difference**2 - (1 - 1 / np.maximum(n, 1)) * k**2 * sigma**2
    total = np.maximum(group_sums(seen, unique, n_unique), 0)
    freedom = np.bincount(unique, minlength=n_unique) - 1
    own_e = (PRIOR * law + total) / (PRIOR + np.maximum(freedom, 0))
    return max(float(k), 1.0), np.sqrt(own_e)


@stage("Factors")
def factors_with_errors(
    intensity: np.ndarray,
    sigma: np.ndarray,
    counted: np.ndarray,
    unique: np.ndarray,
    crossing: np.ndarray,
    amplitudes: tuple[np.ndarray, np.ndarray],
    relative: np.ndarray,
    nproc: int | None = 1,
) -> Factors:
    """
    Give factors of observations and of their variances.

    Args:
        intensity: Shape (n,), scaled.
        sigma: Shape (n,), positive, those of the table.
        counted: Shape (n,), those of counting alone; the same before dials.scale.
        unique: Shape (n,).
        crossing: Shape (n,), the crossing of the Ewald sphere that each lists.
        amplitudes: F, corrected, and N, expected intensities, each of shape (u,).
        relative: Shape (n,), see observation_factors.
        nproc: Threads; all cores where it is None.

    Returns:
        Factors such that merging with weights 1/σ² of the corrected table gives F², and
        such that equivalents differ by what these σ say, or less.
    """
    F, N = amplitudes
    E, n = F / np.sqrt(N), int(crossing.max(initial=-1)) + 1
    first = first_listings(crossing)
    inflation = np.ones(len(intensity))
    k, spread = 1.0, None
    for _ in range(ROUNDS):
        factors = observation_factors(
            intensity, sigma * np.sqrt(inflation), unique, F, relative
        )
        if spread is None:
            after = (intensity * factors.factor + factors.offset) / N[unique]
            own = factors.factor * counted / N[unique]
            after, own = (group_means(x, crossing, n) for x in (after, own))
            k, spread = remaining_spread(after, own, E, unique[first], nproc)
            spread = spread * N
        wanted = (k * factors.factor * counted) ** 2
        wanted = wanted + spread[unique] ** 2
        ratio = wanted / (factors.factor * sigma) ** 2
        inflation = np.clip(ratio, 1.0, LARGEST_INFLATION)
    factors = observation_factors(
        intensity, sigma * np.sqrt(inflation), unique, F, relative
    )
    return replace(factors, inflation=inflation)


def merged_errors(observations: Observations) -> np.ndarray:
    """Give what merging with weights 1/σ² leaves of σ, shape (u,)."""
    variance = observations.variance
    columns = (observations.intensity, variance, observations.unique)
    return merge(*columns, observations.n_unique, 1 / variance).sigma


def plain_errors(
    intensity: np.ndarray,
    sigma: np.ndarray,
    unique: np.ndarray,
    crossing: np.ndarray,
    N: np.ndarray,
) -> np.ndarray:
    """
    Give σ of means with equal weights, from how much equivalents differ beyond their σ.

    Of data that are not corrected nothing else says that counting is not all that is wrong.

    Args:
        intensity: Shape (n,), scaled.
        sigma: Shape (n,), positive, of counting.
        unique: Shape (n,).
        crossing: Shape (n,), the crossing of the Ewald sphere that each lists.
        N: Shape (u,), expected intensities.

    Returns:
        Shape (u,).
    """
    n_unique, n = len(N), int(crossing.max(initial=-1)) + 1
    first = first_listings(crossing)
    own = unique[first]
    I, counted = (group_means(x / N[unique], crossing, n) for x in (intensity, sigma))
    E = np.sqrt(np.maximum(group_means(I, own, n_unique), 0))
    k, spread = remaining_spread(I, counted, E, own)
    total = group_sums((k * counted) ** 2 + spread[own] ** 2, own, n_unique)
    return N * np.sqrt(total) / np.maximum(np.bincount(own, minlength=n_unique), 1)


def common_errors(
    sigma: np.ndarray, unique: np.ndarray, total: np.ndarray, merged: np.ndarray
) -> np.ndarray:
    """
    Give the error that all observations of a reflection share, in units of their σ.

    Args:
        sigma: Shape (n,), of the corrected table.
        unique: Shape (n,).
        total: Shape (u,), expected σ of the merged intensity.
        merged: Shape (u,), what merging with weights 1/σ² leaves of σ.

    Returns:
        Shape (n,): √(total² - merged²)/σ; nought where merging leaves as much already.
    """
    common = np.sqrt(np.maximum(total**2 - merged**2, 0))
    return common[unique] / sigma
