"""
The excess relative spread s of Var(I) = σ² + s²μ², by maximum likelihood.

Of a normal deviation with squared size D, the variance is known + s² unknown: known from
σ, and unknown is μ² times a number (2 for the difference of two observations, 1 + 1/n for
the deviation from the mean of n others). μ² is not known either. An estimated level L has
errors, so that E[L²] = μ² + Var(L): taken as it is, s of weak reflections and of those
with few observations comes out wrong. The likelihood corrects for it
(likelihood_sums._variance).

The likelihood is tabulated on a grid of s for every cell (crystal, bin, image, pair of
images), once. Sums of cells give the likelihood of any bootstrap sample of crystals, and
the highest point of the table cannot be a local maximum.

A robust twin stands beside it: the s for which half of the deviations are within what is
half of a normal distribution. A few wild observations do not move it; where it is much
smaller than s, they are the spread.

Functions:
    of_level: deviations, from a level and its noise
    well_known: which levels a relative deviation can be taken from
    likelihood_table, most_likely, likelihood_interval: s of many cells
    most_likely_near: s of all, from few values
    peak_of_five: the highest point between points of a likelihood
    excess_spreads: s of many cells at once
    robust_spread: its robust twin
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from dials_spread.statistics.groups import group_medians, order_of_groups
from dials_spread.statistics.likelihood_sums import sum_one_cell, tabulate
from dials_spread.threads import run_blocks

WEAKEST = 3.0
"""L / σ(L) from which a relative deviation means something."""

GRID = np.concatenate([[0.0], np.geomspace(2e-3, 10.0, 64)])
"""Values of s that are tried; between them a quartic is laid through five."""

NEWTON = 4
"""Steps to its peak; after three it is known to 1e-9 of a step."""

STEP = float(np.log(GRID[2] / GRID[1]))

MEDIAN_SQUARE = float(stats.chi2.ppf(0.5, 1))
"""Half of all squared standard normal deviates are below."""

DROP = float(stats.chi2.ppf(0.95, 1)) / 2
"""Log-likelihood below its maximum at the ends of a 95 % interval."""


ROWS = 65_536
"""Deviations that one thread adds at a time: sums do not depend on the number of threads."""


class Deviations(NamedTuple):
    """
    Squared deviations and what is known of them; arrays of length n.

    A level is the mean of all observations of a reflection, its own included: that does
    not depend on the deviation to first order.

    Attributes:
        square: Squared deviations: of I from the mean of the others, or of two I.
        known: Their variance from the σ of all observations in them.
        unknown: What s² is multiplied by: L² times 1 + 1/n for n others, or 2.
        noise: Of the level L: the mean variance of its observations, relative to L².
        n_all: Observations in the level; where some are alike, of as many independent
            ones as make a mean as certain.
    """

    square: np.ndarray
    known: np.ndarray
    unknown: np.ndarray
    noise: np.ndarray
    n_all: np.ndarray


def of_level(
    square: np.ndarray,
    known: np.ndarray,
    times: np.ndarray | float,
    level: np.ndarray,
    noise: np.ndarray,
    n_all: np.ndarray,
) -> Deviations:
    """
    Give deviations whose variance is known + s² times μ², from the level L for μ.

    Args:
        square: Shape (n,), squared deviations.
        known: Shape (n,), their variance from σ.
        times: Shape (n,), or one for all.
        level: Shape (n,), L; of no use where it is zero (well_known).
        noise: Shape (n,), mean variance of the observations in L.
        n_all: Shape (n,), how many these are.

    Returns:
        The deviations.
    """
    square_of_level = level**2
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = noise / square_of_level
    return Deviations(square, known, times * square_of_level, relative, n_all)


def well_known(
    level: np.ndarray, noise: np.ndarray, n_all: np.ndarray, weakest: float = WEAKEST
) -> np.ndarray:
    """
    Select the levels that are known to differ from zero.

    Leaving out single observations by their own intensity would cut the distribution
    that is to be measured; a level is the same for all of its reflection.

    Args:
        level: Shape (n,), means of all observations.
        noise: Shape (n,), mean variance of these.
        n_all: Shape (n,), how many they are.
        weakest: L / σ(L) from which a level counts.

    Returns:
        Shape (n,), bool: L above weakest·σ(L), and above the σ of one observation.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return (level > weakest * np.sqrt(noise / n_all)) & (level**2 > noise)


