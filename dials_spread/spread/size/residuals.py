"""
How far each observation is from the mean of the others of its unique reflection.

Everything that is said about the spread starts here: which observations count, their
deviation from the leave-one-out mean μ, and what is known of the variance of both.

Weak reflections. A relative deviation means nothing where μ is not known to differ from
zero, so a unique reflection is left out as a whole, with all its observations, where the
mean of all is below ``WEAKEST`` standard deviations of that mean, or where the mean
variance of its observations exceeds μ². Leaving out single observations, by their own
intensity, would cut the distribution that is to be measured. How many are left out is
counted, by reason.

Functions:
    build_residuals: from observations
    leave_one_out: means without the observation itself
    residuals_of_arrays: from bare columns
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.observations import Observations
from dials_spread.statistics.bootstrap import Groups
from dials_spread.statistics.excess_spread import WEAKEST, well_known
from dials_spread.statistics.groups import order_of_groups

SINGLE = "only observation of its reflection"
WEAK = "reflection too weak"


@dataclass(frozen=True)
class Residuals:
    """
    The observations that count, sorted by unique reflection; arrays of length n.

    Attributes:
        observation: Number of the observation in Observations.
        unique: Number of the unique reflection, not decreasing.
        crystal: Number of the crystal.
        image: Number of the image of the (calculated) centroid.
        intensity: I, on one scale.
        variance: σ².
        mean: μ, the mean of the other observations of the reflection, unweighted:
            weights 1/σ² would favour what came out low, since σ grows with I.
        mean_variance: Variance of that mean as far as the σ of the others explain it.
        number: How many others there are.
        level: Mean of all observations of the reflection, positive. What is relative is
            relative to it: one low observation of two as the divisor would blow up the
            residual of the other.
        left: What the fit of factors of crystals has left of the variance, up to 1.
        left_out: Number of observations left out, by reason.
        n_crystals: Number of crystals in the numbering, with or without observations.
        n_images: Likewise of images.
    """

    observation: np.ndarray
    unique: np.ndarray
    crystal: np.ndarray
    image: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    mean: np.ndarray
    mean_variance: np.ndarray
    number: np.ndarray
    level: np.ndarray
    left: np.ndarray
    left_out: dict[str, int]
    n_crystals: int
    n_images: int

    def __len__(self) -> int:
        return len(self.intensity)

    @property
    def r(self) -> np.ndarray:
        """Shape (n,), relative deviations (I - μ) / level."""
        return (self.intensity - self.mean) / self.level

    @property
    def relative_sigma(self) -> np.ndarray:
        """Shape (n,), σ / level."""
        return np.sqrt(self.variance) / self.level

    @property
    def start(self) -> np.ndarray:
        """Shape (reflections + 1,): those of one unique reflection lie together."""
        new = np.flatnonzero(np.diff(self.unique)) + 1
        ends = [len(self)] if len(self) else []
        return np.concatenate([[0], new, ends]).astype(np.int64)


def leave_one_out(
    unique: np.ndarray, intensity: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Give the mean of the other observations of each one's unique reflection.

    Args:
        unique: Shape (n,), number of the unique reflection, from 0.
        intensity: Shape (n,).
        variance: Shape (n,).

    Returns:
        The mean, its variance from those of the others, and the number of others, each
        of shape (n,); nan where there is no other.
    """
    number = np.bincount(unique)[unique] - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (np.bincount(unique, intensity)[unique] - intensity) / number
        total = np.bincount(unique, variance)[unique] - variance
        # Rounding may leave a difference of sums below zero.
        mean_variance = np.maximum(total, 0) / number**2
    alone = number == 0
    mean[alone] = mean_variance[alone] = np.nan
    return mean, mean_variance, number


