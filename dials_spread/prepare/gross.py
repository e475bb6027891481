"""
Gross outliers of integrated data: ice, overlaps, hot pixels, the shadow of the beam stop.

Multiple scattering makes equivalents differ, and what differs by it is what a correction goes
by. So an observation is gross only where it is far from the middle of its equivalents in two
ways: in proportion, as multiple scattering hardly brings it (out_of_range, with the limits that
hold for outliers of dials.scale), and in units of what observations of like strength and
resolution are off from the middle in these very data, or those of its own reflection if that is
more, with the counting error on top. How many units depends on the data, too: where many
observations are out of range by three to four of them, more are further off for no other reason.

The middle is the median, each crossing of the Ewald sphere counted once, which one observation
of three cannot move. It takes three observations, therefore, of which no more than a third are
gross: of two that differ nobody knows which is wrong. Where a crossing is listed several times,
on overlapping virtual frames, a single listing can be told from the others of its crossing.

What is too large counts all the same where it makes less than a tenth of R_meas. The model has
learnt from data of which some per cent are off, as by overlaps: it expects a few, and without
them takes the others for better than they are. Of 33 sets of another engine with overlaps, 0.1 %
of the observations of which would be left out, R1 rose in most, by up to .015 (.095 to .110).

Functions:
    gross_outliers: observations that are far from their equivalents in both ways
    out_of_range: those that are in proportion
"""

from __future__ import annotations

import numpy as np

from dials_spread.observations import Observations
from dials_spread.observations.crossings import first_listings
from dials_spread.prepare.normalisation import LEAST_E, normalise, observed_amplitudes
from dials_spread.rfactor.merging import r_meas
from dials_spread.stages import stage
from dials_spread.statistics import ONE_SIGMA
from dials_spread.statistics.groups import (
    group_means,
    group_medians,
    group_sums,
    order_of_groups,
)

FURTHEST = 4.0
"""How far from the middle of its reflection an observation may be, in units of that middle, or
of the mean intensity at its resolution where that is larger."""

LEAST, STRONG = 0.1, 0.5
"""Part of that middle below which an observation is gross, too, where the middle is more than
the second times the mean intensity at its resolution."""

LEAST_CUT, TAIL = 5.0, 3.0
"""Least number of units, and where the tail begins. What is out of range is half as many with
each unit further off: the limit is where less than one observation of the data is expected."""

FEW = 0.9
"""Of R_meas what is left without what is too large must be less, or this counts. With 1 %
of the intensities multiplied by 20 it is 0.2 to 0.87 in 20 sets; in 117 of which nothing was
changed 0.96 and more, and in 33 with overlaps 0.906 and more."""

FEWEST, LARGEST_SHARE = 3, 1 / 3
"""Observations of a reflection, and which part of them may be gross."""

SHARED, BINS = 60, 8
"""Observations with equivalents that tell how far they usually are off, at least; bins of
strength, and of resolution, of no fewer."""

MEDIAN_TO_SIGMA = 1.4826
"""Standard deviation of normal deviates over their median size."""


def out_of_range(
    intensity: np.ndarray, middle: np.ndarray, usual: np.ndarray
) -> np.ndarray:
    """
    Say what is further from the middle of its reflection than multiple scattering brings it.

    Args:
        intensity: Shape (n,), on one scale.
        middle: Shape (n,), 0 and more, of the reflection; infinite where nothing is known.
        usual: Shape (n,), mean intensity at its resolution.

    Returns:
        Shape (n,), bool; true where nothing is known.
    """
    unit = np.maximum(np.where(np.isfinite(middle), middle, 0.0), usual)
    hidden = (intensity < LEAST * middle) & (middle > STRONG * usual)
    return ~(np.abs(intensity - middle) <= FURTHEST * unit) | hidden


