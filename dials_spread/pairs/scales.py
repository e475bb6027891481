"""
A common scale for crystals, and for images, that have not been through dials.scale.

One factor each, robust and without a model, so that observations of different crystals
can be shown and compared. It is no replacement for scaling.

Functions:
    crystal_scales: one for each crystal
    image_scales: between the two images of each pair
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.statistics.groups import group_medians, group_sums

STRONG = 3.0
"""I/σ from which an observation has a say."""

ROUNDS = 10
"""Alternations of merging and scaling; the factors are stable to 1 % after three."""

FEWEST_RATIOS = 3
"""Strong reflections needed for a median ratio between two images."""

FEWEST = 5
"""Shared strong reflections below which a crystal keeps the factor 1."""


def crystal_scales(observations: Observations) -> np.ndarray:
    """
    Give each crystal a factor that puts it on the scale of the others.

    Args:
        observations: Scaled ones need none.

    Returns:
        Shape (crystals,): intensities divided by it are on one scale. Medians over
        reflections of log(I / median of I), alternating; their geometric mean is 1.
    """
    n_crystals = len(observations.dataset)
    if observations.scaled:
        return np.ones(n_crystals)
    strong = observations.intensity > STRONG * observations.sigma
    log_i = np.log(observations.intensity[strong])
    crystal, unique = observations.crystal[strong], observations.unique[strong]
    log_scale = np.zeros(n_crystals)
    shared = _shared_by_crystals(crystal, unique, n_crystals)
    enough = np.bincount(crystal[shared], minlength=n_crystals) >= FEWEST
    for _ in range(ROUNDS):
        n_unique = len(observations.unique_index)
        merged = group_medians(log_i - log_scale[crystal], unique, n_unique)
        residual = log_i - merged[unique]
        found = group_medians(residual[shared], crystal[shared], n_crystals)
        log_scale = np.where(enough, np.nan_to_num(found), 0.0)
        if enough.any():
            log_scale[enough] -= log_scale[enough].mean()
    return np.exp(log_scale)


def _shared_by_crystals(
    crystal: np.ndarray, unique: np.ndarray, n_crystals: int
) -> np.ndarray:
    """Select the observations of reflections that several crystals have."""
    pairs = np.unique(unique.astype(np.int64) * n_crystals + crystal)
    n_unique = int(unique.max(initial=0)) + 1
    crystals_of = np.bincount(pairs // n_crystals, minlength=n_unique)
    return crystals_of[unique] > 1


def image_scales(
    a: np.ndarray,
    sigma_a: np.ndarray,
    b: np.ndarray,
    sigma_b: np.ndarray,
    group: np.ndarray,
    n_groups: int,
) -> np.ndarray:
    """
    Give k of each group of reflections such that a ≈ k b.

    Args:
        a: Shape (m,).
        sigma_a: Shape (m,).
        b: Shape (m,).
        sigma_b: Shape (m,).
        group: Shape (m,), the group of each.
        n_groups: Number of groups.

    Returns:
        Shape (n_groups,): the median ratio of reflections strong on both; the ratio of
        the sums where these are fewer than three; nan where a sum is not positive.
    """
    strong = (a > STRONG * sigma_a) & (b > STRONG * sigma_b)
    ratio = np.log(a[strong] / b[strong])
    by_median = np.exp(group_medians(ratio, group[strong], n_groups))
    sum_a, sum_b = (group_sums(x, group, n_groups) for x in (a, b))
    usable = (sum_a > 0) & (sum_b > 0)
    by_sum = np.where(usable, sum_a / np.where(usable, sum_b, 1), np.nan)
    enough = np.bincount(group[strong], minlength=n_groups) >= FEWEST_RATIOS
    return np.where(enough, by_median, by_sum)
