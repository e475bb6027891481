"""
From counts to lists of partners.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numba as nb
import numpy as np

from dials_spread.partners.bounds import better, insert

Tally = namedtuple("Tally", "count reached guess histogram")
"""What a thread needs: a count for every image (zero before and after); room for the
images that reached the count which is guessed to matter, and that guess; and room for
how many have which count."""

MANY = 60
"""With more images that reach the guess, the next guess is higher."""

BYTES = 8
"""Counts of one byte that are looked at together."""

LARGEST_BYTE = 127
"""Counts up to this can be looked at together."""

EVERY = np.uint64(0x0101010101010101)
HIGH = np.uint64(0x8080808080808080)


def narrow_type(longest: int) -> np.ndarray:
    """
    Choose the type of the counts: the narrower, the faster.

    Args:
        longest: The largest number of indices on any image.

    Returns:
        An empty array of that type, for the compiled functions.
    """
    return np.empty(0, np.uint8 if longest <= LARGEST_BYTE else np.uint32)


@nb.njit(cache=True)
def new_tally(n, n_columns, narrow):
    """
    Give a thread what it needs to count.

    Args:
        n: Number of images.
        n_columns: Number of columns, which bounds the indices of an image.
        narrow: From narrow_type.
    """
    padded = (n + BYTES - 1) // BYTES * BYTES
    return Tally(
        np.zeros(padded, dtype=narrow.dtype),
        np.empty(padded, dtype=np.int64),
        np.ones(1, dtype=np.int64),
        np.zeros(n_columns + 1, dtype=np.int64),
    )


@nb.njit(cache=True)
def find_reached(tally, guess):
    """List the images whose count is at least the guess; returns how many."""
    count, reached, n = tally.count, tally.reached, 0
    if count.itemsize == 1 and guess <= LARGEST_BYTE:
        # A byte's highest bit is set where count + 128 - guess ≥ 128.
        added = np.uint64(128 - guess) * EVERY
        words = count.view(np.uint64)
        for w in range(len(words)):
            if (words[w] + added) & HIGH:
                for j in range(w * BYTES, (w + 1) * BYTES):
                    if count[j] >= guess:
                        reached[n] = j
                        n += 1
        return n
    for j in range(len(count)):
        if count[j] >= guess:
            reached[n] = j
            n += 1
    return n


@nb.njit(cache=True)
def _threshold(histogram, largest, wanted, least):
    """Give the largest value, not below least, that ``wanted`` images reach."""
    value, n = largest + 1, 0
    while value > least and n < wanted:
        value -= 1
        n += histogram[value]
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
def _offer(i, j, op, tally, beam, on_directions, best, filled, stands):
    """Put an image into the list if it is good enough."""
    top = best.partners.shape[1]
    n_common = np.int64(tally.count[j])
    distance = _distance(i, j, op, beam, on_directions)
    if filled == top and n_common == best.commons[i, top - 1]:
        # Most candidates are as good as the last and lie farther away.
        if distance > best.distances[i, top - 1]:
            return filled
    return insert(i, best, filled, j, op, n_common, distance, stands)


@nb.njit(cache=True)
def _first_list(i, n_reached, least, tally, beam, best):
    """
    Fill an empty list, under the identity, from the images that reached the guess.

    The same as offering them one by one; without calls, for each of which numba counts
    references to all arrays, it takes a third of the time.
    """
    count, reached = tally.count, tally.reached
    partners, commons = best.partners[i], best.commons[i]
    distances, top = best.distances[i], best.partners.shape[1]
    known = len(beam) > 0
    x, y, z = (beam[i, 0], beam[i, 1], beam[i, 2]) if known else (0.0, 0.0, 0.0)
    filled = 0
    for r in range(n_reached):
        j = reached[r]
        n = np.int64(count[j])
        if n < least or (filled == top and n < commons[top - 1]):
            continue
        d = 0.0
        if known:
            dx, dy, dz = beam[j, 0] - x, beam[j, 1] - y, beam[j, 2] - z
            d = math.sqrt(dx * dx + dy * dy + dz * dz)
        place = filled
        if filled == top:
            place -= 1
            if not better(n, d, j, commons[place], distances[place], partners[place]):
                continue
        else:
            filled += 1
        while place > 0 and better(
            n, d, j, commons[place - 1], distances[place - 1], partners[place - 1]
        ):
            partners[place] = partners[place - 1]
            commons[place] = commons[place - 1]
            distances[place] = distances[place - 1]
            place -= 1
        partners[place] = j
        commons[place] = n
        distances[place] = d
    best.operators[i, :filled] = 0
    return filled


@nb.njit(cache=True)
def collect_reached(
    i, op, n_reached, least, tally, beam, on_directions, best, filled, stands
):
    """Put the images that reached the guess into the list, those below least not."""
    top, histogram = best.partners.shape[1], tally.histogram
    count, reached = tally.count, tally.reached
    largest = np.int64(0)
    for r in range(n_reached):
        largest = max(largest, np.int64(count[reached[r]]))
    histogram[: largest + 1] = 0
    for r in range(n_reached):
        histogram[count[reached[r]]] += 1
    least = _threshold(histogram, largest, top, least)
    if not stands:
        return _first_list(i, n_reached, least, tally, beam, best)
    for r in range(n_reached):
        j = reached[r]
        if count[j] >= least:
            filled = _offer(i, j, op, tally, beam, on_directions, best, filled, stands)
    return filled
