"""
Is a matched pair of images better than expected by chance?

*Log-likelihood ratio.* Common spots of two images, each as a deviation from the mean of
all n observations of its reflection. Under the one hypothesis the errors of a and b are
independent, under the other they share a part ρ of the spread: a bivariate normal
distribution with the covariance c = ρ s²μ² (counting noise is never shared). The mean has
a and b in it and errors of its own: with variances v_a, v_b and V on average,

    Var(I_a - M)          = v_a (1 - 2/n) + V/n - 2c/n + 2c/n²
    Cov(I_a - M, I_b - M) = (V - v_a - v_b)/n + c (1 - 2/n + 2/n²)

so that a and b are treated alike. ρ is one number, fitted to all pairs.

*Permutation.* The same ratio for pairs of observations drawn, reflection by reflection,
from all pairs of observations of the same unique reflection on two crystals (on two images
of the one crystal, where a and b are of one); a and b themselves are one of them, as it
must be for the p-value to be exact where they are not special. No shape of a distribution
is assumed. Drawing ends when ``ENOUGH`` of the drawn ratios reach the observed one (Besag
and Clifford (1991), Biometrika 78, 301), so that the many pairs that are nothing special
cost little. Where a third of the images have twice the error of the others, 8 % of
pairs that share nothing have p of at most 0.05.

Functions:
    fit_correlation: ρ from all pairs
    pair_ratios: log-likelihood ratio and permutation p-value of each pair
    ratios_of: of some pairs, by a worker of a cluster
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread import cluster
from dials_spread.spread.chance.pools import CRYSTAL, IMAGE, CommonSpots, Pools
from dials_spread.statistics.random_numbers import next_random
from dials_spread.threads import run_blocks

PERMUTATIONS = 999

ENOUGH = 30
"""Drawn ratios as high as the observed one after which drawing ends."""

TOGETHER = (32, 256)
"""Pairs of images that are drawn at a time, at first and at most: the observations of a
reflection are fetched once for all. Those drawn after the end do not count."""

FACTORS = 16
"""Spots whose quotients of determinants are multiplied before a logarithm is taken."""

CORRELATIONS = np.linspace(0.0, 0.98, 50)
"""Values of ρ that are tried."""


@nb.njit(cache=True, nogil=True)
def _describe(u, pools, s2, out):
    """Describe a reflection: mean, spread, mean variance, 1/n; False where too weak."""
    n = pools.start[u + 1] - pools.start[u]
    mean, noise = pools.sum[u] / max(n, 1), pools.noise[u] / max(n, 1)
    if n < 3 or mean <= 0 or mean * mean < noise:
        return False
    spread = s2 * mean * mean
    out[0], out[1], out[2], out[3] = mean, spread, noise + spread, 1 / n
    return True


@nb.njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _term(
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


@nb.njit(cache=True, nogil=True)
def _profile(first, stop, spots, pools, s2, correlations, table):
    """Log-likelihood ratio of pairs first … stop - 1 for every ρ."""
    known = np.empty(4)
    for pair in range(first, stop):
        for q in range(spots.start[pair], spots.start[pair + 1]):
            if _describe(spots.unique[q], pools, s2, known):
                for k in range(len(correlations)):
                    after, before, difference = _term(
                        spots.intensity_a[q], spots.variance_a[q],
                        spots.intensity_b[q], spots.variance_b[q],
                        known[0], known[1], known[2], known[3],
                        correlations[k] * known[1],
                    )  # fmt: skip
                    table[pair, k] -= 0.5 * (np.log(after / before) + difference)


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
def _prepare(pools, s2, rho, drawn, constants):
    """
    Fill what the terms of drawn spots are made of, once for each observation; and its
    image and crystal beside it, exact below 2²⁴.

    With p = 1/n and the variances a = v_a (1 - 2p) + Vp, and b likewise, the covariance is
    Vp + 2Vpk - k(a + b) with k = p / (1 - 2p).
    """
    known = np.empty(4)
    start, values, owner = pools.start, pools.drawn, pools.owner
    for u in range(len(start) - 1):
        if not _describe(u, pools, s2, known):
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
def _add_terms(number, spots, base, ratio, lost, gained, ratios, products):
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
def _add_logarithms(number, ratios, products):
    for i in range(number):
        ratios[i] += np.log(products[i])
        products[i] = 1.0


@nb.njit(cache=True, nogil=True)
def _drawn_ratios(
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
        for one in range(number):
            state, k, j = _draw_pair(u, column, start, drawn, state)
            spots[0, one], spots[1, one] = drawn[k, 0], drawn[k, 1]
            spots[2, one], spots[3, one] = drawn[j, 0], drawn[j, 1]
        _add_terms(
            number, spots, constants[u, 0], constants[u, 1], constants[u, 2],
            constants[u, 3], ratios, products,
        )  # fmt: skip
        if i % FACTORS == FACTORS - 1:
            _add_logarithms(number, ratios, products)
    _add_logarithms(number, ratios, products)
    for one in range(number):
        ratios[one] *= -0.5
    return state


@nb.njit(cache=True, nogil=True)
def _short_ratio(n, which, short, pools, s2, constants, spots, sums):
    """The ratio of a pair from numbers as short as those that are drawn."""
    known = np.empty(4)
    sums[0], sums[1] = 0.0, 1.0
    for i in range(n):
        q = which[i]
        u = short.unique[q]
        _describe(u, pools, s2, known)
        mean, spread, part = known[0], known[1], known[3]
        of_mean = known[2] * part
        for side in range(2):
            x = short.intensity_a[q] if side == 0 else short.intensity_b[q]
            v = short.variance_a[q] if side == 0 else short.variance_b[q]
            spots[2 * side, 0] = np.float32(x - mean)
            spots[2 * side + 1, 0] = np.float32((v + spread) * (1 - 2 * part) + of_mean)
        _add_terms(
            1, spots, constants[u, 0], constants[u, 1], constants[u, 2],
            constants[u, 3], sums[:1], sums[1:],
        )  # fmt: skip
        _add_logarithms(1, sums[:1], sums[1:])
    return -0.5 * sums[0]


@nb.njit(cache=True, nogil=True)
def _observed_ratio(pair, spots, pools, s2, rho, known, which):
    """Log-likelihood ratio of a pair, and the number of spots that count."""
    n, total = 0, 0.0
    for q in range(spots.start[pair], spots.start[pair + 1]):
        if _describe(spots.unique[q], pools, s2, known):
            after, before, difference = _term(
                spots.intensity_a[q], spots.variance_a[q],
                spots.intensity_b[q], spots.variance_b[q],
                known[0], known[1], known[2], known[3], rho * known[1],
            )  # fmt: skip
            total -= 0.5 * (np.log(after / before) + difference)
            which[n] = q
            n += 1
    return total, n


@nb.njit(cache=True, nogil=True)
def _compare(
    first, stop, spots, short, pools, drawn, constants, s2, rho, seeds, permutations,
    enough, ratio, p_value,
):  # fmt: skip
    """Fill ratio and p_value of pairs first … stop - 1."""
    longest = 1
    for pair in range(first, stop):
        longest = max(longest, spots.start[pair + 1] - spots.start[pair])
    known, sums = np.empty(4), np.empty(2)
    which = np.empty(longest, dtype=np.int64)
    where = np.empty(longest, dtype=np.int64)
    ratios, products = np.empty(TOGETHER[1]), np.empty(TOGETHER[1])
    values, start = np.empty((4, TOGETHER[1])), pools.start
    for pair in range(first, stop):
        observed, n = _observed_ratio(pair, spots, pools, s2, rho, known, which)
        if n == 0:
            continue
        ratio[pair] = observed
        for i in range(n):
            where[i] = spots.unique[which[i]]
        # As short as what is drawn, or a pair that is drawn would not equal itself.
        observed = _short_ratio(n, which, short, pools, s2, constants, values, sums)
        column = 2 + (IMAGE if spots.one_crystal[pair] else CRYSTAL)
        state, reached, done = seeds[pair], 0, 0
        # Sums in another order may differ in the last digits.
        least = observed - 1e-9 * abs(observed)
        while done < permutations and reached < enough:
            number = min(max(TOGETHER[0], done), TOGETHER[1], permutations - done)
            state = _drawn_ratios(
                number, n, where, column, start, drawn, constants, state, values, ratios,
                products,
            )  # fmt: skip
            for i in range(number):
                done += 1
                reached += ratios[i] >= least
                if reached == enough:
                    break
        if reached == enough:
            p_value[pair] = reached / done
        else:
            p_value[pair] = (reached + 1) / (done + 1)


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
        permutations: Most drawn pairs of images.
        nproc: Threads; all cores by default.

    Returns:
        Natural log of the ratio and p-value, shape (n,) each; nan for a pair without a
        common spot whose reflection has another observation and is strong enough. They do
        not depend on which image of a pair is called a.
    """
    n = len(spots.one_crystal)
    seeds = rng.integers(2**63, size=n).astype(np.uint64)
    used = correlation if correlation > 0 else 0.5
    drawn = np.zeros((len(pools.drawn), 4), dtype=np.float32)
    constants = np.zeros((len(pools.start) - 1, 4))
    _prepare(pools, s**2, used, drawn, constants)
    shared = (pools, drawn, constants, s**2, used, permutations)
    block = max(1, min(n // 16, 2000))
    if not cluster.in_use():
        found = _Ratios(np.full(n, np.nan), np.full(n, np.nan))

        def run(first: int, stop: int) -> None:
            _fill(shared, spots, seeds, first, stop, found)

        run_blocks(run, n, block, nproc)
        return found.ratio, found.p_value
    tasks = [
        (_part(spots, first, min(first + block, n)), seeds[first : first + block])
        for first in range(0, n, block)
    ]
    parts = cluster.map_on_workers(ratios_of, shared, tasks)
    ratio, p_value = (np.concatenate([[], *columns]) for columns in zip(*parts))
    return ratio, p_value


class _Ratios(NamedTuple):
    """Of n pairs."""

    ratio: np.ndarray
    p_value: np.ndarray


def _fill(
    shared: tuple,
    spots: CommonSpots,
    seeds: np.ndarray,
    first: int,
    stop: int,
    found: _Ratios,
) -> None:
    """Fill what is found of pairs first … stop - 1."""
    pools, drawn, constants, s2, rho, permutations = shared
    names = ("intensity_a", "variance_a", "intensity_b", "variance_b")
    own = _part(spots, first, stop)
    short = own._replace(
        **{k: getattr(own, k).astype(np.float32).astype(float) for k in names}
    )
    _compare(
        0, stop - first, own, short, pools, drawn, constants, s2, rho, seeds[first:stop],
        permutations, ENOUGH, found.ratio[first:stop], found.p_value[first:stop],
    )  # fmt: skip


def _part(spots: CommonSpots, first: int, stop: int) -> CommonSpots:
    """The common spots of pairs first … stop - 1."""
    rows = slice(spots.start[first], spots.start[stop])
    own = {name: column[rows] for name, column in spots._asdict().items()}
    own["start"] = spots.start[first : stop + 1] - spots.start[first]
    own["one_crystal"] = spots.one_crystal[first:stop]
    return CommonSpots(**own)


def ratios_of(shared: tuple, task: tuple) -> _Ratios:
    """
    Compare some pairs with chance: a task for another process.

    Args:
        shared: What pair_ratios makes of all observations.
        task: Common spots of n pairs, and their seeds.

    Returns:
        Log-likelihood ratios and p-values, shape (n,) each.
    """
    spots, seeds = task
    n = len(seeds)
    found = _Ratios(np.full(n, np.nan), np.full(n, np.nan))
    _fill(shared, spots, seeds, 0, n, found)
    return found