@stage("Gross outliers")
def gross_outliers(scaled: Observations) -> tuple[np.ndarray, np.ndarray]:
    """
    Find observations that are far from their equivalents in both ways.

    Args:
        scaled: n observations on one scale, with their geometry.

    Returns:
        Shape (n,), bool: the gross ones; none where too little was measured twice to tell.
        And the middle of each one's reflection, 0 and more, shape (n,).
    """
    unique, n_unique = scaled.unique, scaled.n_unique
    crossing = scaled.crossings()
    weight = 1 / np.bincount(crossing)[crossing]
    # Medians with weights take sorting.
    unequal = weight if weight.min(initial=1) < 1 else None
    found = group_medians(scaled.intensity, unique, n_unique, unequal)
    middle = np.maximum(found, 0)
    none = np.zeros(len(scaled), dtype=bool)
    if not middle.any():
        return none, middle[unique]
    N = normalise(middle, scaled.d_star_sq, scaled.epsilon).N
    far = out_of_range(scaled.intensity, middle[unique], N[unique])
    if not far.any():
        return none, middle[unique]
    E, E_middle = observed_amplitudes(scaled.intensity, N[unique]), np.sqrt(middle / N)
    off = np.abs(E - E_middle[unique])
    usual = _usually_off(E, E_middle, scaled)
    # Its own equivalents may differ by more than those of other reflections.
    own = group_medians(off, unique, n_unique, unequal) * MEDIAN_TO_SIGMA
    noise = scaled.sigma / N[unique]
    noise = noise / np.maximum(np.abs(E) + E_middle[unique], LEAST_E)
    off /= np.hypot(np.maximum(usual, own)[unique], noise)
    far &= (np.bincount(unique, minlength=n_unique) >= FEWEST)[unique]
    tail = np.count_nonzero(far & (off > TAIL) & (off <= TAIL + 1))
    far &= off > max(LEAST_CUT, TAIL + 1 + np.log2(max(tail, 1)))
    total = group_sums(weight, unique, n_unique)
    share = group_sums(np.where(far, weight, 0.0), unique, n_unique) / total
    far &= (share < LARGEST_SHARE + 1e-9)[unique]
    middle = middle[unique]
    return _without_few(far, far & (scaled.intensity > middle), scaled), middle


def _without_few(
    far: np.ndarray, large: np.ndarray, scaled: Observations
) -> np.ndarray:
    """
    Let what is too large count where it makes little of R_meas.

    Args:
        far, large: Shape (n,), bool: gross outliers; those that are too large.
        scaled: The observations.

    Returns:
        Shape (n,), bool.
    """
    if not large.any():
        return far
    I, unique, n_unique = scaled.intensity, scaled.unique, scaled.n_unique
    with_them = r_meas(I, unique, n_unique)[0]
    without = r_meas(I[~large], unique[~large], n_unique)[0]
    return far if without < FEW * with_them else far & ~large


def _usually_off(
    E: np.ndarray, E_middle: np.ndarray, scaled: Observations
) -> np.ndarray:
    """
    Say how far crossings of the Ewald sphere usually are from the middle of their reflection.

    Args:
        E: Shape (n,), amplitudes of observations.
        E_middle: Shape (u,), of the middle of their reflections.
        scaled: The observations.

    Returns:
        Shape (u,), 68 % of those of like strength and resolution are within that; infinite
        where nothing tells.
    """
    crossing, d_star_sq = scaled.crossings(), scaled.d_star_sq
    first = first_listings(crossing)
    n = len(first)
    own = scaled.unique[first]
    number = np.bincount(own, minlength=len(E_middle))[own]
    off = np.abs(group_means(E, crossing, n) - E_middle[own])
    # An observation has part in the middle that it is compared with.
    off *= np.sqrt(number / np.maximum(number - 1, 1))
    shared = number > 1
    off, own = off[shared], own[shared]
    if len(off) < SHARED:
        return np.full(len(E_middle), np.inf)
    usual = _within(off, own, E_middle)
    relative = off / np.maximum(usual[own], 1e-9)
    return usual * _within(relative, own, d_star_sq)


def _within(off: np.ndarray, unique: np.ndarray, x: np.ndarray) -> np.ndarray:
    """
    Say within what 68 % of some numbers are, as it depends on their reflections.

    Args:
        off: Shape (m,), not negative.
        unique: Shape (m,), the reflection of each.
        x: Shape (u,), of reflections, on which it depends.

    Returns:
        Shape (u,), between bins of x with as many numbers each.
    """
    bins = min(len(off) // SHARED, BINS)
    # Reflections are fewer than numbers, and sorted sooner.
    rank = np.empty(len(x), dtype=np.int64)
    rank[np.argsort(x, kind="stable")] = np.arange(len(x))
    parts = np.array_split(order_of_groups(rank[unique]), bins)
    place = [x[unique[part]].mean() for part in parts]
    return np.interp(x, place, [np.quantile(off[part], ONE_SIGMA) for part in parts])
