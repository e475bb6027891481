"""
Which part ρ of the spread matched images share: the highest likelihood over all pairs.

The likelihood is that of spread.chance.likelihood.

Functions:
    term_of_spot: of the likelihood ratio
    fit_correlation: ρ from all pairs
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread.spread.chance.draws import FACTORS, add_logarithms, describe
from dials_spread.spread.chance.pools import CommonSpots, Pools
from dials_spread.threads import run_blocks

CORRELATIONS = np.linspace(0.0, 0.98, 50)
"""Values of ρ that are tried."""


@nb.njit(cache=True, nogil=True, inline="always", error_model="numpy")
def term_of_spot(
    intensity_a, variance_a, intensity_b, variance_b,
    mean, spread, all_variance, part, shared,
):  # fmt: skip
    """
    Both determinants, and the difference of the exponents, of one spot.

    Numbers alone: handing on a part of an array takes as long as all of this.
    """
    x, y = intensity_a - mean, intensity_b - mean
    v_a, v_b = variance_a + spread, variance_b + spread
    a = v_a * (1 - 2 * part) + all_variance * part
    b = v_b * (1 - 2 * part) + all_variance * part
    c = (all_variance - v_a - v_b) * part
    lost = 2 * shared * part * (1 - part)
    a1, b1, c1 = a - lost, b - lost, c + shared - lost
    before, after = a * b - c * c, a1 * b1 - c1 * c1
    xx, yy, xy = x * x, y * y, x * y
    quotient = (b1 * xx - 2 * c1 * xy + a1 * yy) * before
    quotient -= (b * xx - 2 * c * xy + a * yy) * after
    return after, before, quotient / (after * before)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _add_correlations(
    width, intensity_a, variance_a, intensity_b, variance_b, mean, spread, all_variance,
    part, correlations, ratios, products,
):  # fmt: skip
    """Add one spot for every ρ; several at once, as this loop is a function of its own."""
    for k in range(width):
        after, before, difference = term_of_spot(
            intensity_a, variance_a, intensity_b, variance_b, mean, spread, all_variance,
            part, correlations[k] * spread,
        )  # fmt: skip
        ratios[k] += difference
        products[k] *= after / before


@nb.njit(cache=True, nogil=True)
def _profile(first, stop, spots, pools, s2, correlations, table):
    """Log-likelihood ratio of pairs first … stop - 1 for every ρ."""
    width, known = len(correlations), np.empty(4)
    ratios, products = np.zeros(width), np.ones(width)
    for pair in range(first, stop):
        for q in range(spots.start[pair], spots.start[pair + 1]):
            if describe(spots.unique[q], pools, s2, known):
                _add_correlations(
                    width, spots.intensity_a[q], spots.variance_a[q],
                    spots.intensity_b[q], spots.variance_b[q],
                    known[0], known[1], known[2], known[3], correlations, ratios, products,
                )  # fmt: skip
            if (q - spots.start[pair]) % FACTORS == FACTORS - 1:
                add_logarithms(width, ratios, products)
        add_logarithms(width, ratios, products)
        for k in range(width):
            table[pair, k] -= 0.5 * ratios[k]
            ratios[k] = 0.0


def fit_correlation(
    spots: CommonSpots, pools: Pools, s: float, nproc: int | None = None
) -> float:
    """
    Fit the part of the spread that matched images share.

    Args:
        spots: Common spots of all pairs.
        pools: All observations.
        s: Relative spread.
        nproc: Threads; all cores by default.

    Returns:
        ρ of highest likelihood over all pairs, from 0 to 0.98.
    """
    n = len(spots.one_crystal)
    total = np.zeros(len(CORRELATIONS))
    for first in range(0, n, 100_000):
        part = min(100_000, n - first)
        table = np.zeros((part, len(CORRELATIONS)))
        shifted = spots._replace(
            start=spots.start[first : first + part + 1],
            one_crystal=spots.one_crystal[first : first + part],
        )

        def fill(low, high, shifted=shifted, table=table):
            _profile(low, high, shifted, pools, s**2, CORRELATIONS, table)

        run_blocks(fill, part, max(1, part // 16), nproc)
        total += table.sum(axis=0)
    return float(CORRELATIONS[total.argmax()])
