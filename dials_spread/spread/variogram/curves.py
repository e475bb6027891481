"""
γ at 0°, the plateau, and how fast the one goes over into the other.

Far from 0° nothing is fitted: the plateau is the mean of γ over all pairs there. Near 0°
the curve is ``plateau - p ρ(θ/c)``, with a correlation ρ that falls from 1 to ½ at the
correlation angle c. Its form is not known. Forms that begin flat or straight, and that
end soon or late, are tried (the Cauchy family of Gneiting and Schlather (2004), SIAM Rev.
46, 269, and 2^(-uᵃ)), each with many c, and the one that fits best is taken, in every
sample anew.
Bins count by the errors that they should have if the fit is right, plus a part of the
plateau for what no form describes, so that γ at 0° follows the bins near 0° where there are
pairs enough. Where they are few, the correlation angle is drawn to what is usual.

Functions:
    fitted_bins, far_bins, why_not: what can be fitted, and if nothing, why
    opposite_alike: whether beams from opposite sides are as reciprocity wants them
    fit_curves: the fit
    correlation: ρ of a form
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.spread.variogram.angle_bins import (
    DYADS_DIFFER,
    LOWEST,
    Binned,
)
from dials_spread.spread.variogram.pair_table import EDGES
from dials_spread.statistics.bootstrap import standard_errors_of_mean

SHAPES = {
    **{
        f"(1 + (u/c)^{a:g})^(-{b / a:.3g})": (a, b)
        for a in (1.25, 1.5, 2.0)
        for b in (0.5, 1.0, 2.0)
    },
    **{f"2^(-u^{a:g})": (a, np.inf) for a in (1.25, 1.5, 2.0)},
}
"""Forms of the correlation: how it begins, as 1 - uᵃ, and ends, as u⁻ᵇ or sooner."""

ANGLES = np.geomspace(0.05, 12.0, 45)
"""Correlation angles that are tried [°]."""

FEWEST_PAIRS = 20
"""Pairs of observations near 0° below which nothing is fitted."""

NEAR = 2.0
"""γ at 0° needs a bin below this angle [°]."""

FAR = 16.0
"""The plateau is beyond this angle [°]."""

SIDES = 1.0
"""Beams from both sides are compared up to this angle [°]."""

UNLIKE = 3.5
"""Standard errors that they may differ by."""

MISFIT = 0.03
"""Of the plateau: how far a curve may be off."""

USUAL = 0.6
"""Correlation angle [°] that is taken where none can be told: of crystals of 200 to
1,000 Å, to a factor of two (docs/reliability.rst)."""

USUAL_SHAPE = "(1 + (u/c)^1.5)^(-0.667)"

WITHIN_FACTOR = 2.0
"""The correlation angle is within this factor of USUAL with a probability of ⅔, before the
data have spoken: of crystals of 50 to 1,000 Å it is 0.3° to 1.4° (docs/reliability.rst)."""

ROUNDS = 4
"""Of fitting by the errors that the fit before gives."""


class VariogramCurves(NamedTuple):
    """
    Fitted curves, arrays of shape (1 + samples,) but for the form.

    Attributes:
        plateau: Mean of γ at distant orientations.
        growth: What the orientation adds to γ at 0°; can come out negative.
        angle: Correlation angle [°], of half the growth.
        shape: Form of the first.
    """

    plateau: np.ndarray
    growth: np.ndarray
    angle: np.ndarray
    shape: str

    @property
    def at_zero(self) -> np.ndarray:
        """γ at 0°."""
        return self.plateau - self.growth


def correlation(shape: str, x: np.ndarray) -> np.ndarray:
    """
    Give ρ of a form.

    Args:
        shape: One of SHAPES.
        x: Angle over the correlation angle.
    """
    a, b = SHAPES[shape]
    if np.isinf(b):
        return np.exp2(-(x**a))
    # Stretched such that half is left at 1.
    return (1 + (2 ** (a / b) - 1) * x**a) ** (-b / a)


def _folded(angle: np.ndarray) -> np.ndarray:
    return np.minimum(angle, 180 - angle)


def fitted_bins(data: Binned, both_sides: bool = True) -> np.ndarray:
    """
    Select the bins that have pairs; those of few have large errors.

    Args:
        data: The variogram.
        both_sides: Bins of beams from opposite sides, too.

    Returns:
        Shape (N_BINS,), bool.
    """
    # Pairs of images without a factor have no weight where factors are taken off.
    return (data.weight > 0) & (both_sides | (EDGES[1:] <= 90))


def far_bins(chosen: np.ndarray) -> np.ndarray:
    """Select those of the plateau of the chosen bins, shape (N_BINS,), bool."""
    middle = 0.5 * (EDGES[:-1] + EDGES[1:])
    return chosen & (_folded(middle) > FAR)


def why_not(data: Binned) -> str:
    """Say why γ at 0° and the plateau cannot be told; empty where they can."""
    chosen = fitted_bins(data)
    angle = _folded(data.angle[chosen])
    near = int(data.pairs[chosen][angle <= NEAR].sum())
    if near < FEWEST_PAIRS:
        told = f"{near} {'has' if near == 1 else 'have'}"
        return (
            f"too few pairs of observations ({told}; it takes {FEWEST_PAIRS}) have their "
            f"beam directions within {NEAR:g}°."
        )
    if not far_bins(chosen).any() or len(angle) < 4:
        return (
            f"too few pairs of observations have their beam directions beyond {FAR:g}°."
        )
    return ""


def errors_of_bins(data: Binned, level: np.ndarray, noise: float) -> np.ndarray:
    """
    Give the standard error that γ has in each bin if its mean is some level.

    Errors are relative, and those of what was observed would give bins that came out low
    by chance the most say.

    Args:
        data: The variogram, of which pairs and dyads count.
        level: Mean γ of each bin, shape (N_BINS,).
        noise: Mean variance of a relative intensity from counting, ν.

    Returns:
        Shape (N_BINS,).
    """
    dyads = (DYADS_DIFFER * level) ** 2 / np.maximum(data.dyads, 1)
    return np.sqrt(dyads + 2 * (level + noise) ** 2 / np.maximum(data.pairs, 1))


def _plateaus(data: Binned, chosen: np.ndarray) -> np.ndarray:
    """Mean γ of distant orientations in each sample."""
    far = far_bins(chosen)
    if not far.any():
        far = chosen
    return np.average(data.gamma[:, far], weights=data.weight[far], axis=1)


def opposite_alike(data: Binned, n: int) -> bool:
    """
    Say whether beams from opposite sides differ no more than those from one side.

    By reciprocity they should. They do not where the faces of the crystals are not
    alike, or where the angles of the two sides have errors of their own.

    Args:
        data: The variogram with its samples.
        n: Number of groups of crystals.

    Returns:
        False where the mean γ near 0° of both sides differs by more than UNLIKE standard
        errors and by more than a quarter of the plateau.
    """
    near = (EDGES[1:] <= SIDES) & (data.weight > 0)
    other = (EDGES[:-1] >= 180 - SIDES) & (data.weight > 0)
    few = min(data.pairs[near].sum(), data.pairs[other].sum()) < FEWEST_PAIRS
    if few or len(data.gamma) < 2:
        return True
    one, two = (
        np.average(data.gamma[:, side], weights=data.weight[side], axis=1)
        for side in (near, other)
    )
    difference = np.abs(one - two)
    plateau = _plateaus(data, fitted_bins(data))[0]
    error = standard_errors_of_mean((one - two)[1:], n)
    return not (difference[0] > UNLIKE * error and difference[0] > 0.25 * plateau)


def fit_curves(
    data: Binned, noise: float, both_sides: bool = True, usual: bool = False
) -> VariogramCurves:
    """
    Fit the variogram and every sample of it.

    Args:
        data: The variogram; why_not has nothing against it.
        noise: Mean variance of a relative intensity from counting.
        both_sides: Take beams from opposite sides as alike.
        usual: Take the usual correlation angle and form, where there is no growth to
            find them by: the best of many would follow the noise.

    Returns:
        The curves.
    """
    chosen = fitted_bins(data, both_sides)
    angle = _folded(data.angle[chosen])
    plateau = _plateaus(data, chosen)
    tried = _Tried([USUAL_SHAPE], np.array([USUAL]), np.zeros((len(plateau), 1)))
    if not usual:
        tried = _all_to_try(angle, len(plateau))
    level = np.full(len(data.pairs), max(plateau[0], 0.0))
    for _ in range(ROUNDS):
        errors = errors_of_bins(data, level, noise)
        error = np.hypot(errors, MISFIT * plateau[0])[chosen] + 1e-9
        below = plateau[:, None] - data.gamma[:, chosen]
        one = _best(tried.of_first, angle, error**-2.0, below[:1])
        rho = correlation(one.shape, angle / one.angle[0])
        level[chosen] = np.maximum(
            plateau[0] - one.growth[0] * rho, LOWEST * max(plateau[0], 0.0)
        )
    gamma = _with_errors(data.gamma, errors)
    found = _best(tried, angle, error**-2.0, plateau[:, None] - gamma[:, chosen])
    # More than all cannot vanish.
    growth = np.minimum(found.growth, np.maximum(plateau, 0))
    return VariogramCurves(plateau, growth, found.angle, found.shape)


def _with_errors(gamma: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Add to the samples what they lack of the errors of bins, always the same."""
    if len(gamma) < 2:
        return gamma
    variance = np.nan_to_num(np.var(gamma[1:], axis=0))
    lacking = np.sqrt(np.maximum(errors**2 - variance, 0.0))
    # Other numbers than those of angle_bins, with which they would not add as squares.
    noise = np.random.default_rng(2).standard_normal(gamma.shape)
    noise[0] = 0.0
    return gamma + noise * lacking