def likelihood_table(
    data: Deviations,
    cell: np.ndarray,
    n_cells: int,
    nproc: int | None = None,
    grid: np.ndarray = GRID,
) -> np.ndarray:
    """
    Tabulate the log-likelihood of s in each cell.

    Args:
        data: n deviations.
        cell: Shape (n,), the cell of each.
        n_cells: Number of cells.
        nproc: Threads; all cores by default.
        grid: Shape (values,), values of s.

    Returns:
        Shape (n_cells, len(grid)); zero for an empty cell.
    """
    table = np.zeros((n_cells, len(grid)))
    cell = np.ascontiguousarray(cell, dtype=np.int64)
    rows: np.ndarray | slice = slice(None)
    if np.any(cell[1:] < cell[:-1]):
        rows = order_of_groups(cell)
        cell = cell[rows]
    columns = [np.ascontiguousarray(c, dtype=np.float64)[rows] for c in data]
    begins = range(0, len(cell), ROWS)
    carried = np.zeros((len(begins), len(grid)))

    def fill(first, stop):
        tabulate(first, stop, *columns, cell, grid, table, carried[first // ROWS])

    def fill_one(first, stop):
        sum_one_cell(first, stop, *columns, grid, carried[first // ROWS])

    run_blocks(fill_one if n_cells == 1 else fill, len(cell), ROWS, nproc)
    for first, part in zip(begins, carried):
        table[cell[first]] += part
    # What does not depend on s.
    table -= 0.5 * np.bincount(cell, np.log(columns[1]), n_cells)[:, None]
    return table


def peak_of_five(
    y: Sequence[np.ndarray] | np.ndarray, highest: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """
    Lay a quartic through five points at -2 … 2, and find its peak.

    A parabola through three is off by up to 0.7 % of s, as the likelihood of a logarithm
    is not even: x + exp(-x).

    Args:
        y: Shape (5, ...).
        highest: Where the highest point is; the peak lies between its neighbours.

    Returns:
        Place and curvature of the peak, shape (...).
    """
    first = (y[0] - 8 * y[1] + 8 * y[3] - y[4]) / 12
    second = (16 * (y[1] + y[3]) - 30 * y[2] - y[0] - y[4]) / 12
    third = (2 * (y[1] - y[3]) - y[0] + y[4]) / 2
    fourth = y[0] + y[4] - 4 * (y[1] + y[3]) + 6 * y[2]

    def curved(x):
        return second + x * (third + x * fourth / 2)

    x = np.asarray(highest)
    for _ in range(NEWTON):
        bend = curved(x)
        slope = first + x * (second + x * (third / 2 + x * fourth / 6))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(bend < 0, -slope / bend, 0.0)
        # It lies between the neighbours of the highest point, which may be wild.
        x = np.clip(x + step, highest - 1, highest + 1)
    return x, curved(x)


def _between(point: np.ndarray | int, place: np.ndarray | float) -> np.ndarray:
    """Give the s at some steps from a point of GRID."""
    # Beyond the last point nothing was computed; intervals end there, too.
    return np.minimum(GRID[point] * np.exp(STEP * place), GRID[-1])


def _peak(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give s and curvature at the highest point of each row."""
    best = table.argmax(axis=-1)
    middle = np.clip(best, 3, len(GRID) - 3)
    y = [
        np.take_along_axis(table, (middle + k)[..., None], axis=-1)[..., 0]
        for k in (-2, -1, 0, 1, 2)
    ]
    x, curvature = peak_of_five(y, np.clip(best - middle, -2.0, 2.0))
    return np.where(best == 0, 0.0, _between(middle, x)), np.where(
        best == 0, 0.0, curvature
    )


def most_likely(table: np.ndarray) -> np.ndarray:
    """
    Give the s of highest likelihood.

    Args:
        table: Shape (..., len(GRID)), from likelihood_table, or sums of its rows.

    Returns:
        Shape (...): 0 where the known errors suffice; nan for an empty cell.
    """
    return np.where(np.ptp(table, axis=-1) > 0, _peak(table)[0], np.nan)


def most_likely_near(data: Deviations, start: float, nproc: int | None = None) -> float:
    """
    Give the s of highest likelihood of all deviations together, looked for from near it.

    Args:
        data: n deviations.
        start: s to begin with; anything where none is known.
        nproc: Threads; all cores by default.

    Returns:
        As most_likely, from five values of GRID instead of all.
    """
    cell, last = np.zeros(len(data.square), dtype=np.int64), len(GRID) - 3
    steps = np.log(max(GRID[1], start) / GRID[1]) / STEP
    middle = int(np.clip(1 + np.rint(steps), 3, last))
    while True:
        points = GRID[middle - 2 : middle + 3]
        y = likelihood_table(data, cell, 1, nproc, points)[0]
        best = middle - 2 + int(y.argmax())
        if middle == 3 and best < 3:  # zero may be better still
            return float(most_likely(likelihood_table(data, cell, 1, nproc))[0])
        before, middle = middle, int(np.clip(best, 3, last))
        if middle == before:
            place, _ = peak_of_five(y, float(best - middle))
            return float(_between(middle, place))


def narrow_width(table: np.ndarray, power: np.ndarray) -> np.ndarray:
    """
    Give the standard deviation of log s where the likelihood is narrower than GRID.

    Args:
        table: Shape (n, len(GRID)), from likelihood_table.
        power: Shape (n,), of the likelihood.

    Returns:
        Shape (n,), from the curvature at the maximum; nan where points of the grid are
        within one standard deviation, and say more.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = 1 / np.sqrt(-_peak(table)[1] * power)
    return np.where(steps < 1, steps * STEP, np.nan)


def excess_spreads(
    data: Deviations,
    cell: np.ndarray,
    n_cells: int,
    keep: np.ndarray | None = None,
    nproc: int | None = None,
) -> np.ndarray:
    """
    Give s of each cell.

    Args:
        data: n deviations.
        cell: Shape (n,), the cell of each.
        n_cells: Number of cells.
        keep: Shape (n,), bool: those that count; all by default.
        nproc: Threads; all cores by default.

    Returns:
        Shape (n_cells,): 0 where the known errors suffice; nan for an empty cell.
    """
    if keep is not None:
        square, known, unknown, noise, n_all = (column[keep] for column in data)
        data, cell = Deviations(square, known, unknown, noise, n_all), cell[keep]
    return most_likely(likelihood_table(data, cell, n_cells, nproc))


def likelihood_interval(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the interval in which the likelihood is near its maximum.

    It takes observations as independent, so it serves for one crystal or image, where
    there is nothing else; not for many.

    Args:
        table: Shape (cells, len(GRID)).

    Returns:
        Low and high ends of the 95 % interval, shape (cells,).
    """
    drop = table.max(axis=-1, keepdims=True) - DROP - table
    ends = [_crossing(d, g) for d, g in ((drop, GRID), (drop[:, ::-1], GRID[::-1]))]
    # A peak narrower than the grid is a parabola about its top.
    s, curvature = _peak(table)
    width = STEP * np.sqrt(2 * DROP / np.maximum(-curvature, 0.5))
    narrow = (s > 0) & (width < 1.5 * STEP)
    filled = np.ptp(table, axis=-1) > 0
    low, high = (
        np.where(filled, np.where(narrow, s * np.exp(sign * width), end), np.nan)
        for sign, end in zip((-1, 1), ends)
    )
    return low, high


def _crossing(drop: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Where, from the left, each row is first at or below zero, between grid points."""
    after = (drop <= 0).argmax(axis=-1)
    before = np.maximum(after - 1, 0)
    row = np.arange(len(drop))
    step = drop[row, before] - drop[row, after]
    part = np.where(step > 0, drop[row, before] / np.where(step > 0, step, 1), 0)
    return grid[before] + np.where(after > 0, part, 0) * (grid[after] - grid[before])


def robust_spread(data: Deviations, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """
    Give the s for which the median squared deviation is that of a normal one.

    Half of the deviations have (I - μ)² < 0.4549 (known + s² unknown) where s² is the
    median of what each alone would need.

    Args:
        data: n deviations.
        cell: Shape (n,), the cell of each.
        n_cells: Number of cells.

    Returns:
        Shape (n_cells,): 0 where the known errors suffice; nan for an empty cell.
    """
    needed = (data.square / MEDIAN_SQUARE - data.known) / data.unknown
    return np.sqrt(np.maximum(group_medians(needed, cell, n_cells), 0))
