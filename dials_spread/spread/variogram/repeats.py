"""
How much observations of one crystal at one orientation differ.

A crystal shows a reflection again at the same orientation: as a symmetry equivalent, or by
reciprocity, where the beam comes from the other side (a Friedel mate of a centrosymmetric
crystal always does). Thickness, bending and damage are then nearly the same, and what
differs beyond σ are errors of the single observation. What two crystals differ by more at
one orientation is theirs: thickness, above all.

Functions:
    repeats_at_zero: γ at 0° within crystals
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.spread.variogram.angle_bins import Binned
from dials_spread.spread.variogram.curves import (
    FEWEST_PAIRS,
    VariogramCurves,
    correlation,
)
from dials_spread.spread.variogram.pair_table import EDGES
from dials_spread.statistics.bootstrap import (
    FEWEST_CRYSTALS,
    standard_errors_of_mean,
)

LOST = 0.5
"""Of the correlation: bins that have lost more say little about 0°."""


LIKELY = 2.0
"""Standard errors of what repeats differ by that must be less than all there is at 0°."""

FEW = 5.0
"""Effective number of crystals below which a bin is not used beside others."""


class Repeats(NamedTuple):
    """
    Repeats within crystals.

    Attributes:
        at_zero: Shape (1 + samples,), γ at 0°; nan where it cannot be told.
        pairs: Pairs of observations behind it.
        crystals: Crystals, or groups of them, that these come from.
        reason: Why there is no value, in one sentence, or nothing.
    """

    at_zero: np.ndarray
    pairs: int
    crystals: int
    reason: str


def repeats_at_zero(
    within: Binned,
    crystals: np.ndarray,
    curves: VariogramCurves,
    both_sides: bool,
    n_groups: int,
) -> Repeats:
    """
    Give γ at 0° of pairs of observations of one crystal.

    Near 0° the pairs lose with the angle what pairs of two crystals lose.

    Args:
        within: Variogram within crystals.
        crystals: Shape (N_BINS,), crystals of the pairs of each bin.
        curves: Of pairs of two crystals.
        both_sides: Beams from opposite sides are alike.
        n_groups: Groups of crystals that the samples are of.

    Returns:
        The repeats.
    """
    folded = np.minimum(within.angle, 180 - within.angle)
    rho = correlation(curves.shape, np.nan_to_num(folded) / curves.angle[0])
    near = (within.pairs > 0) & (rho >= LOST) & (both_sides | (EDGES[1:] <= 90))
    pairs = int(within.pairs[near].sum())
    n = int(crystals[near].max(initial=0))
    if pairs < FEWEST_PAIRS or n < FEWEST_CRYSTALS:
        reason = (
            "too few reflections were observed again on one crystal at the same "
            f"orientation ({pairs} pairs of observations; it takes {FEWEST_PAIRS}, on "
            f"{FEWEST_CRYSTALS} crystals)."
        )
        return Repeats(np.full(len(within.gamma), np.nan), pairs, n, reason)
    # Bins of few crystals, where symmetry mates happen to lie on one scan, hold wild ones.
    usual = near & (within.dyads >= FEW)
    near = usual if usual.any() else near
    # One variance; bins count by their crystals, and less if they have lost much of it.
    weight = within.dyads[near] * rho[near] ** 2
    lost = curves.growth[:, None] * (1 - rho[near])
    at_zero = np.average(within.gamma[:, near] - lost, weights=weight, axis=1)
    reason = _not_known(at_zero, float(curves.at_zero[0]), n_groups)
    if reason:
        return Repeats(np.full(len(within.gamma), np.nan), pairs, n, reason)
    return Repeats(at_zero, pairs, n, "")


def _not_known(at_zero: np.ndarray, between: float, n_groups: int) -> str:
    """Say why repeats do not divide what two crystals differ by; empty where they do."""
    if len(at_zero) < 2:
        return "the uncertainty of what repeats on one crystal differ by is not known."
    error = float(standard_errors_of_mean(at_zero[1:], n_groups))
    if LIKELY * error < max(between, 0.0):
        return ""
    return (
        "what repeats on one crystal differ by is known no better than what two crystals "
        f"differ by at one orientation (γ {at_zero[0]:.3g} ± {error:.2g} of "
        f"{between:.3g})."
    )
