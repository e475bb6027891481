"""
What scaling asks of a group of crystals, wherever it is kept.

Classes:
    Placed: a group with the nodes of its scales
    NextScales: its next scales

Functions:
    place: the nodes of a group
    extremes: of a value, crystal by crystal
    log_scales, scales: of the observations of a group
    sums_to_merge, merged_from, compared: merging on given scales, with residuals
    sums, step: a round of scaling
    plain_sums, misfit: how well equivalents agree
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from dials_spread.prepare.crystal_groups import CrystalGroup
from dials_spread.statistics.groups import group_sums

NODE_SPACING = 10.0
"""Distance of the nodes of the log scale [°]."""

SHARED_PER_NODE = 20
"""Observations of reflections measured twice or more that a node needs."""

RELATIVE_ERROR = 0.2
"""Part of an intensity that equivalents may differ by without having a say."""

PRIOR_NODE = 0.2
"""Expected deviation of a node's log scale from its crystal's mean."""

PRIOR_B = 2.0
"""Expected difference of a crystal's B from the others' [Å²]."""

PRIOR_LEVEL = 1.0
"""Expected deviation of a crystal's log scale from that of its total."""

LARGEST_STEP = 1.0
"""Most that a log scale changes in one round."""


class Placed(NamedTuple):
    """
    A group of k crystals with their nodes.

    Attributes:
        observed: n observations.
        left: Shape (n,), int32, the node before each.
        fraction: Shape (n,), of the way to the next.
        n_nodes: Shape (k,), nodes of each crystal.
        prior: Shape (k, p + 1, p + 1), inverse covariance of nodes and B.
        x_B: Shape (u,), what B of a crystal is multiplied with.
        shared: Shape (u,), bool, measured twice or more.
        total_x_B: x_B summed over observations.
    """

    observed: CrystalGroup
    left: np.ndarray
    fraction: np.ndarray
    n_nodes: np.ndarray
    prior: np.ndarray
    x_B: np.ndarray
    shared: np.ndarray
    total_x_B: float


class NextScales(NamedTuple):
    """
    The next scales of a group of k crystals.

    Attributes:
        parameters: Shape (k, p + 1), of nodes and B.
        has_scale: Shape (k,), bool.
        known: What data say of B, summed over crystals.
        known_B: The same times B.
        log_scale, x_B: Of observations, summed.
    """

    parameters: np.ndarray
    has_scale: np.ndarray
    known: float
    known_B: float
    log_scale: float
    x_B: float


@nb.njit(cache=True, nogil=True)
def extremes(crystal, value, n_crystals):
    """Give the least and the largest value of each crystal, infinite where it has none."""
    low, high = np.full(n_crystals, np.inf), np.full(n_crystals, -np.inf)
    for i in range(len(crystal)):
        c = crystal[i]
        low[c] = min(low[c], value[i])
        high[c] = max(high[c], value[i])
    return low, high


