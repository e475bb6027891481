"""
How the disagreement of two observations grows with the angle between their beams.

The variogram γ(θ) of relative intensities, free of counting noise, for pairs of crystals
(within crystals where there is only one): its value towards θ = 0, the nugget, is what
differs between crystals at one orientation (thickness, damage, scale); its value far
away, the sill or plateau, is all that differs. What lies between changes with the
orientation: with electrons, multiple scattering. It must be flat for X-rays. The angle at
which half of it is reached is the correlation angle: images further apart have little
more in common than any others.

Functions:
    build_variogram: from the sums over pairs
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dials_spread.spread.variogram.angle_bins import (
    Binned,
    binned,
    crystals_in_bins,
    robust_variogram,
)
from dials_spread.spread.variogram.curves import (
    FAR,
    VariogramCurves,
    fit_curves,
    opposite_alike,
    why_not,
)
from dials_spread.spread.variogram.growth import LEVEL, growth_p_value
from dials_spread.spread.variogram.pair_table import BETWEEN, EDGES, WITHIN, PairTable
from dials_spread.spread.variogram.shuffles import Shuffled
from dials_spread.statistics.bootstrap import EMPTY, Groups, interval

KINDS = {WITHIN: "within crystals", BETWEEN: "between crystals"}

VAGUE = 10
"""Ratio of the ends of its interval beyond which a correlation angle is not used."""


@dataclass(frozen=True)
class Variogram:
    """
    A variogram with its fitted curve.

    Attributes:
        kind: "between crystals" or "within crystals".
        low, high: Edges of the bins [°], shape (n,), as all that follows.
        angle: Mean angle of the pairs [°].
        gamma: Mean estimator.
        gamma_low, gamma_high: Its 95 % interval over crystals, nan without one.
        robust: Robust estimator.
        pairs: Pairs of observations.
        crystals: Crystals that these come from.
        shape: Form of the curve, empty without one.
        opposite_alike: Whether beams from opposite sides are taken as alike, by
            reciprocity; not where the data contradict; None without a curve.
        nugget, sill, range: γ at 0°, the plateau, and the correlation angle [°], at which
            half of the growth is reached; each with (value, low, high). The angle is nan
            where growth is not shown.
        growth_p_value: Probability of as large a growth where there is none; nan without
            an interval.
        share_of_plateau: 1 - nugget/sill, likewise: the part of the disagreement
            between distant orientations that vanishes at the same one. It is no share
            of the variance of an observation (spread.sources.components), which has
            counting noise and factors of images and crystals besides.
        reason: Why there is no curve, in one sentence, or nothing.
        n_pairs: Pairs used, of all kinds and angles.
        n_all: Pairs there are.
        n_crystals: Crystals that the pairs of this kind come from.
        partial_sills: Sill less nugget in every draw; nan without a curve.
        rests: Nugget in every draw; without a curve the mean over all angles.
        curves: The fits; None without.
    """

    kind: str
    low: np.ndarray
    high: np.ndarray
    angle: np.ndarray
    gamma: np.ndarray
    gamma_low: np.ndarray
    gamma_high: np.ndarray
    robust: np.ndarray
    pairs: np.ndarray
    crystals: np.ndarray
    shape: str
    opposite_alike: bool | None
    nugget: tuple[float, float, float]
    sill: tuple[float, float, float]
    range: tuple[float, float, float]
    share_of_plateau: tuple[float, float, float]
    growth_p_value: float
    reason: str
    n_pairs: int
    n_all: int
    n_crystals: int
    partial_sills: np.ndarray
    rests: np.ndarray
    curves: VariogramCurves | None = None

    @property
    def grows(self) -> bool:
        """Whether growth with the angle is shown, at a level of 5 %."""
        return self.growth_p_value <= LEVEL

    def as_dict(self) -> dict:
        """Give what is not of single draws, estimates as {value, low, high}."""
        given = dict(vars(self))
        for name in ("nugget", "sill", "range", "share_of_plateau"):
            given[name] = dict(zip(("value", "low", "high"), given[name]))
        # The former key of the JSON file stays beside the new one.
        given["share"] = given["share_of_plateau"]
        for name in ("partial_sills", "rests", "curves"):
            del given[name]
        return given


def _estimate(values: np.ndarray, n: int) -> tuple[float, float, float]:
    return (float(values[0]), *interval(values, n))


def build_variogram(
    table: PairTable,
    groups: Groups,
    weights: np.ndarray,
    levels: np.ndarray,
    noise: float,
    kind: int = BETWEEN,
    without_factors: bool = False,
    shuffled: Shuffled | None = None,
) -> Variogram:
    """
    Give the variogram with its curve.

    Args:
        table: Sums over pairs.
        groups: Of crystals.
        weights: Shape (draws, groups), from groups.draws.
        levels: Shape (draws,), from mean_levels.
        noise: Mean variance of a relative intensity from counting.
        kind: WITHIN crystals or BETWEEN them.
        without_factors: Take off what images differ by in all their reflections.
        shuffled: Pairs between crystals near 0° with shuffled observations.

    Returns:
        The variogram; without a curve, and with the reason, where pairs are too few.
    """
    data = binned(table, weights, kind, without_factors)
    data = data._replace(gamma=data.gamma / levels[:, None] ** 2)
    unknown, (low, high) = (np.nan, *EMPTY), _ends(data, groups)
    found = Variogram(
        kind=KINDS[kind],
        low=EDGES[:-1],
        high=EDGES[1:],
        angle=data.angle,
        gamma=data.gamma[0],
        gamma_low=low,
        gamma_high=high,
        robust=_robust(table, kind, without_factors),
        pairs=data.pairs.astype(int),
        crystals=crystals_in_bins(table, kind),
        shape="",
        opposite_alike=None,
        nugget=unknown,
        sill=unknown,
        range=unknown,
        share_of_plateau=unknown,
        growth_p_value=np.nan,
        reason=why_not(data),
        n_pairs=table.n_pairs,
        n_all=table.n_all,
        n_crystals=groups.n_crystals,
        partial_sills=np.full(len(weights), np.nan),
        rests=_mean_over_angles(data),
    )
    if found.reason:
        return found
    alike = opposite_alike(data, groups.n)
    p_value = growth_p_value(data, groups.n, alike, shuffled, without_factors)
    return _with_curve(found, data, noise, groups.n, alike, p_value)


def _ends(data: Binned, groups: Groups) -> np.ndarray:
    """Ends of the interval of each bin, shape (2, N_BINS)."""
    ends = [interval(g, groups.n) for g in data.gamma.T]
    return np.array(ends if groups.enough else [EMPTY] * len(ends)).T


def _robust(table: PairTable, kind: int, without_factors: bool) -> np.ndarray:
    """The robust estimate; with factors taken off, of which only means are free of
    errors, there is none."""
    robust = robust_variogram(table, kind)
    return np.full_like(robust, np.nan) if without_factors else robust


def _mean_over_angles(data: Binned) -> np.ndarray:
    """What is known of the spread where it cannot be divided, shape (1 + samples,)."""
    filled = data.weight > 0
    if not filled.any():
        return np.full(len(data.gamma), np.nan)
    return np.average(data.gamma[:, filled], weights=data.weight[filled], axis=1)


def _angle(angles: np.ndarray, n: int) -> tuple[float, float, float]:
    """The correlation angle; beyond the plateau's beginning it is not looked for."""
    value, low, high = _estimate(angles, n)
    # Of few crystals the interval, which is symmetric, would begin below nought.
    low = float(np.maximum(low, 0.0))
    return value, low, min(high, max(FAR, value)) if np.isfinite(high) else high


def _with_curve(
    found: Variogram, data: Binned, noise: float, n: int, alike: bool, p_value: float
) -> Variogram:
    """Fit every sample."""
    # What was not tested, for want of crystals, is not claimed either.
    grows = p_value <= LEVEL
    curves = fit_curves(data, noise, alike, usual=not grows)
    with np.errstate(divide="ignore", invalid="ignore"):
        sill = curves.plateau
        share = np.where(sill > 0, curves.growth / sill, np.nan)
    value, low, high = np.clip(_estimate(share, n), 0, 1).tolist()
    return replace(
        found,
        shape=curves.shape,
        opposite_alike=alike,
        growth_p_value=p_value,
        nugget=_estimate(curves.at_zero, n),
        sill=_estimate(sill, n),
        range=_angle(curves.angle, n) if grows else (np.nan, *EMPTY),
        share_of_plateau=(value, 0.0 if p_value > LEVEL else low, high),
        partial_sills=curves.growth,
        rests=curves.at_zero,
        curves=curves,
    )
