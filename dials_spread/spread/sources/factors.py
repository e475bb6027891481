"""
One factor for each image, and how much images and crystals differ by them.

A factor multiplies all reflections of an image: beam intensity, exposure, illuminated
volume, scale. The relative intensities I/L of all reflections (L the mean of each) are
fitted at once by ``α_u + β_i``, a mean for each reflection and a factor for each image, so
that an image that happens to hold what is weak elsewhere is not taken for a weak image.

How much images differ cannot be read off the scatter of β, which has noise. The unique
reflections are split in two halves and β is fitted to each: what the halves share is
real, and the product of the two is free of noise, whatever its size and distribution.

Functions:
    fit_factors: the factor of each image, and of each half
    crystal_moments: what a bootstrap over crystals needs
    factor_variances: of images and of crystals
    solve_normal: the least squares of it
    usable_factors, divided_by_factors: to take the factors of images out
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph
from scipy.sparse.linalg import LinearOperator, cg

from dials_spread.observations import Observations
from dials_spread.spread.size.residuals import Residuals, images_of_observations
from dials_spread.spread.variogram.pair_inputs import pair_weights, square_levels
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import Groups
from dials_spread.threads import run_blocks

FEWEST = 3
"""Reflections that an image needs in each half."""

HALF_WEIGHT = 10.0
"""Reflections with which an image has half the weight of one with very many."""

SPLITS = 4
"""Times that the reflections are split in two; one time where they are many."""

MANY = 2_000_000

SMALLEST = 0.05
"""Images with a smaller factor are left as they are: their noise would grow beyond all."""

TOLERANCE = 1e-5
ROUNDS = 300


@dataclass(frozen=True)
class RelativeImageFactors:
    """
    The factors of images; arrays of length n_images, nan where undetermined.

    Attributes:
        factor: 1 + β from all reflections, 1 in the mean.
        su: Standard uncertainty, from the differences between halves.
        n: Number of reflections on the image, with another observation elsewhere.
        crystal: Of each image, -1 for one without reflections.
        halves: Shape (splits, 2, n_images), β of each half.
    """

    factor: np.ndarray
    su: np.ndarray
    n: np.ndarray
    crystal: np.ndarray
    halves: np.ndarray


class CrystalMoments(NamedTuple):
    """
    Sums over crystals for the variances of factors; arrays of shape (groups, splits).

    Attributes:
        crystals: Those that have factors.
        first: Sum of the mean β of a crystal in the first half.
        second: In the second half.
        product: Sum of their products.
        share: Part of the variance of images that is left in the mean of a crystal.
        within: Sum of products about the mean of the crystal.
        freedom: What the variance of images is multiplied by in that sum.
    """

    crystals: np.ndarray
    first: np.ndarray
    second: np.ndarray
    product: np.ndarray
    share: np.ndarray
    within: np.ndarray
    freedom: np.ndarray


def _solve(
    rows: np.ndarray, columns: tuple[np.ndarray, ...], n_images: int
) -> np.ndarray:
    """Fit β to some observations; nan where an image has too few, or no connection."""
    y, image, unique, weight = (c[rows] for c in columns)
    _, unique = np.unique(unique, return_inverse=True)
    shape = (n_images, int(unique.max(initial=-1)) + 1)
    if not shape[1]:
        return np.full(n_images, np.nan)
    matrix = sp.csr_matrix((weight, (image, unique)), shape=shape)
    target = sp.csr_matrix((weight * y, (image, unique)), shape=shape)
    by_image = np.asarray(matrix.sum(axis=1)).ravel()
    by_unique = np.asarray(matrix.sum(axis=0)).ravel()
    mean = np.asarray(target.sum(axis=0)).ravel() / by_unique
    right = np.asarray(target.sum(axis=1)).ravel() - matrix @ mean
    transposed = matrix.T.tocsr()
    safe = np.where(by_image > 0, by_image, 1.0)

    def normal(beta):
        return safe * beta - matrix @ (transposed @ beta / by_unique)

    beta = solve_normal(normal, right, safe)
    connected = _largest_component(matrix)
    enough = np.bincount(image, minlength=n_images) >= FEWEST
    return np.where(connected & enough, beta, np.nan)


def solve_normal(
    normal: Callable[[np.ndarray], np.ndarray], right: np.ndarray, diagonal: np.ndarray
) -> np.ndarray:
    """
    Solve normal equations by conjugate gradients.

    Args:
        normal: What the matrix makes of a vector.
        right: Shape (n,), the right side.
        diagonal: Shape (n,), roughly that of the matrix, positive.
    """
    size = (len(right), len(right))
    left = LinearOperator(size, matvec=lambda x: normal(x.ravel()), dtype=float)
    divide = LinearOperator(size, matvec=lambda x: x.ravel() / diagonal, dtype=float)
    # rtol was tol before scipy 1.12; atol=0 leaves the relative tolerance of 1e-5.
    return cg(left, right, maxiter=ROUNDS, M=divide, atol=0.0)[0]


def _largest_component(matrix: sp.csr_matrix) -> np.ndarray:
    """Find the images that are connected by common reflections, shape (images,)."""
    graph = sp.bmat([[None, matrix], [matrix.T, None]], format="csr")
    _, label = csgraph.connected_components(graph, directed=False)
    label = label[: matrix.shape[0]]
    filled = np.diff(matrix.indptr) > 0
    return filled & (label == np.bincount(label[filled]).argmax())


@stage("Factors of images")
def fit_factors(
    residuals: Residuals, rng: np.random.Generator, nproc: int | None = None
) -> RelativeImageFactors:
    """
    Fit a factor to each image.

    Args:
        residuals: Sorted by reflection.
        rng: Splits the reflections.
        nproc: Threads; all cores by default.

    Returns:
        The factors; what has no common reflections with the largest connected set of
        images has none.
    """
    n_images = residuals.n_images
    # As in the variogram: with more for weak reflections, which differ most, what is
    # theirs alone would seem to be common to an image.
    weight, square_level = pair_weights(residuals), square_levels(residuals)
    number = np.repeat(np.arange(len(weight)), np.diff(residuals.start))
    columns = (
        residuals.intensity / np.sqrt(square_level)[number],
        residuals.image,
        number,
        weight[number],
    )
    every = np.arange(len(residuals))
    beta = _solve(every, columns, n_images)
    sides = [
        (rng.permutation(len(weight)) % 2).astype(bool)
        for _ in range(SPLITS if len(residuals) < MANY else 1)
    ]
    halves = np.empty((len(sides), 2, n_images))

    def solve(first: int, stop: int) -> None:
        for k in range(first, stop):
            rows = every[sides[k // 2][number] == k % 2]
            halves[k // 2, k % 2] = _solve(rows, columns, n_images)

    run_blocks(solve, 2 * len(sides), 1, nproc)
    crystal = np.full(n_images, -1)
    crystal[residuals.image] = residuals.crystal
    # Half of the reflections: the difference of two has four times the variance.
    difference = np.mean((halves[:, 0] - halves[:, 1]) ** 2, axis=0)
    return RelativeImageFactors(
        factor=1 + beta - (np.nanmean(beta) if np.isfinite(beta).any() else 0),
        su=0.5 * np.sqrt(difference),
        n=np.bincount(residuals.image, minlength=n_images),
        crystal=crystal,
        halves=halves,
    )


def crystal_moments(factors: RelativeImageFactors, groups: Groups) -> CrystalMoments:
    """
    Sum what the variances of factors are made of, by groups of crystals.

    Args:
        factors: Of images.
        groups: Of crystals.

    Returns:
        The sums.
    """
    parts = [_moments_of_split(half, factors, groups) for half in factors.halves]
    crystals, first, second, product, share, within, freedom = np.moveaxis(
        np.array(parts), 0, -1
    )
    return CrystalMoments(crystals, first, second, product, share, within, freedom)


def _moments_of_split(halves, factors: RelativeImageFactors, groups: Groups) -> list:
    """The sums of one split, each of shape (groups,)."""
    n_crystals = len(groups.of_crystal)
    known = np.isfinite(halves).all(axis=0)
    crystal, (one, two) = factors.crystal[known], halves[:, known]
    weight = factors.n[known] / (factors.n[known] + HALF_WEIGHT)

    def total(x):
        return np.bincount(crystal, x, minlength=n_crystals)

    sum_w, has = total(weight), total(weight) > 0
    safe = np.where(has, sum_w, 1)
    mean_one, mean_two = total(weight * one) / safe, total(weight * two) / safe
    share = total(weight**2) / safe**2
    within = total(weight * (one - mean_one[crystal]) * (two - mean_two[crystal]))
    by_crystal = [has, mean_one, mean_two, mean_one * mean_two, share, within]
    by_crystal.append(sum_w - total(weight**2) / safe)
    group = groups.of_crystal
    used = group >= 0
    return [
        np.bincount(group[used], column[used], minlength=groups.n)
        for column in by_crystal
    ]


def factor_variances(moments: CrystalMoments, weights: np.ndarray) -> np.ndarray:
    """
    Give the variance of images within crystals, and of crystals.

    Args:
        moments: By group of crystals.
        weights: Shape (draws, groups), how often each group counts.

    Returns:
        Variance of images and of crystals, shape (2, draws): free of noise, so that
        they can come out negative where there is none; nan where undetermined.
    """
    n, one, two, product, share, within, freedom = (weights @ m for m in moments)
    # nan where nothing can be told: an infinity and its negative would have no mean.
    with np.errstate(divide="ignore", invalid="ignore"):
        image = np.where(freedom > 0.5, within / freedom, np.nan)
        spread = n - np.square(weights) @ moments.crystals / n
        spread = np.where(spread > 0, spread, np.nan)
        between = (product - one * two / n) / spread
        left = np.where(np.isfinite(image), image, 0.0) * share / n
        crystal = np.where(n > 1.5, between - left, np.nan)
    return np.array([np.mean(image, axis=-1), np.mean(crystal, axis=-1)])


def usable_factors(
    factors: RelativeImageFactors | None, n_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give what the intensities of each image can be divided by.

    Args:
        factors: Of images; None without any.
        n_images: Number of images, at least as many as have factors.

    Returns:
        Shape (n_images,), the factor, 1 where it is undetermined or below `SMALLEST`; and
        whether it is neither.
    """
    divisor, known = np.ones(n_images), np.zeros(n_images, dtype=bool)
    if factors is not None:
        found = factors.factor
        known[: len(found)] = np.isfinite(found) & (found > SMALLEST)
        divisor[known] = found[known[: len(found)]]
    return divisor, known


def divided_by_factors(
    observations: Observations, factors: RelativeImageFactors
) -> Observations:
    """
    Divide intensities by the factors of their images.

    Args:
        observations: Not scaled.
        factors: Of images, relative to the mean of all.

    Returns:
        The observations; those on images without a usable factor stay as they are.
    """
    divisor, _ = usable_factors(factors, len(observations.images))
    divisor = divisor[images_of_observations(observations)]
    return observations.with_intensity(
        observations.intensity / divisor, observations.sigma / divisor
    )
