"""
A common scale for crystals, and for images, that have not been through dials.scale.

One factor each, robust and without a model, so that observations of different crystals
can be shown and compared. It is no replacement for scaling.

Between two images there are two: R is given at the scale that makes it least, as R
factors are. That scale is ruled by the strongest spot or two, which it makes agree, so
that it is no good estimate of the true scale (images of simulated crystals with a random
error of 10 %: it is off by 14 %, and R is .065 where at the true scale it is .125). What
the relative error is estimated with is the likely scale, in which no spot has more say
than another one that is as well measured (off by 9 %).

Functions:
    crystal_scales: one for each crystal
    left_by_median, left_by_scales: what these leave of the variance of each observation
    image_scales: between the two images of each pair, of least R
    likely_scales: likewise, of images that differ by relative errors
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread.observations import Observations
from dials_spread.stages import stage
from dials_spread.statistics.groups import group_medians
from dials_spread.threads import run_blocks

STRONG = 3.0
"""I/σ from which an observation has a say."""

ROUNDS = 10
"""Alternations of merging and scaling; the factors are stable to 1 % after three."""

TYPICAL = 0.15
"""Relative error by which spots are weighted: of electron data before scaling it is 0.05
to 0.4, between which the scale hardly depends on it."""

FIRST_STEP, WIDEST = 0.25, 3.0
"""Of the logarithm of a likely scale, from the ratio of the sums."""

PRECISION = 1e-10
"""Of that logarithm."""

EQUAL = 1e-12
"""Relative difference of two misfits that rounding explains."""

FEWEST = 5
"""Shared strong reflections below which a crystal keeps the factor 1."""


@stage("Scales of crystals")
def crystal_scales(observations: Observations) -> np.ndarray:
    """
    Give each crystal a factor that puts it on the scale of the others.

    Args:
        observations: Scaled ones need none.

    Returns:
        Shape (crystals,): intensities divided by it are on one scale. Medians over
        reflections of log(I / median of I), alternating; their geometric mean is 1.
    """
    n_crystals = len(observations.dataset)
    if observations.scaled:
        return np.ones(n_crystals)
    strong, shared, number = _with_a_say(observations)
    log_i = np.log(observations.intensity[strong])
    crystal, unique = observations.crystal[strong], observations.unique[strong]
    log_scale = np.zeros(n_crystals)
    enough = number >= FEWEST
    for _ in range(ROUNDS):
        n_unique = len(observations.unique_index)
        merged = group_medians(log_i - log_scale[crystal], unique, n_unique)
        residual = log_i - merged[unique]
        found = group_medians(residual[shared], crystal[shared], n_crystals)
        log_scale = np.where(enough, np.nan_to_num(found), 0.0)
        if enough.any():
            log_scale[enough] -= log_scale[enough].mean()
    return np.exp(log_scale)


def left_by_median(n: np.ndarray) -> np.ndarray:
    """
    Give the mean square of normal deviates from their median.

    Args:
        n: Shape (k,), how many there are, each of variance 1.

    Returns:
        Shape (k,): 1 - (2 - v)/n, as the covariance of their median with each of them is
        1/n and its variance v/n; v, π/2 of many, is that of drawn numbers to 0.01.
    """
    variance = np.pi / 2 * n / (n + np.where(n % 2, 0.5, 1.4))
    return 1 - (2 - variance) / n


def left_by_scales(observations: Observations) -> np.ndarray:
    """
    Give what crystal_scales leaves of the variance of each observation.

    A factor from a dozen spots, as a still has, makes them agree better with the other
    crystals than they would at its true scale.

    Args:
        observations: Scaled ones need none.

    Returns:
        Shape (n,), up to 1: less for observations that had a say in their factor.
    """
    left = np.ones(len(observations))
    if observations.scaled:
        return left
    strong, shared, number = _with_a_say(observations)
    number = number[observations.crystal[strong]]
    used = shared & (number >= FEWEST)
    left[strong[used]] = left_by_median(number[used])
    return left


def _with_a_say(
    observations: Observations,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strong observations, which of these are shared, and how many each crystal has."""
    strong = np.flatnonzero(observations.intensity > STRONG * observations.sigma)
    crystal, n_crystals = observations.crystal[strong], len(observations.dataset)
    shared = _shared_by_crystals(crystal, observations.unique[strong], n_crystals)
    return strong, shared, np.bincount(crystal[shared], minlength=n_crystals)


