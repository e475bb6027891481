"""
How well matched pairs agree on the whole, and how certain that is.

The observations of one crystal are not independent, nor are its pairs: the intervals
come from drawing crystals, not pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.pairs.agreement import PairAgreement
from dials_spread.pairs.matching import Matches

DRAWS = 500
"""Bootstrap samples."""

FEWEST_CRYSTALS = 4
"""With fewer there is no interval: three crystals make three pairs of crystals."""

INTERVAL = (2.5, 97.5)
"""Percentiles of the interval."""


@dataclass(frozen=True)
class MedianOverPairs:
    """
    A median over pairs with its 95 % interval.

    Attributes:
        median: Over all pairs that have a value; nan where none has.
        low: nan where there are too few crystals for an interval.
        high: The same.
        n_pairs: Pairs that have a value.
        n_crystals: Crystals that these come from.
    """

    median: float
    low: float
    high: float
    n_pairs: int
    n_crystals: int

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))


def weighted_median(x: np.ndarray, weight: np.ndarray) -> float:
    """
    Give the value that half of the weight does not exceed.

    Args:
        x: Shape (n,), sorted.
        weight: Shape (n,), not negative.

    Returns:
        The median; nan where all weights are zero.
    """
    total = np.cumsum(weight)
    if not len(x) or total[-1] <= 0:
        return np.nan
    return float(x[np.searchsorted(total, 0.5 * total[-1])])


def bootstrap_median(
    x: np.ndarray,
    crystal_a: np.ndarray,
    crystal_b: np.ndarray,
    rng: np.random.Generator,
) -> MedianOverPairs:
    """
    Give the median of a statistic over pairs, with an interval over crystals.

    Crystals are drawn with replacement; a pair counts as often as the product of the
    times that its two crystals were drawn (once for a pair within one crystal).

    Args:
        x: Shape (n,), the statistic of each pair; nan values are left out.
        crystal_a: Shape (n,).
        crystal_b: Shape (n,).
        rng: For the draws.

    Returns:
        The estimate.
    """
    has = np.isfinite(x)
    x, crystal_a, crystal_b = x[has], crystal_a[has], crystal_b[has]
    crystals = np.unique(np.concatenate([crystal_a, crystal_b]))
    n = len(crystals)
    low = high = np.nan
    if n >= FEWEST_CRYSTALS:
        order = np.argsort(x, kind="stable")
        a = np.searchsorted(crystals, crystal_a)[order]
        b = np.searchsorted(crystals, crystal_b)[order]
        within = a == b
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS)
        medians = [
            weighted_median(x[order], np.where(within, d[a], d[a] * d[b]))
            for d in drawn
        ]
        medians = [m for m in medians if np.isfinite(m)]
        if medians:
            low, high = np.percentile(medians, INTERVAL)
    median = float(np.median(x)) if len(x) else np.nan
    return MedianOverPairs(median, float(low), float(high), len(x), n)


def summarise(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    selected: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, MedianOverPairs]:
    """
    Give the median of each statistic over some pairs.

    Args:
        observations: For the crystal of each image.
        matches: n pairs.
        agreement: Of the pairs.
        selected: Shape (n,), bool: the pairs that count.
        rng: For the bootstrap.

    Returns:
        Estimates by name of the statistic, and "spread_ratio": the spread within pairs
        divided by that from everybody else, for pairs that have both.
    """
    crystal = observations.images.crystal
    a, b = crystal[matches.image_a][selected], crystal[matches.image_b][selected]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = agreement.excess_spread / agreement.background_spread
    columns = {**vars(agreement), "spread_ratio": ratio}
    return {
        name: bootstrap_median(x[selected], a, b, rng) for name, x in columns.items()
    }
