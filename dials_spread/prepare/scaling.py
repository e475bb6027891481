"""
Crystals on one scale, for features only.

Model: ``I = s m`` with m the merged intensity and ``ln s`` piecewise linear in the rotation
angle plus ``-B d*²/2``, for each crystal. Merged intensities and scales are found in turn,
each by weighted least squares. dials.scale does this better and is not replaced: features
need scales that exist for every input, in a fraction of a second.

A common B is not determined: it is set by the mean of all crystals, each with the
information that its data hold, so that a crystal of a few reflections moves no other.

Functions:
    fit_scales: crystals on one scale
    merge: on given scales, with residuals
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from dials_spread.observations import Observations
from dials_spread.statistics.groups import group_sums

ROUNDS = 12
"""Alternations of merging and scaling."""

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


@dataclass(frozen=True)
class Decay:
    """
    How far crystals were damaged along their scans; see prepare.decay.

    Attributes:
        rate: Shape (crystals,), B gained along the scan that is taken out [Å²]; 0 where
            undamaged crystals may look as this does.
        mean, uncertainty: Of those that it is taken out of, or of all [Å²]; nan where
            nothing is known.
        scale_with: Shape (n,), the scale that leaves damage in.
        own, own_su: Shape (crystals,), as found for each alone [Å²].
    """

    rate: np.ndarray
    mean: float
    uncertainty: float
    scale_with: np.ndarray
    own: np.ndarray
    own_su: np.ndarray

    @property
    def is_taken_out(self) -> bool:
        """Whether there is more than undamaged crystals show."""
        return bool(self.rate.any())

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "B_gained": [float(x) for x in self.rate],
            "mean": self.mean,
            "uncertainty": self.uncertainty,
            "found": [float(x) for x in self.own],
            "found_uncertainty": [float(x) for x in self.own_su],
        }


@dataclass(frozen=True)
class Scales:
    """
    What intensities are divided by.

    Attributes:
        scale: Shape (n,), of each observation; geometric mean 1 over observations.
        crystal_log_scale: Shape (crystals,), mean of the nodes.
        relative_B: Shape (crystals,) [Å²], relative to the mean.
        n_shared: Observations of reflections measured twice or more, which decided.
        decay: What damage there is; None where it was not looked for.
    """

    scale: np.ndarray
    crystal_log_scale: np.ndarray
    relative_B: np.ndarray
    n_shared: int
    decay: Decay | None = None

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "crystal_log_scale": [float(x) for x in self.crystal_log_scale],
            "relative_B": [float(x) for x in self.relative_B],
            "n_shared": self.n_shared,
            "decay": self.decay and self.decay.as_dict(),
        }


@dataclass(frozen=True)
class _Nodes:
    """Each observation's place between two nodes, and how many each crystal has."""

    left: np.ndarray
    fraction: np.ndarray
    count: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """The second node; the first again for a crystal with one."""
        return self.left + (self.fraction > 0)