def _shared_by_crystals(
    crystal: np.ndarray, unique: np.ndarray, n_crystals: int
) -> np.ndarray:
    """Select the observations of reflections that several crystals have."""
    pairs = np.unique(unique.astype(np.int64) * n_crystals + crystal)
    n_unique = int(unique.max(initial=0)) + 1
    crystals_of = np.bincount(pairs // n_crystals, minlength=n_unique)
    return crystals_of[unique] > 1


@nb.njit(cache=True, nogil=True)
def _least_misfit(a, b, sum_a, sum_b):
    """
    Give the k > 0 of least Σ|a - k b| / Σ(a + k b), where that sum is positive.

    Between two ratios a/b the quotient is monotonic in k, so that the least is at one of
    them; its numerator is convex, so that all k as good as the best lie together.
    """
    has = b != 0
    rest = np.abs(a[~has]).sum()
    ratio, weight = a[has] / b[has], np.abs(b[has])
    order = np.argsort(ratio)
    above, moment_above = weight.sum(), (weight * ratio).sum()
    below, moment_below = 0.0, 0.0
    best, first, last = np.inf, np.nan, np.nan
    for i in order:
        k, w = ratio[i], weight[i]
        below, moment_below = below + w, moment_below + w * k
        above, moment_above = above - w, moment_above - w * k
        level = sum_a + k * sum_b
        if k <= 0 or level <= 0:
            continue
        misfit = rest + k * (below - above) - moment_below + moment_above
        value = misfit / level
        if value < best - EQUAL * abs(best) or not np.isfinite(best):
            best, first, last = value, k, k
        elif value <= best + EQUAL * abs(best):
            last = k
    return np.sqrt(first * last)


@nb.njit(cache=True, nogil=True)
def _fit_groups(first, stop, a, b, start, scale):
    """Fill the scales of groups first … stop - 1."""
    for group in range(first, stop):
        own = slice(start[group], start[group + 1])
        sum_a, sum_b = a[own].sum(), b[own].sum()
        if sum_a > 0 and sum_b > 0:
            scale[group] = _least_misfit(a[own], b[own], sum_a, sum_b)


def image_scales(
    a: np.ndarray, b: np.ndarray, start: np.ndarray, nproc: int | None = None
) -> np.ndarray:
    """
    Give k of each group of reflections that makes R = Σ|a - k b| / Σ ½(a + k b) least.

    It is the median of the ratios a/b weighted with b, but for the part of k in the
    denominator: a few wild ratios of weak reflections do not move it. Exchanging a and b
    gives 1/k, because R stays as it is.

    Args:
        a: Shape (m,).
        b: Shape (m,).
        start: Shape (n_groups + 1,): group p is ``start[p]:start[p + 1]``.
        nproc: Threads; all cores by default.

    Returns:
        Shape (n_groups,); nan where a sum is not positive.
    """
    n = len(start) - 1
    scale = np.full(n, np.nan)
    a, b = (np.ascontiguousarray(x, dtype=np.float64) for x in (a, b))

    def fit(first, stop):
        _fit_groups(first, stop, a, b, start, scale)

    run_blocks(fit, n, max(1, n // 16), nproc)
    return scale


@nb.njit(cache=True, nogil=True)
def _imbalance(a, var_a, b, var_b, k):
    """Give Σ μ(a - kb)/(σ_a² + k²σ_b² + 2s²μ²), μ = (a + kb)/2: zero at the scale."""
    total = 0.0
    for i in range(len(a)):
        kb = k * b[i]
        level = 0.5 * (a[i] + kb)
        if level > 0:
            known = var_a[i] + k * k * var_b[i]
            spread = 2 * TYPICAL * TYPICAL * level * level
            total += level * (a[i] - kb) / (known + spread)
    return total


@nb.njit(cache=True, nogil=True)
def _balance(a, var_a, b, var_b, start):
    """Find log k where the imbalance is zero, by the Illinois method about a start."""
    x, f = start, _imbalance(a, var_a, b, var_b, np.exp(start))
    if f == 0:
        return x
    step = FIRST_STEP if f > 0 else -FIRST_STEP
    while True:
        y = start + step
        g = _imbalance(a, var_a, b, var_b, np.exp(y))
        if f * g <= 0 or abs(step) > WIDEST:
            break
        x, f, step = y, g, 2 * step
    if f * g > 0:
        return y
    while abs(y - x) > PRECISION and g != 0:
        z = (x * g - y * f) / (g - f)
        h = _imbalance(a, var_a, b, var_b, np.exp(z))
        if h * g < 0:
            x, f = y, g
        else:
            f *= 0.5
        y, g = z, h
        if abs(h) < PRECISION:
            break
    return y


@nb.njit(cache=True, nogil=True)
def _balance_groups(first, stop, a, var_a, b, var_b, start, scale):
    """Fill the likely scales of groups first … stop - 1."""
    for group in range(first, stop):
        own = slice(start[group], start[group + 1])
        sum_a, sum_b = a[own].sum(), b[own].sum()
        if sum_a > 0 and sum_b > 0:
            of_sums = np.log(sum_a / sum_b)
            scale[group] = np.exp(
                _balance(a[own], var_a[own], b[own], var_b[own], of_sums)
            )


def likely_scales(
    a: np.ndarray,
    var_a: np.ndarray,
    b: np.ndarray,
    var_b: np.ndarray,
    start: np.ndarray,
    nproc: int | None = None,
) -> np.ndarray:
    """
    Give k of each group such that a and k b differ by errors alone.

    It solves Σ μ(a - kb)/(σ_a² + k²σ_b² + 2s²μ²) = 0, with μ = (a + kb)/2 where that is
    positive and s = `TYPICAL`: the equation of weighted least squares for relative
    differences. One wild spot moves it no more than any other one, as (a - kb)/(a + kb)
    is bounded. Exchanging a and b gives 1/k.

    Args:
        a, var_a: Shape (m,), with variances.
        b, var_b: Shape (m,).
        start: Shape (n_groups + 1,): group p is ``start[p]:start[p + 1]``.
        nproc: Threads; all cores by default.

    Returns:
        Shape (n_groups,); nan where image_scales is.
    """
    n = len(start) - 1
    scale = np.full(n, np.nan)
    a, var_a, b, var_b = (
        np.ascontiguousarray(x, dtype=np.float64) for x in (a, var_a, b, var_b)
    )

    def fit(first, stop):
        _balance_groups(first, stop, a, var_a, b, var_b, start, scale)

    run_blocks(fit, n, max(1, n // 16), nproc)
    return scale
