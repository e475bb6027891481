"""
The excess spread of each unique reflection, and how well it is known.

Functions:
    reflection_spreads: s of each reflection, with its likelihood
    dependence_on: s against a quantity
    tail_weight: how much less squares say than if residuals were normal
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from dials_spread.spread.size.residuals import Residuals
from dials_spread.spread.size.size import deviations
from dials_spread.statistics.excess_spread import (
    GRID,
    Deviations,
    likelihood_table,
    most_likely,
    narrow_width,
)
from dials_spread.statistics.groups import rounded

LOG_GRID = np.log(GRID[1:])
"""log s; s = 0 counts with the lowest, which no data tell from it."""

ONE_SIGMA = 0.5
"""Log-likelihood below its maximum at the ends of a 68 % interval."""

BINS = 8

REFLECTIONS_PER_BIN = 20

FEWEST_FOR_SHAPE = 4
"""Observations of a reflection from which the shape of its distribution shows."""


@dataclass(frozen=True)
class ReflectionSpreads:
    """
    The spread of each unique reflection that counts; arrays of length n.

    Attributes:
        unique: Number of the unique reflection, increasing.
        number: Its observations.
        level: Their mean intensity.
        s: Excess relative spread of highest likelihood; 0 where the errors suffice.
        low, high: Ends of the 68 % interval of s, within the grid.
        likelihood: Shape (n, len(LOG_GRID)), of log s, relative to the highest.
        log_likelihood: Shape (n, len(GRID)), as the sums of it give the s of many.
        tails: Excess kurtosis of residuals within reflections; the likelihoods are
            flattened for it.
    """

    unique: np.ndarray
    number: np.ndarray
    level: np.ndarray
    s: np.ndarray
    low: np.ndarray
    high: np.ndarray
    likelihood: np.ndarray
    log_likelihood: np.ndarray
    tails: float

    def __len__(self) -> int:
        return len(self.unique)


def tail_weight(data: Deviations, cell: np.ndarray, s: np.ndarray) -> float:
    """
    Give the excess kurtosis of residuals within reflections.

    Each reflection has its own s, so that differences between them do not look like
    heavy tails.

    Args:
        data: n deviations.
        cell: Shape (n,), the number of each one's reflection, without gaps.
        s: Shape (reflections,), its spread.

    Returns:
        The mean of Fisher's unbiased G2 (Joanes and Gill (1998), J. R. Stat. Soc. D 47,
        183) over reflections of FEWEST_FOR_SHAPE observations and more, by number; not
        below zero; zero without any.
    """
    v = (s**2)[cell]
    z = np.sqrt(data.square / (data.known + v * data.unknown / (1 + v / data.n_all)))
    n = np.bincount(cell).astype(float)
    # Signs do not matter for even powers about the mean of the others.
    m2, m4 = (np.bincount(cell, z**p) / n for p in (2, 4))
    use = (n >= FEWEST_FOR_SHAPE) & (m2 > 0)
    if not use.any():
        return 0.0
    n, g2 = n[use], (m4[use] / m2[use] ** 2) - 3
    unbiased = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6)
    return float(max(np.average(unbiased, weights=n), 0.0))


def _crossing(flat: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Where each row first comes within ONE_SIGMA of its highest, between points."""
    near = flat >= -ONE_SIGMA
    first = near.argmax(axis=1)
    before = np.maximum(first - 1, 0)
    row = np.arange(len(flat))
    a, b = flat[row, before], flat[row, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(b > a, (-ONE_SIGMA - a) / (b - a), 1.0)
    return grid[before] + np.clip(part, 0, 1) * (grid[first] - grid[before])


def reflection_spreads(
    residuals: Residuals, nproc: int | None = None
) -> ReflectionSpreads:
    """
    Give the excess spread of each unique reflection.

    The deviations of n observations from the means of the others hold n - 1 independent
    things, and heavy tails make squares less certain: the likelihood is raised to the
    power (n - 1)/n · 1/(1 + κ/2) for it.

    Args:
        residuals: Of all reflections.
        nproc: Threads; all cores by default.

    Returns:
        One for each reflection that has residuals.
    """
    unique, first, cell, number = np.unique(
        residuals.unique, return_index=True, return_inverse=True, return_counts=True
    )
    cell = cell.ravel()
    data = deviations(residuals)
    table = likelihood_table(data, cell, len(unique), nproc)
    s = most_likely(table)
    tails = tail_weight(data, cell, np.nan_to_num(s)) if len(unique) else 0.0
    power = (number - 1) / number / (1 + 0.5 * tails)
    width = narrow_width(table, power)
    narrow = np.isfinite(width) & np.isfinite(s)
    width = np.where(narrow, width, 0.0)
    flat = (table - table.max(axis=1, keepdims=True)) * power[:, None]
    return ReflectionSpreads(
        unique=unique,
        number=number,
        level=residuals.level[first],
        s=s,
        low=np.where(narrow, s * np.exp(-width), _crossing(flat, GRID)),
        high=np.where(narrow, s * np.exp(width), _crossing(flat[:, ::-1], GRID[::-1])),
        likelihood=np.exp(flat[:, 1:]),
        log_likelihood=table,
        tails=tails,
    )


def dependence_on(spreads: ReflectionSpreads, values: np.ndarray) -> dict:
    """
    Give the spread of reflections against a quantity.

    Args:
        spreads: n reflections.
        values: Shape (n,).

    Returns:
        Medians of values, s, and number of reflections in bins of about equally many; and
        Spearman's correlation of s with the values, with its p-value.
    """
    if not len(values):
        nothing = np.empty(0)
        none = {"correlation": np.nan, "p_value": np.nan}
        return {"value": nothing, "s": nothing, "n_reflections": nothing, **none}
    n_bins = min(BINS, max(len(values) // REFLECTIONS_PER_BIN, 1))
    # Equal values stay together, d of equivalents of the lattice as well.
    values = rounded(values)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    number = np.searchsorted(edges, values, side="right")
    bins = [np.flatnonzero(number == k) for k in np.unique(number)]
    correlation = p = np.nan
    if len(values) > 2 and np.ptp(values) > 0 and np.ptp(spreads.s) > 0:
        correlation, p = stats.spearmanr(spreads.s, values)
    sums = np.array([spreads.log_likelihood[b].sum(axis=0) for b in bins])
    return {
        "value": np.array([np.median(values[b]) for b in bins]),
        "s": most_likely(sums) if len(bins) else np.empty(0),
        "n_reflections": np.array([len(b) for b in bins]),
        "correlation": float(correlation),
        "p_value": float(p),
    }
