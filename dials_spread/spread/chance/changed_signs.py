"""
What pairs of images share where deviations have random signs: nothing but chance.

Signs of all deviations of one reflection on one crystal change together (Efron (1969),
J. Am. Stat. Assoc. 64, 1278), as said in same_orientation.

Classes:
    ReflectionSums: what signs are applied to

Functions:
    with_signs: the difference for random sets of signs
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread.statistics.random_numbers import next_random
from dials_spread.threads import run_blocks

SIGNS = 1999
"""Random sets of signs."""

MOST_TERMS = 400_000_000
"""Of all sets; with more spots there are fewer sets."""

FEWEST_SIGNS = 399


class ReflectionSums(NamedTuple):
    """
    What a set of signs is applied to; spots and cells lie by reflection.

    A cell is one reflection on one crystal, of which signs change together.

    Attributes:
        spot_start: Shape (u + 1,), where the common spots of each reflection begin.
        product: Shape (m,), of the two deviations of each spot.
        cell_a, cell_b: Shape (m,), their cells.
        cell_start: Shape (u + 1,), where the cells of each reflection begin.
        total: Shape (cells,), sums of deviations.
        of_same, of_all: Shape (u,), factors of the products of spots, and of all pairs.
    """

    spot_start: np.ndarray
    product: np.ndarray
    cell_a: np.ndarray
    cell_b: np.ndarray
    cell_start: np.ndarray
    total: np.ndarray
    of_same: np.ndarray
    of_all: np.ndarray


@nb.njit(cache=True, nogil=True)
def _change_signs(first, stop, seeds, sums, found):
    """Fill the sum of differences for sets of signs first … stop - 1."""
    sign = np.empty(len(sums.total))
    for k in range(first, stop):
        state, result = seeds[k], 0.0
        for u in range(len(sums.of_same)):
            plain, square = 0.0, 0.0
            bits, left = np.uint64(0), 0
            for c in range(sums.cell_start[u], sums.cell_start[u + 1]):
                if left == 0:
                    state, bits = next_random(state)
                    left = 64
                sign[c] = 1.0 if bits & np.uint64(1) else -1.0
                bits >>= np.uint64(1)
                left -= 1
                plain += sign[c] * sums.total[c]
                square += sums.total[c] * sums.total[c]
            same = 0.0
            for q in range(sums.spot_start[u], sums.spot_start[u + 1]):
                same += sums.product[q] * sign[sums.cell_a[q]] * sign[sums.cell_b[q]]
            everything = 0.5 * (plain * plain - square)
            result += sums.of_same[u] * same - sums.of_all[u] * everything
        found[k] = result


def with_signs(
    sums: ReflectionSums, rng: np.random.Generator, nproc: int | None
) -> np.ndarray:
    """
    Give the sum of differences for random sets of signs.

    Args:
        sums: Of all reflections.
        rng: For signs.
        nproc: Threads; all cores by default.

    Returns:
        Shape (sets,).
    """
    terms = len(sums.product) + len(sums.total)
    n = int(np.clip(MOST_TERMS // terms, FEWEST_SIGNS, SIGNS))
    found = np.empty(n)
    seeds = rng.integers(2**63, size=n).astype(np.uint64)

    def run(first, stop):
        _change_signs(first, stop, seeds, sums, found)

    run_blocks(run, n, max(1, n // 16), nproc)
    return found
