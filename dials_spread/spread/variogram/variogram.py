"""
How the disagreement of two observations grows with the angle between their beams.

The variogram γ(θ) of relative intensities, free of counting noise, for pairs of crystals
(within crystals where there is only one): its value towards θ = 0, the nugget, is what
differs between crystals at one orientation (thickness, damage, scale); its value far
away, the sill, is all that differs. What lies between changes with the orientation: with
electrons, multiple scattering. It must be flat for X-rays.

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
    choose_shape,
    fit_curves,
    fitted_bins,
    fold,
    why_not,
)
from dials_spread.spread.variogram.pair_table import BETWEEN, EDGES, WITHIN, PairTable
from dials_spread.statistics.bootstrap import EMPTY, Groups, interval

KINDS = {WITHIN: "within crystals", BETWEEN: "between crystals"}


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
        opposite_alike: Whether the curve takes beams from opposite sides as alike,
            because that fits better; None without a curve.
        nugget, sill, range: Of the curve, each with (value, low, high); range in degrees.
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
    reason: str
    n_pairs: int
    n_all: int
    n_crystals: int
    partial_sills: np.ndarray
    rests: np.ndarray

    def as_dict(self) -> dict:
        """Give what is not of single draws, estimates as {value, low, high}."""
        given = dict(vars(self))
        for name in ("nugget", "sill", "range", "share_of_plateau"):
            given[name] = dict(zip(("value", "low", "high"), given[name]))
        # The former key of the JSON file stays beside the new one.
        given["share"] = given["share_of_plateau"]
        for name in ("partial_sills", "rests"):
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

    Returns:
        The variogram; without a curve, and with the reason, where pairs are too few.
    """
    data = binned(table, weights, kind)
    data = data._replace(gamma=data.gamma / levels[:, None] ** 2)
    whole = Binned(data.weight[:1], data.gamma[:1], data.angle[:1], data.pairs[:1])
    reason = why_not(whole)
    unknown = (np.nan, *EMPTY)
    ends = [interval(g, groups.n) for g in data.gamma.T]
    low, high = np.array(ends if groups.enough else [EMPTY] * len(ends)).T
    found = Variogram(
        kind=KINDS[kind],
        low=EDGES[:-1],
        high=EDGES[1:],
        angle=whole.angle[0],
        gamma=whole.gamma[0],
        gamma_low=low,
        gamma_high=high,
        robust=robust_variogram(table, kind),
        pairs=whole.pairs[0].astype(int),
        crystals=crystals_in_bins(table, kind),
        shape="",
        opposite_alike=None,
        nugget=unknown,
        sill=unknown,
        range=unknown,
        share_of_plateau=unknown,
        reason=reason,
        n_pairs=table.n_pairs,
        n_all=table.n_all,
        n_crystals=groups.n_crystals,
        partial_sills=np.full(len(weights), np.nan),
        rests=_mean_over_angles(data),
    )
    return found if reason else _with_curve(found, data, whole, noise, groups.n)


def _mean_over_angles(data: Binned) -> np.ndarray:
    """What is known of the spread where it cannot be divided, shape (draws,)."""
    total = data.weight.sum(axis=1)
    mean = np.nansum(data.weight * data.gamma, axis=1)
    return np.divide(mean, total, np.full(len(total), np.nan), where=total > 0)


def _with_curve(
    found: Variogram, data: Binned, whole: Binned, noise: float, n: int
) -> Variogram:
    """Fit every draw."""
    shape, folded, bin_weight = choose_shape(whole, noise)
    data = fold(data) if folded else data
    curves = fit_curves(data, fitted_bins(whole), bin_weight)
    sill = curves.nugget + curves.partial_sill
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(sill > 0, curves.partial_sill / sill, np.nan)
    value, low, high = np.clip(_estimate(share, n), 0, 1).tolist()
    return replace(
        found,
        shape=shape,
        opposite_alike=folded,
        nugget=_estimate(curves.nugget, n),
        sill=_estimate(sill, n),
        range=_estimate(curves.range, n),
        share_of_plateau=(value, low, high),
        partial_sills=curves.partial_sill,
        rests=curves.nugget,
    )
