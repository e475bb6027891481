"""
Nugget, sill and range: the curve through a variogram.

``nugget + partial sill · f(θ / range)`` is fitted by weighted least squares, with the
weights of Cressie (1985), Math. Geol. 17, 563: pairs over the squared variogram, here
with the noise of a pair in it. f is the spherical, the exponential or the Gaussian form
(Chilès and Delfiner (2012), Geostatistics, ch. 2), whichever fits best; for the latter
two the range is where 95 % is reached.

Functions:
    fitted_bins, why_not, fold: what can be fitted, and if nothing, why
    choose_shape, fit_curves: the fit
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.spread.variogram.angle_bins import Binned
from dials_spread.spread.variogram.pair_table import N_BINS

SHAPES = {
    "spherical": lambda x: np.where(x < 1, 1.5 * x - 0.5 * x**3, 1.0),
    "exponential": lambda x: 1 - np.exp(-3 * x),
    "gaussian": lambda x: 1 - np.exp(-3 * x**2),
}

RANGES = np.geomspace(1.0, 60.0, 36)
"""Ranges that are tried [°]."""

FEWEST_PAIRS = 20
"""Pairs below which a bin is not fitted."""

NEAR = 4.0
"""A nugget needs a bin below this angle [°]."""

FAR = 15.0
"""A sill needs a bin beyond this angle [°]."""


class VariogramCurves(NamedTuple):
    """
    Fitted curves, arrays of shape (draws,).

    Attributes:
        nugget: Where the angle goes to zero; can come out negative, as the next.
        partial_sill: What the orientation adds.
        range: [°].
    """

    nugget: np.ndarray
    partial_sill: np.ndarray
    range: np.ndarray


def fitted_bins(whole: Binned) -> np.ndarray:
    """Select the bins that have pairs enough, shape (N_BINS,)."""
    return whole.pairs[0] >= FEWEST_PAIRS


def fold(data: Binned) -> Binned:
    """Take beams from opposite sides as alike: an angle θ beyond 90° is 180° - θ."""
    return data._replace(angle=np.minimum(data.angle, 180 - data.angle))


def why_not(whole: Binned) -> str:
    """Say why nugget and sill cannot be fitted; empty where they can."""
    chosen = fitted_bins(whole)
    angle = whole.angle[0][chosen]
    angle = angle[angle <= 90]
    few = f"(a bin takes {FEWEST_PAIRS})"
    if not len(angle):
        return f"no angle has enough pairs of observations {few}."
    if angle.min() > NEAR:
        return (
            f"too few pairs of observations {few} have their beam directions within "
            f"{NEAR:g}°; the nearest that do are {angle.min():.3g}° apart."
        )
    if angle.max() < FAR or len(angle) < 4:
        return (
            f"too few pairs of observations {few} have their beam directions beyond "
            f"{FAR:g}°."
        )
    return ""


def _lines(shape: str, ranges: np.ndarray, angle, w, y) -> np.ndarray:
    """Fit nugget and partial sill: both, and the sum of squares, shape (3, n, draws)."""
    # Ranges first: sums of shape (ranges, draws).
    x = SHAPES[shape](angle / ranges)
    sx, sxx = (w * x).sum(axis=-1), (w * x * x).sum(axis=-1)
    sy, sxy = (w * y).sum(axis=-1), (w * x * y).sum(axis=-1)
    determinant = sxx - sx**2
    usable = determinant > 1e-9
    slope = np.where(usable, sxy - sx * sy, np.nan) / np.where(usable, determinant, 1)
    offset = sy - slope * sx
    left = (w * (y - offset[..., None] - slope[..., None] * x) ** 2).sum(axis=-1)
    return np.array([offset, slope, np.nan_to_num(left, nan=np.inf)])


def _between(left: np.ndarray) -> np.ndarray:
    """Where the parabola through three sums of squares is lowest, shape (draws,)."""
    every = np.arange(left.shape[1])
    best = left.argmin(axis=0)
    middle = np.clip(best, 1, len(RANGES) - 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        below, at, above = (left[middle + k, every] for k in (-1, 0, 1))
        shift = 0.5 * (below - above) / (below - 2 * at + above)
    shift = np.where((best == middle) & np.isfinite(shift), shift, best - middle)
    return RANGES[middle] * (RANGES[1] / RANGES[0]) ** shift


def _least_squares(
    shape: str, data: Binned, chosen: np.ndarray, bin_weight: np.ndarray
) -> tuple[VariogramCurves, np.ndarray]:
    """
    Fit all draws with every range; also the weighted sum of squares of the best.

    Between the ranges that are tried a parabola is laid through three: with the draws on
    one and the same range, or on two, an interval would be of no width.
    """
    known = np.isfinite(data.gamma[:, chosen])
    y = np.where(known, data.gamma[:, chosen], 0)
    w = np.where(known, data.weight[:, chosen] * bin_weight[chosen], 0)
    w = w / np.maximum(w.sum(axis=1, keepdims=True), 1e-300)
    angle = np.nan_to_num(data.angle[:, chosen])
    left = _lines(shape, RANGES[:, None, None], angle, w, y)[2]
    ranges = _between(left)
    offset, slope, left = _lines(shape, ranges[None, :, None], angle, w, y)[:, 0]
    return VariogramCurves(offset, slope, ranges), left


def choose_shape(whole: Binned, noise: float) -> tuple[str, bool, np.ndarray]:
    """
    Choose the form of the curve, and the weight of each bin.

    By reciprocity, beams from opposite sides give one intensity; if the data say so,
    angles beyond 90° are folded back, which doubles the pairs of like orientation.

    Args:
        whole: Variogram of all crystals, one draw.
        noise: Mean variance of a relative intensity from counting, ν.

    Returns:
        The form that fits best; whether it does with beams from opposite sides taken as
        alike; and 1/(γ + ν)² by bin, shape (N_BINS,), by which the sums of weights are
        multiplied.
    """
    chosen = fitted_bins(whole)
    mean = np.average(whole.gamma[0][chosen], weights=whole.weight[0][chosen])
    level = np.full(N_BINS, max(mean, 0) + noise)
    shape, folded = "spherical", False
    for _ in range(3):
        fits = {
            (s, f): _least_squares(s, fold(whole) if f else whole, chosen, level**-2.0)
            for s in SHAPES
            for f in (False, True)
        }
        shape, folded = min(fits, key=lambda k: fits[k][1][0])
        curve = fits[shape, folded][0]
        angle = (fold(whole) if folded else whole).angle[0]
        x = SHAPES[shape](np.nan_to_num(angle) / curve.range[0])
        fitted = curve.nugget[0] + curve.partial_sill[0] * x
        # Never far below the mean: a bin with a value near zero by chance must not rule.
        level = np.maximum(fitted, 0.1 * max(mean, 0)) + noise
    return shape, folded, level**-2.0


def fit_curves(
    data: Binned, chosen: np.ndarray, bin_weight: np.ndarray
) -> VariogramCurves:
    """
    Fit nugget, sill and range to the variogram of each draw.

    Every draw takes the form that fits it best: that the form is not known is a part of
    the uncertainty.

    Args:
        data: One variogram a draw.
        chosen: Shape (N_BINS,), bool, from fitted_bins.
        bin_weight: Shape (N_BINS,), from choose_shape.

    Returns:
        The curves.
    """
    fits = [_least_squares(s, data, chosen, bin_weight) for s in SHAPES]
    best = np.argmin([left for _, left in fits], axis=0)
    every = np.array([curves for curves, _ in fits])
    nugget, partial_sill, ranges = every[best, :, np.arange(len(best))].T
    return VariogramCurves(nugget, partial_sill, ranges)
