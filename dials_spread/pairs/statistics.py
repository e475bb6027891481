"""
Statistics of many groups of numbers at once.

Groups lie one after the other in flat arrays; ``start`` has shape (groups + 1,) and
group p is ``start[p]:start[p + 1]``. No group is empty.
"""

from __future__ import annotations

import numpy as np

STRONG = 3.0
"""I/σ from which a reflection has a say in the scale between two images."""

FEWEST_RATIOS = 3
"""Strong reflections needed for a median ratio."""

TRIALS = 40
"""Trial values of a variance: the likelihood can have more than one maximum."""

BISECTIONS = 36
"""Halvings of the logarithm: the result is exact to a part in 10⁶ and better."""


def group_numbers(start: np.ndarray) -> np.ndarray:
    """Give the group of each element, shape (m,)."""
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def sums(x: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Sum each group, shape (groups,)."""
    return np.add.reduceat(x, start[:-1])


def correlations(x: np.ndarray, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    """
    Give Pearson's correlation in each group.

    Args:
        x: Shape (m,).
        y: Shape (m,).
        start: Shape (groups + 1,).

    Returns:
        Shape (groups,); nan for fewer than three or where one does not vary.
    """
    n, group = np.diff(start), group_numbers(start)
    dx = x - (sums(x, start) / n)[group]
    dy = y - (sums(y, start) / n)[group]
    norm = np.sqrt(sums(dx * dx, start) * sums(dy * dy, start))
    usable = (n > 2) & (norm > 0)
    covariance = sums(dx * dy, start)
    return np.where(usable, covariance / np.where(usable, norm, 1), np.nan)


def ranks(x: np.ndarray, start: np.ndarray) -> np.ndarray:
    """
    Rank the elements of each group, from 0; equal values share their mean rank.

    Args:
        x: Shape (m,).
        start: Shape (groups + 1,).

    Returns:
        Shape (m,).
    """
    group = group_numbers(start)
    order = np.lexsort((x, group))
    ordered = x[order]
    new = np.ones(len(x), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (group[1:] != group[:-1])
    first = np.flatnonzero(new)
    size = np.diff(np.append(first, len(x)))
    mean_place = np.repeat(first + 0.5 * (size - 1), size)
    rank = np.empty(len(x))
    rank[order] = mean_place - start[group]
    return rank


def medians(x: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """
    Give the median of each group; here the elements may be in any order.

    Args:
        x: Shape (m,).
        group: Shape (m,), the group of each element.
        n_groups: Number of groups.

    Returns:
        Shape (n_groups,), nan where a group is empty.
    """
    order = np.lexsort((x, group))
    x, group = x[order], group[order]
    start = np.searchsorted(group, np.arange(n_groups + 1))
    count = np.diff(start)
    result = np.full(n_groups, np.nan)
    filled = count > 0
    low = (start[:-1] + (count - 1) // 2)[filled]
    high = (start[:-1] + count // 2)[filled]
    result[filled] = 0.5 * (x[low] + x[high])
    return result


def robust_scales(
    a: np.ndarray,
    sigma_a: np.ndarray,
    b: np.ndarray,
    sigma_b: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """
    Give k of each group such that a ≈ k b.

    Args:
        a: Shape (m,).
        sigma_a: Shape (m,).
        b: Shape (m,).
        sigma_b: Shape (m,).
        start: Shape (groups + 1,).

    Returns:
        Shape (groups,): the median ratio of reflections strong on both; the ratio of
        the sums where these are fewer than three; nan where a sum is not positive.
    """
    n_groups, group = len(start) - 1, group_numbers(start)
    strong = (a > STRONG * sigma_a) & (b > STRONG * sigma_b)
    ratio = np.log(a[strong] / b[strong])
    by_median = np.exp(medians(ratio, group[strong], n_groups))
    sum_a, sum_b = sums(a, start), sums(b, start)
    usable = (sum_a > 0) & (sum_b > 0)
    by_sum = np.where(usable, sum_a / np.where(usable, sum_b, 1), np.nan)
    enough = np.bincount(group[strong], minlength=n_groups) >= FEWEST_RATIOS
    return np.where(enough, by_median, by_sum)


def excess_variances(
    square: np.ndarray, known: np.ndarray, unknown: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """
    Fit v of each group in Var = known + v · unknown to squared deviations from zero.

    By maximum likelihood for normal deviations. The likelihood can have several maxima,
    one of them at zero, where a few variances are known much better than others: the
    best of some trial values shows which is the highest, and the root of the slope in
    v, Σ unknown (square - Var) / Var², is found near it by bisection of log v.

    Args:
        square: Shape (m,), squared deviations.
        known: Shape (m,), positive: variances that are known.
        unknown: Shape (m,), not negative.
        start: Shape (groups + 1,).

    Returns:
        Shape (groups,), v ≥ 0: zero where the known variances suffice; nan where
        nothing depends on v.
    """
    group = group_numbers(start)

    def slope(v):
        total = known + v[group] * unknown
        return sums(unknown * (square - total) / total**2, start)

    def likelihood(v):
        total = known + v[group] * unknown
        return -0.5 * sums(np.log(total) + square / total, start)

    depends = np.maximum.reduceat(unknown, start[:-1]) > 0
    has = unknown > 0
    divisor = np.where(has, unknown, 1)
    # Above high no deviation pulls upwards; far below low v does not matter.
    high = np.maximum.reduceat(np.where(has, square / divisor, 0), start[:-1])
    high = np.maximum(high, 1e-300)
    low = np.minimum.reduceat(np.where(has, known / divisor, np.inf), start[:-1])
    low = 0.1 * np.minimum(low, high)
    step = (high / low) ** (1 / (TRIALS - 1))

    best = np.zeros(len(low))
    highest = likelihood(best)
    for trial in range(TRIALS):
        v = low * step**trial
        now = likelihood(v)
        best, highest = np.where(now > highest, v, best), np.maximum(now, highest)
    rising = slope(best) > 0
    from_zero = best == 0
    needed = depends & (rising | ~from_zero)
    high = np.where(from_zero, low, np.where(rising, best * step, best))
    # Far below the first trial value a millionth is as good as zero.
    low = np.where(rising & ~from_zero, best, np.where(best > low, best / step, 0))
    low = np.where(low > 0, low, 1e-6 * high)
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        rising = slope(middle) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.where(depends, np.where(needed, np.sqrt(low * high), 0), np.nan)
