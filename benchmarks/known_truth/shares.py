"""
The truth about the sources of the spread, from noise-free intensities.

The relative intensity of an observation is r = I / (k μ), k one factor for each crystal
and μ the plain mean of the reflection. For two observations of one reflection in two
crystals γ = ½ (r_a - r_b)², averaged over pairs, each pair counting once, by the angle
between the beams in the crystal. The factor of a crystal makes its ΣI that of the means,
k = Σ I / Σ μ.

- plateau: γ of pairs beyond FAR;
- γ at 0°, what differs at one orientation, which is thickness: γ of pairs within NEAR less
  that of pairs of equal thickness within NEAR, which have the rise up to there alone;
- share of the orientation: (plateau - γ at 0°) / plateau;
- weights: none, for the table above. Relative intensities of weak reflections differ most,
  and lead a plain mean; with weights of one over the variance of a reflection all count
  alike, which fewer pairs determine better and which the grid takes for the truth;
- correlation angle: where γ has done half of the rise, between the centres of two bins.

Functions:
    pair_sums: sums for each reflection, by angle and by difference in thickness
    noise_free_shares: of all reflections, or of some
    common_parts: what the reflections of an image, or of a crystal, have in common
    relative_parts: what counting, images and random errors add
    one_over: weights by the variance of an observation
    whole_variance: shares of the variance with all of these
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from known_truth.noise_free import NoiseFree

SMALL = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8)
EDGES = np.array([*SMALL, 15, 30, 60, 90, 120, 150, 165, 172, 176, 178, 179, 180.001])
"""Bins of the angle [°]."""

TABLE = (0, 0.1, 0.25, 0.5, 1, 2, 4, 8, 180.001)
"""Bins in which results are printed [°]."""

NEAR, FAR = 0.1, 8.0

EQUAL, UNEQUAL = 1.05, 1.65
"""Ratios of thicknesses of two crystals that are alike, or not at all."""

KINDS = ("all", "equal", "unequal")


class PairSums(NamedTuple):
    """
    Sums over pairs of observations.

    Attributes:
        gamma: Shape (KINDS, reflections, bins), Σγ.
        angle: Likewise, Σ angle [°].
        count: Likewise, pairs.
        mean: Shape (reflections,), μ.
        square: Shape (reflections,), mean of r².
    """

    gamma: np.ndarray
    angle: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    square: np.ndarray


class Shares(NamedTuple):
    """
    The truth of a set of reflections.

    Attributes:
        table: By kind of pair, γ in the bins of TABLE.
        pairs: By kind, how many.
        plateau, zero: γ far away, and extrapolated to 0°.
        near_equal: γ of pairs of equal thickness within NEAR; nan without.
        orientation: Share of the noise-free variance.
        half_way: The correlation angle [°].
        square: Mean of r².
    """

    table: dict[str, np.ndarray]
    pairs: dict[str, np.ndarray]
    plateau: float
    zero: float
    near_equal: float
    orientation: float
    half_way: float
    square: float


def crystal_factors(data: NoiseFree, rounds: int = 20) -> np.ndarray:
    """
    Give one factor for each crystal.

    Args:
        data: Observations.
        rounds: Of scaling to means and averaging.
    """
    factors = np.ones(data.crystal.max() + 1)
    n = np.maximum(np.bincount(data.reflection), 1)
    for _ in range(rounds):
        scaled = data.intensity / factors[data.crystal]
        mean = np.bincount(data.reflection, scaled) / n
        with np.errstate(invalid="ignore"):
            factors = np.bincount(data.crystal, data.intensity) / np.bincount(
                data.crystal, mean[data.reflection]
            )
        factors /= np.nanmean(factors)
    return factors


def pair_sums(data: NoiseFree) -> PairSums:
    """
    Sum over all pairs of observations of one reflection in two crystals.

    Args:
        data: Observations, sorted by reflection.
    """
    scaled = data.intensity / crystal_factors(data)[data.crystal]
    number = int(data.reflection.max()) + 1
    start = np.searchsorted(data.reflection, np.arange(number + 1))
    shape = (len(KINDS), number, len(EDGES) - 1)
    gamma, angle, count = (np.zeros(shape) for _ in range(3))
    mean, square = np.zeros(number), np.full(number, np.nan)
    log_thickness = np.log(data.thickness)
    for u in range(number):
        own = slice(start[u], start[u + 1])
        mean[u] = scaled[own].mean() if start[u + 1] > start[u] else 0
        if start[u + 1] - start[u] < 2 or not mean[u] > 0:
            continue
        r = scaled[own] / mean[u]
        square[u] = np.mean(r**2)
        i, j, theta = angles(data.beam[own], data.stabilizers.get(u))
        crystal = data.crystal[own]
        i, j, theta = (x[crystal[i] != crystal[j]] for x in (i, j, theta))
        place = np.digitize(theta, EDGES) - 1
        half = 0.5 * (r[i] - r[j]) ** 2
        differ = np.abs(log_thickness[crystal[i]] - log_thickness[crystal[j]])
        chosen = (differ >= -1) | True, differ < np.log(EQUAL), differ > np.log(UNEQUAL)
        for kind, used in enumerate(chosen):
            for total, value in ((gamma, half), (angle, theta), (count, None)):
                value = None if value is None else value[used]
                total[kind, u] = np.bincount(place[used], value, shape[2])
    return PairSums(gamma, angle, count, mean, square)


def angles(
    beam: np.ndarray, stabilizer: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Give the angle between the beams of all pairs, the smallest that symmetry allows.

    Args:
        beam: Shape (n, 3).
        stabilizer: Operators that leave the reflection as it is, or None.

    Returns:
        First, second and angle [°], each of shape (pairs,).
    """
    i, j = np.triu_indices(len(beam), 1)
    cosine = beam @ beam.T
    for operator in () if stabilizer is None else stabilizer:
        cosine = np.maximum(cosine, beam @ operator @ beam.T)
    # Of small angles the sine is exact, the cosine is not.
    close = np.clip(cosine[i, j], -1, 1)
    return i, j, np.degrees(2 * np.arcsin(np.sqrt((1 - close) / 2)))


