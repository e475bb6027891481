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
    pair_ratios: log-likelihood ratio and permutation p-value of each pair
    ratios_of: of some pairs, by a worker of a cluster
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread import cluster
from dials_spread.spread.chance.correlation import term_of_spot
from dials_spread.spread.chance.draws import (
    TOGETHER,
    add_logarithms,
    add_terms,
    count_shared,
    describe,
    drawn_ratios,
    fill_terms,
    prepare,
)
from dials_spread.spread.chance.pools import CRYSTAL, IMAGE, CommonSpots, Pools
from dials_spread.threads import run_blocks

PERMUTATIONS = 999

ENOUGH = 30
"""Drawn ratios as high as the observed one after which drawing ends."""

SHARED = 8
"""Common spots for each reflection from which on pairs of images share what is drawn."""

PARTS = 16
"""Of so many parts of the pairs each shares draws of its own: what is random in p-values that
share draws does not average out where they are counted."""

SHARED_DRAWS = (1024, 2048)
"""Fewest and most draws of each reflection in a round."""

SHARED_NUMBERS = 8_000_000
"""Draws of all reflections in a round, where that leaves the fewest (8 bytes each)."""


@nb.njit(cache=True, nogil=True)
def _short_ratio(n, which, short, pools, s2, constants, spots, sums):
    """The ratio of a pair from numbers as short as those that are drawn."""
    known = np.empty(4)
    sums[0], sums[1] = 0.0, 1.0
    for i in range(n):
        q = which[i]
        u = short.unique[q]
        describe(u, pools, s2, known)
        mean, spread, part = known[0], known[1], known[3]
        of_mean = known[2] * part
        for side in range(2):
            x = short.intensity_a[q] if side == 0 else short.intensity_b[q]
            v = short.variance_a[q] if side == 0 else short.variance_b[q]
            spots[2 * side, 0] = np.float32(x - mean)
            spots[2 * side + 1, 0] = np.float32((v + spread) * (1 - 2 * part) + of_mean)
        add_terms(
            1, spots, constants[u, 0], constants[u, 1], constants[u, 2],
            constants[u, 3], sums[:1], sums[1:],
        )  # fmt: skip
        add_logarithms(1, sums[:1], sums[1:])
    return -0.5 * sums[0]


@nb.njit(cache=True, nogil=True)
def _observed_ratio(pair, spots, pools, s2, rho, known, which):
    """Log-likelihood ratio of a pair, and the number of spots that count."""
    n, total = 0, 0.0
    for q in range(spots.start[pair], spots.start[pair + 1]):
        if describe(spots.unique[q], pools, s2, known):
            after, before, difference = term_of_spot(
                spots.intensity_a[q], spots.variance_a[q],
                spots.intensity_b[q], spots.variance_b[q],
                known[0], known[1], known[2], known[3], rho * known[1],
            )  # fmt: skip
            total -= 0.5 * (np.log(after / before) + difference)
            which[n] = q
            n += 1
    return total, n


@nb.njit(cache=True, nogil=True)
def _observe(
    first, stop, spots, short, pools, constants, s2, rho, ratio, least
):  # fmt: skip
    """Fill the ratio of pairs first … stop - 1, and what counts as high as that."""
    longest = 1
    for pair in range(first, stop):
        longest = max(longest, spots.start[pair + 1] - spots.start[pair])
    known, sums = np.empty(4), np.empty(2)
    which, values = np.empty(longest, dtype=np.int64), np.empty((4, 1))
    for pair in range(first, stop):
        observed, n = _observed_ratio(pair, spots, pools, s2, rho, known, which)
        if n == 0:
            continue
        ratio[pair] = observed
        # As short as what is drawn, or a pair that is drawn would not equal itself.
        observed = _short_ratio(n, which, short, pools, s2, constants, values, sums)
        # Sums in another order may differ in the last digits.
        least[pair] = observed - 1e-9 * abs(observed)


