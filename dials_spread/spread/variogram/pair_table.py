"""
Pairs of observations of one unique reflection, summed by angle and by crystals.

For a pair, γ = ½ [(I_a - I_b)² - σ_a² - σ_b²] / μ², with μ² free of its own variance. It
does not depend on the mean of the reflection, nor on the scale of all data. Sums are kept
for every pair of crystals (or of groups of crystals), so that intervals over crystals
need not read the pairs again.

Bins begin at 0.05°, because multiple scattering changes within tenths of a degree. Beams
from opposite sides are compared by reciprocity (directions): such a pair is put at 180°
less the angle between one beam and the other reversed.

What the images of a pair differ by in all their reflections is taken off, too. A factor of an
image that is fitted to its reflections has errors, and near 0°, where little else is left,
these would seem to be a difference between crystals. So the factors are fitted twice, to two
halves of the reflections, and

    γ - ½ (α_a - α_b)(β_a - β_b)

is free of their errors, as those of the halves have nothing in common.

Where all pairs are too many, each observation is paired with a few others of its
reflection, drawn at random. With those of its own crystal, and with those whose beam is
within ALL_WITHIN, which are few and say most, it is paired all the same. So few are enough for
the others (ENOUGH): the errors over crystals, which have the noise of the draw in them,
hardly change.

Functions:
    pairs_to_draw: how many are drawn of so many
    pair_limit: how many partners of each observation fit
    sum_pairs: the sums
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numba as nb
import numpy as np

from dials_spread.spread.size.residuals import Residuals
from dials_spread.spread.variogram.directions import ObservationDirections
from dials_spread.spread.variogram.near_pairs import (
    along_axis,
    is_near,
    near_of,
    nearest_square,
    square_between,
)
from dials_spread.spread.variogram.pair_inputs import pair_inputs
from dials_spread.statistics.bootstrap import Groups
from dials_spread.statistics.random_numbers import next_random
from dials_spread.threads import run_blocks

FINE = (0, 0.05, 0.1, 0.175, 0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16)
SMALL = (*FINE, 24, 32, 45, 60, 75)
EDGES = np.array([*SMALL, 90, *(180 - x for x in SMALL[::-1])])
"""Bins of the angle [°]; those near 180° mirror those near 0°."""

N_BINS = len(EDGES) - 1

WITHIN, BETWEEN = 0, 1
"""Both observations of one crystal (on different images), or of two."""

WEIGHT, GAMMA, SUM_OF_ANGLES, COUNT, WEIGHT_WITHOUT, GAMMA_WITHOUT = range(6)
"""What is summed: weights; weight times γ; weight times angle; pairs; weights of pairs
of images with a factor; weight times their γ without the factors."""

MOST_PAIRS = 20_000_000

ENOUGH = 5_000_000
"""Pairs that are drawn where not all fit."""

MOST_LOOKED_AT = 2_000_000_000
"""Pairs whose angle is looked at to find those within ALL_WITHIN; of more, those of a part of
the observations."""

BLOCKS = 4
"""Of reflections, each with tables of its own: sums are alike to the last digit."""

LEVEL_UNIT, LEVEL_END, LEVEL_STEP = 1e-3, 8.0, 0.01
LEVELS = np.sinh(np.linspace(-LEVEL_END, LEVEL_END, 1601)) * LEVEL_UNIT
"""Bins of γ over its median's factor, for the robust estimate: finer near zero."""

COARSE = 0.1
"""Steps of the angle [°] with which its bin is looked for."""

BINS = (
    EDGES,
    np.clip(np.searchsorted(EDGES, np.arange(0, 180, COARSE), "right"), 1, N_BINS) - 1,
    LEVELS,
)
"""Edges, the bin in which each step begins, and levels."""

TOGETHER = 256
"""Pairs that are collected before they are added."""

SAME_CROSSING = 2.0
"""Listings of one index on one crystal no further apart are of one crossing [°]."""