def place(
    reflections: tuple[np.ndarray, np.ndarray],
    observed: CrystalGroup,
    angle: np.ndarray,
) -> Placed:
    """Place the nodes of a group: a task for another process."""
    x_B, shared = reflections
    crystal, k = observed.crystal, observed.n_crystals
    low, high = extremes(crystal, angle, k)
    span = np.where(np.isfinite(low), high - low, 0.0)
    n_shared = np.bincount(crystal[shared[observed.unique]], minlength=k)
    intervals = np.minimum(
        np.ceil(span / NODE_SPACING), np.maximum(n_shared // SHARED_PER_NODE - 1, 0)
    ).astype(int)
    with np.errstate(invalid="ignore", divide="ignore"):
        where = (angle - low[crystal]) / span[crystal] * intervals[crystal]
    where = np.where(intervals[crystal] > 0, np.nan_to_num(where), 0.0)
    left = np.minimum(where.astype(int), np.maximum(intervals[crystal] - 1, 0))
    n_nodes = intervals + 1
    return Placed(
        observed=observed,
        left=left.astype(np.int32),
        fraction=where - left,
        n_nodes=n_nodes,
        prior=_prior(n_nodes),
        x_B=x_B,
        shared=shared,
        total_x_B=float(x_B[observed.unique].sum()),
    )


@nb.njit(cache=True, nogil=True)
def _accumulate(
    crystal, left, fraction, unique, x_B, used, residual, weight, matrix, vector
):
    """Add each observation to the normal equations of its crystal."""
    last = matrix.shape[1] - 1
    columns = np.zeros(3, np.int64)
    values = np.zeros(3)
    for i in range(len(crystal)):
        c = crystal[i]
        if weight[i] <= 0 or not used[c]:
            continue
        columns[0], values[0] = left[i], 1 - fraction[i]
        columns[1], values[1] = min(left[i] + 1, last - 1), fraction[i]
        columns[2], values[2] = last, x_B[unique[i]]
        for a in range(3):
            wa = weight[i] * values[a]
            vector[c, columns[a]] += wa * residual[i]
            for b in range(3):
                matrix[c, columns[a], columns[b]] += wa * values[b]


@nb.njit(cache=True, nogil=True)
def _interpolate(parameters, crystal, left, fraction, unique, x_B, log_scale):
    """Give the logarithm of the scale of each observation."""
    last = parameters.shape[1] - 1
    for i in range(len(crystal)):
        own, part = parameters[crystal[i]], fraction[i]
        right = min(left[i] + 1, last - 1)
        between = (1 - part) * own[left[i]] + part * own[right]
        log_scale[i] = between + own[last] * x_B[unique[i]]


@nb.njit(cache=True, nogil=True)
def _sum_merged(
    crystal, unique, intensity, variance, scale, merged, has_scale, total, weight
):
    """Add what counts of each observation to the merged intensity of its reflection."""
    for i in range(len(unique)):
        u = unique[i]
        if has_scale[crystal[i]]:
            model = RELATIVE_ERROR * scale[i] * merged[u]
            w = scale[i] / (variance[i] + model * model)
            total[u] += w * intensity[i]
            weight[u] += w * scale[i]


@nb.njit(cache=True, nogil=True)
def _compare(unique, intensity, variance, scale, merged, residual, weight):
    """Give relative residuals from the merged intensity, and weights."""
    for i in range(len(unique)):
        model = scale[i] * merged[unique[i]]
        if model > 0:
            error = RELATIVE_ERROR * model
            weight[i] = model * model / (variance[i] + error * error)
            residual[i] = intensity[i] / model - 1
        else:
            weight[i], residual[i] = 0.0, intensity[i] - 1


def _prior(counts: np.ndarray) -> np.ndarray:
    """Give the inverse covariance of nodes and B, shape (crystals, p + 1, p + 1)."""
    n_crystals, p = len(counts), int(counts.max())
    prior = np.zeros((n_crystals, p + 1, p + 1))
    for count in np.unique(counts):
        block = (np.eye(count) - 1 / count) / PRIOR_NODE**2
        block += 1 / (count * PRIOR_LEVEL) ** 2
        prior[np.flatnonzero(counts == count), :count, :count] = block
    unused = np.arange(p) >= counts[:, None]
    # A little of everything keeps the matrix regular where nothing was measured.
    prior[:, np.arange(p), np.arange(p)] += np.where(unused, 1.0, 1e-3)
    prior[:, p, p] = 1 / PRIOR_B**2
    return prior


def log_scales(_, placed: Placed, parameters: np.ndarray) -> np.ndarray:
    """Give the logarithms of scales of a group."""
    observed = placed.observed
    found = np.empty(len(observed.unique))
    own = observed.crystal, placed.left, placed.fraction, observed.unique
    _interpolate(parameters, *own, placed.x_B, found)
    return found


def scales(shift: float, placed: Placed, parameters: np.ndarray) -> np.ndarray:
    logarithm = log_scales(None, placed, parameters)
    logarithm -= shift
    return np.exp(logarithm, out=logarithm)


def sums_to_merge(
    observed: CrystalGroup,
    scale: np.ndarray,
    merged: np.ndarray | None,
    has_scale: np.ndarray,
    n_unique: int,
) -> np.ndarray:
    """
    Add up observations of each reflection on given scales.

    Args:
        observed: A group of n observations and k crystals.
        scale: Shape (n,).
        merged: Shape (n_unique,), as far as they are known, for weights; None where they
            are not.
        has_scale: Shape (k,), which crystals count.
        n_unique: Number of unique reflections.

    Returns:
        Weighted sums and sums of weights, shape (2, n_unique); where nothing is known yet,
        plain sums and numbers.
    """
    found = np.zeros((2, n_unique))
    if merged is None:
        found[0] = group_sums(observed.intensity / scale, observed.unique, n_unique)
        found[1] = np.bincount(observed.unique, minlength=n_unique)
        return found
    own = observed.unique, observed.intensity, observed.variance
    _sum_merged(observed.crystal, *own, scale, merged, has_scale, *found)
    return found


def merged_from(sums: np.ndarray) -> np.ndarray:
    """Give merged intensities from all sums of sums_to_merge, shape (n_unique,)."""
    return sums[0] / np.maximum(sums[1], 1e-300)


def compared(
    observed: CrystalGroup, scale: np.ndarray, merged: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Compare observations with merged intensities.

    Args:
        observed: A group of n observations.
        scale: Shape (n,).
        merged: Shape (u,).

    Returns:
        Relative residuals and their weights, 0 where the merged intensity is not positive,
        shape (n,) each.
    """
    residual, weight = np.empty((2, len(scale)))
    own = observed.unique, observed.intensity, observed.variance
    _compare(*own, scale, merged, residual, weight)
    return residual, weight


def sums(
    shared: tuple, placed: Placed, parameters: np.ndarray, has_scale: np.ndarray
) -> np.ndarray:
    """Give what a group adds to merged intensities: a task for another process."""
    merged, shift = shared
    scale = scales(shift, placed, parameters)
    return sums_to_merge(placed.observed, scale, merged, has_scale, len(placed.x_B))


def step(
    shared: tuple, placed: Placed, parameters: np.ndarray, start: np.ndarray
) -> NextScales:
    """Improve the scales of a group: a task for another process."""
    merged, shift = shared
    observed, x_B = placed.observed, placed.x_B
    own = observed.crystal, placed.left, placed.fraction, observed.unique
    residual, weight = compared(observed, scales(shift, placed, parameters), merged)
    away = parameters - start
    matrix = placed.prior.copy()
    vector = -np.einsum("cij,cj->ci", placed.prior, away)
    # The faint part of the prior holds steps, not values.
    vector[:, :-1] += 1e-3 * away[:, :-1]
    # Of which crystals the sum is positive where it is to be compared.
    total = group_sums(weight * (1 + residual), observed.crystal, observed.n_crystals)
    weight = np.where(placed.shared[observed.unique], weight, 0.0)
    _accumulate(*own, x_B, total > 0, residual, weight, matrix, vector)
    change = np.linalg.solve(matrix, vector[..., None])[..., 0]
    found = parameters + np.clip(change, -LARGEST_STEP, LARGEST_STEP)
    # 1/[M⁻¹] is what is known of B where the nodes are not, the prior included.
    known = 1 / np.linalg.inv(matrix)[:, -1, -1] - 1 / PRIOR_B**2
    known = np.maximum(known, 1e-9)
    logarithm = log_scales(None, placed, found)
    return NextScales(
        parameters=found,
        has_scale=total > 0,
        known=float(known.sum()),
        known_B=float(np.sum(known * found[:, -1])),
        log_scale=float(logarithm.sum()),
        x_B=placed.total_x_B,
    )


def plain_sums(shift: float, placed: Placed, parameters: np.ndarray) -> np.ndarray:
    """Add up scaled intensities, and count them, by reflection: shape (2, u)."""
    scale, all_of = scales(shift, placed, parameters), np.ones(0, dtype=bool)
    return sums_to_merge(placed.observed, scale, None, all_of, len(placed.x_B))


def misfit(shared: tuple, placed: Placed, parameters: np.ndarray) -> np.ndarray:
    """
    Add up what R_meas is made of, of reflections measured twice or more.

    Args:
        shared: What is taken off logarithms of scales; mean and number of the observations
            of each reflection.
        placed, parameters: Of the group.

    Returns:
        Σ √(n/(n - 1)) |I - ⟨I⟩| and Σ I.
    """
    shift, mean, number = shared
    unique = placed.observed.unique
    intensity = placed.observed.intensity / scales(shift, placed, parameters)
    kept = placed.shared[unique]
    unique, intensity = unique[kept], intensity[kept]
    n = number[unique]
    off = np.sqrt(n / (n - 1)) * np.abs(intensity - mean[unique])
    return np.array([off.sum(), intensity.sum()])
