"""
Sums, means and quantiles of many groups of numbers, elements in any order.

Functions:
    group_sums, group_means, group_spreads
    group_quantiles: several at once
    group_slopes: of one number against another within each group
    means_of_others: of each element's group without itself
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
    order = np.lexsort((x, group))
    x = x[order]
    n = np.bincount(group, minlength=n_groups)
    start = np.cumsum(n) - n
    result = np.full((len(levels), n_groups), np.nan)
    filled = n > 0
    for row, level in enumerate(levels):
        place = level * (n[filled] - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, n[filled] - 1)
        first = start[filled]
        below, above = x[first + low], x[first + high]
        result[row, filled] = below + (place - low) * (above - below)
    return result


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


def grouped_medians(x: np.ndarray, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """
    Give the median of each cell.

    Args:
        x: Shape (n,), in any order.
        cell: Shape (n,).
        n_cells: Number of cells.

    Returns:
        Shape (n_cells,), nan where a cell is empty.
    """
    order = np.argsort(x)
    order = order[np.argsort(cell[order], kind="stable")]
    start = np.searchsorted(cell[order], np.arange(n_cells + 1))
    count = np.diff(start)
    result = np.full(n_cells, np.nan)
    filled = count > 0
    low = (start[:-1] + (count - 1) // 2)[filled]
    high = (start[:-1] + count // 2)[filled]
    result[filled] = 0.5 * (x[order[low]] + x[order[high]])
    return result
