"""
How much observations of one crystal at one orientation differ.

A crystal shows a reflection again at the same orientation: as a symmetry equivalent, or by
reciprocity, where the beam comes from the other side (a Friedel mate of a centrosymmetric
crystal always does). Thickness, bending and damage are then nearly the same, and what
differs beyond σ are errors of the single observation. What two crystals differ by more at
one orientation is theirs: thickness, above all.

How fast γ grows from there is found from the repeats themselves. It does not grow as
between crystals: repeats are of reflections that lie near the zone of the rotation axis, or
of Friedel mates, the further from each other the higher their resolution.

Functions:
    repeats_at_zero: γ at 0° within crystals
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.spread.variogram.angle_bins import Binned
from dials_spread.spread.variogram.curves import (
    FEWEST_PAIRS,
    ROUNDS,
    VariogramCurves,
    correlation,
    errors_of_bins,
)
from dials_spread.spread.variogram.pair_table import EDGES
from dials_spread.statistics.bootstrap import (
    FEWEST_CRYSTALS,
    standard_errors_of_mean,
)

LOST = 0.5
"""Of the correlation: bins that have lost more say little about 0°."""

MISFIT = 0.4
"""Of what γ has grown by in a bin: how far the curve may be off."""

GROWTH_LIKE = 3.0
"""How far the growth may be from that between crystals, relative to it: repeats of few
crystals do not tell it."""

BEGIN = 0.25
"""Of γ at 0° between crystals: where the fit begins."""

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
    noise: float,
) -> Repeats:
    """
    Give γ at 0° of pairs of observations of one crystal.

    Args:
        within: Variogram within crystals.
        crystals: Shape (N_BINS,), crystals of the pairs of each bin.
        curves: Of pairs of two crystals.
        both_sides: Beams from opposite sides are alike.
        n_groups: Groups of crystals that the samples are of.
        noise: Mean variance of a relative intensity from counting.

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
    at_zero = _extrapolated(within, near, 1 - rho[near], curves, noise)
    reason = _not_known(at_zero, float(curves.at_zero[0]), n_groups)
    if reason:
        return Repeats(np.full(len(within.gamma), np.nan), pairs, n, reason)
    return Repeats(at_zero, pairs, n, "")


def _extrapolated(
    within: Binned,
    near: np.ndarray,
    lost: np.ndarray,
    curves: VariogramCurves,
    noise: float,
) -> np.ndarray:
    """
    Fit ``γ at 0° + growth · lost`` to the bins near 0°, in every sample.

    Args:
        within: Variogram within crystals.
        near: Shape (N_BINS,), bool, k bins.
        lost: Shape (k,), what is lost of the correlation.
        curves: Of pairs of two crystals.
        noise: Mean variance of a relative intensity from counting.

    Returns:
        γ at 0°, shape (1 + samples,).
    """
    gamma = within.gamma[:, near]
    usual = max(float(curves.growth[0]), 1e-6)
    prior = (GROWTH_LIKE * usual) ** -2.0
    at_zero, growth = BEGIN * max(float(curves.at_zero[0]), 0.0), usual
    level = np.zeros(len(within.pairs))
    for _ in range(ROUNDS):
        grown = max(growth, 0.0) * lost
        level[near] = max(at_zero, 0.0) + grown
        error = np.hypot(errors_of_bins(within, level, noise)[near], MISFIT * grown)
        weight = np.maximum(error, 1e-6) ** -2.0
        design = np.stack([np.ones(len(lost)), lost])
        normal = (design * weight) @ design.T + np.diag([0.0, prior])
        right = (design * weight) @ gamma.T
        right[1] += prior * curves.growth
        fitted = np.linalg.solve(normal, right)
        at_zero, growth = fitted[:, 0].tolist()
    return fitted[0]


def _not_known(at_zero: np.ndarray, between: float, n_groups: int) -> str:
    """Say why repeats do not divide what two crystals differ by; empty where they do."""
    if len(at_zero) < 2:
        return "the error of γ of repeats on one crystal is not known."
    error = float(standard_errors_of_mean(at_zero[1:], n_groups))
    if LIKELY * error < max(between, 0.0):
        return ""
    return (
        "repeats on one crystal are too few or too uncertain: they differ by γ = "
        f"{at_zero[0]:.2g} ± {error:.2g}, two crystals at one orientation by "
        f"{max(between, 0.0):.2g}."
    )
