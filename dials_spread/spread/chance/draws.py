"""
What pairs of images are compared with: pairs of observations drawn at random.

Few pairs of images draw for themselves. Of many, the draws of a reflection are shared: some
thousand pairs of observations of each reflection are drawn, the term of each is computed
once, and every pair of images goes through those of its reflections from places of its own,
chosen at random for each of its spots. For one pair of images these are independent draws as
before, none of them used twice, so that its p-value is as exact; what is left is a sum of
numbers one after the other. p-values of two pairs of images share draws, but in another
combination; after a round, and for other pairs of images, draws are made anew.

Functions:
    describe: mean, spread and mean variance of a reflection
    prepare: what the terms of drawn spots are made of
    add_terms, add_logarithms: likelihoods of many pairs, spot by spot
    drawn_ratios: of pairs that are drawn for one pair of images
    fill_terms: of pairs of observations that pairs of images share
    count_shared: how many sums of these are as high as what was observed
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread.spread.chance.pools import CRYSTAL, IMAGE
from dials_spread.statistics.random_numbers import next_random

FACTORS = 16
"""Spots whose quotients of determinants are multiplied before a logarithm is taken."""

TOGETHER = (32, 256)
"""Pairs of images that are drawn at a time, at first and at most: the observations of a
reflection are fetched once for all. Those drawn after the end do not count."""


@nb.njit(cache=True, nogil=True)
def describe(u, pools, s2, out):
    """Describe a reflection: mean, spread, mean variance, 1/n; False where too weak."""
    n = pools.start[u + 1] - pools.start[u]
    mean, noise = pools.sum[u] / max(n, 1), pools.noise[u] / max(n, 1)
    if n < 3 or mean <= 0 or mean * mean < noise:
        return False
    spread = s2 * mean * mean
    out[0], out[1], out[2], out[3] = mean, spread, noise + spread, 1 / n
    return True


@nb.njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _draw_pair(u, column, start, drawn, state):
    """Draw two observations of u that differ in a column of what is drawn."""
    low = start[u]
    n = np.uint64(start[u + 1] - low)
    while True:
        state, value = next_random(state)
        # The higher half of a product is uniform below n; a remainder takes longer.
        k = low + np.int64(((value >> np.uint64(32)) * n) >> np.uint64(32))
        j = low + np.int64(((value & np.uint64(0xFFFFFFFF)) * n) >> np.uint64(32))
        if drawn[k, column] != drawn[j, column]:
            return state, k, j


@nb.njit(cache=True, nogil=True)
def prepare(pools, s2, rho, drawn, constants):
    """
    Fill what the terms of drawn spots are made of, once for each observation; and its
    image and crystal beside it, exact below 2²⁴.

    With p = 1/n and the variances a = v_a (1 - 2p) + Vp, and b likewise, the covariance is
    Vp + 2Vpk - k(a + b) with k = p / (1 - 2p).
    """
    known = np.empty(4)
    start, values, owner = pools.start, pools.drawn, pools.owner
    for u in range(len(start) - 1):
        if not describe(u, pools, s2, known):
            continue
        mean, spread, part = known[0], known[1], known[3]
        of_mean, ratio = known[2] * part, part / (1 - 2 * part)
        lost = 2 * rho * spread * part * (1 - part)
        constants[u, 0] = of_mean * (1 + 2 * ratio)
        constants[u, 1], constants[u, 2] = ratio, lost
        constants[u, 3] = rho * spread - lost
        for k in range(start[u], start[u + 1]):
            x = np.float64(values[k, 0]) - mean
            of_one = (np.float64(values[k, 1]) + spread) * (1 - 2 * part) + of_mean
            drawn[k, 0], drawn[k, 1] = x, of_one
            drawn[k, 2], drawn[k, 3] = owner[k, IMAGE], owner[k, CRYSTAL]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def add_terms(number, spots, base, ratio, lost, gained, ratios, products):
    """Add a spot to the ratios of many pairs of images, four at a time in one instruction."""
    for i in range(number):
        x, a, y, b = spots[0, i], spots[1, i], spots[2, i], spots[3, i]
        c = base - ratio * (a + b)
        a1, b1, c1 = a - lost, b - lost, c + gained
        before, after = a * b - c * c, a1 * b1 - c1 * c1
        xx, yy, xy = x * x, y * y, x * y
        quotient = (b1 * xx - 2 * c1 * xy + a1 * yy) * before
        quotient -= (b * xx - 2 * c * xy + a * yy) * after
        ratios[i] += quotient / (after * before)
        products[i] *= after / before


@nb.njit(cache=True, nogil=True)
def add_logarithms(number, ratios, products):
    for i in range(number):
        ratios[i] += np.log(products[i])
        products[i] = 1.0


@nb.njit(cache=True, nogil=True)
def _add_drawn(
    number, u, column, start, drawn, constants, state, spots, ratios, products
):
    """Draw so many pairs of observations of a reflection, add their terms; the next state."""
    for one in range(number):
        state, k, j = _draw_pair(u, column, start, drawn, state)
        spots[0, one], spots[1, one] = drawn[k, 0], drawn[k, 1]
        spots[2, one], spots[3, one] = drawn[j, 0], drawn[j, 1]
    add_terms(
        number, spots, constants[u, 0], constants[u, 1], constants[u, 2],
        constants[u, 3], ratios, products,
    )  # fmt: skip
    return state


@nb.njit(cache=True, nogil=True)
def drawn_ratios(
    number, n, where, column, start, drawn, constants, state, spots, ratios, products,
):  # fmt: skip
    """
    Fill ratios with log-likelihood ratios of drawn pairs of images; give the next state.

    Spot by spot, so that the observations that are drawn from are at hand for all pairs.
    """
    ratios[:number] = 0.0
    products[:number] = 1.0
    for i in range(n):
        u = where[i]
        state = _add_drawn(
            number, u, column, start, drawn, constants, state, spots, ratios, products
        )
        if i % FACTORS == FACTORS - 1:
            add_logarithms(number, ratios, products)
    add_logarithms(number, ratios, products)
    for one in range(number):
        ratios[one] *= -0.5
    return state


@nb.njit(cache=True, nogil=True)
def fill_terms(
    first, stop, needed, number, column, start, drawn, constants, seed, terms
):
    """
    Fill rows first … stop - 1 of terms with those of drawn pairs of observations.

    Args:
        first, stop: Reflections, where needed says so.
        needed: Shape (reflections,), bool.
        number: Pairs of observations drawn of each.
        column: Of drawn, in which the two must differ.
        start, drawn, constants: Of all observations, from pools and prepare.
        seed: uint64, another for each round.
        terms: Shape (reflections, number + TOGETHER[1]), written: shares of the ratio, and
            the first of them once more at the end.
    """
    spots, products = np.empty((4, number)), np.ones(number)
    for u in range(first, stop):
        if not needed[u]:
            continue
        # A seed of its own, so that it does not matter who fills which rows.
        _, state = next_random(seed + np.uint64(u))
        row = terms[u]
        row[:number] = 0.0
        _add_drawn(
            number, u, column, start, drawn, constants, state, spots, row, products
        )
        add_logarithms(number, row, products)
        for one in range(number):
            row[one] *= -0.5
        row[number:] = row[: len(row) - number]


@nb.njit(cache=True, nogil=True)
def _add_row(number, row, ratios):
    for one in range(number):
        ratios[one] += row[one]


@nb.njit(cache=True, nogil=True)
def count_shared(
    first, stop, pairs, spots, constants, terms, number, most, enough, least, states, done,
    reached,
):  # fmt: skip
    """
    Count in one round how many drawn ratios are as high as the observed ones.

    Args:
        first, stop: Of pairs.
        pairs: Numbers of pairs of images that have not reached enough.
        spots: Common spots.
        constants: From prepare; a reflection that is too weak has none.
        terms, number: From fill_terms.
        most: Drawn ratios in this round, at most number.
        enough: Ends it.
        least: Shape (all pairs,), what counts as high.
        states: Shape (all pairs,), uint64, changed: of random numbers.
        done, reached: Shape (all pairs,), changed: ratios drawn, and those as high.
    """
    longest = 1
    for place in range(first, stop):
        pair = pairs[place]
        longest = max(longest, spots.start[pair + 1] - spots.start[pair])
    where = np.empty(longest, dtype=np.int64)
    begin = np.empty(longest, dtype=np.int64)
    ratios, width = np.empty(TOGETHER[1]), np.uint64(number)
    for place in range(first, stop):
        pair, n, state = pairs[place], 0, states[pairs[place]]
        for q in range(spots.start[pair], spots.start[pair + 1]):
            if constants[spots.unique[q], 1] > 0:
                state, value = next_random(state)
                where[n] = spots.unique[q]
                begin[n] = np.int64(((value >> np.uint64(32)) * width) >> np.uint64(32))
                n += 1
        states[pair], passed = state, 0
        while passed < most and reached[pair] < enough:
            together = min(max(TOGETHER[0], done[pair]), TOGETHER[1], most - passed)
            ratios[:together] = 0.0
            for i in range(n):
                low = (begin[i] + passed) % number
                _add_row(together, terms[where[i], low : low + together], ratios)
            passed += together
            for one in range(together):
                done[pair] += 1
                reached[pair] += ratios[one] >= least[pair]
                if reached[pair] == enough:
                    break
