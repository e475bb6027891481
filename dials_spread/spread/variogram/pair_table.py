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
within ALL_WITHIN, which are few and say most, it is paired all the same.

Functions:
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

MOST_LOOKED_AT = 2_000_000_000
"""Pairs whose angle is looked at to find those within ALL_WITHIN; of more, those of a part of
the observations."""

ALL_WITHIN = 2.0
"""Pairs whose beams are closer [°] are all taken; an edge of the bins."""

NEAR_COSINE = math.cos(math.radians(ALL_WITHIN))

BLOCKS = 4
"""Of reflections, each with tables of its own: sums are alike to the last digit."""

LEVELS = np.sinh(np.linspace(-8, 8, 1601)) * 1e-3
"""Bins of γ over its median's factor, for the robust estimate: finer near zero."""

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
def _nearest(a, b, matrices, fixes):
    """The smallest squared distance that the operators which fix the reflection allow."""
    nearest = 5.0
    for m in range(len(matrices)):
        if not fixes[m]:
            continue
        g = matrices[m]
        x = a[0] - g[0, 0] * b[0] - g[0, 1] * b[1] - g[0, 2] * b[2]
        y = a[1] - g[1, 0] * b[0] - g[1, 1] * b[1] - g[1, 2] * b[2]
        z = a[2] - g[2, 0] * b[0] - g[2, 1] * b[1] - g[2, 2] * b[2]
        nearest = min(nearest, x * x + y * y + z * z)
    return nearest


@nb.njit(cache=True, nogil=True)
def _degrees(square):
    return math.degrees(2 * math.asin(min(1.0, 0.5 * math.sqrt(square))))


@nb.njit(cache=True, nogil=True)
def angle_between(a, b, b_reversed, matrices, fixes):
    """The angle [°]; beyond 90° 180° less that to the beam of the reversed experiment."""
    square = _nearest(a, b, matrices, fixes)
    if square <= 2.0:
        return _degrees(square)
    return 180.0 - min(90.0, _degrees(_nearest(a, b_reversed, matrices, fixes)))


@nb.njit(cache=True, nogil=True)
def of_images(a, b, halves):
    """½ (α_a - α_b)(β_a - β_b), the mean over splits; nan where one is not known."""
    total = 0.0
    for split in range(len(halves)):
        first, second = halves[split, 0], halves[split, 1]
        total += (first[a] - first[b]) * (second[a] - second[b])
    return 0.5 * total / max(len(halves), 1)


@nb.njit(cache=True, nogil=True)
def gamma_of_pair(p, q, intensity, variance, square_level):
    """½ [(I_p - I_q)² - σ_p² - σ_q²] / μ²."""
    square = (intensity[p] - intensity[q]) ** 2
    return 0.5 * (square - variance[p] - variance[q]) / square_level


@nb.njit(cache=True, nogil=True)
def _near_of(p, first, stop, crystal, hand, beam, against, matrices, fixes, found):
    """Find those of other crystals whose beams are within ALL_WITHIN of that of p."""
    n, alone = 0, fixes.sum() == 1
    x, y, z = beam[p, 0], beam[p, 1], beam[p, 2]
    for q in range(first, stop):
        if crystal[q] == crystal[p] or hand[q] != hand[p]:
            continue
        if alone:
            # No operator but the identity keeps the reflection, as nearly always.
            along = x * beam[q, 0] + y * beam[q, 1] + z * beam[q, 2]
            if along < 0:
                along = x * against[q, 0] + y * against[q, 1] + z * against[q, 2]
            near = along > NEAR_COSINE
        else:
            square = _nearest(beam[p], beam[q], matrices, fixes)
            if square > 2.0:
                square = _nearest(beam[p], against[q], matrices, fixes)
            near = 1 - 0.5 * square > NEAR_COSINE
        if near:
            found[n] = q
            n += 1
    return n


