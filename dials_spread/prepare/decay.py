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

import numpy as np
from scipy.sparse.linalg import LinearOperator
from scipy.stats import norm

from dials_spread.observations import Observations
from dials_spread.prepare import damage_groups
from dials_spread.prepare.crystal_groups import CrystalGroups, added_up
from dials_spread.prepare.scale_groups import merged_from
from dials_spread.prepare.scaling import Decay, Scales, fit_scales
from dials_spread.stages import stage
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


class _Fit:
    """Scales with five more terms for each crystal, by least squares over all pairs."""

    def __init__(self, groups: CrystalGroups, scale: np.ndarray) -> None:
        measured = groups.measured
        self.groups, self.n = groups, measured.n_experiments
        n = np.bincount(measured.unique, minlength=measured.n_unique)
        self.repeated = n > 1
        when = measured.images.z[measured.first_image]
        columns = groups.observed, groups.cut(when), groups.cut(scale)
        of_all = -0.5 * measured.d_star_sq, self.repeated
        self.kept = groups.keep(damage_groups.sort, of_all, [*zip(*columns)])
        self.moves = any(
            [*groups.told(damage_groups.moves, None, [(k,) for k in self.kept])]
        )
        self.terms = np.zeros((self.n, 5))
        self.merged: np.ndarray | None = None

    @property
    def rate(self) -> np.ndarray:
        """Shape (crystals,), the r that was found [Å²]."""
        return self.terms[:, 4]

    def scales(self) -> np.ndarray:
        """Give scales with all that was found, shape (n,), of geometric mean 1."""
        own = [*zip(self.kept, self.groups.cut_crystals(self.terms))]
        logarithm = self.groups.joined(
            self.groups.told(damage_groups.in_order, None, own)
        )
        logarithm -= logarithm.mean()
        return np.exp(logarithm)

    def run(self, fixed: np.ndarray | None = None) -> np.ndarray:
        """
        Find all terms.

        Args:
            fixed: Shape (crystals,), the r that is known; None to find it.

        Returns:
            Shape (crystals,), what the data say of r: one over its variance [Å⁻⁴].
        """
        if fixed is not None:
            self.terms[:, 4] = fixed
        known = np.zeros(self.n)
        for k in range(MOST_ROUNDS):
            before = self.rate.copy()
            known = self._improve(fixed is not None)
            change = np.where(known > KNOWN, np.abs(self.rate - before), 0.0)
            if k + 1 >= ROUNDS and change.max() < STILL:
                break
        return known

    def _merge(self) -> np.ndarray:
        """Merge on the scales so far."""
        own = [*zip(self.kept, self.groups.cut_crystals(self.terms))]
        if self.merged is None:
            plain, number = added_up(self.groups.told(damage_groups.sums, None, own))
            self.merged = plain / np.maximum(number, 1)
        self.merged = merged_from(
            added_up(self.groups.told(damage_groups.sums, self.merged, own))
        )
        return self.merged

    def _improve(self, is_fixed: bool) -> np.ndarray:
        """Linearise, and solve; give what the data say of r."""
        groups, n = self.groups, self.n
        own = [*zip(self.kept, groups.cut_crystals(self.terms))]
        off = groups.keep(damage_groups.compare, self._merge(), own)
        pairs = [*zip(self.kept, off)]
        total, weighted = added_up(
            groups.told(damage_groups.by_reflection, None, pairs)
        )
        mean = weighted / np.maximum(total, 1e-300)
        both = zip(*groups.told(damage_groups.normal, (total, mean), pairs))
        matrix, vector = (groups.of_crystals(x) for x in both)
        prior = np.array([FAINT] * 4 + [FIXED if is_fixed else 1 / PRIOR**2])
        if not is_fixed:
            vector[:, 4] -= prior[4] * self.rate
        matrix[:, range(5), range(5)] += prior
        inverse = np.linalg.inv(matrix)

        def times(p: np.ndarray) -> np.ndarray:
            p = p.reshape(n, 5)
            tasks = [*zip(self.kept, off, groups.cut_crystals(p))]
            by_reflection = added_up(groups.told(damage_groups.summed, None, tasks))
            changed = by_reflection / np.where(total > 0, total, np.inf)
            out = groups.of_crystals(groups.told(damage_groups.times, changed, tasks))
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
        self.terms = self.terms + np.clip(change, -LARGEST_STEP, LARGEST_STEP)
        return known[:, 1]


@stage("Scaling")
def find_scales(measured: Observations, groups: CrystalGroups | None = None) -> Scales:
    """
    Put crystals on one scale, and take damage out where the data show it.

    Args:
        measured: n observations.
        groups: The same, where they were cut into groups before.
    """
    groups = groups or CrystalGroups.of(measured)
    return with_decay(measured, fit_scales(measured, groups=groups), groups)


def with_decay(
    measured: Observations, scales: Scales, groups: CrystalGroups | None = None
) -> Scales:
    """
    Take damage out, where the data show it beyond doubt.

    Args:
        measured: n observations.
        scales: Of them, from fit_scales.
        groups: As of find_scales.

    Returns:
        The same scales, with `decay`; where there is damage, scales to the beginning of
        each crystal.
    """
    none = np.zeros(measured.n_experiments)
    nothing = np.full(len(none), np.nan)
    nought = Decay(none, np.nan, np.nan, scales.scale, nothing, nothing)
    unknown = replace(scales, decay=nought)
    fit = _Fit(groups or CrystalGroups.of(measured), scales.scale)
    if not fit.repeated.any() or not fit.moves:
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
    return replace(scales, scale=fit.scales(), decay=decay)


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