def noise_free_shares(sums: PairSums, weights: np.ndarray | None = None) -> Shares:
    """
    Give the truth.

    Args:
        sums: From pair_sums.
        weights: Shape (reflections,), of the pairs of each; all alike by default.
    """
    used = np.isfinite(sums.square)
    weights = np.where(used, 1.0 if weights is None else weights, 0.0)
    gamma, angle, count = (np.einsum("u,kub->kb", weights, x) for x in sums[:3])
    coarse = np.digitize(EDGES[:-1], TABLE) - 1
    table, pairs = {}, {}
    for k, kind in enumerate(KINDS):
        pairs[kind] = np.bincount(coarse, count[k])
        with np.errstate(invalid="ignore"):
            table[kind] = np.bincount(coarse, gamma[k]) / pairs[kind]
    far = EDGES[:-1] >= FAR
    plateau = float(gamma[0, far].sum() / max(count[0, far].sum(), 1))
    zero, equal = at_zero(gamma, count)
    weight = weights * sums.count[0].sum(axis=1)
    return Shares(
        table=table,
        pairs=pairs,
        plateau=plateau,
        zero=zero,
        near_equal=equal,
        orientation=(plateau - zero) / plateau if plateau > 0 else np.nan,
        half_way=half_of_the_rise(gamma[0], angle[0], count[0], zero, plateau),
        square=float(np.average(sums.square[used], weights=weight[used])),
    )


def at_zero(gamma: np.ndarray, count: np.ndarray) -> tuple[float, float]:
    """
    Give γ at 0° and that of pairs of equal thickness within NEAR.

    Args:
        gamma, count: Shape (KINDS, bins), Σγ and pairs.
    """
    near = EDGES[1:] <= NEAR + 1e-9
    with np.errstate(invalid="ignore"):
        first, equal, _ = gamma[:, near].sum(axis=1) / count[:, near].sum(axis=1)
    zero = first - equal if np.isfinite(equal) else first
    return float(max(zero, 0.0)), float(equal)


def half_of_the_rise(
    gamma: np.ndarray,
    angle: np.ndarray,
    count: np.ndarray,
    zero: float,
    plateau: float,
) -> float:
    """Give the angle [°] at which γ is half-way; nan where nothing rises."""
    some = count > 0
    if not plateau > zero or not some.any():
        return np.nan
    x = np.append(0, angle[some] / count[some])
    y = np.append(zero, np.maximum.accumulate(gamma[some] / count[some]))
    return float(np.interp(0.5 * (zero + plateau), y, x))


def far_variance(sums: PairSums) -> np.ndarray:
    """
    Give the plateau of each reflection, shape (reflections,), nan without pairs.

    Args:
        sums: From pair_sums.
    """
    far = EDGES[:-1] >= FAR
    with np.errstate(invalid="ignore"):
        return sums.gamma[0][:, far].sum(axis=1) / sums.count[0][:, far].sum(axis=1)


