"""
Is a matched pair of images better than expected by chance?

*Log-likelihood ratio.* Common spots of two images, each as a deviation from the mean of
all observations that are not on image a. Under the one hypothesis the deviations of a and
b are independent, under the other they share a part ρ of the spread: a bivariate normal
distribution with the covariance ρ s²μ² (counting noise is never shared). ρ is one number,
fitted to all pairs.

*Permutation.* The same ratio for intensities of image b redrawn, reflection by
reflection, from all observations of the same unique reflection that are not on image a;
b's own is one of them, as it must be for the p-value to be exact where b is not special.
No shape of a distribution is assumed. Drawing ends when ``ENOUGH`` of the redrawn ratios
reach the observed one (Besag and Clifford (1991), Biometrika 78, 301), so that the many
pairs that are nothing special cost little.

Functions:
    fit_correlation: ρ from all pairs
    pair_ratios: log-likelihood ratio and permutation p-value of each pair
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread.spread.chance.pools import CommonSpots, Pools
from dials_spread.statistics.random_numbers import next_random
from dials_spread.threads import run_blocks

PERMUTATIONS = 999

ENOUGH = 30
"""Redrawn ratios as high as the observed one after which drawing ends."""

CORRELATIONS = np.linspace(0.0, 0.98, 50)
"""Values of ρ that are tried."""


@nb.njit(cache=True, nogil=True)
def _pool_mean(u, image_a, pools):
    """Number, mean intensity and mean variance of what is not on image a."""
    n, total, noise = pools.start[u + 1] - pools.start[u], pools.sum[u], pools.noise[u]
    for k in range(pools.row_start[image_a], pools.row_start[image_a + 1]):
        if pools.row_unique[k] == u:
            n -= 1
            total -= pools.row_intensity[k]
            noise -= pools.row_variance[k]
    return n, total / max(n, 1), noise / max(n, 1)


@nb.njit(cache=True, nogil=True)
def _ratio(x, y, correlation):
    """Log-likelihood ratio of two standard deviates."""
    left = 1 - correlation * correlation
    square = x * x + y * y
    quotient = (square - 2 * correlation * x * y) / left
    return -0.5 * (np.log(left) + quotient - square)


@nb.njit(cache=True, nogil=True)
def _standardise(q, spots, image_a, pools, s2, out):
    """Describe a common spot: x, mean, variance of the spread, of y's noise; or not."""
    n, mean, noise = _pool_mean(spots.unique[q], image_a, pools)
    if n < 2 or mean <= 0 or mean * mean < noise:
        return False
    spread = s2 * mean * mean
    variance_a = spots.variance_a[q] + spread + (noise + spread) / n
    out[0] = (spots.intensity_a[q] - mean) / np.sqrt(variance_a)
    out[1], out[2], out[3], out[4] = mean, spread, variance_a, 1 - 1 / n
    return True


@nb.njit(cache=True, nogil=True)
def _term(intensity, variance, spot, rho):
    """The part of one spot in the log-likelihood ratio."""
    x, mean, spread, variance_a, part = spot[0], spot[1], spot[2], spot[3], spot[4]
    variance_b = (variance + spread) * part
    correlation = rho * spread / np.sqrt(variance_a * variance_b)
    y = (intensity - mean) / np.sqrt(variance_b)
    return _ratio(x, y, min(correlation, 0.999))


@nb.njit(cache=True, nogil=True)
def _profile(first, stop, spots, pools, s2, correlations, table):
    """Log-likelihood ratio of pairs first … stop - 1 for every ρ."""
    spot = np.empty(5)
    for pair in range(first, stop):
        for q in range(spots.start[pair], spots.start[pair + 1]):
            if _standardise(q, spots, spots.image_a[pair], pools, s2, spot):
                for k in range(len(correlations)):
                    table[pair, k] += _term(
                        spots.intensity_b[q], spots.variance_b[q], spot, correlations[k]
                    )


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
    n = len(spots.image_a)
    total = np.zeros(len(CORRELATIONS))
    for first in range(0, n, 100_000):
        part = min(100_000, n - first)
        table = np.zeros((part, len(CORRELATIONS)))
        shifted = spots._replace(
            start=spots.start[first : first + part + 1],
            image_a=spots.image_a[first : first + part],
        )

        def fill(low, high, shifted=shifted, table=table):
            _profile(low, high, shifted, pools, s**2, CORRELATIONS, table)

        run_blocks(fill, part, max(1, part // 16), nproc)
        total += table.sum(axis=0)
    return float(CORRELATIONS[total.argmax()])


@nb.njit(cache=True, nogil=True)
def _draw_other(u, image_a, pools, state):
    """Draw an observation of u that is not on image a; there are two or more."""
    low, n = pools.start[u], pools.start[u + 1] - pools.start[u]
    while True:
        state, value = next_random(state)
        k = low + np.int64(value % np.uint64(n))
        if pools.drawn[k, 2] != image_a:
            return state, k


@nb.njit(cache=True, nogil=True)
def _compare(
    first, stop, spots, pools, s2, rho, seeds, permutations, enough, ratio, p_value
):
    """Fill ratio and p_value of pairs first … stop - 1."""
    longest = 0
    for pair in range(first, stop):
        longest = max(longest, spots.start[pair + 1] - spots.start[pair])
    known = np.empty((longest, 5))
    where = np.empty(longest, dtype=np.int64)
    for pair in range(first, stop):
        n, observed, image_a = 0, 0.0, spots.image_a[pair]
        for q in range(spots.start[pair], spots.start[pair + 1]):
            if _standardise(q, spots, image_a, pools, s2, known[n]):
                observed += _term(
                    spots.intensity_b[q], spots.variance_b[q], known[n], rho
                )
                where[n] = spots.unique[q]
                n += 1
        if n == 0:
            continue
        ratio[pair] = observed
        state, reached, drawn = seeds[pair], 0, 0
        while drawn < permutations and reached < enough:
            total = 0.0
            for i in range(n):
                state, k = _draw_other(where[i], image_a, pools, state)
                one = pools.drawn[k]
                total += _term(one[0], one[1], known[i], rho)
            drawn += 1
            # Sums in another order may differ in the last digits.
            reached += total >= observed - 1e-9 * abs(observed)
        if reached == enough:
            p_value[pair] = reached / drawn
        else:
            p_value[pair] = (reached + 1) / (drawn + 1)


def pair_ratios(
    spots: CommonSpots,
    pools: Pools,
    s: float,
    correlation: float,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
    nproc: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the log-likelihood ratio of each pair, and how often chance reaches it.

    Args:
        spots: Common spots of n pairs.
        pools: All observations.
        s: Relative spread.
        correlation: ρ, from fit_correlation; 0.5 is taken where it is 0, so that pairs
            can be ranked.
        rng: Gives each pair a seed of its own.
        permutations: Most redrawn images b.
        nproc: Threads; all cores by default.

    Returns:
        Natural log of the ratio and p-value, shape (n,) each; nan for a pair without a
        common spot whose reflection has two other observations and is strong enough.
    """
    n = len(spots.image_a)
    ratio, p_value = np.full(n, np.nan), np.full(n, np.nan)
    seeds = rng.integers(2**63, size=n).astype(np.uint64)
    used = correlation if correlation > 0 else 0.5

    def run(first, stop):
        _compare(
            first, stop, spots, pools, s**2, used, seeds, permutations, ENOUGH, ratio,
            p_value,
        )  # fmt: skip

    run_blocks(run, n, max(1, min(n // 16, 2000)), nproc)
    return ratio, p_value
