"""
How well the images of each pair agree over their common reflections.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from dials_spread.incidence import Incidence
from dials_spread.observations import Observations
from dials_spread.pairs import statistics
from dials_spread.pairs.matching import Matches
from dials_spread.pairs.shared import Shared, shared_reflections

BLOCK = 2_000_000
"""Common reflections handled at once, to bound the memory."""


@dataclass(frozen=True)
class PairAgreement:
    """
    How well the images of each pair agree; arrays of length n, nan where undefined.

    Attributes:
        scale: k, which puts b on the scale of a; 1 for scaled intensities. Unscaled
            crystals are put on one scale first, and k is what remains between images.
        cc: Pearson's correlation of I_a and I_b.
        cc_rank: Spearman's.
        r_factor: Σ|I_a - k I_b| / Σ ½(I_a + k I_b), in which negative sums are nan.
        chi_square: Mean of z², z = (I_a - k I_b) / √(σ_a² + k²σ_b²), per degree of
            freedom (one is spent where k was fitted).
        excess_spread: s of Var(I) = σ² + s²μ², by maximum likelihood, from the
            differences between a and b.
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


def compare_pairs(
    observations: Observations, incidence: Incidence, matches: Matches
) -> PairAgreement:
    """
    Compare the intensities of each pair over its common reflections.

    Args:
        observations: The observations.
        incidence: With all crystals on one scale.
        matches: n pairs.

    Returns:
        The agreement of each pair.
    """
    size = np.cumsum(matches.n_common) // BLOCK
    blocks = np.split(np.arange(len(matches)), np.flatnonzero(np.diff(size)) + 1)
    parts = []
    for block in blocks:
        shared = shared_reflections(
            incidence,
            matches.image_a[block],
            matches.image_b[block],
            matches.operator[block],
            matches.n_common[block],
        )
        if len(block):
            parts.append(_compare(incidence, shared, not observations.scaled))
    names = [field.name for field in fields(PairAgreement)]
    empty = np.empty(0)
    return PairAgreement(
        **{n: np.concatenate([empty, *(getattr(p, n) for p in parts)]) for n in names}
    )


def _compare(incidence: Incidence, shared: Shared, fit_scale: bool) -> PairAgreement:
    """Compute all statistics of some pairs."""
    start, group = shared.start, statistics.group_numbers(shared.start)
    a, var_a = incidence.intensity[shared.on_a], incidence.variance[shared.on_a]
    b, var_b = incidence.intensity[shared.on_b], incidence.variance[shared.on_b]
    n = np.diff(start)
    k = np.ones(len(n))
    if fit_scale:
        k = statistics.robust_scales(a, np.sqrt(var_a), b, np.sqrt(var_b), start)
    b, var_b = k[group] * b, k[group] ** 2 * var_b
    square, known = (a - b) ** 2, var_a + var_b
    freedom = n - int(fit_scale)
    level = 0.5 * statistics.sums(a + b, start)
    with np.errstate(divide="ignore", invalid="ignore"):
        r_factor = statistics.sums(np.abs(a - b), start) / level
        chi_square = statistics.sums(square / known, start) / freedom
        # The difference of a and b does not depend on their mean (to first order), so
        # that they may have their part in μ: it is defined without a background too.
        total = shared.total
        if fit_scale:
            total = total * _level_of_pairs(a, var_a, b, var_b, shared)
        mean = (total + a + b) / (shared.number + 2)
        unknown = 2 * np.maximum(mean, 0) ** 2
        # A fitted scale takes a part of the differences with it.
        inflated = square * (n / np.maximum(freedom, 1))[group]
        excess = statistics.excess_variances(inflated, known, unknown, start)
    return PairAgreement(
        scale=k,
        cc=statistics.correlations(a, b, start),
        cc_rank=statistics.correlations(
            statistics.ranks(a, start), statistics.ranks(b, start), start
        ),
        r_factor=np.where(level > 0, r_factor, np.nan),
        chi_square=np.where(freedom > 0, chi_square, np.nan),
        excess_spread=np.sqrt(excess),
        background_spread=_background_spread(a, var_a, b, var_b, shared, fit_scale),
        n_background=statistics.sums(shared.number, start) / n,
    )


def _level_of_pairs(a, var_a, b, var_b, shared: Shared) -> np.ndarray:
    """Put the other images on the scale of each pair, whose images may be weak ones."""
    with np.errstate(invalid="ignore", divide="ignore"):
        other = np.where(shared.number > 0, shared.total / shared.number, 0)
    both, nothing = 0.5 * (a + b), np.zeros(len(a))
    level = statistics.robust_scales(
        both, 0.5 * np.sqrt(var_a + var_b), other, nothing, shared.start
    )
    level = np.nan_to_num(level, nan=1.0)
    return level[statistics.group_numbers(shared.start)]


def _background_spread(a, var_a, b, var_b, shared: Shared, fit_scale: bool):
    """Fit s to the differences of a and of b from the mean of all other images."""
    spread = np.full(len(shared.start) - 1, np.nan)
    has = shared.number > 0
    filled, count = np.unique(
        statistics.group_numbers(shared.start)[has], return_counts=True
    )
    if not len(filled):
        return spread
    start, number = np.concatenate([[0], np.cumsum(count)]), shared.number[has]
    other = shared.total[has] / number
    square, known = [], []
    inflation = (count / np.maximum(count - fit_scale, 1))[
        statistics.group_numbers(start)
    ]
    for x, variance in ((a[has], var_a[has]), (b[has], var_b[has])):
        k = np.ones(len(count))
        if fit_scale:
            # As between a and b: each image has a scale of its own here too, or the
            # comparison of the two spreads would be unfair.
            nothing = np.zeros(len(x))
            k = statistics.robust_scales(other, nothing, x, np.sqrt(variance), start)
        k = np.nan_to_num(k, nan=1.0)[statistics.group_numbers(start)]
        square.append((k * x - other) ** 2 * inflation)
        known.append(k**2 * variance)
    # μ itself is the mean of n observations with the same spread.
    level = np.maximum(other, 0) ** 2 * (1 + 1 / number)
    variances = statistics.excess_variances(
        np.stack(square, axis=1).ravel(),
        np.stack(known, axis=1).ravel(),
        np.repeat(level, 2),
        2 * start,
    )
    spread[filled] = np.sqrt(variances)
    return spread
