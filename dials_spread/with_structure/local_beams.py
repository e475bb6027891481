"""
Which beams matter to one observation, and how they are excited during its rocking curve.

Beams near the Ewald sphere are ranked by how strongly the direct beam and the reflection
feed them, U_g / (2 K s) and U_(h-g) / (2 K s), and by both together, which is what brings
intensity from one to the other.

Functions:
    rotated: a vector turned about an axis
    lines_of: where lines of indices begin
    beams_of: the beams of an observation
    excitation: their excitation errors at the angles of a rocking curve
    couplings: U between them, and which reflection each is
"""

from __future__ import annotations

import numba as nb
import numpy as np

NARROW = 1e-3
"""Excitation errors [1/Å] within which all beams count as excited alike."""

FIRST, SECOND = -2e30, -1e30
"""Ranks of the direct beam and of the reflection."""


@nb.njit(cache=True, nogil=True)
def rotated(v, axis, angle):
    """
    Turn a vector about a unit axis (Rodrigues' formula).

    Args:
        v, axis: Shape (3,).
        angle: [rad].
    """
    c, s = np.cos(angle), np.sin(angle)
    along = axis * (axis[0] * v[0] + axis[1] * v[1] + axis[2] * v[2])
    across = np.empty(3)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        across[i] = axis[j] * v[k] - axis[k] * v[j]
    return v * c + across * s + along * (1 - c)


@nb.njit(cache=True, nogil=True)
def _error(A, hkl, k, K):
    """Give the excitation error of an index for a wave vector [1/Å]."""
    dot, size = 0.0, 0.0
    for i in range(3):
        g = A[i, 0] * hkl[0] + A[i, 1] * hkl[1] + A[i, 2] * hkl[2]
        dot += g * k[i]
        size += g * g
    return -dot / K - size / (2 * K)


@nb.njit(cache=True, nogil=True)
def _strength(table, middle, a, b, c):
    """Give |U| of an index; 0 beyond the table."""
    a, b, c = a + middle[0], b + middle[1], c + middle[2]
    if 0 <= a < table.shape[0] and 0 <= b < table.shape[1] and 0 <= c < table.shape[2]:
        return abs(table[a, b, c])
    return 0.0


def lines_of(candidates: np.ndarray) -> np.ndarray:
    """
    Say where lines of indices begin, along which the third rises by one.

    Args:
        candidates: Shape (c, 3), indices.

    Returns:
        Shape (lines + 1,), their first rows, and c.
    """
    step = np.diff(candidates, axis=0)
    begins = np.flatnonzero(np.any(step != (0, 0, 1), axis=1)) + 1
    return np.concatenate([[0], begins, [len(candidates)]])


@nb.njit(cache=True, nogil=True)
def _near_sphere(candidates, lines, A, k, K, s_max, near, errors):
    """
    Put rows of candidates near the sphere, and their excitation errors, in place.

    Along a line an excitation error is a parabola: no more than two stretches are near.
    Returns how many there are.
    """
    # _error of thousands of candidates: g·k = h·(Aᵀk), and g² = hᵀ(AᵀA)h.
    along, metric = np.zeros(3), np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            along[j] -= A[i, j] * k[i] / K
            for l in range(3):
                metric[j, l] -= A[i, j] * A[i, l] / (2 * K)
    a, b, c = along
    d, e, f = metric[0, 0], metric[1, 1], metric[2, 2]
    u, v, w = 2 * metric[0, 1], 2 * metric[1, 2], 2 * metric[0, 2]
    n = 0
    for line in range(len(lines) - 1):
        begin, end = lines[line], lines[line + 1]
        p, q, start = candidates[begin, 0], candidates[begin, 1], candidates[begin, 2]
        base = p * (a + d * p + u * q) + q * (b + e * q)
        slope = c + w * p + v * q
        top = base - slope * slope / (4 * f)
        if top < -s_max:
            continue
        middle, outer = -slope / (2 * f) - start, np.sqrt((top + s_max) / -f)
        inner = np.sqrt(max(top - s_max, 0.0) / -f)
        done = begin
        for low, high in ((-outer, -inner), (inner, outer)):
            first = max(done, begin + int(np.floor(middle + low)))
            done = max(done, min(end, begin + int(np.ceil(middle + high)) + 1))
            for j in range(first, done):
                r = candidates[j, 2]
                s = base + r * (slope + f * r)
                if abs(s) <= s_max:
                    near[n], errors[n] = j, s
                    n += 1
    return n


