"""
Is a quantity of images associated with their orientation, or with the crystals?

The images of one crystal are not independent, so chance is judged by giving whole
crystals the orientations of other crystals.

Functions:
    associate: rank correlations, with p by permuting crystals
    crystal_permutations, exchanged_images: what is permuted
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from math import factorial

import numpy as np
from scipy import stats

PERMUTATIONS = 999

MOST_IMAGES = 20_000
"""With more images a fifth of the permutations is drawn."""

FEWEST_CRYSTALS = 4
"""Four crystals have 24 permutations, the fewest that can give p below 0.05."""


@dataclass(frozen=True)
class Association:
    """
    Rank correlation between the size of residuals on an image and one of its angles.

    Attributes:
        angle: What the angle is to: "zone", "low_index_zone" or the name of an axis.
        correlation: Spearman's, over images; negative where residuals are larger near
            the axis. nan where nothing varies.
        p_value: Share of permutations of the crystals that correlate as strongly;
            nan with too few crystals.
        q_value: The same corrected for the number of angles (Benjamini and Hochberg).
        n_images, n_crystals, n_permutations: What it rests on.
    """

    angle: str
    correlation: float
    p_value: float
    q_value: float
    n_images: int
    n_crystals: int
    n_permutations: int

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))


def crystal_permutations(
    n: int, rng: np.random.Generator, most: int = PERMUTATIONS
) -> np.ndarray:
    """
    Give permutations of crystals, the identity left out.

    Args:
        n: Crystals.
        rng: Draws them where there are too many to list.
        most: Permutations drawn at most.

    Returns:
        Shape (m, n): all of them where these are no more than that.
    """
    if n < 8 and factorial(n) - 1 <= most:
        return np.array([*permutations(range(n))][1:], dtype=int).reshape(-1, n)
    return np.argsort(rng.random((most, n)), axis=1)


def exchanged_images(crystal: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """
    Say whose orientation each image gets when crystals exchange theirs.

    Scans differ in length: an image gets the orientation at the same part of the scan.

    Args:
        crystal: Shape (images,), increasing, from 0 without gaps.
        permutation: Shape (crystals,), whose orientations each crystal gets.

    Returns:
        Shape (images,), the image that each one's orientation is taken from.
    """
    size = np.bincount(crystal)
    start = np.cumsum(size) - size
    place = (np.arange(len(crystal)) - start[crystal] + 0.5) / size[crystal]
    other = permutation[crystal]
    return start[other] + np.floor(place * size[other]).astype(int)


def associate(
    angles: dict[str, np.ndarray],
    residual: np.ndarray,
    weight: np.ndarray,
    crystal: np.ndarray,
    rng: np.random.Generator,
    n_permutations: int = PERMUTATIONS,
) -> list[Association]:
    """
    Correlate the size of residuals with angles.

    Args:
        angles: Shape (images,) [°] by name.
        residual: Shape (images,), mean |z|; nan for an image without observations.
        weight: Shape (images,), observations behind it.
        crystal: Shape (images,), increasing.
        rng: For the permutations.
        n_permutations: Most that are drawn; a fifth of it for many images.

    Returns:
        One for each angle, without p where crystals are too few.
    """
    use = np.isfinite(residual)
    numbers, crystal = np.unique(crystal[use], return_inverse=True)
    n = len(numbers)
    drawn = np.empty((0, n), dtype=int)
    if n >= FEWEST_CRYSTALS:
        few = len(crystal) > MOST_IMAGES
        drawn = crystal_permutations(
            n, rng, n_permutations // 5 if few else n_permutations
        )
    weight = weight[use].astype(float)
    y = _standardised(stats.rankdata(residual[use]), weight)
    found = []
    ranks = {name: stats.rankdata(angle[use]) for name, angle in angles.items()}
    by_chance = {name: np.empty(len(drawn)) for name in ranks}
    for k, permutation in enumerate(drawn):
        source = exchanged_images(crystal, permutation)
        for name, rank in ranks.items():
            by_chance[name][k] = _correlation(rank[source], y, weight)
    for name, rank in ranks.items():
        seen, p = _correlation(rank, y, weight), float("nan")
        if len(drawn) and np.isfinite(seen):
            as_strong = int(np.sum(np.abs(by_chance[name]) >= abs(seen) - 1e-12))
            p = (1 + as_strong) / (1 + len(drawn))
        found.append(Association(name, seen, p, np.nan, int(use.sum()), n, len(drawn)))
    return _with_q_values(found)


def _standardised(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean zero, weighted variance one; nan where nothing varies."""
    if not len(x):
        return x
    x = x - np.average(x, weights=weight)
    spread = np.sqrt(np.average(x * x, weights=weight))
    return x / spread if spread > 0 else np.full(len(x), np.nan)


def _correlation(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Weighted, of any x with a standardised y."""
    total = weight.sum()
    if not total > 0:
        return np.nan
    mean = x @ weight / total
    variance = (x * x) @ weight / total - mean**2
    if not variance > 1e-9 * max(mean**2, 1):
        return np.nan
    return float((x * y) @ weight / total / np.sqrt(variance))


def _with_q_values(found: list[Association]) -> list[Association]:
    """Benjamini and Hochberg's correction over the angles that have a p-value."""
    p = np.array([a.p_value for a in found])
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])]
    if len(order):
        raised = p[order] * len(order) / np.arange(1, len(order) + 1)
        q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1)
    return [replace(a, q_value=v) for a, v in zip(found, q)]
