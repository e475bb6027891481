"""
How well the images of each pair agree over their common reflections.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from dials_spread.incidence import Incidence
from dials_spread.observations import Observations
from dials_spread.pairs.matching import Matches
from dials_spread.pairs.scales import image_scales, likely_scales
from dials_spread.pairs.shared import (
    Shared,
    shared_reflections,
    sums_of_reflections,
)
from dials_spread.stages import stage
from dials_spread.statistics.excess_spread import (
    Deviations,
    excess_spreads,
    of_level,
    well_known,
)
from dials_spread.statistics.groups import (
    group_correlations,
    group_numbers,
    group_ranks,
    group_starts,
    group_sums,
)
from dials_spread.threads import run_blocks

BLOCK = 125_000
"""Common reflections that a thread handles at once, to bound the memory."""


@dataclass(frozen=True)
class PairAgreement:
    """
    How well the images of each pair agree; arrays of length n, nan where undefined.

    Attributes:
        scale: k, which puts b on the scale of a and makes R least; 1 for scaled
            intensities. Unscaled crystals are put on one scale first, and k is what
            remains between images.
        cc: Pearson's correlation of I_a and I_b.
        cc_rank: Spearman's.
        r_factor: Σ|I_a - k I_b| / Σ ½(I_a + k I_b), in which negative sums are nan.
        chi_square: Mean of z², z = (I_a - k I_b) / √(σ_a² + k²σ_b²), per degree of
            freedom (one is spent where k was fitted).
        excess_spread: s of Var(I) = σ² + s²μ², by maximum likelihood, from the
            differences between a and b of reflections that are strong enough in the
            mean of all observations (as in statistics.excess_spread), at the likely
            scale of pairs.scales.
        background_spread: The same from the differences of a and of b from the mean
            of all other images: how far the pair is from everybody else.
        n_background: Mean number of other observations of the common reflections.
    """

    scale: np.ndarray
    cc: np.ndarray
    cc_rank: np.ndarray
    r_factor: np.ndarray
    chi_square: np.ndarray
    excess_spread: np.ndarray
    background_spread: np.ndarray
    n_background: np.ndarray


@stage("Comparing pairs")
def compare_pairs(
    observations: Observations,
    incidence: Incidence,
    matches: Matches,
    nproc: int | None = None,
) -> PairAgreement:
    """
    Compare the intensities of each pair over its common reflections.

    Args:
        observations: The observations.
        incidence: With all crystals on one scale.
        matches: n pairs.
        nproc: Threads; all cores by default.

    Returns:
        The agreement of each pair.
    """
    size = np.cumsum(matches.n_common) // BLOCK
    blocks = np.split(np.arange(len(matches)), np.flatnonzero(np.diff(size)) + 1)
    blocks = [block for block in blocks if len(block)]
    sums = sums_of_reflections(incidence) if len(matches) else ()
    parts: dict[int, PairAgreement] = {}

    def compare(first: int, stop: int) -> None:
        for number in range(first, stop):
            block = blocks[number]
            shared = shared_reflections(
                incidence,
                matches.image_a[block],
                matches.image_b[block],
                matches.operator[block],
                matches.n_common[block],
                sums,
            )
            parts[number] = compare_shared(
                incidence, shared, not observations.scaled, 1
            )

    run_blocks(compare, len(blocks), 1, nproc)
    found = [parts[number] for number in range(len(blocks))]
    names = [field.name for field in fields(PairAgreement)]
    empty = np.empty(0)
    return PairAgreement(
        **{n: np.concatenate([empty, *(getattr(p, n) for p in found)]) for n in names}
    )


def compare_shared(
    incidence: Incidence, shared: Shared, fit_scale: bool, nproc: int | None
) -> PairAgreement:
    """
    Compute all statistics of some pairs.

    Args:
        incidence: With all crystals on one scale.
        shared: The common reflections of n pairs.
        fit_scale: Fit a scale between the images of each.
        nproc: Threads; all cores by default.
    """
    n = np.diff(shared.start)
    groups = (group_numbers(shared.start), len(n))
    a, var_a = incidence.intensity[shared.on_a], incidence.variance[shared.on_a]
    b, var_b = incidence.intensity[shared.on_b], incidence.variance[shared.on_b]
    k = likely = np.ones(len(n))
    if fit_scale:
        k = image_scales(a, b, shared.start, nproc)
        likely = likely_scales(a, var_a, b, var_b, shared.start, nproc)
    factor = likely[groups[0]]
    pair = _Pairs(a, var_a, factor * b, factor**2 * var_b, *groups)
    scaled_b, var = k[groups[0]] * b, var_a + k[groups[0]] ** 2 * var_b
    freedom = n - int(fit_scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        chi_square = group_sums((a - scaled_b) ** 2 / var, *groups) / freedom
    ranks = group_ranks(a, *groups), group_ranks(scaled_b, *groups)
    cc_rank = group_correlations(*ranks, *groups)
    return PairAgreement(
        scale=k,
        cc=np.where(np.isfinite(k), group_correlations(a, b, *groups), np.nan),
        # Without a scale all of b is nan, which has no rank.
        cc_rank=np.where(np.isfinite(k), cc_rank, np.nan),
        r_factor=_r_factors(a, scaled_b, *groups),
        chi_square=np.where(freedom > 0, chi_square, np.nan),
        excess_spread=_spread_of_pairs(pair, shared, fit_scale, nproc),
        background_spread=_spread_to_others(pair, shared, fit_scale, nproc),
        n_background=group_sums(shared.number, *groups) / n,
    )


def _r_factors(a, b, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Give Σ|a - b| / Σ ½(a + b) of each group; nan where that sum is not positive."""
    level = 0.5 * group_sums(a + b, group, n_groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = group_sums(np.abs(a - b), group, n_groups) / level
    return np.where(level > 0, found, np.nan)


class _Pairs(NamedTuple):
    """Common reflections, b on the likely scale of a; and each one's pair."""

    a: np.ndarray
    var_a: np.ndarray
    b: np.ndarray
    var_b: np.ndarray
    group: np.ndarray
    n_groups: int


def _inflation(group: np.ndarray, n_groups: int, fit_scale: bool) -> np.ndarray:
    """What a fitted scale takes of squared differences, put back; shape (m,)."""
    n = np.bincount(group, minlength=n_groups)
    return (n / np.maximum(n - fit_scale, 1))[group]


def _spread_of_pairs(
    pair: _Pairs, shared: Shared, fit_scale: bool, nproc: int | None
) -> np.ndarray:
    """
    Fit s to the differences between a and b.

    The difference does not depend on the level of all observations (to first order), so
    that a and b have their part in it: s is defined without a background too.
    """
    a, var_a, b, var_b, group, n_groups = pair
    factor = _level_of_pairs(pair, shared, nproc) if fit_scale else 1.0
    n_all = shared.number + 2
    level = (factor * shared.total + a + b) / n_all
    noise = (factor**2 * shared.variance + var_a + var_b) / n_all
    square = (a - b) ** 2 * _inflation(group, n_groups, fit_scale)
    data = of_level(square, var_a + var_b, 2, level, noise, n_all)
    known = well_known(level, noise, n_all)
    return excess_spreads(data, group, n_groups, known, nproc)


def _level_of_pairs(pair: _Pairs, shared: Shared, nproc: int | None) -> np.ndarray:
    """Put the other images on the scale of each pair, whose images may be weak ones."""
    has = shared.number > 0
    other = shared.total[has] / shared.number[has]
    both, var_both = 0.5 * (pair.a + pair.b)[has], 0.25 * (pair.var_a + pair.var_b)[has]
    start = group_starts(pair.group[has], pair.n_groups)
    of_others = shared.variance[has] / shared.number[has] ** 2
    level = likely_scales(both, var_both, other, of_others, start, nproc)
    return np.nan_to_num(level, nan=1.0)[pair.group]


def _spread_to_others(
    pair: _Pairs, shared: Shared, fit_scale: bool, nproc: int | None
) -> np.ndarray:
    """Fit s to the differences of a and of b from the mean of all other images."""
    has = shared.number > 0
    number, total, group = shared.number[has], shared.total[has], pair.group[has]
    of_others = shared.variance[has]
    other, groups = total / number, (group, pair.n_groups)
    noise_of_others, start = of_others / number**2, group_starts(*groups)
    images = []
    for x, variance in ((pair.a[has], pair.var_a[has]), (pair.b[has], pair.var_b[has])):
        if fit_scale:
            # As between a and b: each image has a scale of its own here too, or the
            # comparison of the two spreads would be unfair.
            k = likely_scales(other, noise_of_others, x, variance, start, nproc)
            k = np.nan_to_num(k, nan=1.0)[group]
            x, variance = k * x, k**2 * variance
        images.append((x, variance))
    (a, var_a), (b, var_b) = images
    n_all = number + 2
    level, noise = (total + a + b) / n_all, (of_others + var_a + var_b) / n_all
    # The mean of the others has errors too, and is the mean of n with the same spread.
    inflation, times = _inflation(*groups, fit_scale), 1 + 1 / number
    parts = [
        of_level(
            (x - other) ** 2 * inflation,
            variance + noise_of_others,
            times,
            level,
            noise,
            n_all,
        )
        for x, variance in images
    ]
    data = Deviations(*(np.concatenate(columns) for columns in zip(*parts)))
    keep = np.tile(well_known(level, noise, n_all), 2)
    return excess_spreads(data, np.tile(group, 2), pair.n_groups, keep, nproc)