@nb.njit(cache=True, nogil=True)
def _count_alone(
    first, stop, spots, start, drawn, constants, seeds, permutations, enough, least,
    done, reached,
):  # fmt: skip
    """Draw for each of pairs first … stop - 1, until enough ratios are as high as its."""
    longest = 1
    for pair in range(first, stop):
        longest = max(longest, spots.start[pair + 1] - spots.start[pair])
    where = np.empty(longest, dtype=np.int64)
    ratios, products = np.empty(TOGETHER[1]), np.empty(TOGETHER[1])
    values = np.empty((4, TOGETHER[1]))
    for pair in range(first, stop):
        if np.isnan(least[pair]):
            continue
        n = 0
        for q in range(spots.start[pair], spots.start[pair + 1]):
            if constants[spots.unique[q], 1] > 0:
                where[n] = spots.unique[q]
                n += 1
        column = 2 + (IMAGE if spots.one_crystal[pair] else CRYSTAL)
        state = seeds[pair]
        while done[pair] < permutations and reached[pair] < enough:
            number = min(max(TOGETHER[0], done[pair]), TOGETHER[1])
            number = min(number, permutations - done[pair])
            state = drawn_ratios(
                number, n, where, column, start, drawn, constants, state, values, ratios,
                products,
            )  # fmt: skip
            for i in range(number):
                done[pair] += 1
                reached[pair] += ratios[i] >= least[pair]
                if reached[pair] == enough:
                    break


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
    n_unique = len(pools.start) - 1
    drawn = np.zeros((len(pools.drawn), 4), dtype=np.float32)
    constants = np.zeros((n_unique, 4))
    prepare(pools, s**2, used, drawn, constants)
    together = 0
    if len(spots.unique) >= SHARED * n_unique:
        together = int(np.clip(SHARED_NUMBERS // max(n_unique, 1), *SHARED_DRAWS))
    shared = _Shared(pools, drawn, constants, s**2, used, permutations, together, nproc)
    block = max(n, 1)
    if together:
        block = -(
            -n // min(PARTS, max(len(spots.unique) // max(SHARED * n_unique, 1), 1))
        )
    elif cluster.in_use():
        block = max(1, min(n // 16, 2000))
    firsts = range(0, n, max(block, 1))
    tasks = [
        (_part(spots, i, min(i + block, n)), seeds[i : i + block], seed)
        for i, seed in zip(firsts, rng.integers(2**63, size=len(firsts)))
    ]
    if cluster.in_use():
        shared = shared._replace(nproc=1)
        parts = cluster.map_on_workers(ratios_of, tuple(shared), tasks)
    else:
        parts = [_compare(shared, *task) for task in tasks]
    ratio, p_value = (np.concatenate([[], *columns]) for columns in zip(*parts))
    return ratio, p_value


class _Ratios(NamedTuple):
    """Of n pairs."""

    ratio: np.ndarray
    p_value: np.ndarray


class _Shared(NamedTuple):
    """What all pairs are compared with; together: draws that they share in a round."""

    pools: Pools
    drawn: np.ndarray
    constants: np.ndarray
    s2: float
    rho: float
    permutations: int
    together: int
    nproc: int | None


def _compare(
    shared: _Shared, spots: CommonSpots, seeds: np.ndarray, seed: int
) -> _Ratios:
    """Give ratio and p-value of n pairs, each with a seed, and one for what they share."""
    n = len(seeds)
    block = max(1, min(n // 16, 2000))
    found = _Ratios(np.full(n, np.nan), np.full(n, np.nan))
    least = np.full(n, np.nan)
    done, reached = np.zeros((2, n), dtype=np.int64)

    def observe(first: int, stop: int) -> None:
        names = ("intensity_a", "variance_a", "intensity_b", "variance_b")
        own = _part(spots, first, stop)
        short = own._replace(
            **{k: getattr(own, k).astype(np.float32).astype(float) for k in names}
        )
        _observe(
            0, stop - first, own, short, shared.pools, shared.constants, shared.s2,
            shared.rho, found.ratio[first:stop], least[first:stop],
        )  # fmt: skip

    def count_alone(first: int, stop: int) -> None:
        _count_alone(
            first, stop, spots, shared.pools.start, shared.drawn, shared.constants, seeds,
            shared.permutations, ENOUGH, least, done, reached,
        )  # fmt: skip

    run_blocks(observe, n, block, shared.nproc)
    if shared.together:
        _count_in_rounds(shared, spots, seeds, seed, least, done, reached)
    else:
        run_blocks(count_alone, n, block, shared.nproc)
    more = (reached < ENOUGH).astype(int)
    tested = ~np.isnan(least)
    found.p_value[tested] = ((reached + more) / np.maximum(done + more, 1))[tested]
    return found


def _count_in_rounds(
    shared: _Shared,
    spots: CommonSpots,
    seeds: np.ndarray,
    seed: int,
    least: np.ndarray,
    done: np.ndarray,
    reached: np.ndarray,
) -> None:
    """Count drawn ratios as high as the observed ones, of pairs that share what is drawn."""
    states, n_unique = seeds.copy(), len(shared.constants)
    terms = np.zeros((n_unique, shared.together + TOGETHER[1]))
    for column, one_crystal in ((IMAGE, True), (CRYSTAL, False)):
        own = ~np.isnan(least) & (spots.one_crystal == one_crystal)
        for first in range(0, shared.permutations, shared.together):
            pairs = np.flatnonzero(own & (reached < ENOUGH))
            if not len(pairs):
                break
            rng = np.random.default_rng((seed, column, first))
            own_seed = np.uint64(rng.integers(2**63))
            needed = _reflections_of(spots, pairs)
            _draw_for(shared, needed, 2 + column, own_seed, terms)
            most = min(shared.together, shared.permutations - first)
            counted = (ENOUGH, least, states, done, reached)
            _count_in_round(shared, spots, pairs, terms, most, counted)


def _draw_for(
    shared: _Shared,
    of_pairs: np.ndarray,
    column: int,
    seed: np.uint64,
    terms: np.ndarray,
) -> None:
    """Fill the terms of drawn pairs of observations of the reflections that are needed."""
    needed = np.zeros(len(terms), dtype=bool)
    needed[of_pairs] = True
    needed &= shared.constants[:, 1] > 0

    def fill(first: int, stop: int) -> None:
        fill_terms(
            first, stop, needed, shared.together, column, shared.pools.start,
            shared.drawn, shared.constants, seed, terms,
        )  # fmt: skip

    run_blocks(fill, len(terms), max(1, len(terms) // 16), shared.nproc)


def _count_in_round(
    shared: _Shared,
    spots: CommonSpots,
    pairs: np.ndarray,
    terms: np.ndarray,
    most: int,
    counted: tuple,
) -> None:
    """Count in one round for the pairs that go on."""

    def count(first: int, stop: int) -> None:
        count_shared(
            first, stop, pairs, spots, shared.constants, terms, shared.together, most,
            *counted,
        )  # fmt: skip

    run_blocks(count, len(pairs), max(1, len(pairs) // 16), shared.nproc)


def _reflections_of(spots: CommonSpots, pairs: np.ndarray) -> np.ndarray:
    """Give the reflections of the common spots of some pairs."""
    used = np.zeros(len(spots.start) - 1, dtype=bool)
    used[pairs] = True
    return spots.unique[np.repeat(used, np.diff(spots.start))]


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
        task: Common spots of n pairs, their seeds, and one more.

    Returns:
        Log-likelihood ratios and p-values, shape (n,) each.
    """
    return _compare(_Shared(*shared), *task)