@dataclass(frozen=True)
class PairTable:
    """
    Sums over pairs of observations of one reflection.

    Attributes:
        sums: Shape (groups, groups, 2, N_BINS, 6): by the groups of the two crystals
            (the larger number second), by WITHIN or BETWEEN, by angle, what is summed.
        histogram: Shape (2, N_BINS, len(LEVELS) + 1), pairs by the γ that would make
            each the median.
        n_pairs: Pairs used.
        n_all: Pairs there are.
    """

    sums: np.ndarray
    histogram: np.ndarray
    n_pairs: int
    n_all: int


def pairs_to_draw(sizes: np.ndarray, most: int) -> int:
    """
    Give how many pairs are taken.

    Args:
        sizes: Shape (reflections,), number of observations of each.
        most: Most pairs.

    Returns:
        The most, where all fit; else no more than ENOUGH.
    """
    n_all = int((sizes.astype(np.int64) * (sizes - 1) // 2).sum())
    return most if n_all <= most else min(most, ENOUGH)


def pair_limit(sizes: np.ndarray, most: int) -> int:
    """
    Give how many partners each observation may have for the pairs to fit.

    Args:
        sizes: Shape (reflections,), number of observations of each.
        most: Most pairs.

    Returns:
        The number; a reflection whose pairs are no more than observations times that
        has all of them.
    """
    low, high = 1, max(int(sizes.max(initial=2)), 2)
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(sizes * (sizes - 1) / 2, sizes * middle).sum() <= most:
            low = middle
        else:
            high = middle - 1
    return low


@nb.njit(cache=True, nogil=True)
def _degrees(square):
    return math.degrees(2 * math.asin(min(1.0, 0.5 * math.sqrt(square))))


@nb.njit(cache=True, nogil=True)
def angle_between(p, q, u, alone, beam, against, matrices, fixes):
    """
    The angle [°]; beyond 90° 180° less that to the beam of the reversed experiment.

    alone says that no operator but the identity keeps reflection u.
    """
    if alone:
        square = square_between(p, q, beam, beam)
    else:
        square = nearest_square(p, q, u, beam, beam, matrices, fixes)
    if square <= 2.0:
        return _degrees(square)
    if alone:
        square = square_between(p, q, beam, against)
    else:
        square = nearest_square(p, q, u, beam, against, matrices, fixes)
    return 180.0 - min(90.0, _degrees(square))


@nb.njit(cache=True, nogil=True)
def of_images(a, b, halves):
    """½ (α_a - α_b)(β_a - β_b), the mean over splits; nan where one is not known."""
    total, splits = 0.0, halves.shape[1]
    for k in range(splits):
        first = halves[a, k, 0] - halves[b, k, 0]
        total += first * (halves[a, k, 1] - halves[b, k, 1])
    return 0.5 * total / max(splits, 1)


@nb.njit(cache=True, nogil=True)
def gamma_of_pair(p, q, intensity, variance, square_level):
    """½ [(I_p - I_q)² - σ_p² - σ_q²] / μ²."""
    square = (intensity[p] - intensity[q]) ** 2
    return 0.5 * (square - variance[p] - variance[q]) / square_level


@nb.njit(cache=True, nogil=True)
def _bin_of(angle, edges, coarse):
    """Which bin an angle is in, from where its part of COARSE begins."""
    k = coarse[min(np.int64(angle / COARSE), len(coarse) - 1)]
    while k > 0 and angle < edges[k]:
        k -= 1
    while k < len(edges) - 2 and angle >= edges[k + 1]:
        k += 1
    return k


@nb.njit(cache=True, nogil=True)
def _level_of(needed, levels):
    """The first level that is not below; LEVELS as a formula, but for rounding."""
    place = (math.asinh(needed / LEVEL_UNIT) + LEVEL_END) / LEVEL_STEP
    k = np.int64(min(max(place, 0.0), float(len(levels))))
    while k > 0 and levels[k - 1] >= needed:
        k -= 1
    while k < len(levels) and levels[k] < needed:
        k += 1
    return k


@nb.njit(cache=True, nogil=True)
def _add_pairs(n, pairs, weights, u, alone, level, given):
    """
    Add n pairs of reflection u; those on one image, or of different hand, are left out.

    Many at a time: handing over so many arrays takes longer than adding one pair.
    """
    columns, frame, bins, sums, histogram = given
    intensity, variance, image, crystal, group, operator, hand = columns
    beam, against, matrices, fixes, halves = frame
    edges, coarse, levels = bins
    added = 0
    for i in range(n):
        p, q, weight = pairs[0, i], pairs[1, i], weights[i]
        if image[p] == image[q] or hand[p] != hand[q]:
            continue
        angle = angle_between(p, q, u, alone, beam, against, matrices, fixes)
        kind = 0 if crystal[p] == crystal[q] else 1
        if kind == 0 and operator[p] == operator[q] and angle < SAME_CROSSING:
            continue
        k = _bin_of(angle, edges, coarse)
        square = (intensity[p] - intensity[q]) ** 2
        noise = variance[p] + variance[q]
        gamma = gamma_of_pair(p, q, intensity, variance, level)
        low, high = min(group[p], group[q]), max(group[p], group[q])
        # Pairs of groups, the lower first; then each group with itself within crystals.
        cell = high * (high + 1) // 2 + low if kind else len(sums) - 1 - low
        sums[cell, k, 0] += weight
        sums[cell, k, 1] += weight * gamma
        sums[cell, k, 2] += weight * angle
        sums[cell, k, 3] += 1
        common = of_images(image[p], image[q], halves)
        if not math.isnan(common):
            sums[cell, k, 4] += weight
            sums[cell, k, 5] += weight * (gamma - common)
        # The median of the square of a standard normal deviate is 0.4549.
        needed = 0.5 * (square / 0.454936423119572 - noise) / level
        histogram[kind, k, _level_of(needed, levels)] += weight
        added += 1
    return added


@nb.njit(cache=True, nogil=True)
def _sum_reflections(
    first, stop, start, weight, square_level, limits, seed, columns, frame, bins, sums,
    histogram,
):  # fmt: skip
    """All pairs, or some, of reflections first … stop - 1; gives their number."""
    n_pairs, partners, step = 0, limits[0], limits[1]
    given = (columns, frame, bins, sums, histogram)
    crystal, hand = columns[3], columns[6]
    beam, against, matrices, fixes = frame[0], frame[1], frame[2], frame[3]
    pairs, weights = np.empty((2, TOGETHER), dtype=np.int64), np.empty(TOGETHER)
    for u in range(first, stop):
        low, m, level = start[u], start[u + 1] - start[u], square_level[u]
        own, alone = weight[u] / (m - 1), fixes[u].sum() == 1
        every = m * (m - 1) // 2 <= m * partners
        # Of one in step observations all near pairs, which stand for those of others; each
        # is then found from both ends.
        near = own if step == 1 else 0.5 * step * own
        far = weight[u] / (2 * partners)
        state = np.uint64(seed) + np.uint64(u) * np.uint64(0xD1342543DE82EF95)
        looked_at = 0 if every else m
        ordered = along_axis(low, low + looked_at, beam, against)
        found = np.empty(looked_at, dtype=np.int64)
        n = 0
        for p in range(low, low + m):
            for q in range(p + 1, low + m):
                if not every and crystal[q] != crystal[p]:
                    # Those of one crystal lie together.
                    break
                pairs[0, n], pairs[1, n], weights[n] = p, q, own
                n += 1
                if n == TOGETHER:
                    n_pairs += _add_pairs(n, pairs, weights, u, alone, level, given)
                    n = 0
            if not every and (p - low) % step == 0:
                first_near = p + 1 if step == 1 else low
                n_near = near_of(
                    p, first_near, low + m, u, alone, ordered, frame, crystal, hand, found
                )  # fmt: skip
                for k in range(n_near):
                    pairs[0, n], pairs[1, n], weights[n] = p, found[k], near
                    n += 1
                    if n == TOGETHER:
                        n_pairs += _add_pairs(n, pairs, weights, u, alone, level, given)
                        n = 0
            for _ in range(0 if every else partners):
                state, value = next_random(state)
                q = low + np.int64(value % np.uint64(m - 1))
                q += q >= p
                if crystal[q] == crystal[p] or hand[q] != hand[p]:
                    continue
                if not is_near(p, q, u, alone, beam, against, matrices, fixes):
                    pairs[0, n], pairs[1, n], weights[n] = p, q, far
                    n += 1
                    if n == TOGETHER:
                        n_pairs += _add_pairs(n, pairs, weights, u, alone, level, given)
                        n = 0
        n_pairs += _add_pairs(n, pairs, weights, u, alone, level, given)
    return n_pairs


def sum_pairs(
    residuals: Residuals,
    directions: ObservationDirections,
    groups: Groups,
    rng: np.random.Generator,
    most_pairs: int = MOST_PAIRS,
    nproc: int | None = None,
    halves: np.ndarray | None = None,
) -> PairTable:
    """
    Sum the pairs of observations of all reflections.

    Args:
        residuals: At least one reflection.
        directions: Of the observations that the residuals are made of.
        groups: Of crystals.
        rng: For partners, where not all pairs fit.
        most_pairs: Most pairs, beside those near each other.
        nproc: Threads; all cores by default.
        halves: Shape (splits, 2, images), factors of images less one from both halves
            of the reflections, as spread.sources.factors fits them; none by default.

    Returns:
        The sums.
    """
    start = residuals.start
    sizes = np.diff(start)
    given = pair_inputs(residuals, directions, halves)
    columns = (
        *given.columns,
        groups.of_crystal[residuals.crystal],
        directions.operator[residuals.observation],
        given.hand,
    )
    n_all = int((sizes.astype(np.int64) * (sizes - 1) // 2).sum())
    limits = (pair_limit(sizes, most_pairs), 1 + n_all // MOST_LOOKED_AT)
    frame = (*given.beams[:2], given.on_directions, given.fixes, given.beams[2])
    seed = int(rng.integers(2**62))

    def add(first: int, stop: int, sums: np.ndarray, histogram: np.ndarray) -> int:
        return _sum_reflections(
            first, stop, start, given.weight, given.square_level, limits, seed,
            columns, frame, BINS, sums, histogram,
        )  # fmt: skip

    sums, histogram, n_pairs = _sum_in_threads(add, len(sizes), groups.n, nproc)
    return PairTable(
        sums=sums,
        histogram=histogram,
        n_pairs=n_pairs,
        n_all=n_all,
    )


def _sum_in_threads(
    add: Callable[[int, int, np.ndarray, np.ndarray], int],
    n: int,
    n_groups: int,
    nproc: int | None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Sum all reflections, in blocks that do not depend on the number of threads."""
    block = max(1, -(-n // BLOCKS))
    n_cells = n_groups * (n_groups + 1) // 2
    sums = np.zeros((BLOCKS, n_cells + n_groups, N_BINS, 6))
    histogram = np.zeros((BLOCKS, 2, N_BINS, len(LEVELS) + 1))
    counts = np.zeros(BLOCKS, dtype=np.int64)

    def run(first, stop):
        own = first // block
        counts[own] = add(first, stop, sums[own], histogram[own])

    run_blocks(run, n, block, nproc, little=lambda: run(0, 0))
    for own in sums[1:]:
        sums[0] += own
    table = np.zeros((n_groups, n_groups, 2, N_BINS, 6))
    high, low = np.tril_indices(n_groups)
    table[low, high, BETWEEN] = sums[0, :n_cells]
    each = np.arange(n_groups)
    table[each, each, WITHIN] = sums[0, n_cells:][::-1]
    return table, histogram.sum(axis=0), int(counts.sum())
