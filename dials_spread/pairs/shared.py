"""
The common reflections of many pairs of images, one after the other in flat arrays.

Functions:
    common_reflections: which there are
    sums_of_reflections, shared_reflections: what all other images say of them
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread.incidence import Incidence


class Shared(NamedTuple):
    """
    Common reflections; arrays of length m, those of pair p at start[p]:start[p + 1].

    Attributes:
        start: Shape (pairs + 1,).
        on_a: The entry of the incidence matrix on image a.
        on_b: The same on image b.
        total: Sum of the intensities of the reflection on all other images.
        variance: Sum of their variances.
        number: How many those are.
    """

    start: np.ndarray
    on_a: np.ndarray
    on_b: np.ndarray
    total: np.ndarray
    variance: np.ndarray
    number: np.ndarray


@nb.njit(cache=True, nogil=True)
def _take_out(first, stop, unique, intensity, variance, sums, sign):
    """Take an image's own observations out of the sums, or put them back."""
    total, variances, number = sums
    for q in range(first, stop):
        total[unique[q]] -= sign * intensity[q]
        variances[unique[q]] -= sign * variance[q]
        number[unique[q]] -= sign


@nb.njit(cache=True, nogil=True)
def _find(image_a, image_b, operator, indptr, column, permutation, start, on_a, on_b):
    """Fill start, on_a and on_b, pair by pair."""
    place = np.full(permutation.shape[1], -1, dtype=np.int64)
    m = 0
    for pair in range(len(image_a)):
        a, b, op = image_a[pair], image_b[pair], operator[pair]
        for q in range(indptr[a], indptr[a + 1]):
            place[column[q]] = q
        for q in range(indptr[b], indptr[b + 1]):
            p = place[permutation[op, column[q]]]
            if p >= 0:
                on_a[m] = p
                on_b[m] = q
                m += 1
        start[pair + 1] = m
        for q in range(indptr[a], indptr[a + 1]):
            place[column[q]] = -1


@nb.njit(cache=True, nogil=True)
def _sum_others(image_a, image_b, indptr, intensity, variance, unique, sums, shared):
    """Fill total, variance and number; sums are by unique reflection."""
    for pair in range(len(image_a)):
        for image in (image_a[pair], image_b[pair]):
            first, stop = indptr[image], indptr[image + 1]
            _take_out(first, stop, unique, intensity, variance, sums, 1)
        for m in range(shared.start[pair], shared.start[pair + 1]):
            reflection = unique[shared.on_a[m]]
            shared.total[m] = sums[0][reflection]
            shared.variance[m] = sums[1][reflection]
            shared.number[m] = sums[2][reflection]
        for image in (image_a[pair], image_b[pair]):
            first, stop = indptr[image], indptr[image + 1]
            _take_out(first, stop, unique, intensity, variance, sums, -1)


def common_reflections(
    incidence: Incidence,
    image_a: np.ndarray,
    image_b: np.ndarray,
    operator: np.ndarray,
    n_common: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Find the common reflections of pairs.

    Args:
        incidence: The incidence matrix.
        image_a: Shape (pairs,).
        image_b: Shape (pairs,).
        operator: Shape (pairs,), takes b's indices to a's.
        n_common: Shape (pairs,), how many there are.

    Returns:
        start, on_a and on_b, as Shared has them; numbers of entries as short as they can
        be.
    """
    short = len(incidence.unique) < np.iinfo(np.int32).max
    start = np.zeros(len(image_a) + 1, dtype=np.int64)
    on_a, on_b = (
        np.empty(int(n_common.sum()), dtype=np.int32 if short else np.int64)
        for _ in range(2)
    )
    _find(
        image_a,
        image_b,
        operator,
        incidence.indptr,
        incidence.column,
        incidence.permutation,
        start,
        on_a,
        on_b,
    )
    return start, on_a, on_b


def sums_of_reflections(incidence: Incidence) -> tuple[np.ndarray, ...]:
    """Add up intensities and variances of each unique reflection, and count them."""
    n_unique = int(incidence.unique.max()) + 1
    columns = (incidence.intensity, incidence.variance, np.ones(len(incidence.unique)))
    return tuple(np.bincount(incidence.unique, x, n_unique) for x in columns)


def shared_reflections(
    incidence: Incidence,
    image_a: np.ndarray,
    image_b: np.ndarray,
    operator: np.ndarray,
    n_common: np.ndarray,
    sums: tuple[np.ndarray, ...],
) -> Shared:
    """
    Find the common reflections of pairs, and what all other images say of them.

    Args:
        incidence: The incidence matrix.
        image_a: Shape (pairs,).
        image_b: Shape (pairs,).
        operator: Shape (pairs,), takes b's indices to a's.
        n_common: Shape (pairs,), how many there are.
        sums: From sums_of_reflections; they stay as they are.

    Returns:
        All of them.
    """
    found = common_reflections(incidence, image_a, image_b, operator, n_common)
    of_others = np.empty((3, len(found[1])))
    shared = Shared(*found, *of_others)
    _sum_others(
        image_a,
        image_b,
        incidence.indptr,
        incidence.intensity,
        incidence.variance,
        incidence.unique,
        # Observations are taken out and put back: so no rounding is handed on.
        tuple(x.copy() for x in sums),
        shared,
    )
    return shared
