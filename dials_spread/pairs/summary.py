"""
How well matched pairs agree on the whole, and how certain that is.

The observations of one crystal are not independent, nor are its pairs, so the intervals
are over crystals, by the same bootstrap as all others (statistics.bootstrap). A pair
belongs to two crystals: in a bootstrap sample it has the product of their weights, as for
data in rows and columns whose weights are drawn independently (Owen and Eckles (2012),
Ann. Appl. Stat. 6, 895). To first order in w - 1, Σ w_a w_b x over pairs responds to
each crystal as the mean over pairs does to what the crystal has in common, which is all
that grows with the number of pairs; what is of single pairs of crystals alone enters with
up to three times its variance, so that the intervals are rather too wide than too narrow.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.observations.canonical_order import crystal_rank
from dials_spread.pairs.agreement import PairAgreement
from dials_spread.pairs.matching import Matches
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import (
    EMPTY,
    Groups,
    group_crystals,
    median_interval,
)
from dials_spread.statistics.groups import group_medians, numbered
from dials_spread.threads import run_blocks

PART = 200
"""Values among which the median of a bootstrap sample is looked for one by one, at least."""

MOST_PARTS = 256
"""Parts that weights are summed over first: with more, a table of parts and pairs of crystals
takes most of the time, and 0.8 GB for a million pairs."""

DRAWS_TOGETHER = 128
"""Bootstrap samples whose weights of all pairs of groups are held at once."""

CORRELATIONS = ("cc", "cc_rank")
"""Statistics that cannot exceed 1; the others cannot fall below 0."""


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


def _medians_of_draws(
    x: np.ndarray, a: np.ndarray, b: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """
    Give the median over pairs in each bootstrap sample.

    The weights of pairs of crystals say in which part of the sorted values the median
    lies, so that only those in it are looked at one by one.

    Args:
        x: Shape (n,), n > 0.
        a, b: Shape (n,), the groups of crystals that each pair belongs to.
        weights: Shape (draws, groups), from Groups.draws.

    Returns:
        Shape (draws,); a pair within one group has its weight once.
    """
    order = np.argsort(x, kind="stable")
    n_groups = weights.shape[1]
    cells, cell = numbered(a.astype(np.int64) * n_groups + b, n_groups**2)
    (a, b), x, cell = np.divmod(cells, n_groups), x[order], cell[order]
    size = min(max(PART, -(-len(x) // MOST_PARTS)), len(x))
    part = np.arange(len(x)) // size
    shape = (len(a), part[-1] + 1)
    counts = np.bincount(cell * shape[1] + part, minlength=np.prod(shape))
    in_parts = counts.reshape(shape).astype(float)
    return np.concatenate(
        [
            _medians_of_some(x, cell, size, in_parts, _of_cells(a, b, own))
            for own in np.split(
                weights, range(DRAWS_TOGETHER, len(weights), DRAWS_TOGETHER)
            )
        ]
    )


def _of_cells(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights of pairs of groups, shape (draws, cells)."""
    of_cells = weights[:, a]
    apart = np.broadcast_to(a != b, of_cells.shape)
    np.multiply(of_cells, weights[:, b], out=of_cells, where=apart)
    return of_cells


def _medians_of_some(
    x: np.ndarray,
    cell: np.ndarray,
    size: int,
    in_parts: np.ndarray,
    of_cells: np.ndarray,
) -> np.ndarray:
    """Medians in some of the samples, of values in their order."""
    total = np.cumsum(of_cells @ in_parts, axis=1)
    chosen = (total >= 0.5 * total[:, -1:]).argmax(axis=1)

    draw = np.arange(len(of_cells))[:, None]
    # One more than the part, of which the last can be the lower of two in the middle.
    row = chosen[:, None] * size + np.arange(size + 1)
    there = row < len(x)
    row = np.minimum(row, len(x) - 1)
    within = of_cells[draw, cell[row]] * there
    below = np.where(chosen > 0, total[draw[:, 0], chosen - 1], 0.0)
    above = np.maximum(total[:, -1] - below - within.sum(axis=1), 0)
    values = np.column_stack(
        [np.full(len(draw), x[0]), x[row], np.full(len(draw), x[-1])]
    )
    of_values = np.column_stack([below, within, above])
    number = np.repeat(draw, values.shape[1])
    return group_medians(values.ravel(), number, len(draw), of_values.ravel())


def median_over_pairs(
    x: np.ndarray,
    crystal_a: np.ndarray,
    crystal_b: np.ndarray,
    rng: np.random.Generator,
    correlation: bool = False,
) -> MedianOverPairs:
    """
    Give the median of a statistic over pairs, with an interval over crystals.

    Args:
        x: Shape (n,), the statistic of each pair; nan values are left out.
        crystal_a: Shape (n,).
        crystal_b: Shape (n,).
        rng: For the bootstrap.
        correlation: Whether x is at most 1, and what is estimated is how far it falls
            short of that; else it is not negative.

    Returns:
        The median and its interval.
    """
    has = np.isfinite(x)
    x, crystals = x[has], np.stack([crystal_a[has], crystal_b[has]])
    n_crystals = int(crystals.max(initial=-1)) + 1
    groups = group_crystals(crystals.ravel(), n_crystals, rng)
    if not len(x):
        return MedianOverPairs(np.nan, np.nan, np.nan, 0, 0)
    a, b = groups.of_crystal[crystals]
    values = _medians_of_draws(x, a, b, groups.draws(rng))
    low, high = _ends(values, groups, correlation)
    return MedianOverPairs(float(values[0]), low, high, len(x), groups.n_crystals)


def _ends(values: np.ndarray, groups: Groups, correlation: bool) -> tuple[float, float]:
    """The interval of a median, within what the statistic can be."""
    low, high = median_interval(1 - values if correlation else values, groups.n)
    # Samples are the same where most pairs have no s at all, or where so few pairs are
    # of each crystal that one is always in the middle: no interval of no width.
    if not high - low > 1e-9 * abs(values[0]):
        return EMPTY
    return (max(1 - high, -1.0), 1 - low) if correlation else (low, high)


@stage("Medians over pairs")
def summarise(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    selected: np.ndarray,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> dict[str, MedianOverPairs]:
    """
    Give the median of each statistic over some pairs.

    Args:
        observations: For the crystal of each image.
        matches: n pairs.
        agreement: Of the pairs.
        selected: Shape (n,), bool: the pairs that count.
        rng: For the bootstrap.
        nproc: Threads; all cores by default.

    Returns:
        Estimates by name of the statistic.
    """
    # By rank: nothing else is asked of crystals than whether they are the same.
    crystal = crystal_rank(observations)[observations.images.crystal]
    a, b = crystal[matches.image_a][selected], crystal[matches.image_b][selected]
    # The fullest first: run_blocks does it alone, with all kinds of numbers there are.
    columns = sorted(
        vars(agreement).items(), key=lambda item: -np.isfinite(item[1][selected]).sum()
    )
    found: dict[str, MedianOverPairs] = {}

    def fill(first: int, stop: int) -> None:
        for name, x in columns[first:stop]:
            # The same numbers for each: which statistics there are does not matter.
            found[name] = median_over_pairs(
                x[selected], a, b, deepcopy(rng), name in CORRELATIONS
            )

    run_blocks(fill, len(columns), 1, nproc)
    return {name: found[name] for name in vars(agreement)}
