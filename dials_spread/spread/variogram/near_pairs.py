"""
Which observations of a reflection have beams near that of another one.

Of m observations all m²/2 pairs would have to be looked at; sorted along an axis, only those
need to be whose coordinates differ by less than two near beams can.

Functions:
    square_between, nearest_square: how far two are from each other
    is_near: of two observations
    along_axis: prepares a reflection
    near_of: those near one observation
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

ALL_WITHIN = 2.0
"""Pairs whose beams are closer [°] are all taken; an edge of the bins of the variogram."""

NEAR_COSINE = math.cos(math.radians(ALL_WITHIN))

NEAR_CHORD = 2 * math.sin(math.radians(ALL_WITHIN) / 2) + 1e-3
"""Coordinates of near beams do not differ by more; with what rounding may add to it."""


@nb.njit(cache=True, nogil=True)
def nearest_square(p, q, u, beam, other, matrices, fixes):
    """The smallest squared distance that the operators which fix reflection u allow."""
    nearest = 5.0
    b0, b1, b2 = other[q, 0], other[q, 1], other[q, 2]
    for m in range(len(matrices)):
        if fixes[u, m]:
            x = beam[p, 0] - (
                matrices[m, 0, 0] * b0 + matrices[m, 0, 1] * b1 + matrices[m, 0, 2] * b2
            )
            y = beam[p, 1] - (
                matrices[m, 1, 0] * b0 + matrices[m, 1, 1] * b1 + matrices[m, 1, 2] * b2
            )
            z = beam[p, 2] - (
                matrices[m, 2, 0] * b0 + matrices[m, 2, 1] * b1 + matrices[m, 2, 2] * b2
            )
            nearest = min(nearest, x * x + y * y + z * z)
    return nearest


@nb.njit(cache=True, nogil=True)
def square_between(p, q, beam, other):
    """The squared distance of two unit vectors."""
    x = beam[p, 0] - other[q, 0]
    y = beam[p, 1] - other[q, 1]
    z = beam[p, 2] - other[q, 2]
    return x * x + y * y + z * z


@nb.njit(cache=True, nogil=True, inline="always")
def _along(p, q, beam, other):
    return (
        beam[p, 0] * other[q, 0] + beam[p, 1] * other[q, 1] + beam[p, 2] * other[q, 2]
    )


@nb.njit(cache=True, nogil=True)
def is_near(p, q, u, alone, beam, against, matrices, fixes):
    """Whether the beams of p and q are within ALL_WITHIN, from one side or from two."""
    if alone:
        # No operator but the identity keeps the reflection, as nearly always.
        along = _along(p, q, beam, beam)
        if along < 0:
            along = _along(p, q, beam, against)
    else:
        square = nearest_square(p, q, u, beam, beam, matrices, fixes)
        if square > 2.0:
            square = nearest_square(p, q, u, beam, against, matrices, fixes)
        along = 1 - 0.5 * square
    return along > NEAR_COSINE


@nb.njit(cache=True, nogil=True)
def _widest_axis(low, high, beam):
    """The coordinate in which beams low … high - 1 differ most."""
    widest, axis = -1.0, 0
    for k in range(3):
        total, squares = 0.0, 0.0
        for p in range(low, high):
            total += beam[p, k]
            squares += beam[p, k] ** 2
        width = squares - total * total / max(high - low, 1)
        if width > widest:
            widest, axis = width, k
    return axis


@nb.njit(cache=True, nogil=True)
def along_axis(low, high, beam, against):
    """
    Sort beams low … high - 1 along the axis in which they differ most.

    Returns:
        The axis; coordinates of the beams, sorted, and whose they are; and of those of
        the reversed experiments.
    """
    axis = _widest_axis(low, high, beam)
    straight = beam[low:high, axis].copy()
    opposite = against[low:high, axis].copy()
    first, second = np.argsort(straight), np.argsort(opposite)
    return axis, straight[first], first + low, opposite[second], second + low


@nb.njit(cache=True, nogil=True)
def near_of(p, first, stop, u, alone, ordered, frame, crystal, hand, found):
    """
    Find what is near observation p.

    Args:
        p: Its number.
        first, stop: Numbers of what is found are from first to stop - 1.
        u: Number of the reflection.
        alone: The identity alone keeps it.
        ordered: From along_axis; looked into where alone.
        frame: Beams, beams of reversed experiments, operators, and which fix a reflection.
        crystal, hand: Of all: another crystal and the same hand are asked for.
        found: Written, numbers in their order.

    Returns:
        How many.
    """
    beam, against, matrices, fixes = frame[0], frame[1], frame[2], frame[3]
    n = 0
    if not alone:
        for q in range(first, stop):
            if crystal[q] != crystal[p] and hand[q] == hand[p]:
                if is_near(p, q, u, alone, beam, against, matrices, fixes):
                    found[n] = q
                    n += 1
        return n
    axis, straight, whose, opposite, whose_opposite = ordered
    x = beam[p, axis]
    for side in range(2):
        values = straight if side == 0 else opposite
        numbers = whose if side == 0 else whose_opposite
        place = np.searchsorted(values, x - NEAR_CHORD)
        while place < len(values) and values[place] <= x + NEAR_CHORD:
            q = numbers[place]
            place += 1
            if q < first or crystal[q] == crystal[p] or hand[q] != hand[p]:
                continue
            along = _along(p, q, beam, beam)
            if side == 1:
                along = _along(p, q, beam, against) if along < 0 else -1.0
            if along > NEAR_COSINE:
                # In their order, so that sums are the same to the last digit.
                k = n
                while k > 0 and found[k - 1] > q:
                    found[k] = found[k - 1]
                    k -= 1
                found[k] = q
                n += 1
    return n
