"""
Crossings of the Ewald sphere, of which overlapping frames list one several times.

Functions:
    number_crossings: from where listings begin and end
    first_listings: of each crossing
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread.statistics.groups import order_within

MOST_KEYS = 10_000_000
"""In a box around those that were measured, of which each has a place."""


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
    key, n_keys = (h[:, 0] * size[1] + h[:, 1]) * size[2] + h[:, 2], size.prod()
    if n_keys > MOST_KEYS:
        there, key = np.unique(key, return_inverse=True)
        key, n_keys = key.ravel(), len(there)
    order = order_within(first, np.asarray(crystal, dtype=np.int64))
    ends = (np.asarray(x, dtype=np.float64) for x in (first, last))
    return _number(order, np.asarray(crystal), key, int(n_keys), *ends, float(gap))


def first_listings(crossing: np.ndarray) -> np.ndarray:
    """
    Give the first listing of each crossing.

    Args:
        crossing: Shape (n,), from number_crossings.

    Returns:
        Shape (crossings,), rows.
    """
    so_far = np.maximum.accumulate(crossing)
    return np.flatnonzero(np.diff(so_far, prepend=-1))


@nb.njit(cache=True, nogil=True)
def _number(order, crystal, key, n_keys, first, last, gap):
    """Number crossings of listings that are in order of crystals, then of their begin."""
    latest = np.full(n_keys, -1, dtype=np.int64)
    crossing = np.empty(len(order), dtype=np.int64)
    n = 0
    for i in order:
        before = latest[key[i]]
        if (
            before >= 0
            and crystal[before] == crystal[i]
            and not first[i] - last[before] > gap
        ):
            crossing[i] = crossing[before]
        else:
            crossing[i] = n
            n += 1
        latest[key[i]] = i
    appears, n = np.full(n, -1, dtype=np.int64), 0
    for i in range(len(crossing)):
        own = crossing[i]
        if appears[own] < 0:
            appears[own] = n
            n += 1
        crossing[i] = appears[own]
    return crossing
