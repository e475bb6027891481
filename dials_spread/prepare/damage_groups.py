"""
What the search for damage asks of a group of crystals, wherever it is kept.

Classes:
    DamagedGroup: a group, sorted, with where in their scans observations were made
    OffMerged: the same, compared with merged intensities

Functions:
    sort: a group
    moves: whether anything was rotated
    in_order: logarithms of its scales
    sums, compare, by_reflection: merging on the scales so far
    normal: the equations of each crystal alone
    summed, times: a product with those of all
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread.prepare.crystal_groups import CrystalGroup
from dials_spread.prepare.scale_groups import compared, extremes, sums_to_merge

LARGEST_RESIDUAL = 1.5
"""Relative residuals count for no more."""


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
def _change(own, t, D):
    """Give what the parameters of a crystal change."""
    return own[0] + (own[1] + own[2] * t) * t + (own[3] + own[4] * t) * D


@nb.njit(cache=True, nogil=True)
def _sum_changes(p, crystal, unique, t, D, weight, out):
    """Add up the weighted changes that parameters, shape (crystals, 5), make."""
    for i in range(len(crystal)):
        out[unique[i]] += weight[i] * _change(p[crystal[i]], t[i], D[i])


@nb.njit(cache=True, nogil=True)
def _times_normal(p, crystal, unique, t, D, weight, mean, out):
    """Multiply parameters by the matrix of all normal equations, whose means are known."""
    for i in range(len(crystal)):
        own = out[crystal[i]]
        off = _change(p[crystal[i]], t[i], D[i]) - mean[unique[i]]
        off *= weight[i]
        own[0] += off
        own[1] += t[i] * off
        own[2] += t[i] * t[i] * off
        own[3] += D[i] * off
        own[4] += t[i] * D[i] * off


@nb.njit(cache=True, nogil=True)
def _add_terms(log_scale, crystal, t, D, change):
    """Add terms of each crystal to the logarithms of scales, in place."""
    for i in range(len(crystal)):
        log_scale[i] += _change(change[crystal[i]], t[i], D[i])


class DamagedGroup(NamedTuple):
    """
    A group of k crystals, n observations by crystal and unique reflection.

    Attributes:
        observed: The observations.
        order: Shape (n,), their places in the order of the group.
        t: Shape (n,), float32, where in its crystal's scan each was made, 0 to 1.
        D: Shape (n,), float32, -d*²/2 [Å⁻²].
        log_scale: Shape (n,), without damage.
        repeated: Shape (u,), bool, measured twice or more.
    """

    observed: CrystalGroup
    order: np.ndarray
    t: np.ndarray
    D: np.ndarray
    log_scale: np.ndarray
    repeated: np.ndarray

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """What compiled loops go through."""
        return self.observed.crystal, self.observed.unique, self.t, self.D


def sort(
    reflections: tuple[np.ndarray, np.ndarray],
    observed: CrystalGroup,
    when: np.ndarray,
    scale: np.ndarray,
) -> DamagedGroup:
    """Sort a group: a task for another process."""
    D, repeated = reflections
    crystal, unique = observed.crystal, observed.unique
    low, high = extremes(crystal, when, observed.n_crystals)
    with np.errstate(invalid="ignore"):  # crystals without observations
        span = (high - low)[crystal]
    t = np.divide(when - low[crystal], span, out=np.zeros(len(when)), where=span > 0)
    order = np.argsort(crystal.astype(np.int64) * len(D) + unique, kind="stable")
    unique = unique[order]
    return DamagedGroup(
        observed=CrystalGroup(
            crystal=crystal[order],
            unique=unique,
            intensity=observed.intensity[order],
            variance=observed.variance[order],
            n_crystals=observed.n_crystals,
        ),
        order=order.astype(np.int32),
        # Halves of the usual size: with 10 million observations memory is short here.
        t=t.astype(np.float32)[order],
        D=D.astype(np.float32)[unique],
        log_scale=np.log(scale[order]),
        repeated=repeated,
    )


def moves(_, kept: DamagedGroup) -> bool:
    return bool(kept.t.any())


def _scale(kept: DamagedGroup, terms: np.ndarray) -> np.ndarray:
    """Give scales with all that was found of each crystal, shape (n,)."""
    found = kept.log_scale.copy()
    _add_terms(found, kept.observed.crystal, kept.t, kept.D, terms)
    return found


def sums(
    merged: np.ndarray | None, kept: DamagedGroup, terms: np.ndarray
) -> np.ndarray:
    """Give what a group adds to merged intensities."""
    all_of = np.ones(kept.observed.n_crystals, dtype=bool)
    scale = np.exp(_scale(kept, terms))
    return sums_to_merge(kept.observed, scale, merged, all_of, len(kept.repeated))


class OffMerged(NamedTuple):
    """
    A group, compared with merged intensities.

    Attributes:
        residual, weight: Shape (n,); nothing is told by reflections measured once.
    """

    residual: np.ndarray
    weight: np.ndarray


def compare(merged: np.ndarray, kept: DamagedGroup, terms: np.ndarray) -> OffMerged:
    residual, weight = compared(kept.observed, np.exp(_scale(kept, terms)), merged)
    weight[~kept.repeated[kept.observed.unique]] = 0
    np.clip(residual, -LARGEST_RESIDUAL, LARGEST_RESIDUAL, out=residual)
    return OffMerged(residual, weight)


def by_reflection(_, kept: DamagedGroup, off: OffMerged) -> np.ndarray:
    """Add up weights and weighted residuals of each reflection, shape (2, u)."""
    unique, n = kept.observed.unique, len(kept.repeated)
    columns = off.weight, off.weight * off.residual
    return np.stack([np.bincount(unique, x, n) for x in columns])


def normal(
    shared: tuple[np.ndarray, np.ndarray], kept: DamagedGroup, off: OffMerged
) -> tuple[np.ndarray, np.ndarray]:
    """Give the normal equations of the crystals of a group, those of each alone."""
    total, mean = shared
    k = kept.observed.n_crystals
    matrix, vector = np.zeros((k, 5, 5)), np.zeros((k, 5))
    y = off.residual - mean[kept.observed.unique]
    _own_blocks(*kept.columns, off.weight, total, matrix, vector, y)
    return matrix, vector


def summed(_, kept: DamagedGroup, off: OffMerged, p: np.ndarray) -> np.ndarray:
    """Add up the changes that parameters make, by reflection."""
    found = np.zeros(len(kept.repeated))
    _sum_changes(p, *kept.columns, off.weight, found)
    return found


def times(
    mean: np.ndarray, kept: DamagedGroup, off: OffMerged, p: np.ndarray
) -> np.ndarray:
    """Multiply parameters of a group by the normal equations of all."""
    found = np.zeros_like(p)
    _times_normal(p, *kept.columns, off.weight, mean, found)
    return found


def in_order(_, kept: DamagedGroup, terms: np.ndarray) -> np.ndarray:
    """Give logarithms of scales in the order of the group."""
    found = np.empty(len(kept.order))
    found[kept.order] = _scale(kept, terms)
    return found
