"""
The compiled counter over an inverted index: exact partners without geometry.
"""

from __future__ import annotations

from collections import namedtuple

import numba as nb
import numpy as np

from dials_spread.partners.tally import MANY, collect_reached, find_reached, new_tally

Index = namedtuple("Index", "inverse start images")
"""What undoes the operators, and the images that have each column."""


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
def steps_needed(i, rows, index):
    """Say how many steps the count for one image takes."""
    steps = 0
    for op in range(len(index.inverse)):
        for q in range(rows.indptr[i], rows.indptr[i + 1]):
            c = index.inverse[op, rows.column[q]]
            steps += index.start[c + 1] - index.start[c]
    return steps


@nb.njit(cache=True)
def _count_shared(i, op, rows, index, count, guess, reached):
    """
    Count the indices that image i shares with every image under an operator.

    Returns how many images reached the guess; they are listed in ``reached``.
    """
    inverse, start, images = index.inverse, index.start, index.images
    n_reached = 0
    for q in range(rows.indptr[i], rows.indptr[i + 1]):
        c = inverse[op, rows.column[q]]
        for p in range(start[c], start[c + 1]):
            j = images[p]
            n_common = count[j] + 1
            count[j] = n_common
            if n_common == guess:
                reached[n_reached] = j
                n_reached += 1
    return n_reached


@nb.njit(cache=True)
def _forget_group(i, group, count):
    """Take out the images of one group; they follow one another as a rule."""
    j = i
    while j >= 0 and group[j] == group[i]:
        count[j] = 0
        j -= 1
    j = i
    while j < len(group) and group[j] == group[i]:
        count[j] = 0
        j += 1


@nb.njit(cache=True)
def _still_counted(tally, n_reached):
    """Take the images that were forgotten from those that reached the guess."""
    n = 0
    for r in range(n_reached):
        if tally.count[tally.reached[r]] > 0:
            tally.reached[n] = tally.reached[r]
            n += 1
    return n


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
        # A full list says what matters; else it is guessed from the image before.
        full = filled == top
        least = rows.min_common
        guess = max(least, tally.guess[0])
        if full:
            least = max(least, np.int64(best.commons[i, top - 1]))
            guess = least
        n = _count_shared(i, op, rows, index, tally.count, guess, tally.reached)
        _forget_group(i, rows.group, tally.count)
        n = _still_counted(tally, n)
        if not full:
            while n < top and guess > least:
                guess -= 1
                n = find_reached(tally, guess)
            tally.guess[0] = guess + 1 if n > MANY else guess
        stands = op > 0 or before > 0
        filled = collect_reached(
            i, op, n, least, tally, beam, on_directions, best, filled, stands
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
        narrow: As for tally.new_tally.
        best: Filled by this function.
    """
    tally = new_tally(len(rows.indptr) - 1, rows.permutation.shape[1], narrow)
    for i in range(first, stop):
        count_image(i, rows, index, tally, beam, on_directions, best, 0)