class _Tried(NamedTuple):
    """
    What is tried.

    Attributes:
        shapes: Forms.
        angles: Correlation angles [°], shape (k,).
        prior: Shape (1 + samples, k), -2 log of how likely each is beforehand. Each sample
            has its own idea of the usual angle, so that what is not known from the data
            spreads as far as it may.
    """

    shapes: list[str]
    angles: np.ndarray
    prior: np.ndarray

    @property
    def of_first(self) -> _Tried:
        """For all crystals alone."""
        return self._replace(prior=self.prior[:1])


def _all_to_try(angle: np.ndarray, n: int) -> _Tried:
    """All forms and angles, for n samples of bins at some angles [°]."""
    # What falls off before the first bin could be anything at 0°.
    angles = ANGLES[np.append(ANGLES[1:] > angle.min(), True)]
    centre = np.random.default_rng(1).standard_normal(n) * np.log(WITHIN_FACTOR)
    centre[0] = 0.0
    away = np.log(angles / USUAL) - centre[:, None]
    return _Tried([*SHAPES], angles, (away / np.log(WITHIN_FACTOR)) ** 2)


class _Fits(NamedTuple):
    growth: np.ndarray
    angle: np.ndarray
    shape: str


def _best(
    tried: _Tried, angle: np.ndarray, weight: np.ndarray, below: np.ndarray
) -> _Fits:
    """
    Take the form and angle that fit best, in each row of what is missing to the plateau.

    Args:
        tried: Forms and angles.
        angle: Of the bins [°], shape (bins,).
        weight: One over their squared errors, shape (bins,).
        below: Shape (rows, bins).
    """
    fits = [_growths(shape, tried, angle, weight, below) for shape in tried.shapes]
    best = np.array([left for _, _, left in fits]).argmin(axis=0)
    every = np.arange(len(best))
    return _Fits(
        growth=np.array([growth for growth, _, _ in fits])[best, every],
        angle=np.array([at for _, at, _ in fits])[best, every],
        shape=tried.shapes[best[0]],
    )


