"""
Crossings of the Ewald sphere, of which overlapping frames list one several times.

Functions:
    number_crossings: from where listings begin and end
"""

from __future__ import annotations

import numpy as np

from dials_spread.statistics.groups import order_of_groups

MOST_KEYS = 10_000_000
"""Indices, or crystals, that are counted one by one."""


def number_crossings(
    crystal: np.ndarray,
    miller_index: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    gap: float,
) -> np.ndarray:
    """
    Number the crossings of the Ewald sphere; see `Observations.without_repeats`.

    Args:
        crystal: Shape (n,).
        miller_index: Shape (n, 3).
        first: Shape (n,), where in the rotation a listing begins: angle or frame.
        last: Shape (n,), where it ends.
        gap: Listings of one index in one crystal no further apart are of one crossing.

    Returns:
        Shape (n,), the crossing of each, in the order in which they first appear.
    """
    if not len(crystal):
        return np.zeros(0, dtype=np.int64)
    h = miller_index.astype(np.int64) - miller_index.min(axis=0)
    size = h.max(axis=0) + 1
    # One number for an index: four keys would be sorted four times.
    key = (h[:, 0] * size[1] + h[:, 1]) * size[2] + h[:, 2]
    order = _order(np.asarray(crystal, dtype=np.int64), key, first, int(size.prod()))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(key[order]) != 0) | (np.diff(crystal[order]) != 0)
    new[1:] |= first[order][1:] - last[order][:-1] > gap
    crossing = np.empty(len(order), dtype=np.int64)
    crossing[order] = np.cumsum(new) - 1
    # Of several assignments the last one stays, here that of the first listing.
    begins = np.empty(crossing.max() + 1, dtype=np.int64)
    begins[crossing[::-1]] = np.arange(len(order))[::-1]
    appears = np.zeros(len(order), dtype=bool)
    appears[begins] = True
    return (np.cumsum(appears) - 1)[begins][crossing]


def _order(
    crystal: np.ndarray, key: np.ndarray, first: np.ndarray, n_keys: int
) -> np.ndarray:
    """Sort by crystal, index, and where listings begin; by counting where that is less."""
    if n_keys > MOST_KEYS or crystal.min() < 0 or crystal.max() > MOST_KEYS:
        return np.lexsort((first, key, crystal))
    order = np.argsort(first, kind="stable")
    for column in (key, crystal):
        order = order[order_of_groups(column[order])]
    return order