def common_parts(
    data: NoiseFree, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """
    Variance of r that all reflections of an image, or of a crystal, have in common.

    From products of different reflections: on one image, and on two images of one
    crystal. What is common to a crystal's images is taken off the former.

    Args:
        data: Observations.
        weights: Shape (reflections,); all alike by default.
    """
    n = np.maximum(np.bincount(data.reflection), 1)
    scaled = data.intensity / crystal_factors(data)[data.crystal]
    mean = np.bincount(data.reflection, scaled) / n
    weight = np.ones(len(n)) if weights is None else weights
    deviation = scaled / mean[data.reflection] - 1
    used = (n[data.reflection] > 1) & np.isfinite(deviation)
    r, image, crystal = (x[used] for x in (deviation, data.image, data.crystal))
    w = np.nan_to_num(weight[data.reflection[used]])
    on_image, pairs = _products(image, r, w), _products(image, np.ones(len(r)), w)
    of_crystal, more = _products(crystal, r, w), _products(crystal, np.ones(len(r)), w)
    crystals = (of_crystal - on_image) / max(more - pairs, 1e-300)
    return float(on_image / max(pairs, 1e-300) - crystals), float(crystals)


def _products(group: np.ndarray, r: np.ndarray, w: np.ndarray) -> float:
    """Sum of products of different members of all groups."""
    return float((np.bincount(group, w * r) ** 2).sum() - ((w * r) ** 2).sum())


def relative_parts(data: NoiseFree) -> dict[str, np.ndarray]:
    """
    Give the squares of what noise adds to relative intensities, as it was drawn.

    Args:
        data: Observations with the columns of noise.

    Returns:
        noise, image and random: shape (n,) each, nan where the mean is not known.
    """
    n = np.maximum(np.bincount(data.reflection), 1)
    factors = crystal_factors(data)[data.crystal]
    mean = np.bincount(data.reflection, data.intensity / factors) / n
    columns = data.columns
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = data.intensity / factors / mean[data.reflection]
        # Counts become a relative intensity as the expected counts do.
        unit = columns["scale"] * columns["image_factor"] / columns["lp"]
        noise = columns["counting_noise"] / unit / factors / mean[data.reflection]
    return {
        "noise": noise**2,
        "image": (relative * (columns["image_factor"] - 1)) ** 2,
        "random": (relative * (columns["relative_error"] - 1)) ** 2,
    }


def one_over(variance: np.ndarray, used: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """
    Weight the pairs of reflections by one over the variance of an observation.

    As in dials.compare_images the median of the variances is added, and each observation
    counts with the weight of its reflection.

    Args:
        variance: Of a relative intensity, shape (reflections,).
        used: Which reflections count.
        pairs: Pairs of observations of each.

    Returns:
        Shape (reflections,), the weight of a pair.
    """
    middle = np.median(variance[used]) if used.any() else 1.0
    weights = np.where(used, 1 / np.where(used, variance + middle, 1.0), 0.0)
    # n observations have n (n - 1) / 2 pairs.
    return weights / np.maximum(np.sqrt(2 * pairs + 0.25) - 0.5, 1)


def whole_variance(data: NoiseFree, sums: PairSums) -> dict[str, float]:
    """
    Give the shares of the whole variance, each reflection with one over its own.

    Reflections whose counting noise exceeds their mean are left out.

    Args:
        data: Observations with the columns of noise.
        sums: Of these.

    Returns:
        orientation, thickness, noise, image and random, which add up to one.
    """
    parts = relative_parts(data)
    n = np.bincount(data.reflection, minlength=len(sums.mean))
    of_reflection = {
        name: np.bincount(data.reflection, part, len(n)) / np.maximum(n, 1)
        for name, part in parts.items()
    }
    variance = far_variance(sums) + sum(of_reflection.values())
    used = (n > 1) & (of_reflection["noise"] < 1) & (variance > 0)
    weights = one_over(variance, used, n * (n - 1) / 2)
    shares = noise_free_shares(sums, weights)
    found = {
        "orientation": shares.plateau - shares.zero,
        "thickness": shares.zero,
        **{
            name: float(np.average(part[used], weights=(weights * n * (n - 1))[used]))
            for name, part in of_reflection.items()
        },
    }
    total = sum(found.values())
    return {name: value / total for name, value in found.items()}