def _growths(
    shape: str,
    tried: _Tried,
    angle: np.ndarray,
    weight: np.ndarray,
    below: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Fit one form to each row.

    Returns:
        Growth, correlation angle and weighted sum of squares, shape (rows,) each.
    """
    angles = tried.angles
    total = below**2 @ weight
    rho = correlation(shape, angle / angles[:, None])
    # Where γ falls towards 0°, by chance, no form has an advantage.
    along = np.maximum(below @ (weight * rho).T, 0.0)
    left = total[:, None] - along**2 / (rho**2 @ weight) + tried.prior
    best = left.argmin(axis=1)
    at = _between(left, best, angles) if len(angles) > 1 else angles[best]
    # Between the angles that were tried, each sample has its own.
    rho = correlation(shape, angle / at[:, None])
    growth = np.einsum("sb,sb,b->s", below, rho, weight) / (rho**2 @ weight)
    return growth, at, left[np.arange(len(best)), best]


def _between(left: np.ndarray, best: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Where the parabola through three sums of squares is lowest, shape (samples,)."""
    every = np.arange(len(best))
    middle = np.clip(best, 1, len(angles) - 2)
    below, at, above = (left[every, middle + k] for k in (-1, 0, 1))
    bend = below - 2 * at + above
    shift = np.divide(0.5 * (below - above), bend, np.zeros(len(best)), where=bend > 0)
    shift = np.where(best == middle, np.clip(shift, -1, 1), best - middle)
    return angles[middle] * (angles[1] / angles[0]) ** shift
