"""
Sums of the log-likelihood of a relative spread s over many deviations, in compiled loops.

Functions:
    tabulate: many values of s, cell by cell
    sum_one_cell: few values of s, all deviations together
"""

from __future__ import annotations

import numba as nb
import numpy as np

LANES = 128
"""Sums side by side where all deviations go into one."""

MOST_LEVEL_VARIANCE = 4.0
"""Beyond this relative variance of a level, its powers are as if it were this."""

TOGETHER = 8
"""Variances whose product is taken before its exponent is taken off; relative to what is
known they are between 1 and 1e16, with an I/σ of a million."""

EXPONENT, BIAS = 52, 1023
MANTISSA, UNIT = np.int64(2**EXPONENT - 1), np.int64(BIAS * 2**EXPONENT)
LOG_2 = float(np.log(2.0))
"""Of numbers with eight bytes (IEEE 754)."""


@nb.njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _variance(v, ratio, of_noise, part):
    """
    Give the variance of a deviation over what is known of it, for s² = v.

    What an estimated μ² makes of the spread, where s²μ² is a share of the variance: the
    likelihood weights a reflection with the powers p = 2 - 4·share (times the squared
    deviation) and q = 4 - 4·share of its level L; E[L^p] is 1 + p(p - 1)/2 Var(L) to
    second order, and the deviation does not depend on L. Where L is worth nothing at all,
    as of a reflection far below its noise, the second order would turn variances negative
    (MOST_LEVEL_VARIANCE). The quotient of both is written with x = s²μ²/known, share =
    x/(1 + x), so that one division is left.
    """
    x = v * ratio
    level_variance = min((v + of_noise) * part, MOST_LEVEL_VARIANCE)
    whole = (1 + x) * (1 + x)
    above = whole + (1 - x) * (1 - 3 * x) * level_variance
    below = whole + 2 * (3 - x) * level_variance
    return 1 + x * above / below


# The next four are functions of their own, because only then is their loop compiled to
# instructions that take several numbers at once: a quarter of the time.


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _add_values(width, v, ratio, of_noise, part, deviation, product, total):
    """Add one deviation for many s."""
    for k in range(width):
        variance = _variance(v[k], ratio, of_noise, part)
        product[k] *= variance
        total[k] += deviation / variance


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _variances(width, v, ratio, of_noise, part, variance):
    for k in range(width):
        variance[k] = _variance(v, ratio[k], of_noise[k], part[k])


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _add_each(width, variance, deviation, product, total):
    """Add many deviations for one s, each to a sum of its own."""
    for k in range(width):
        product[k] *= variance[k]
        total[k] += deviation[k] / variance[k]


@nb.njit(cache=True, nogil=True)
def _take_exponents(width, bits, exponents):
    """Take the exponents off products and sum them; a logarithm for each takes longer."""
    for k in range(width):
        exponents[k] += (bits[k] >> EXPONENT) - BIAS
        bits[k] = (bits[k] & MANTISSA) | UNIT


@nb.njit(cache=True, nogil=True, error_model="numpy")
def tabulate(
    first, stop, square, known, unknown, noise, n_all, cell, grid, table, carried
):  # fmt: skip
    """
    Add deviations first … stop - 1, cells in their order, to the table of log-likelihoods.

    What belongs to a cell that began before goes to carried.
    """
    width, v = len(grid), grid**2
    total, product = np.zeros(width), np.ones(width)
    bits, exponents = product.view(np.int64), np.zeros(width, dtype=np.int64)
    waiting, begun = 0, first > 0 and cell[first - 1] == cell[first]
    for i in range(first, stop):
        own = 1 / known[i]
        _add_values(
            width, v, unknown[i] * own, noise[i], 1 / n_all[i], square[i] * own, product,
            total,
        )  # fmt: skip
        waiting += 1
        if waiting == TOGETHER:
            _take_exponents(width, bits, exponents)
            waiting = 0
        if i + 1 == stop or cell[i + 1] != cell[i]:
            row = carried if begun else table[cell[i]]
            for k in range(width):
                row[k] -= 0.5 * (total[k] + np.log(product[k]) + exponents[k] * LOG_2)
                total[k], product[k], exponents[k] = 0.0, 1.0, 0
            waiting, begun = 0, False


@nb.njit(cache=True, nogil=True, error_model="numpy")
def sum_one_cell(first, stop, square, known, unknown, noise, n_all, grid, sums):
    """As tabulate, of deviations that are all of one cell: many of them at a time."""
    n, v = len(grid), grid**2
    total, product = np.zeros((n, LANES)), np.ones((n, LANES))
    bits, exponents = product.view(np.int64), np.zeros((n, LANES), dtype=np.int64)
    ratio, part = np.empty(LANES), np.empty(LANES)
    deviation, variance = np.empty(LANES), np.empty(LANES)
    waiting = 0
    for low in range(first, stop, LANES):
        width = min(LANES, stop - low)
        for k in range(width):
            own = 1 / known[low + k]
            ratio[k], deviation[k] = unknown[low + k] * own, square[low + k] * own
            part[k] = 1 / n_all[low + k]
        of_noise = noise[low : low + width]
        waiting += 1
        for j in range(n):
            _variances(width, v[j], ratio, of_noise, part, variance)
            _add_each(width, variance, deviation, product[j], total[j])
            if waiting == TOGETHER:
                _take_exponents(LANES, bits[j], exponents[j])
        waiting %= TOGETHER
    for j in range(n):
        for k in range(LANES):
            logarithm = np.log(product[j, k]) + exponents[j, k] * LOG_2
            sums[j] -= 0.5 * (total[j, k] + logarithm)
