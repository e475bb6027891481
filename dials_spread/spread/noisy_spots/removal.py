"""
Does it help to leave something out?

Removing what disagrees improves agreement always, so only the difference to removing as
many at random counts.

Functions:
    effect_of_removal: before, after, and after removing as many at random
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.spread.noisy_spots.agreement import Columns, agreement_of
from dials_spread.statistics.groups import order_of_groups
from dials_spread.threads import run_blocks

DRAWS = 100
"""Random removals."""

MOST_OBSERVATIONS = 300_000
"""With more, reflections are sampled: 100 draws shall take seconds."""

STATISTICS = ("s", "r_meas", "cc_half")


@dataclass(frozen=True)
class Removal:
    """
    What leaving observations out does.

    Attributes:
        n_removed: Observations left out.
        n_reflections: Unique reflections that they belong to.
        before, after: s, r_meas and cc_half by name.
        control: The same after removing as many at random: mean and 95 % range (low,
            high) over the draws.
        difference: after less the mean of control.
        p_value: Share of the random removals that did as well or better.
        n_draws: Random removals.
        n_used: Observations that this was computed on; fewer than all where reflections
            were sampled.
        reason: Why there is nothing, in a sentence; empty where there is.
    """

    n_removed: int
    n_reflections: int
    before: dict[str, float]
    after: dict[str, float]
    control: dict[str, tuple[float, float, float]]
    difference: dict[str, float]
    p_value: dict[str, float]
    n_draws: int
    n_used: int
    reason: str = ""

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))


def no_removal(reason: str, n_removed: int = 0) -> Removal:
    """Give a result that says why there is none."""
    none = dict.fromkeys(STATISTICS, np.nan)
    nothing = dict.fromkeys(STATISTICS, (np.nan,) * 3)
    return Removal(n_removed, 0, none, none, nothing, none, none, 0, 0, reason)


def _sampled(columns: Columns, rng: np.random.Generator) -> np.ndarray:
    """Rows of all reflections, or of as many as there is time for."""
    if len(columns) <= MOST_OBSERVATIONS:
        return np.arange(len(columns))
    number = np.bincount(columns.unique)
    order = rng.permutation(len(number))
    kept = np.zeros(len(number), dtype=bool)
    kept[order[: np.searchsorted(np.cumsum(number[order]), MOST_OBSERVATIONS)]] = True
    return np.flatnonzero(kept[columns.unique])


def _draw(
    columns: Columns,
    eligible: np.ndarray,
    n: int,
    whole: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Shape (n,), bool: as many eligible observations at random, or whole reflections."""
    chosen = np.zeros(len(columns), dtype=bool)
    if not whole:
        chosen[rng.choice(np.flatnonzero(eligible), n, replace=False)] = True
        return chosen
    number = np.bincount(columns.unique[eligible])
    present = np.flatnonzero(number)
    order = rng.permutation(present)
    total = np.cumsum(number[order])
    # The last reflection is taken where that comes nearer to n.
    k = int(np.searchsorted(total, n))
    k += int(k < len(total) and n - (total[k - 1] if k else 0) > total[k] - n)
    picked = np.zeros(len(number), dtype=bool)
    picked[order[:k]] = True
    chosen[eligible] = picked[columns.unique[eligible]]
    return chosen


def _agreements(
    columns: Columns, start: float, kept: list[np.ndarray], nproc: int | None
) -> list[dict[str, float]]:
    """As agreement_of, of several choices."""
    found: list[dict[str, float]] = [{}] * len(kept)

    def fill(first: int, stop: int) -> None:
        for k in range(first, stop):
            found[k] = agreement_of(columns, start, kept[k], 1)

    run_blocks(fill, len(kept), 1, nproc)
    return found


def effect_of_removal(
    columns: Columns,
    removed: np.ndarray,
    eligible: np.ndarray,
    whole: bool,
    start: float,
    rng: np.random.Generator,
    n_draws: int = DRAWS,
    nproc: int | None = None,
) -> Removal:
    """
    Compare leaving observations out with leaving out as many at random.

    Args:
        columns: n observations.
        removed: Shape (n,), bool: those left out.
        eligible: Shape (n,), bool: those that might have been.
        whole: Whole reflections are left out, not single observations.
        start: s of all, to begin fits with.
        rng: For the draws.
        n_draws: Random removals.
        nproc: Threads; all cores by default.

    Returns:
        The effect.
    """
    n_removed = int(removed.sum())
    if not n_removed:
        return no_removal("Nothing is to be left out.")
    rows = _sampled(columns, rng)
    # Reflection by reflection, so that no draw has to be sorted.
    rows = rows[order_of_groups(columns.unique[rows])]
    used, out, may = columns.select(rows), removed[rows], eligible[rows]
    before = agreement_of(used, start, nproc=nproc)
    after = agreement_of(used, before["s"], ~out, nproc)
    kept = [~_draw(used, may, int(out.sum()), whole, rng) for _ in range(n_draws)]
    draws = _agreements(used, before["s"], kept, nproc)
    control, difference, p_value = {}, {}, {}
    for name in STATISTICS:
        values = np.array([d[name] for d in draws])
        low, high = np.percentile(values, (2.5, 97.5))
        control[name] = (float(values.mean()), float(low), float(high))
        difference[name] = after[name] - control[name][0]
        sign = -1 if name == "cc_half" else 1
        as_good = np.sum(sign * values <= sign * after[name])
        known = np.isfinite(after[name]) and np.isfinite(values).all()
        p_value[name] = float((1 + as_good) / (1 + n_draws)) if known else np.nan
    return Removal(
        n_removed=n_removed,
        n_reflections=len(np.unique(columns.unique[removed])),
        before=before,
        after=after,
        control=control,
        difference=difference,
        p_value=p_value,
        n_draws=n_draws,
        n_used=len(rows),
    )