def _place_nodes(measured: Observations, shared: np.ndarray) -> _Nodes:
    n_crystals, crystal = measured.n_experiments, measured.crystal
    low, high = np.full(n_crystals, np.inf), np.full(n_crystals, -np.inf)
    np.minimum.at(low, crystal, measured.angle)
    np.maximum.at(high, crystal, measured.angle)
    span = np.where(np.isfinite(low), high - low, 0.0)
    n_shared = np.bincount(crystal[shared], minlength=n_crystals)
    intervals = np.minimum(
        np.ceil(span / NODE_SPACING), np.maximum(n_shared // SHARED_PER_NODE - 1, 0)
    ).astype(int)
    with np.errstate(invalid="ignore", divide="ignore"):
        place = (measured.angle - low[crystal]) / span[crystal] * intervals[crystal]
    place = np.where(intervals[crystal] > 0, np.nan_to_num(place), 0.0)
    left = np.minimum(place.astype(int), np.maximum(intervals[crystal] - 1, 0))
    return _Nodes(left, place - left, intervals + 1)


@nb.njit(cache=True, nogil=True)
def _accumulate(crystal, left, fraction, x_B, residual, weight, matrix, vector):
    """Add each observation to the normal equations of its crystal."""
    last = matrix.shape[1] - 1
    columns = np.zeros(3, np.int64)
    values = np.zeros(3)
    for i in range(len(crystal)):
        if weight[i] <= 0:
            continue
        columns[0], values[0] = left[i], 1 - fraction[i]
        columns[1], values[1] = min(left[i] + 1, last - 1), fraction[i]
        columns[2], values[2] = last, x_B[i]
        c = crystal[i]
        for a in range(3):
            wa = weight[i] * values[a]
            vector[c, columns[a]] += wa * residual[i]
            for b in range(3):
                matrix[c, columns[a], columns[b]] += wa * values[b]


@nb.njit(cache=True, nogil=True)
def _interpolate(parameters, crystal, left, right, fraction, x_B, log_scale):
    """Give the logarithm of the scale of each observation."""
    last = parameters.shape[1] - 1
    for i in range(len(crystal)):
        own, part = parameters[crystal[i]], fraction[i]
        between = (1 - part) * own[left[i]] + part * own[right[i]]
        log_scale[i] = between + own[last] * x_B[i]


@nb.njit(cache=True, nogil=True)
def _sum_merged(unique, intensity, variance, scale, merged, counts, total, weight):
    """Add what counts of each observation to the merged intensity of its reflection."""
    for i in range(len(unique)):
        u = unique[i]
        if counts[i]:
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


def _prior(nodes: _Nodes) -> np.ndarray:
    """Give the inverse covariance of nodes and B, shape (crystals, p + 1, p + 1)."""
    n_crystals, p = len(nodes.count), int(nodes.count.max())
    prior = np.zeros((n_crystals, p + 1, p + 1))
    for count in np.unique(nodes.count):
        block = (np.eye(count) - 1 / count) / PRIOR_NODE**2
        block += 1 / (count * PRIOR_LEVEL) ** 2
        prior[np.flatnonzero(nodes.count == count), :count, :count] = block
    unused = np.arange(p) >= nodes.count[:, None]
    # A little of everything keeps the matrix regular where nothing was measured.
    prior[:, np.arange(p), np.arange(p)] += np.where(unused, 1.0, 1e-3)
    prior[:, p, p] = 1 / PRIOR_B**2
    return prior


def _initial_log_scales(measured: Observations) -> np.ndarray:
    """Compare each crystal's total with that of all crystals at its resolutions."""
    order = np.argsort(np.argsort(measured.d_star_sq, kind="stable"), kind="stable")
    n_shells = max(measured.n_unique // 50, 1)
    shell = (order * n_shells // measured.n_unique)[measured.unique]
    log_scale = np.zeros(measured.n_experiments)
    positive = np.maximum(measured.intensity, 0)
    for _ in range(5):
        level = group_sums(np.exp(log_scale)[measured.crystal], shell, n_shells)
        mean = group_sums(positive, shell, n_shells) / np.maximum(level, 1e-300)
        expected = group_sums(mean[shell], measured.crystal, measured.n_experiments)
        found = group_sums(positive, measured.crystal, measured.n_experiments)
        usable = (expected > 0) & (found > 0)
        log_scale[usable] = np.log(found[usable] / expected[usable])
    return log_scale


def fit_scales(measured: Observations, rounds: int = ROUNDS) -> Scales:
    """
    Put all crystals, and all parts of each, on one scale.

    Args:
        measured: n observations.
        rounds: Alternations.

    Returns:
        The scales. Crystals that share nothing are scaled by their mean intensity at
        each resolution.

    Source: the alternation of Hamilton, Rollett & Sparks (1965), Acta Cryst. 18, 129.
    """
    u, crystal = measured.unique, measured.crystal
    shared = np.bincount(u, minlength=measured.n_unique)[u] > 1
    nodes = _place_nodes(measured, shared)
    prior = _prior(nodes)
    x_B = -0.5 * (measured.d_star_sq - measured.d_star_sq.mean())[u]
    parameters = np.zeros(prior.shape[:2])
    parameters[:, :-1] = _initial_log_scales(measured)[:, None]
    start = parameters.copy()
    right = np.minimum(nodes.left + 1, parameters.shape[1] - 2)

    def log_scale() -> np.ndarray:
        found = np.empty(len(u))
        _interpolate(parameters, crystal, nodes.left, right, nodes.fraction, x_B, found)
        return found

    merged, scale, has_scale = None, np.exp(log_scale()), np.ones(len(u), dtype=bool)
    for _ in range(rounds if shared.any() else 0):
        merged, residual, weight = merge(measured, scale, merged, has_scale)
        away = parameters - start
        matrix, vector = prior.copy(), -np.einsum("cij,cj->ci", prior, away)
        # The faint part of the prior holds steps, not values.
        vector[:, :-1] += 1e-3 * away[:, :-1]
        has_scale = _has_scale(measured, residual, weight)
        weight = np.where(shared & has_scale, weight, 0.0)
        _accumulate(
            crystal, nodes.left, nodes.fraction, x_B, residual, weight, matrix, vector
        )
        step = np.linalg.solve(matrix, vector[..., None])[..., 0]
        parameters += np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        parameters[:, -1] -= _mean_B(parameters[:, -1], matrix)
        logarithm = log_scale()
        scale = np.exp(logarithm - logarithm.mean())
    level = np.arange(parameters.shape[1] - 1) < nodes.count[:, None]
    means = np.sum(parameters[:, :-1] * level, axis=1) / nodes.count
    return Scales(scale, means, parameters[:, -1], int(shared.sum()))


def _has_scale(
    measured: Observations, residual: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Say of which observations the crystal is positive where it is to be compared."""
    total = group_sums(
        weight * (1 + residual), measured.crystal, measured.n_experiments
    )
    return (total > 0)[measured.crystal]


def _mean_B(B: np.ndarray, matrix: np.ndarray) -> float:
    """
    Average B over crystals, each with the information that its data hold on it.

    Args:
        B: Shape (crystals,).
        matrix: Shape (crystals, p + 1, p + 1), of the normal equations, priors included.
    """
    # 1/[M⁻¹] is what is known of B where the nodes are not, the prior included.
    known = 1 / np.linalg.inv(matrix)[:, -1, -1] - 1 / PRIOR_B**2
    known = np.maximum(known, 1e-9)
    return float(np.sum(known * B) / np.sum(known))


def merge(
    measured: Observations,
    scale: np.ndarray,
    merged: np.ndarray | None,
    has_scale: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Merge on given scales.

    Args:
        measured: n observations of u unique reflections.
        scale: Shape (n,).
        merged: Shape (u,), as far as they are known, for weights; None where they are not.
        has_scale: Shape (n,), which observations count.

    Returns:
        Merged intensities, shape (u,), relative residuals from them and their weights, 0
        where the merged intensity is not positive, shape (n,) each.
    """
    u, n = measured.unique, measured.n_unique
    if merged is None:
        merged = group_sums(measured.intensity / scale, u, n)
        merged /= np.maximum(np.bincount(u, minlength=n), 1)
    columns = (u, measured.intensity, measured.variance, scale)
    total, sum_of_weights = np.zeros(n), np.zeros(n)
    _sum_merged(*columns, merged, has_scale, total, sum_of_weights)
    merged = total / np.maximum(sum_of_weights, 1e-300)
    residual, weight = np.empty(len(u)), np.empty(len(u))
    _compare(*columns, merged, residual, weight)
    return merged, residual, weight
