"""
The compiled counter over an inverted index: exact partners without geometry.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numba as nb
import numpy as np

from dials_spread.partners.bounds import insert

Index = namedtuple("Index", "inverse start images")
"""What undoes the operators, and the images that have each column."""

Tally = namedtuple("Tally", "count maxima histogram")
"""What a thread needs: a count for every image (zero before and after), and more."""

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
def new_tally(n, n_columns, narrow):
    """
    Give a thread what it needs to count.

    Args:
        n: Number of images.
        n_columns: Number of columns, which bounds the indices of an image.
        narrow: Any array of an unsigned type that holds the number of indices on any
            image: the narrower, the faster.
    """
    return Tally(
        np.zeros(n, dtype=narrow.dtype),
        np.empty((n + DEPTH - 1) // DEPTH, dtype=narrow.dtype),
        np.zeros(n_columns + 1, dtype=np.int64),
    )


@nb.njit(cache=True)
def steps_needed(i, rows, index):
    """Say how many steps the count for one image takes."""
    steps = 0
    for op in range(len(index.inverse)):
        for q in range(rows.indptr[i], rows.indptr[i + 1]):
            c = index.inverse[op, rows.column[q]]
            steps += index.start[c + 1] - index.start[c]
    return steps


@nb.njit(cache=True)
def _count_shared(i, op, rows, index, count):
    """Count the indices that image i shares with every image under an operator."""
    for q in range(rows.indptr[i], rows.indptr[i + 1]):
        c = index.inverse[op, rows.column[q]]
        for p in range(index.start[c], index.start[c + 1]):
            count[index.images[p]] += 1


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
def _collect(i, op, least, tally, beam, on_directions, best, filled, stands):
    """Put all images that share enough into the list."""
    top = best.partners.shape[1]
    count, stripes = tally.count, len(tally.maxima)
    for s in range(stripes):
        if tally.maxima[s] < least:
            continue
        for j in range(s, len(count), stripes):
            n_common = np.int64(count[j])
            if n_common < least:
                continue
            if filled == top and n_common < best.commons[i, top - 1]:
                continue
            distance = _distance(i, j, op, beam, on_directions)
            filled = insert(i, best, filled, j, op, n_common, distance, stands)
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


@nb.njit(cache=True)
def count_image(i, rows, index, tally, beam, on_directions, best, filled):
    """
    Fill the partners of one image.

    Args:
        i: The image.
        rows: The incidence matrix; the images of a group follow one another.
        index: The inverted index.
        tally: To count in.
        beam: Shape (n, 3), or (0, 3) where it is not known.
        on_directions: Shape (operators, 3, 3).
        best: The lists of partners.
        filled: Places of the list that are filled already.

    Returns:
        The number of places that are filled now.
    """
    top = best.partners.shape[1]
    before = filled
    for op in range(len(index.inverse)):
        _count_shared(i, op, rows, index, tally.count)
        _forget_group(i, rows.group, tally.count)
        least = rows.min_common
        if filled == top:
            least = max(least, np.int64(best.commons[i, top - 1]))
        largest = _stripe_maxima(tally.count, tally.maxima, tally.histogram)
        if largest >= least:
            least = _threshold(tally.histogram, largest, top, least)
            stands = op > 0 or before > 0
            filled = _collect(
                i, op, least, tally, beam, on_directions, best, filled, stands
            )
        tally.count[:] = 0
    return filled


@nb.njit(cache=True, nogil=True)
def count_images(first, stop, rows, index, beam, on_directions, narrow, best):
    """
    Fill the partners of images first to stop - 1.

    Args:
        first: First image.
        stop: One past the last.
        rows: As for count_image, with the next three.
        index: The inverted index.
        beam: Of the images.
        on_directions: The operators.
        narrow: As for new_tally.
        best: Filled by this function.
    """
    tally = new_tally(len(rows.indptr) - 1, rows.permutation.shape[1], narrow)
    for i in range(first, stop):
        count_image(i, rows, index, tally, beam, on_directions, best, 0)
