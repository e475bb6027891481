"""
Would a single class of reflections have given as many clusters?

BIC trusts that residuals are normal. Where they have heavy or skewed tails, or the
spread is so large that the mean of a few observations means little, it finds a second
component that is none. So data with a single class are simulated: the same reflections
with the same σ, spreads from the mixture of one component, residuals taken at random from
those that were observed. If they gain as much in BIC by a second component, there is one
class.

Functions:
    check_clusters: the share of simulated sets that gain as much
"""

from __future__ import annotations

import numpy as np

from dials_spread.spread.noisy_spots.clusters import (
    Mixture,
    fit_mixture,
    posterior_log_s,
)
from dials_spread.spread.size.reflection_spread import (
    LOG_GRID,
    ReflectionSpreads,
    reflection_spreads,
)
from dials_spread.spread.size.residuals import Residuals, residuals_of_arrays

SIMULATIONS = 19
"""All of them must gain less: p = 0.05."""

MOST_REFLECTIONS = 1500
MOST_OBSERVATIONS = 200_000
"""More are sampled, reflection by reflection."""

ENOUGH_FOR_SHAPE = 6
"""Observations of a reflection whose residuals show the shape, where there are any."""


def _sample(residuals: Residuals, rng: np.random.Generator) -> np.ndarray:
    """Shape (n,), bool: the observations of some reflections, drawn at random."""
    unique, number = np.unique(residuals.unique, return_counts=True)
    order = rng.permutation(len(unique))
    total = np.cumsum(number[order])
    n = int(np.searchsorted(total, MOST_OBSERVATIONS, side="right"))
    kept = unique[order[: max(min(n, MOST_REFLECTIONS), 1)]]
    return np.isin(residuals.unique, kept)


def _shape(residuals: Residuals, s: np.ndarray) -> np.ndarray:
    """Residuals as observed, mean zero and variance one."""
    number = residuals.number
    expected = residuals.variance + residuals.mean_variance
    expected = expected + (s * residuals.level) ** 2 * (1 + 1 / number)
    z = (residuals.intensity - residuals.mean) / np.sqrt(expected)
    several = number >= ENOUGH_FOR_SHAPE - 1
    z = z[several] if several.sum() > 100 else z
    return (z - z.mean()) / z.std()


def _gain(
    spreads: ReflectionSpreads, rng: np.random.Generator
) -> tuple[float, Mixture]:
    """How much BIC falls with a second component; the mixture of one."""
    one, two = (fit_mixture(spreads.likelihood, LOG_GRID, k, rng) for k in (1, 2))
    return one.bic - two.bic, one


def check_clusters(
    residuals: Residuals, rng: np.random.Generator, nproc: int | None = None
) -> tuple[float, int]:
    """
    Compare the gain of a second cluster with that of simulated data with a single class.

    Args:
        residuals: As observed.
        rng: For all draws.
        nproc: Threads; all cores by default.

    Returns:
        p-value: 0.05 where no simulated set gains as much; and the number of reflections
        it rests on.
    """
    use = _sample(residuals, rng)
    _, cell = np.unique(residuals.unique[use], return_inverse=True)
    cell = cell.ravel()
    intensity, variance = residuals.intensity[use], residuals.variance[use]
    one_for_all = np.zeros_like(cell)  # neither crystal nor image matters to s
    data = residuals_of_arrays(cell, one_for_all, one_for_all, intensity, variance)
    spreads = reflection_spreads(data, nproc)
    gain, one = _gain(spreads, rng)
    mean, _ = posterior_log_s(spreads.likelihood, LOG_GRID, one)
    shape = _shape(data, np.exp(mean)[np.searchsorted(spreads.unique, data.unique)])
    level = (np.bincount(cell, intensity) / np.bincount(cell))[cell]
    as_much = 0
    for _ in range(SIMULATIONS):
        s = np.exp(rng.normal(one.centre[0], one.width[0], cell.max() + 1))[cell]
        drawn = rng.choice(shape, len(cell)) * np.sqrt(variance + (s * level) ** 2)
        simulated = residuals_of_arrays(
            cell, one_for_all, one_for_all, level + drawn, variance
        )
        as_much += _gain(reflection_spreads(simulated, nproc), rng)[0] >= gain
    return (1 + as_much) / (1 + SIMULATIONS), int(cell.max()) + 1
