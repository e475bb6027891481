"""
Outliers of dials.scale that are none.

dials.scale leaves out what is more than six of its σ' from the mean. Where its error
model is too small for the spread (it is not found from fewer than 250 reflections with
I > 25, and stays a = 1, b = 0.02 then), that cuts the distribution whose width is to be
measured: of a known relative error of 10 % it left 9.0 %. What is within six σ of the
mean of the others once the spread itself is in σ is therefore used.

Functions:
    without_outliers: observations that are within six σ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dials.array_family import flex

from dials_spread.observations import Observations
from dials_spread.observations.error_model import CountingErrors
from dials_spread.observations.rejected import REASON, rejected_in_scaling
from dials_spread.spread.size.residuals import build_residuals
from dials_spread.spread.size.size import deviations
from dials_spread.statistics.excess_spread import robust_spread

CUT = 6.0
"""Standard deviations; outlier_zmax of dials.scale."""


def without_outliers(
    observations: Observations,
    counting: CountingErrors,
    tables: Sequence[flex.reflection_table],
) -> tuple[Observations, CountingErrors, int]:
    """
    Leave out the outliers of dials.scale that are outliers with the spread in σ, too.

    Args:
        observations: Read with keep_outliers=True.
        counting: Their counting errors.
        tables: That they were read from.

    Returns:
        The observations that are left, their counting errors, and how many of them
        dials.scale had rejected.
    """
    flagged = rejected_in_scaling(observations, tables)
    if not flagged.any():
        return observations, counting, 0
    counted = replace(observations, variance=counting.variance)
    kept = ~flagged | _within(counted, flagged)
    dropped = dict(observations.dropped)
    if not kept.all():
        dropped[REASON] = int((~kept).sum())
    left = replace(observations.select(kept), dropped=dropped)
    counting = replace(counting, variance=counting.variance[kept])
    return left, counting, int((kept & flagged).sum())


def _within(observations: Observations, flagged: np.ndarray) -> np.ndarray:
    """Say which are within the cut of the mean of those that are not flagged."""
    good = observations.select(~flagged)
    residuals = build_residuals(good)
    if not len(residuals):
        return np.zeros(len(observations), dtype=bool)
    one = np.zeros(len(residuals), dtype=int)
    s = float(robust_spread(deviations(residuals), one, 1)[0])
    unique, size = observations.unique, observations.n_unique
    n, total, noise = (
        np.bincount(unique[~flagged], x[~flagged], minlength=size)
        for x in (
            np.ones(len(observations)),
            observations.intensity,
            observations.variance,
        )
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, noise = (total / n)[unique], (noise / n**2)[unique]
        spread = (s * mean) ** 2 * (1 + 1 / n)[unique]
        square = (observations.intensity - mean) ** 2
        # False where there is no other observation.
        return square <= CUT**2 * (observations.variance + noise + spread)
