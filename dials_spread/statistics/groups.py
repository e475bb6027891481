"""
Sums, means, medians, ranks and correlations of many groups of numbers, elements in any order.

Functions:
    group_numbers: the group of each element, where groups lie one after the other
    group_starts: where each begins
    order_of_groups, order_within: elements by group, and by size within each
    numbered: which numbers there are, counted from 0
    rounded: to significant digits, before values are put into groups
    group_sums, group_means, group_spreads
    group_quantiles: several at once
    group_medians: with or without weights
    group_ranks: of the elements within each group
    group_correlations, group_slopes: of one number with another within each group
    means_of_others: of each element's group without itself
"""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np

FEW = 50
"""Elements of a group that are put in order one after the other, without a copy."""

FEWEST_FOR_CORRELATION = 3
"""Elements of a group; two always lie on a line."""


def group_numbers(start: np.ndarray) -> np.ndarray:
    """
    Give the group of each element of groups that lie one after the other.

    Args:
        start: Shape (n_groups + 1,): group p is ``start[p]:start[p + 1]``.

    Returns:
        Shape (start[-1],).
    """
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def rounded(x: np.ndarray, digits: int = 9) -> np.ndarray:
    """
    Round to significant digits, so that what is equal but for rounding is equal.

    Args:
        x: Shape (n,), finite.
        digits: Significant ones.

    Returns:
        Shape (n,).
    """
    size = np.abs(np.where(x == 0, 1.0, x))
    unit = 10.0 ** (np.floor(np.log10(size)) - digits + 1)
    return np.round(x / unit) * unit


def group_starts(group: np.ndarray, n_groups: int) -> np.ndarray:
    """
    Give where each group begins, of elements sorted by group.

    Args:
        group: Shape (m,), int, not decreasing.
        n_groups: Number of groups.

    Returns:
        Shape (n_groups + 1,), int64: group p is ``start[p]:start[p + 1]``.
    """
    return np.concatenate([[0], np.cumsum(np.bincount(group, minlength=n_groups))])


@nb.njit(cache=True, nogil=True)
def _starts(group, n_groups):
    """Where each group begins among elements that are dealt out to groups."""
    start = np.zeros(n_groups + 1, dtype=np.int64)
    for g in group:
        start[g + 1] += 1
    return np.cumsum(start)


@nb.njit(cache=True, nogil=True)
def _dealt(group, n_groups):
    """Deal elements out to their groups, those of one in their order; and say where each
    group begins."""
    start = _starts(group, n_groups)
    place, order = start.copy(), np.empty(len(group), dtype=np.int64)
    for i in range(len(group)):
        order[place[group[i]]] = i
        place[group[i]] += 1
    return order, start


def order_of_groups(group: np.ndarray) -> np.ndarray:
    """
    Sort by group, elements of one in their order.

    Args:
        group: Shape (m,), int, from 0: of no more groups than fit into memory.

    Returns:
        Shape (m,), as np.argsort with a stable kind, by counting.
    """
    group = np.ascontiguousarray(group, dtype=np.int64)
    return _dealt(group, int(group.max(initial=-1)) + 1)[0]


