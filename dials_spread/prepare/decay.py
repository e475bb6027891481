"""
Beam damage: a falloff with resolution that grows along the scan of each crystal.

Model, on top of the scales: ``ln s`` has the term ``-r t d*²/2`` with t from 0 to 1 along the
scan, in the order in which images were taken, so that r [Å²] is the B that a crystal has
gained at its end (relative B factors against dose: Holton (2009), J. Synchrotron Rad. 16,
133; dials.scale's decay correction is of the same form). Equivalents of one and of several
crystals tell r; where they do, intensities are taken back to the beginning.

Multiple scattering also makes equivalents of different images differ, so that an r is found
in undamaged data as well, far beyond its standard uncertainty. It counts as damage only
where the mean over crystals is beyond what those have, and is positive, or where single
crystals stand out far beyond it.

Functions:
    find_scales: crystals on one scale, without damage
    with_decay: scales that take damage out where the data show it
"""

from __future__ import annotations

from dataclasses import replace

import numba as nb
import numpy as np
from scipy.sparse.linalg import LinearOperator
from scipy.stats import norm

from dials_spread.observations import Observations
from dials_spread.prepare.scaling import Decay, Scales, fit_scales, merge
from dials_spread.versions import conjugate_gradients

ROUNDS, MOST_ROUNDS = 3, 12
"""Linearisations of the model: at least, and where it still changes."""

STILL = 0.1
"""Change of r in a round that counts [Å²]."""

STEPS, TOLERANCE = 30, 0.01
"""Of conjugate gradients in each: how many, and how near the solution they end."""

KNOWN = 1.0
"""What data have to say of a crystal for its changes to count [Å⁻⁴]."""

LARGEST_STEP = 3.0
"""Most that a term changes in one round."""

FAINT = 1e-3
"""Inverse variance that keeps the other terms finite where nothing was measured."""

FIXED = 1e9
"""The same for what is not to change."""

LARGEST_RESIDUAL = 1.5
"""Relative residuals count for no more."""

PRIOR = 2.0
"""Expected size of r while it is looked for [Å²]."""

UNDAMAGED = 0.4
"""Standard deviation of r of undamaged crystals that scatter strongly [Å²]."""

UNDAMAGED_MEAN = 0.1
"""The part of it that crystals of a compound have in common [Å²]."""

BETWEEN = 1.0
"""Standard deviation of r between damaged crystals of a compound [Å²]."""

CLEARLY = 3.0
"""Standard deviations by which the mean r has to differ from nought."""

ALONE, BY_CHANCE = 4.0, 1e-3
"""Standard deviations by which a crystal stands out, or more where so many do so by chance."""


@nb.njit(cache=True, nogil=True)
def _terms(t, D, x):
    x[0], x[1], x[2], x[3], x[4] = 1.0, t, t * t, D, t * D


@nb.njit(cache=True, nogil=True)
def _own_blocks(crystal, unique, t, D, weight, total, matrix, vector, y):
    """
    Add up the normal equations of each crystal, means of reflections taken out.

    Observations are in the order of crystals, and of reflections of each.
    """
    x, sums = np.ones(5), np.zeros(5)
    n = len(crystal)
    for i in range(n):
        c = crystal[i]
        _terms(t[i], D[i], x)
        for a in range(5):
            sums[a] += weight[i] * x[a]
            vector[c, a] += weight[i] * x[a] * y[i]
            for b in range(5):
                matrix[c, a, b] += weight[i] * x[a] * x[b]
        last = i + 1 == n or crystal[i + 1] != c or unique[i + 1] != unique[i]
        if last:
            for a in range(5):
                for b in range(5):
                    if total[unique[i]] > 0:
                        matrix[c, a, b] -= sums[a] * sums[b] / total[unique[i]]
            sums[:] = 0


@nb.njit(cache=True, nogil=True)
def _times_normal(p, crystal, unique, t, D, weight, total, mean, out):
    """Multiply parameters, shape (crystals, 5), by the matrix of all normal equations."""
    x = np.ones(5)
    mean[:] = 0
    for i in range(len(crystal)):
        _terms(t[i], D[i], x)
        mean[unique[i]] += weight[i] * np.dot(x, p[crystal[i]])
    for u in range(len(mean)):
        mean[u] = mean[u] / total[u] if total[u] > 0 else 0.0
    for i in range(len(crystal)):
        _terms(t[i], D[i], x)
        off = weight[i] * (np.dot(x, p[crystal[i]]) - mean[unique[i]])
        for a in range(5):
            out[crystal[i], a] += x[a] * off


