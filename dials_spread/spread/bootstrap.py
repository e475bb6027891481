"""
Intervals over crystals.

The observations of one crystal are not independent, so crystals are drawn, not
observations. Whatever is estimated is a function of sums over crystals, or over pairs of
crystals, so that a draw is a set of weights and no observation is read again.

Percentile intervals are too short and too low for a variance that a dozen crystals
determine. The intervals here are corrected for bias and skewness (BCa: Efron (1987), J.
Am. Stat. Assoc. 82, 171), and widened to what Student's t would give for the mean of so
few (Hesterberg (2015), Am. Stat. 69, 371).

Functions:
    group_crystals: which crystals are drawn; Groups.draws: how often
    bca_interval: from the estimates of all draws
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

EMPTY = (np.nan, np.nan)


def too_few(n_crystals: int) -> str:
    """Say why there is no interval; empty where there is one."""
    if n_crystals >= FEWEST_CRYSTALS:
        return ""
    there = "There is one crystal" if n_crystals == 1 else f"There are {n_crystals}"
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
        Give the weights of bootstrap samples and of the jackknife.

        Args:
            rng: For the draws.
            n_draws: Bootstrap samples.

        Returns:
            Shape (1 + n + n_draws, n): all crystals once, each left out in turn, and
            how often each was drawn.
        """
        drawn = rng.multinomial(self.n, np.full(self.n, 1 / self.n), size=n_draws)
        whole, each = np.ones((1, self.n)), 1.0 - np.eye(self.n)
        return np.concatenate([whole, each, drawn])


def group_crystals(
    crystal: np.ndarray,
    n_crystals: int,
    rng: np.random.Generator,
    most: int = MOST_GROUPS,
) -> Groups:
    """
    Put crystals into groups that are drawn together.

    Args:
        crystal: Shape (n,), the crystal of each observation.
        n_crystals: Number of crystals in the numbering.
        rng: Deals crystals out to groups, where there are more than most.
        most: Most groups.

    Returns:
        The groups: one a crystal where these are few.
    """
    present = np.flatnonzero(np.bincount(crystal, minlength=n_crystals))
    n = min(len(present), most)
    of_crystal = np.full(n_crystals, -1, dtype=np.int32)
    dealt = present if len(present) <= most else rng.permutation(present)
    of_crystal[dealt] = np.arange(len(present)) % max(n, 1)
    return Groups(of_crystal, n, len(present))


def bca_interval(values: np.ndarray, n: int) -> tuple[float, float]:
    """
    Give the interval that bootstrap samples and the jackknife stand for.

    Args:
        values: Shape (1 + n + draws,), the estimates for the weights of Groups.draws.
        n: Number of groups.

    Returns:
        Low and high end; nan where there are fewer than three groups, or where the
        estimate or most of the samples are not finite.
    """
    estimate, left_out, drawn = values[0], values[1 : n + 1], values[n + 1 :]
    drawn = np.sort(drawn[np.isfinite(drawn)])
    usable = np.isfinite(left_out)
    if n < FEWEST_CRYSTALS or not np.isfinite(estimate) or usable.sum() < 2:
        return EMPTY
    if len(drawn) < 0.5 * (len(values) - n - 1) or not len(drawn):
        return EMPTY
    below = np.mean(drawn < estimate) + 0.5 * np.mean(drawn == estimate)
    # A bias so large that all samples are on one side tells nothing of its size.
    bias = stats.norm.ppf(np.clip(below, 0.05, 0.95))
    pull = left_out[usable].mean() - left_out[usable]
    square = np.sum(pull**2)
    skew = np.sum(pull**3) / (6 * square**1.5) if square > 0 else 0.0
    wide = np.sqrt(n / (n - 1)) * stats.t.ppf(0.5 + LEVEL / 2, n - 1)
    ends = []
    for z in (-wide, wide):
        shifted = bias + z
        divisor = max(1 - skew * shifted, 0.1)
        ends.append(np.quantile(drawn, stats.norm.cdf(bias + shifted / divisor)))
    return float(ends[0]), float(ends[1])