def numbered(key: np.ndarray, n_keys: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Number the keys that there are.

    Args:
        key: Shape (m,), int, from 0.
        n_keys: Keys that there can be: no more than fit into memory.

    Returns:
        Those that there are, rising, and the place of each element's among them, shape
        (m,), as np.unique gives them.
    """
    there = np.zeros(n_keys, dtype=bool)
    there[key] = True
    place = np.cumsum(there) - 1
    return np.flatnonzero(there), place[key]


def order_within(x: np.ndarray, group: np.ndarray) -> np.ndarray:
    """
    Sort by group, and by x within each; what is sorted already costs no sort.

    Args:
        x: Shape (m,).
        group: Shape (m,), int.

    Returns:
        Shape (m,), as np.lexsort((x, group)).
    """
    rises = (group[1:] > group[:-1]) | ((group[1:] == group[:-1]) & (x[1:] >= x[:-1]))
    if rises.all():
        return np.arange(len(x))
    x, group = np.asarray(x, dtype=np.float64), np.asarray(group, dtype=np.int64)
    if np.isnan(x).any() or group.min() < 0:
        return np.lexsort((x, group))
    if group.min() == group.max():
        return np.argsort(x, kind="stable")
    return _sorted_within(x, group, int(group.max()) + 1)


@nb.njit(cache=True, nogil=True)
def _sorted_within(x, group, n_groups):
    """Deal elements out to groups, and sort each."""
    order, start = _dealt(group, n_groups)
    for g in range(n_groups):
        if start[g + 1] - start[g] > FEW:
            own = order[start[g] : start[g + 1]].copy()
            order[start[g] : start[g + 1]] = own[np.argsort(x[own], kind="mergesort")]
            continue
        for k in range(start[g] + 1, start[g + 1]):
            i, place = order[k], k
            while place > start[g] and x[order[place - 1]] > x[i]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = i
    return order


@nb.njit(cache=True, nogil=True)
def _values_by_group(x, group, n_groups):
    """
    Deal values out to their groups, those that are nan behind the others.

    Returns:
        The values, where each group begins, and where those that are nan do.
    """
    start = _starts(group, n_groups)
    place, back, values = start[:-1].copy(), start[1:].copy(), np.empty(len(x))
    for i in range(len(x)):
        g = group[i]
        if np.isnan(x[i]):
            back[g] -= 1
            values[back[g]] = np.nan
        else:
            values[place[g]] = x[i]
            place[g] += 1
    return values, start, place


@nb.njit(cache=True, nogil=True)
def _put_in_place(values, low, high, k):
    """
    Bring to place k what sorting low … high would, no more left of it and no less right.

    Hoare (1961), Commun. ACM 4, 321 (FIND): a fifth of the time of sorting a thousand.
    """
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return


@nb.njit(cache=True, nogil=True)
def _fill_quantiles(x, group, levels, result):
    """Fill quantiles of groups, rising levels; what is nan counts as largest."""
    values, start, ends = _values_by_group(x, group, result.shape[1])
    for g in range(result.shape[1]):
        begin, end, n = start[g], ends[g], start[g + 1] - start[g]
        for row in range(len(levels) if n else 0):
            place = levels[row] * (n - 1)
            low = int(np.floor(place))
            if start[g] + low >= end:
                continue
            _put_in_place(values, begin, end - 1, start[g] + low)
            begin = start[g] + low
            below = above = values[begin]
            if low + 1 < n:
                above = np.inf if begin + 1 < end else np.nan
                for i in range(begin + 1, end):
                    above = min(above, values[i])
            result[row, g] = below + (place - low) * (above - below)


def group_sums(x: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """
    Sum each group.

    Args:
        x: Shape (m,).
        group: Shape (m,), int, the group of each element.
        n_groups: Number of groups.

    Returns:
        Shape (n_groups,); 0 where a group is empty.
    """
    return np.bincount(group, weights=x, minlength=n_groups)


def group_means(
    x: np.ndarray, group: np.ndarray, n_groups: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """
    Give the weighted mean of each group.

    Args:
        x: Shape (m,).
        group: Shape (m,), int.
        n_groups: Number of groups.
        weights: Shape (m,), not negative; equal by default.

    Returns:
        Shape (n_groups,); nan where a group is empty or weighs nothing.
    """
    weights = np.ones(len(x)) if weights is None else weights
    total = group_sums(weights, group, n_groups)
    filled = total > 0
    mean = np.full(n_groups, np.nan)
    mean[filled] = group_sums(x * weights, group, n_groups)[filled] / total[filled]
    return mean


def group_spreads(x: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """
    Give the sample standard deviation of each group.

    Returns:
        Shape (n_groups,); nan for fewer than two elements.
    """
    n = np.bincount(group, minlength=n_groups)
    deviation = x - group_means(x, group, n_groups)[group]
    squares = group_sums(deviation**2, group, n_groups)
    return np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)


def group_quantiles(
    x: np.ndarray, group: np.ndarray, n_groups: int, levels: Sequence[float]
) -> np.ndarray:
    """
    Give quantiles of each group, interpolated linearly between elements.

    Args:
        x: Shape (m,).
        group: Shape (m,), int.
        n_groups: Number of groups.
        levels: Each from 0 (least) to 1 (largest).

    Returns:
        Shape (len(levels), n_groups); nan where a group is empty.
    """
    order = np.argsort(levels, kind="stable")
    found = np.full((len(levels), n_groups), np.nan)
    rising = np.asarray(levels, dtype=np.float64)[order]
    x, group = np.asarray(x, dtype=np.float64), np.asarray(group, dtype=np.int64)
    _fill_quantiles(x, group, rising, found)
    return found[np.argsort(order)]


def group_medians(
    x: np.ndarray, group: np.ndarray, n_groups: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """
    Give the median of each group.

    Args:
        x: Shape (m,).
        group: Shape (m,), int.
        n_groups: Number of groups.
        weights: Shape (m,), not negative; equal by default.

    Returns:
        Shape (n_groups,), the value with half of the weight below and half above; the
        middle of two where each has half on its side; nan where a group is empty or
        weighs nothing.
    """
    if weights is None:
        return group_quantiles(x, group, n_groups, [0.5])[0]
    has = weights > 0
    x, group, weights = x[has], group[has], weights[has]
    order = order_within(x, group)
    x, weights = x[order], weights[order]
    n = np.bincount(group, minlength=n_groups)
    filled = np.flatnonzero(n)
    stop = np.cumsum(n)[filled]
    start = stop - n[filled]
    total = np.concatenate([[0.0], np.cumsum(weights)])
    half = 0.5 * (total[start] + total[stop])
    last = stop - 1
    low = np.clip(np.searchsorted(total[1:], half, side="left"), start, last)
    high = np.clip(np.searchsorted(total[1:], half, side="right"), start, last)
    result = np.full(n_groups, np.nan)
    result[filled] = x[low] + 0.5 * (x[high] - x[low])
    return result


def group_ranks(x: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """
    Rank the elements of each group, from 0; equal values share their mean rank.

    Args:
        x: Shape (m,).
        group: Shape (m,), int.
        n_groups: Number of groups.

    Returns:
        Shape (m,).
    """
    order = order_within(x, group)
    ordered, of = x[order], group[order]
    new = np.ones(len(x), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (of[1:] != of[:-1])
    first = np.flatnonzero(new)
    size = np.diff(np.append(first, len(x)))
    n = np.bincount(group, minlength=n_groups)
    rank = np.empty(len(x))
    rank[order] = np.repeat(first + 0.5 * (size - 1), size) - (np.cumsum(n) - n)[of]
    return rank


def group_correlations(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, n_groups: int
) -> np.ndarray:
    """
    Give Pearson's correlation in each group; of group_ranks, Spearman's.

    Args:
        x, y: Shape (m,).
        group: Shape (m,), int.
        n_groups: Number of groups.

    Returns:
        Shape (n_groups,); nan for fewer than three elements or where one of the two
        does not vary.
    """
    dx = x - group_means(x, group, n_groups)[group]
    dy = y - group_means(y, group, n_groups)[group]
    squares = group_sums(dx * dx, group, n_groups) * group_sums(
        dy * dy, group, n_groups
    )
    n = np.bincount(group, minlength=n_groups)
    usable = (n >= FEWEST_FOR_CORRELATION) & (squares > 0)
    norm = np.sqrt(np.where(usable, squares, 1))
    return np.where(usable, group_sums(dx * dy, group, n_groups) / norm, np.nan)


def group_slopes(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, n_groups: int, ridge: float
) -> np.ndarray:
    """
    Give the slope of y against x within each group.

    Args:
        x, y: Shape (m,).
        group: Shape (m,), int.
        n_groups: Number of groups.
        ridge: Added to the sum of squares of x: slopes that little speaks for are
            drawn to zero.

    Returns:
        Shape (n_groups,); 0 where x does not vary.
    """
    dx = x - group_means(x, group, n_groups)[group]
    squares = group_sums(dx**2, group, n_groups)
    return group_sums(dx * y, group, n_groups) / (squares + ridge)


def means_of_others(x: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """
    Give the mean of each element's group without the element itself.

    Returns:
        Shape (m,); nan where a group has one element.
    """
    n = np.bincount(group, minlength=n_groups)[group]
    rest = group_sums(x, group, n_groups)[group] - x
    return np.where(n > 1, rest / np.maximum(n - 1, 1), np.nan)