@nb.njit(cache=True, nogil=True)
def _add_terms(log_scale, crystal, t, D, change):
    """Add terms of each crystal to the logarithms of scales, in place."""
    for i in range(len(crystal)):
        own = change[crystal[i]]
        log_scale[i] += own[0] + (own[1] + own[2] * t[i]) * t[i]
        log_scale[i] += (own[3] + own[4] * t[i]) * D[i]


def _times(measured: Observations) -> np.ndarray:
    """Give where in its crystal's scan an observation was made, 0 to 1."""
    when, crystal = measured.images.z[measured.first_image], measured.crystal
    low = np.full(measured.n_experiments, np.inf)
    high = np.full(measured.n_experiments, -np.inf)
    np.minimum.at(low, crystal, when)
    np.maximum.at(high, crystal, when)
    span = (high - low)[crystal]
    return np.divide(when - low[crystal], span, out=np.zeros(len(when)), where=span > 0)


class _Fit:
    """Scales with five more terms for each crystal, by least squares over all pairs."""

    def __init__(self, measured: Observations, scale: np.ndarray) -> None:
        u, crystal = measured.unique, measured.crystal
        self.measured, self.log_scale = measured, np.log(scale)
        # Halves of the usual size: with 10 million observations memory is short here.
        self.t = _times(measured).astype(np.float32)
        self.D = (-0.5 * measured.d_star_sq).astype(np.float32)[u]
        self.rate = np.zeros(measured.n_experiments)
        self.repeated = np.bincount(u, minlength=measured.n_unique)[u] > 1
        self.merged: np.ndarray | None = None
        order = np.argsort(crystal.astype(np.int64) * measured.n_unique + u)
        self.order = order.astype(np.int32 if len(u) < 2**31 else np.int64)
        kinds = (crystal, np.int32), (u, np.int32), (self.t, None), (self.D, None)
        self.sorted = tuple(x[self.order].astype(k or x.dtype) for x, k in kinds)

    def run(self, fixed: np.ndarray | None = None) -> np.ndarray:
        """
        Find all terms.

        Args:
            fixed: Shape (crystals,), the r that is known; None to find it.

        Returns:
            Shape (crystals,), what the data say of r: one over its variance [Å⁻⁴].
        """
        if fixed is not None:
            self._add(np.stack([0 * fixed] * 4 + [fixed - self.rate], axis=1))
        known = np.zeros(len(self.rate))
        for k in range(MOST_ROUNDS):
            before = self.rate.copy()
            known = self._improve(fixed is not None)
            change = np.where(known > KNOWN, np.abs(self.rate - before), 0.0)
            if k + 1 >= ROUNDS and change.max() < STILL:
                break
        return known

    def _improve(self, is_fixed: bool) -> np.ndarray:
        """Linearise, and solve; give what the data say of r."""
        measured, n = self.measured, self.measured.n_experiments
        self.merged, residual, weight = merge(
            measured, np.exp(self.log_scale), self.merged, self.repeated
        )
        o, u, n_unique = self.order, measured.unique, measured.n_unique
        weight = np.where(self.repeated, weight, 0.0)
        residual = np.clip(residual, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
        total = np.bincount(u, weight, n_unique)
        mean = np.bincount(u, weight * residual, n_unique) / np.maximum(total, 1e-300)
        columns = *self.sorted, weight[o], total
        matrix, vector = np.zeros((n, 5, 5)), np.zeros((n, 5))
        _own_blocks(*columns, matrix, vector, (residual - mean[u])[o])
        prior = np.array([FAINT] * 4 + [FIXED if is_fixed else 1 / PRIOR**2])
        if not is_fixed:
            vector[:, 4] -= prior[4] * self.rate
        matrix[:, range(5), range(5)] += prior
        inverse, scratch = np.linalg.inv(matrix), np.empty(n_unique)

        def times(p: np.ndarray) -> np.ndarray:
            p, out = p.reshape(n, 5), np.zeros((n, 5))
            _times_normal(p, *columns, scratch, out)
            return (out + prior * p).ravel()

        def nearly(p: np.ndarray) -> np.ndarray:
            return np.einsum("cij,cj->ci", inverse, p.reshape(n, 5)).ravel()

        whole, nearby = (LinearOperator((5 * n, 5 * n), f) for f in (times, nearly))
        change = conjugate_gradients(whole, vector.ravel(), nearby, TOLERANCE, STEPS)
        change = change.reshape(n, 5)
        known = 1 / inverse[:, [3, 4], [3, 4]] - prior[3:]
        # A common B at the beginning is not determined, as it is not of scales.
        of_B = np.maximum(known[:, 0], 1e-9)
        change[:, 3] -= np.sum(of_B * change[:, 3]) / of_B.sum()
        self._add(np.clip(change, -LARGEST_STEP, LARGEST_STEP))
        return known[:, 1]

    def _add(self, change: np.ndarray) -> None:
        _add_terms(self.log_scale, self.measured.crystal, self.t, self.D, change)
        self.rate += change[:, 4]


def find_scales(measured: Observations) -> Scales:
    """
    Put crystals on one scale, and take damage out where the data show it.

    Args:
        measured: n observations.
    """
    return with_decay(measured, fit_scales(measured))


def with_decay(measured: Observations, scales: Scales) -> Scales:
    """
    Take damage out, where the data show it beyond doubt.

    Args:
        measured: n observations.
        scales: Of them, from fit_scales.

    Returns:
        The same scales, with `decay`; where there is damage, scales to the beginning of
        each crystal.
    """
    none = np.zeros(measured.n_experiments)
    nothing = np.full(len(none), np.nan)
    nought = Decay(none, np.nan, np.nan, scales.scale, nothing, nothing)
    unknown = replace(scales, decay=nought)
    fit = _Fit(measured, scales.scale)
    if not fit.repeated.any() or not fit.t.any():
        return unknown
    known = np.maximum(fit.run(), 0)
    # A crystal says as much as its data do, and no more than undamaged ones agree.
    weight = known / (1 + known * UNDAMAGED**2)
    if not weight.sum() > 0:
        return unknown
    # Without what the prior took away.
    own = fit.rate * (known + 1 / PRIOR**2) / np.maximum(known, 1e-9)
    su = np.where(weight > 0, np.maximum(weight, 1e-12) ** -0.5, np.inf)
    damaged, rate = _taken_out(own, weight, su)
    some = damaged if damaged.any() else np.ones(len(own), bool)
    decay = Decay(rate, *_mean(own[some], weight[some]), scales.scale, own, su)
    if not damaged.any():
        return replace(scales, decay=decay)
    fit.run(rate)
    scale = np.exp(fit.log_scale - fit.log_scale.mean())
    return replace(scales, scale=scale, decay=decay)


def _taken_out(
    own: np.ndarray, weight: np.ndarray, su: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say which crystals are damaged beyond doubt, and the r that is taken out of each."""
    mean, uncertainty = _mean(own, weight)
    damaged = np.full(len(own), mean >= CLEARLY * uncertainty)
    if not damaged.any():  # or some stand out among others
        damaged = own > max(ALONE, norm.isf(BY_CHANCE / len(own))) * su
        if not damaged.any():
            return damaged, np.zeros(len(own))
        mean = _mean(own[damaged], weight[damaged])[0]
    # What crystals have in common is known best; that of each is drawn to it.
    excess = np.sum((weight * (own - mean) ** 2 - 1)[damaged]) / weight[damaged].sum()
    stand_out = damaged & (own > 2 * su)
    if excess > BETWEEN**2 and stand_out.any():
        # They have little in common, so that some may be undamaged.
        damaged, mean = stand_out, _mean(own[stand_out], weight[stand_out])[0]
    between = max(BETWEEN**2, excess)
    part = weight * between / (1 + weight * between)
    return damaged, np.where(damaged, np.maximum(mean + part * (own - mean), 0.0), 0.0)


def _mean(own: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Give the mean of crystals, and its uncertainty."""
    mean = float(np.sum(weight * own) / weight.sum())
    return mean, float(np.hypot(weight.sum() ** -0.5, UNDAMAGED_MEAN))
