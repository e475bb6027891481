"""
The compiled counter over an inverted index: exact partners without geometry.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from dials_spread.partners.bounds import insert

DEPTH = 16
"""Counts in a stripe: one comparison tells whether any of them matters."""


@nb.njit(cache=True)
def invert(column, indptr, n_columns, images):
    """
    List the images that have each column.

    Args:
        column: Shape (m,), int32.
        indptr: Shape (n + 1,), rows of the incidence matrix.
        n_columns: Number of columns.
        images: Shape (m,), filled by this function. Unsigned, so that no check for
            negative numbers is compiled into the counting, and as short as can be.

    Returns:
        Shape (n_columns + 1,), ``start``: the images with column c are
        ``images[start[c]:start[c + 1]]``.
    """
    start = np.zeros(n_columns + 1, dtype=np.int64)
    for c in column:
        start[c + 1] += 1
    for c in range(n_columns):
        start[c + 1] += start[c]
    place = start[:-1].copy()
    for i in range(len(indptr) - 1):
        for q in range(indptr[i], indptr[i + 1]):
            images[place[column[q]]] = i
            place[column[q]] += 1
    return start


@nb.njit(cache=True)
def _count_image(i, op, rows, inverse, start, images, count):
    """Count the indices that image i shares with every image under an operator."""
    for q in range(rows.indptr[i], rows.indptr[i + 1]):
        c = inverse[op, rows.column[q]]
        for p in range(start[c], start[c + 1]):
            count[images[p]] += 1


@nb.njit(cache=True)
def _stripe_maxima(count, maxima, histogram):
    """
    Find the largest count in every stripe, and how many stripes have which.

    Stripe s holds the counts s, s + S, s + 2 S … with S the number of stripes, so that
    the loop over stripes is vectorised. Returns the largest of all.
    """
    stripes = len(maxima)
    maxima[:] = 0
    for begin in range(0, len(count), stripes):
        part = maxima[: len(count) - begin]
        # This form is vectorised, unlike a loop over max().
        np.maximum(part, count[begin : begin + stripes], part)
    largest = 0
    for s in range(stripes):
        largest = max(largest, np.int64(maxima[s]))
    histogram[: largest + 1] = 0
    for s in range(stripes):
        histogram[maxima[s]] += 1
    return largest


@nb.njit(cache=True)
def _threshold(histogram, largest, wanted, least):
    """Give the largest value, not below least, that ``wanted`` stripes reach."""
    value, stripes = largest + 1, 0
    while value > least and stripes < wanted:
        value -= 1
        stripes += histogram[value]
    return value


@nb.njit(cache=True)
def _distance(i, j, op, beam, on_directions):
    """Length of the difference of two beam directions; 0 where they are not known."""
    if len(beam) == 0:
        return 0.0
    square = 0.0
    for r in range(3):
        x = -beam[i, r]
        for k in range(3):
            x += on_directions[op, r, k] * beam[j, k]
        square += x * x
    return math.sqrt(square)


@nb.njit(cache=True)
def _collect(i, op, least, count, maxima, beam, on_directions, best, filled):
    """Put all images that share enough into the list."""
    top = best.partners.shape[1]
    stripes = len(maxima)
    for s in range(stripes):
        if maxima[s] < least:
            continue
        for j in range(s, len(count), stripes):
            n_common = np.int64(count[j])
            if n_common < least:
                continue
            if filled == top and n_common < best.commons[i, top - 1]:
                continue
            distance = _distance(i, j, op, beam, on_directions)
            filled = insert(i, best, filled, j, op, n_common, distance, op > 0)
    return filled


@nb.njit(cache=True)
def _forget_group(i, group, count):
    """Take out the images of one group; they follow one another as a rule."""
    j = i
    while j >= 0 and group[j] == group[i]:
        count[j] = 0
        j -= 1
    j = i
    while j < len(count) and group[j] == group[i]:
        count[j] = 0
        j += 1


@nb.njit(cache=True, nogil=True)
def count_images(
    first, stop, rows, inverse, start, images, beam, on_directions, narrow, best
):
    """
    Fill the partners of images first to stop - 1.

    Args:
        first: First image.
        stop: One past the last.
        rows: The incidence matrix; the images of a group follow one another.
        inverse: Shape (operators, columns), undoes the operators.
        start: Shape (columns + 1,), from invert.
        images: Shape (m,), from invert.
        beam: Shape (n, 3), or (0, 3) where it is not known.
        on_directions: Shape (operators, 3, 3).
        narrow: Any array of an unsigned type that holds the number of indices on any
            image: the narrower, the faster.
        best: Filled by this function.
    """
    n, top = len(rows.indptr) - 1, best.partners.shape[1]
    count = np.zeros(n, dtype=narrow.dtype)
    maxima = np.empty((n + DEPTH - 1) // DEPTH, dtype=narrow.dtype)
    histogram = np.zeros(len(rows.permutation[0]) + 1, dtype=np.int64)
    for i in range(first, stop):
        filled = 0
        for op in range(len(inverse)):
            _count_image(i, op, rows, inverse, start, images, count)
            _forget_group(i, rows.group, count)
            least = rows.min_common
            if filled == top:
                least = max(least, np.int64(best.commons[i, top - 1]))
            largest = _stripe_maxima(count, maxima, histogram)
            if largest >= least:
                least = _threshold(histogram, largest, top, least)
                filled = _collect(
                    i, op, least, count, maxima, beam, on_directions, best, filled
                )
            count[:] = 0