@nb.njit(cache=True, nogil=True)
def beams_of(hkl, A, k, candidates, lines, s_max, n_beams, table, middle):
    """
    Choose the beams of an observation.

    Args:
        hkl: Shape (3,), its index.
        A: Shape (3, 3), setting [1/Å].
        k: Shape (3,), wave vector where it crosses the Ewald sphere [1/Å].
        candidates: Shape (c, 3), indices.
        lines: From lines_of.
        s_max: Largest excitation error [1/Å].
        n_beams: How many at most.
        table: U by index [1/Å²].
        middle: Shape (3,), place of index 0 in it.

    Returns:
        Rows of candidates: the direct beam, the reflection, then the others; empty
        where one of these two is not among them.
    """
    K = np.sqrt(k[0] ** 2 + k[1] ** 2 + k[2] ** 2)
    near = np.empty(len(candidates), np.int64)
    errors = np.empty(len(candidates))
    n = _near_sphere(candidates, lines, A, k, K, s_max, near, errors)
    # In single precision ties are ties, whatever the last digit of a cell.
    score = np.empty(n, np.float32)
    both = 0
    for i in range(n):
        s, g = errors[i], candidates[near[i]]
        if g[0] == 0 and g[1] == 0 and g[2] == 0:
            score[i], both = FIRST, both + 1
        elif g[0] == hkl[0] and g[1] == hkl[1] and g[2] == hkl[2]:
            score[i], both = SECOND, both + 1
        else:
            size = 2 * K * np.sqrt(s * s + NARROW * NARROW)
            x = _strength(table, middle, g[0], g[1], g[2]) / size
            y = _strength(table, middle, hkl[0] - g[0], hkl[1] - g[1], hkl[2] - g[2])
            y /= size
            score[i] = -(x * x + y * y + 4 * x * y)
    if both < 2:
        return np.empty(0, np.int64)
    return near[:n][np.argsort(score, kind="mergesort")[:n_beams]]


@nb.njit(cache=True, nogil=True)
def excitation(beams, A, s0, axis, angles):
    """
    Give excitation errors.

    Args:
        beams: Shape (n, 3), indices.
        A: Shape (3, 3), setting [1/Å].
        s0, axis: Shape (3,), incident wave vector at rotation zero [1/Å], and axis.
        angles: Shape (m,) [rad].

    Returns:
        Shape (m, n) [1/Å].
    """
    K = np.sqrt(s0[0] ** 2 + s0[1] ** 2 + s0[2] ** 2)
    found = np.empty((len(angles), len(beams)))
    for i in range(len(angles)):
        k = rotated(s0, axis, -angles[i])
        for j in range(len(beams)):
            found[i, j] = _error(A, beams[j], k, K)
    return found


@nb.njit(cache=True, nogil=True)
def couplings(beams, table, unique, middle):
    """
    Give U between beams.

    Args:
        beams: Shape (n, 3), indices.
        table, unique: U [1/Å²] and number of the unique reflection, by index.
        middle: Place of index 0 in them.

    Returns:
        U_(g-h) with a zero diagonal, and the numbers, -1 on the diagonal; (n, n) each.
    """
    n = len(beams)
    U, number = np.zeros((n, n), np.complex64), np.full((n, n), -1)
    for j in range(n):
        for l in range(n):
            if j != l:
                a = beams[j, 0] - beams[l, 0] + middle[0]
                b = beams[j, 1] - beams[l, 1] + middle[1]
                c = beams[j, 2] - beams[l, 2] + middle[2]
                U[j, l], number[j, l] = table[a, b, c], unique[a, b, c]
    return U, number
