"""
The variogram in bins of the angle between two beams, with samples over crystals.

A pair belongs to two crystals. What pairs of one crystal have in common makes the error of
a bin larger than that of as many independent pairs; drawing crystals with weights finds
it, but counts the noise of every single pair two times (by both crystals), which near 0°,
where pairs are few, is nearly all there is. The variance of a mean over such dyads is

    Σ_a (Σ_b d_ab)² - Σ_ab d_ab²,    d_ab what the pairs of crystals a and b add

(Aronow, Samii and Assenova (2015), Political Analysis 23, 564). Samples are linear in the
weights of crystals, so that bins keep what they have in common with each other and with
all else that is sampled by the same weights, and are drawn together to that variance.

Where the pairs of a bin are of two or three pairs of crystals, these do not say how much
others would differ: by thickness, γ at one orientation is from nothing to several times
its mean. Then the samples are given the error of so many dyads that differ by DYADS_DIFFER.

Functions:
    binned: the mean estimator, from the sums over pairs
    robust_variogram: from the median of the squared differences
    crystals_in_bins: how many crystals the pairs of a bin come from
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.spread.variogram.pair_table import (
    BETWEEN,
    COUNT,
    GAMMA,
    GAMMA_WITHOUT,
    LEVELS,
    SUM_OF_ANGLES,
    WEIGHT,
    WEIGHT_WITHOUT,
    PairTable,
)

DYADS_DIFFER = 0.7
"""Standard deviation of γ from one pair of crystals to another, relative to its mean (of
40 simulated crystals of abiraterone, 188 to 788 Å thick, beyond the noise of pairs: within
0.1°, 0.25° and 0.5° 0.88, 0.97 and 0.74)."""

LOWEST = 0.2
"""Of the mean over all angles: γ of a bin counts for that at least, where its error is
relative to it."""

LEAST = 0.5
"""Of the variance that the weights give: pairs that have nothing in common."""


class Binned(NamedTuple):
    """
    A variogram; arrays of shape (N_BINS,) but for the samples.

    Attributes:
        weight: Sum of weights.
        gamma: Shape (1 + samples, N_BINS), weighted mean of γ, first of all crystals;
            nan for an empty bin.
        angle: Weighted mean angle [°].
        pairs: Number of pairs.
        dyads: Effective number of pairs of crystals (of crystals, within them).
    """

    weight: np.ndarray
    gamma: np.ndarray
    angle: np.ndarray
    pairs: np.ndarray
    dyads: np.ndarray


def binned(
    table: PairTable,
    weights: np.ndarray,
    kind: int = BETWEEN,
    without_factors: bool = False,
) -> Binned:
    """
    Give the variogram and its samples over crystals.

    Args:
        table: Sums over pairs.
        weights: Shape (1 + samples, groups), from Groups.draws.
        kind: WITHIN crystals or BETWEEN them.
        without_factors: Take off what images differ by in all their reflections.

    Returns:
        The variogram.
    """
    part = table.sums[:, :, kind]
    total = part.sum(axis=(0, 1))
    of_weight, of_gamma = WEIGHT, GAMMA
    if without_factors:
        of_weight, of_gamma = WEIGHT_WITHOUT, GAMMA_WITHOUT
    weight = total[:, of_weight]
    safe = np.where(weight > 0, weight, np.nan)
    gamma = total[:, of_gamma] / safe
    # By pair of groups, what it adds to the mean; the lower triangle is empty.
    added = (part[..., of_gamma] - gamma * part[..., of_weight]) / safe
    added = np.nan_to_num(added)
    own = np.einsum("aak->ak", added)
    by_group = added.sum(axis=0) + added.sum(axis=1) - own
    drawn = (by_group**2).sum(axis=0)
    dyads = (added**2).sum(axis=(0, 1)) - (own**2).sum(axis=0)
    kept = np.divide(drawn - dyads, drawn, np.ones(len(drawn)), where=drawn > 0)
    by_group *= np.sqrt(np.clip(kept, LEAST, 1.0))
    squares = (part[..., of_weight] ** 2).sum(axis=(0, 1))
    dyads = weight**2 / np.where(squares > 0, squares, 1.0)
    return Binned(
        weight=weight,
        gamma=gamma
        + (weights - 1) @ by_group
        + _of_few_dyads(gamma, weight, dyads, by_group, len(weights)),
        angle=total[:, SUM_OF_ANGLES]
        / np.where(total[:, COUNT] > 0, total[:, WEIGHT], np.nan),
        pairs=total[:, COUNT],
        dyads=dyads,
    )


def _of_few_dyads(
    gamma: np.ndarray,
    weight: np.ndarray,
    dyads: np.ndarray,
    by_group: np.ndarray,
    n_samples: int,
) -> np.ndarray:
    """What the samples lack of the error of few dyads, shape (n_samples, N_BINS)."""
    known = np.nan_to_num(gamma)
    mean = np.average(known, weights=weight) if weight.any() else 0.0
    level = np.maximum(known, LOWEST * max(mean, 0.0))
    wanted = (DYADS_DIFFER * level) ** 2 / np.maximum(dyads, 1.0)
    lacking = np.sqrt(np.maximum(wanted - (by_group**2).sum(axis=0), 0.0))
    # Of its own, the same for the same data.
    noise = np.random.default_rng(0).standard_normal((n_samples, len(gamma)))
    noise[0] = 0.0
    return noise * lacking


def robust_variogram(table: PairTable, kind: int = BETWEEN) -> np.ndarray:
    """
    Give the variogram for which the median squared difference is that of normal ones.

    A few wild observations do not move it. Where it is far below the mean variogram,
    few pairs make most of the disagreement.

    Args:
        table: Sums over pairs.
        kind: WITHIN crystals or BETWEEN them.

    Returns:
        Shape (N_BINS,); nan for an empty bin.
    """
    total = np.cumsum(table.histogram[kind], axis=-1)
    half = 0.5 * total[:, -1:]
    place = np.clip((total < half).sum(axis=-1), 1, len(LEVELS) - 1)
    row = np.arange(len(total))
    below, above = total[row, place - 1], total[row, place]
    step = np.where(above > below, above - below, 1)
    part = np.clip((half[:, 0] - below) / step, 0, 1)
    value = LEVELS[place - 1] + part * (LEVELS[place] - LEVELS[place - 1])
    return np.where(half[:, 0] > 0, value, np.nan)


def crystals_in_bins(table: PairTable, kind: int = BETWEEN) -> np.ndarray:
    """
    Count the crystals (or groups of crystals) that the pairs of each bin come from.

    Args:
        table: Sums over pairs.
        kind: WITHIN crystals or BETWEEN them.

    Returns:
        Shape (N_BINS,).
    """
    has = table.sums[:, :, kind, :, COUNT] > 0
    return (has.any(axis=0) | has.any(axis=1)).sum(axis=0)