@nb.njit(cache=True, nogil=True)
def _add(p, q, weight, square_level, columns, frame, edges, levels, sums, histogram):
    """Add one pair; a pair on one image, or of different hand, is left out."""
    intensity, variance, image, crystal, group, operator, hand = columns
    beam, against, matrices, fixes, halves = frame
    if image[p] == image[q] or hand[p] != hand[q]:
        return 0
    angle = angle_between(beam[p], beam[q], against[q], matrices, fixes)
    kind = 0 if crystal[p] == crystal[q] else 1
    if kind == 0 and operator[p] == operator[q] and angle < SAME_CROSSING:
        return 0
    k = np.searchsorted(edges, angle, side="right") - 1
    k = min(max(k, 0), len(edges) - 2)
    square = (intensity[p] - intensity[q]) ** 2
    noise = variance[p] + variance[q]
    gamma = gamma_of_pair(p, q, intensity, variance, square_level)
    low, high = min(group[p], group[q]), max(group[p], group[q])
    cell = sums[low, high, kind, k]
    cell[0] += weight
    cell[1] += weight * gamma
    cell[2] += weight * angle
    cell[3] += 1
    common = of_images(image[p], image[q], halves)
    if not math.isnan(common):
        cell[4] += weight
        cell[5] += weight * (gamma - common)
    # The median of the square of a standard normal deviate is 0.4549.
    needed = 0.5 * (square / 0.454936423119572 - noise) / square_level
    histogram[kind, k, np.searchsorted(levels, needed)] += weight
    return 1


@nb.njit(cache=True, nogil=True)
def _sum_reflections(
    first, stop, start, weight, square_level, limits, seed, columns, beams, matrices,
    fixes, edges, levels, sums, histogram,
):  # fmt: skip
    """All pairs, or some, of reflections first … stop - 1; gives their number."""
    n_pairs, partners, step = 0, limits[0], limits[1]
    crystal, hand = columns[3], columns[6]
    found = np.empty(np.diff(start).max(), dtype=np.int64)
    for u in range(first, stop):
        low, m = start[u], start[u + 1] - start[u]
        frame = (beams[0], beams[1], matrices, fixes[u], beams[2])
        if m * (m - 1) // 2 <= m * partners:
            w = weight[u] / (m - 1)
            for p in range(low, low + m):
                for q in range(p + 1, low + m):
                    n_pairs += _add(
                        p, q, w, square_level[u], columns, frame, edges, levels, sums,
                        histogram,
                    )  # fmt: skip
            continue
        own = weight[u] / (m - 1)
        for p in range(low, low + m):
            for q in range(p + 1, low + m):
                if crystal[q] != crystal[p]:
                    # Those of one crystal lie together.
                    break
                n_pairs += _add(
                    p, q, own, square_level[u], columns, frame, edges, levels, sums,
                    histogram,
                )  # fmt: skip
        # Of one in step observations all near pairs, which stand for those of others; each
        # is then found from both ends.
        near = own if step == 1 else 0.5 * step * own
        for p in range(low, low + m, step):
            n = _near_of(
                p, p + 1 if step == 1 else low, low + m, crystal, hand, beams[0], beams[1], matrices, fixes[u],
                found,
            )  # fmt: skip
            for k in range(n):
                n_pairs += _add(
                    p, found[k], near, square_level[u], columns, frame, edges, levels,
                    sums, histogram,
                )  # fmt: skip
        w = weight[u] / (2 * partners)
        state = np.uint64(seed) + np.uint64(u) * np.uint64(0xD1342543DE82EF95)
        for p in range(low, low + m):
            for _ in range(partners):
                state, value = next_random(state)
                q = low + np.int64(value % np.uint64(m - 1))
                q += q >= p
                if crystal[q] == crystal[p] or _near_of(
                    p, q, q + 1, crystal, hand, beams[0], beams[1], matrices, fixes[u],
                    found,
                ):  # fmt: skip
                    continue
                n_pairs += _add(
                    p, q, w, square_level[u], columns, frame, edges, levels, sums,
                    histogram,
                )  # fmt: skip
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
    seed = int(rng.integers(2**62))

    def add(first: int, stop: int, sums: np.ndarray, histogram: np.ndarray) -> int:
        return _sum_reflections(
            first, stop, start, given.weight, given.square_level, limits, seed,
            columns, given.beams, given.on_directions, given.fixes, EDGES, LEVELS, sums,
            histogram,
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
    sums = np.zeros((BLOCKS, n_groups, n_groups, 2, N_BINS, 6))
    histogram = np.zeros((BLOCKS, 2, N_BINS, len(LEVELS) + 1))
    counts = np.zeros(BLOCKS, dtype=np.int64)

    def run(first, stop):
        own = first // block
        counts[own] = add(first, stop, sums[own], histogram[own])

    run_blocks(run, n, block, nproc)
    return sums.sum(axis=0), histogram.sum(axis=0), int(counts.sum())