def images_of_observations(observations: Observations) -> np.ndarray:
    """
    Give one image to each observation.

    Args:
        observations: Assigned to images by centroid or by extent.

    Returns:
        Shape (n,), int32: the image; of several, the one in the middle.
    """
    first = observations.first_image
    last = first.copy()
    last[observations.entry] = observations.entry_image
    return ((first + last) // 2).astype(np.int32)


def residuals_of_arrays(
    unique: np.ndarray,
    crystal: np.ndarray,
    image: np.ndarray,
    intensity: np.ndarray,
    variance: np.ndarray,
    weakest: float = WEAKEST,
    left: np.ndarray | None = None,
) -> Residuals:
    """
    Give the residuals of bare columns.

    Args:
        unique: Shape (n,), number of the unique reflection, from 0.
        crystal: Shape (n,), from 0.
        image: Shape (n,), from 0, numbered over all crystals.
        intensity: Shape (n,), on one scale.
        variance: Shape (n,), positive.
        weakest: μ / σ(μ) from which a unique reflection counts.
        left: Shape (n,), what scaling has left of the variance; all by default.

    Returns:
        The residuals of the observations that count, possibly none.
    """
    size = np.bincount(unique)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.bincount(unique, intensity) / size
        noise = np.bincount(unique, variance) / size
    strong = well_known(level, noise, size, weakest)
    single = (size == 1)[unique]
    keep = strong[unique] & ~single
    left_out = {SINGLE: int(single.sum()), WEAK: int((~keep & ~single).sum())}
    rows = np.flatnonzero(keep)
    rows = rows[order_of_groups(unique[rows])]
    unique, intensity, variance = unique[rows], intensity[rows], variance[rows]
    mean, mean_variance = np.empty(0), np.empty(0)
    number = np.empty(0, dtype=int)
    if len(rows):
        mean, mean_variance, number = leave_one_out(unique, intensity, variance)
    return Residuals(
        observation=rows,
        unique=unique,
        crystal=crystal[rows].astype(np.int32),
        image=image[rows].astype(np.int32),
        intensity=intensity,
        variance=variance,
        mean=mean,
        mean_variance=mean_variance,
        number=number,
        level=level[unique],
        left=np.ones(len(rows)) if left is None else left[rows],
        left_out={reason: n for reason, n in left_out.items() if n},
        n_crystals=int(crystal.max(initial=-1)) + 1,
        n_images=int(image.max(initial=-1)) + 1,
    )


def build_residuals(
    observations: Observations,
    scales: np.ndarray | None = None,
    weakest: float = WEAKEST,
    left: np.ndarray | None = None,
) -> Residuals:
    """
    Give the residuals of observations.

    Args:
        observations: The observations.
        scales: Shape (crystals,), what the intensities of each crystal are divided by;
            nothing by default.
        weakest: μ / σ(μ) from which a unique reflection counts.
        left: Shape (n,), what the fit of the scales has left of the variance of each, as
            pairs.left_by_scales gives it; all by default.

    Returns:
        The residuals of the observations that count, possibly none.
    """
    divisor = 1.0 if scales is None else scales[observations.crystal]
    return residuals_of_arrays(
        observations.unique,
        observations.crystal,
        images_of_observations(observations),
        observations.intensity / divisor,
        observations.variance / divisor**2,
        weakest,
        left,
    )


def mean_levels(
    residuals: Residuals, groups: Groups, weights: np.ndarray
) -> np.ndarray:
    """
    Give the mean relative intensity of each draw.

    Everything is relative to the mean of the crystals at hand. Other crystals have
    another mean, by which all of it changes together.

    Args:
        residuals: n of them.
        groups: Of crystals.
        weights: Shape (draws, groups), from Groups.draws.

    Returns:
        Shape (draws,), 1 for all crystals once.
    """
    group = groups.of_crystal[residuals.crystal]
    relative = residuals.intensity / residuals.level
    total = weights @ np.bincount(group, relative, minlength=groups.n)
    mean = total / (weights @ np.bincount(group, minlength=groups.n))
    return mean / mean[0]
