"""
What γ near 0° would be if the orientation did not matter.

Where pairs near 0° are few, they may by chance have none of the wild observations that
make the plateau, or be of reflections that differ little. Neither shows in errors that
come from these pairs themselves. So the observations of each reflection change places,
at random, and γ of the pairs near 0° is taken anew: the same pairs of places, with any two
observations of their reflection (a permutation test; Good (2005), Permutation, Parametric
and Bootstrap Tests of Hypotheses, ch. 3).

What images and crystals have in common is torn apart by that, so that it is one of two
tests: the other one, over crystals, is in growth.

Functions:
    shuffle_pairs: sums over pairs near 0°, as they are and shuffled
    shuffled_p_value: how often shuffled ones are as low
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread.spread.size.residuals import Residuals
from dials_spread.spread.variogram.directions import ObservationDirections
from dials_spread.spread.variogram.pair_inputs import pair_inputs
from dials_spread.spread.variogram.pair_table import (
    MOST_PAIRS,
    angle_between,
    gamma_of_pair,
    of_images,
)
from dials_spread.statistics.random_numbers import next_random
from dials_spread.threads import run_blocks

WITHIN = (0.5, 2.0)
"""Angles [°] within which pairs are near: those of more are told by these, too, and every
further one takes from the power of the test."""

SHUFFLES = 199

MOST_TERMS = 40_000_000
"""Of pairs near 0° times shuffles: two seconds of one core. Of more pairs, the errors over
crystals know all there is."""

FEWEST_SHUFFLES = 99

BLOCKS = 8
"""Of reflections, each with sums of its own: they are alike to the last digit."""

WEIGHT, GAMMA, WEIGHT_WITHOUT, GAMMA_WITHOUT = range(4)


class Shuffled(NamedTuple):
    """
    Sums over pairs of two crystals near 0°.

    Attributes:
        sums: Shape (1 + shuffles, 2, len(WITHIN), 4), first as they are: on the same and
            on opposite sides, within each angle, weights and weights times γ, with and
            without factors of images.
        pairs: Shape (2, len(WITHIN)), their number.
    """

    sums: np.ndarray
    pairs: np.ndarray


@nb.njit(cache=True, nogil=True)
def _find_near(low, high, columns, frame, within, first, second, place):
    """Find the pairs of two crystals of rows low … high - 1 near 0° or 180°; their number."""
    crystal, hand = columns[3], columns[4]
    beam, against, matrices, fixes, u = frame
    n, alone = 0, fixes[u].sum() == 1
    for p in range(low, high):
        for q in range(p + 1, high):
            if crystal[p] == crystal[q] or hand[p] != hand[q]:
                continue
            angle = angle_between(p, q, u, alone, beam, against, matrices, fixes)
            opposite = angle > 90
            k = np.searchsorted(within, 180 - angle if opposite else angle)
            if k == len(within):
                continue
            if n < len(first):
                first[n], second[n] = p - low, q - low
                place[n, 0], place[n, 1] = int(opposite), k
            n += 1
    return n


@nb.njit(cache=True, nogil=True)
def _add_shuffled(low, m, weight, square_level, columns, pairs, state, halves, sums):
    """Add the pairs of one reflection, as they are and shuffled."""
    intensity, variance, image = columns[0], columns[1], columns[2]
    first, second, place = pairs
    order = np.arange(m)
    for shuffle in range(len(sums)):
        for i in range(m - 1, 0, -1) if shuffle else range(0):
            state, value = next_random(state)
            j = np.int64(value % np.uint64(i + 1))
            order[i], order[j] = order[j], order[i]
        for n in range(len(first)):
            p, q = low + order[first[n]], low + order[second[n]]
            gamma = gamma_of_pair(p, q, intensity, variance, square_level)
            cell = sums[shuffle, place[n, 0], place[n, 1]]
            cell[0] += weight
            cell[1] += weight * gamma
            common = of_images(image[p], image[q], halves)
            if not np.isnan(common):
                cell[2] += weight
                cell[3] += weight * (gamma - common)


@nb.njit(cache=True, nogil=True)
def _shuffle_reflections(
    begin, stop, start, weight, square_level, seed, columns, beams, matrices, fixes,
    within, sums, pairs,
):  # fmt: skip
    """All of reflections begin … stop - 1."""
    capacity = 1024
    first, second = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    place = np.empty((capacity, 2), np.int64)
    for u in range(begin, stop):
        low, high = start[u], start[u + 1]
        frame = (beams[0], beams[1], matrices, fixes, u)
        n = _find_near(low, high, columns, frame, within, first, second, place)
        if n > capacity:
            capacity = n
            first, second = np.empty(n, np.int64), np.empty(n, np.int64)
            place = np.empty((n, 2), np.int64)
            _find_near(low, high, columns, frame, within, first, second, place)
        for i in range(n):
            pairs[place[i, 0], place[i, 1]] += 1
        if n and len(sums):
            state = np.uint64(seed) + np.uint64(u) * np.uint64(0xD1342543DE82EF95)
            _add_shuffled(
                low, high - low, weight[u] / (high - low - 1), square_level[u], columns,
                (first[:n], second[:n], place[:n]), state, beams[2], sums,
            )  # fmt: skip


def shuffle_pairs(
    residuals: Residuals,
    directions: ObservationDirections,
    rng: np.random.Generator,
    nproc: int | None = None,
    halves: np.ndarray | None = None,
) -> Shuffled | None:
    """
    Sum pairs of two crystals near 0°, as they are and with shuffled observations.

    Args:
        residuals: At least one reflection.
        directions: Of the observations that the residuals are made of.
        rng: For shuffles.
        nproc: Threads; all cores by default.
        halves: As for sum_pairs.

    Returns:
        The sums; None where pairs are too many.
    """
    start = residuals.start
    sizes = np.diff(start).astype(np.int64)
    if (sizes * (sizes - 1) // 2).sum() > MOST_PAIRS:
        return None
    given = pair_inputs(residuals, directions, halves)
    columns = (*given.columns, given.hand)
    seed = int(rng.integers(2**62))
    block = max(1, -(-len(sizes) // BLOCKS))

    def total(rounds: int) -> Shuffled:
        sums = np.zeros((BLOCKS, rounds, 2, len(WITHIN), 4))
        pairs = np.zeros((BLOCKS, 2, len(WITHIN)), dtype=np.int64)

        def run(begin: int, stop: int) -> None:
            own = begin // block
            _shuffle_reflections(
                begin, stop, start, given.weight, given.square_level, seed, columns,
                given.beams, given.on_directions, given.fixes, np.array(WITHIN),
                sums[own], pairs[own],
            )  # fmt: skip

        run_blocks(run, len(sizes), block, nproc)
        return Shuffled(
            sums.sum(axis=0).cumsum(axis=2), pairs.sum(axis=0).cumsum(axis=1)
        )

    number = int(total(0).pairs[:, -1].sum())
    rounds = min(SHUFFLES, MOST_TERMS // max(number, 1))
    return total(1 + rounds) if rounds >= FEWEST_SHUFFLES else None


def shuffled_p_value(
    shuffled: Shuffled, both_sides: bool, without_factors: bool, fewest: int
) -> float:
    """
    Give the probability of a γ as low near 0° where the orientation does not matter.

    Args:
        shuffled: From shuffle_pairs.
        both_sides: Take beams from opposite sides as alike.
        without_factors: Take off what images differ by in all their reflections.
        fewest: Pairs within an angle that count.

    Returns:
        The p-value of the lowest, in its standard deviations, of all angles; nan without
        pairs.
    """
    sides = slice(None) if both_sides else slice(0, 1)
    sums = shuffled.sums[:, sides].sum(axis=1)
    enough = shuffled.pairs[sides].sum(axis=0) >= fewest
    kinds = (WEIGHT_WITHOUT, GAMMA_WITHOUT) if without_factors else (WEIGHT, GAMMA)
    weight, gamma = (sums[:, enough, k] for k in kinds)
    if not enough.any() or not (weight > 0).all():
        return np.nan
    mean = gamma / weight
    scatter = mean[1:].std(axis=0)
    if not (scatter > 0).all():
        return np.nan
    lowest = ((mean[1:].mean(axis=0) - mean) / scatter).max(axis=1)
    return float((1 + np.sum(lowest[1:] >= lowest[0])) / len(lowest))
