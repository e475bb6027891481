"""
Intervals over crystals.

The observations of one crystal are not independent, so crystals are drawn, not
observations. Whatever is estimated is a function of sums over crystals, or over pairs of
crystals, so that a draw is a set of weights and no observation is read again. A draw
weights the crystals at random (the Bayesian bootstrap: Rubin (1981), Ann. Stat. 9, 130)
and loses none of them: with six crystals, as 3D ED often has, drawing with replacement
mostly leaves two out, and with them the few pairs of crystals of like orientation.

Percentiles of the draws are too close together, and too low, for a variance that a dozen
crystals determine. The interval is the estimate plus and minus Student's t times the
standard error of the draws, enlarged to that of a mean of so few (after Hesterberg
(2015), Am. Stat. 69, 371), on a logarithmic scale where the draws are all positive.

Even there a variance is not distributed evenly about the truth: with few crystals it
falls far below more often than far above, and then its interval lies too low.
variance_interval is as wide, and lies as that of a multiple of χ² does (Satterthwaite
(1946), Biometrics Bull. 2, 110).

Functions:
    group_crystals: which crystals are drawn; Groups.draws: how often
    interval: from the estimates of all draws
    median_interval: likewise, of a median of numbers that are not negative
    variance_interval: likewise, of a mean square over crystals
    standard_errors_of_mean: enlarged for few groups
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

DRAWS = 500
"""Bootstrap samples."""

FEWEST_CRYSTALS = 3
"""With fewer crystals there is no interval."""

MOST_GROUPS = 100
"""More crystals are drawn in random groups: tables by pairs of groups stay small."""

LEVEL = 0.95

MOST_BELOW_ZERO = 0.02
"""With more of the draws below zero, a quantity is not taken as positive."""

MOST_IN_LOGS = 1.0
"""Beyond such a standard error of the logarithm, zero is not out of reach."""

MIDDLE = stats.norm.cdf([-1, 1])
"""Half of the middle 68 % is a standard error that a few wild draws do not rule."""

EMPTY = (np.nan, np.nan)


def too_few(n_crystals: int) -> str:
    """Say why there is no interval; empty where there is one."""
    if n_crystals >= FEWEST_CRYSTALS:
        return ""
    there = (
        "There is one crystal"
        if n_crystals == 1
        else f"There are {n_crystals} crystals"
    )
    return (
        f"{there}: no interval, which takes {FEWEST_CRYSTALS} crystals or more, because "
        "the observations of one crystal are not independent."
    )


@dataclass(frozen=True)
class Groups:
    """
    Crystals, or random groups of them where there are many, as they are drawn.

    Attributes:
        of_crystal: Shape (crystals,), the group of each; -1 for a crystal without
            observations.
        n: Number of groups.
        n_crystals: Number of crystals that have observations.
    """

    of_crystal: np.ndarray
    n: int
    n_crystals: int

    @property
    def enough(self) -> bool:
        """Whether there can be an interval."""
        return self.n >= FEWEST_CRYSTALS

    def draws(self, rng: np.random.Generator, n_draws: int = DRAWS) -> np.ndarray:
        """
        Give the weights of bootstrap samples.

        Args:
            rng: For the draws.
            n_draws: Bootstrap samples; none where there can be no interval.

        Returns:
            Shape (1 + n_draws, n): all crystals once, then weights with a mean of one.
        """
        whole = np.ones((1, self.n))
        if not self.enough:
            return whole
        # Crystal by crystal: one more does not change what those before it draw.
        drawn = rng.exponential(size=(self.n, n_draws)).T
        drawn /= drawn.mean(axis=1, keepdims=True)
        return np.concatenate([whole, drawn])


def group_crystals(
    crystal: np.ndarray,
    n_crystals: int,
    rng: np.random.Generator,
    most: int = MOST_GROUPS,
    rank: np.ndarray | None = None,
) -> Groups:
    """
    Put crystals into groups that are drawn together.

    Args:
        crystal: Shape (n,), the crystal of each observation.
        n_crystals: Number of crystals in the numbering.
        rng: Deals crystals out to groups, where there are more than most.
        most: Most groups.
        rank: Shape (n_crystals,), an order of crystals in which random numbers are
            drawn, so that it does not matter how they are numbered; that of the numbers
            by default.

    Returns:
        The groups: one a crystal where these are few.
    """
    present = np.flatnonzero(np.bincount(crystal, minlength=n_crystals))
    if rank is not None:
        present = present[np.argsort(rank[present])]
    n = min(len(present), most)
    of_crystal = np.full(n_crystals, -1, dtype=np.int32)
    dealt = present if len(present) <= most else rng.permutation(present)
    of_crystal[dealt] = np.arange(len(present)) % max(n, 1)
    return Groups(of_crystal, n, len(present))


def interval(
    values: np.ndarray, n: int, logarithms: bool = True
) -> tuple[float, float]:
    """
    Give the interval that bootstrap samples stand for.

    Args:
        values: Shape (1 + draws,), the estimates for the weights of Groups.draws.
        n: Number of groups.
        logarithms: Take errors of the logarithm where zero is out of reach.

    Returns:
        Low and high end of the 95 % interval; nan where there are fewer than three
        groups, or where the estimate or most of the samples are not finite.
    """
    drawn = _usable(values, n)
    if drawn is None:
        return EMPTY
    error = _error_of_logs(values[0], drawn) if logarithms else None
    if error is not None:
        factor = np.exp(_wide(n) * error)
        return float(values[0] / factor), float(values[0] * factor)
    error = _wide(n) * _standard_error(drawn)
    return float(values[0] - error), float(values[0] + error)


def median_interval(values: np.ndarray, n: int) -> tuple[float, float]:
    """
    Give the interval of a median of numbers that are not negative.

    As interval, but the upper end is not above that of the linear scale: with few
    crystals the logarithms of a median have wild errors, and 0.2 would be known as 0.01
    to 4. With the shorter of both upper ends it still holds the truth in 90 to 95 of 100
    tables where crystals differ (benchmarks/excess_spread.py --coverage 200).

    Args:
        values: Shape (1 + draws,), as for interval.
        n: Number of groups.

    Returns:
        Low and high end of the 95 % interval, as of interval.
    """
    low, high = interval(values, n)
    drawn = _usable(values, n)
    if drawn is None:
        return EMPTY
    above = _wide(n) * _standard_error(drawn)
    return max(low, 0.0), float(min(high, values[0] + above))


def variance_interval(values: np.ndarray, n: int) -> tuple[float, float]:
    """
    Give the interval of a variance that several crystals determine together.

    With f degrees of freedom, estimate·f/variance is distributed as χ²; f = 2/e² from
    the relative standard error e, enlarged as in interval. Of a sum of mean squares f is
    not below that of any of them (Satterthwaite (1946)), so no fewer than n - 1, the
    degrees of freedom of one factor a crystal; by few draws it would often seem so.

    Args:
        values: Shape (1 + draws,), as for interval.
        n: Number of groups.

    Returns:
        Low and high end of the 95 % interval, as of interval where zero is not out of
        reach.
    """
    drawn = _usable(values, n)
    error = None if drawn is None else _error_of_logs(values[0], drawn)
    if error is None:
        return interval(values, n)
    ends = 0.5 + LEVEL / 2, 0.5 - LEVEL / 2
    error = max(_wide(n) * error / stats.norm.ppf(ends[0]), 1e-6)
    freedom = max(2 / error**2, n - 1)
    low, high = values[0] * freedom / stats.chi2.ppf(ends, freedom)
    return float(low), float(high)


def _usable(values: np.ndarray, n: int) -> np.ndarray | None:
    """Draws that an interval can be based on; None where these are too few."""
    drawn = values[1:][np.isfinite(values[1:])]
    if n < FEWEST_CRYSTALS or not np.isfinite(values[0]):
        return None
    enough = len(drawn) and len(drawn) >= 0.5 * (len(values) - 1)
    return drawn if enough else None


def _wide(n: int) -> float:
    """Half the width of an interval in standard errors of the draws."""
    # The draws of a mean vary by 1/(n + 1) of the variance, the mean by 1/(n - 1). That
    # of a variance is underestimated further from few: with this, 92 to 97 of 100
    # intervals hold the variance of 5 to 80 normal deviates.
    return np.sqrt((n + 1) * n) / (n - 2) * stats.t.ppf(0.5 + LEVEL / 2, n - 1)


def _standard_error(drawn: np.ndarray) -> float:
    """Half of the middle 68 % of draws; their standard deviation where these are equal."""
    # Of a quantity that is often exactly zero most draws can be zero, but not all.
    return 0.5 * np.ptp(np.quantile(drawn, MIDDLE)) or float(np.std(drawn))


def standard_errors_of_mean(drawn: np.ndarray, n: int) -> np.ndarray:
    """
    Give standard errors for a normal deviate, from bootstrap samples over few groups.

    Args:
        drawn: Shape (..., draws), without the estimate itself.
        n: Number of groups, at least three.

    Returns:
        Shape (...): the standard deviation, enlarged as interval does, so that 1.96 of it
        are its half width.
    """
    return np.std(drawn, axis=-1) * _wide(n) / stats.norm.ppf(0.5 + LEVEL / 2)


def _error_of_logs(estimate: float, drawn: np.ndarray) -> float | None:
    """Standard error of the logarithm; None where zero is not out of reach."""
    if not (estimate > 0 and np.mean(drawn <= 0) < MOST_BELOW_ZERO):
        return None
    logs = np.log(np.maximum(drawn, drawn[drawn > 0].min()))
    error = _standard_error(logs)
    return error if error < MOST_IN_LOGS else None
