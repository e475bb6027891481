"""
Do the extremes come from special orientations?

Near a zone axis many reflections are excited at once, and multiple scattering is
strongest. Each image has a nearest zone axis and angles to the axes of the lattices; if
orientation matters, images at small angles hold the larger residuals.

Which reflections an image holds depends on its orientation, too, and some have larger
residuals than others wherever they are: weak ones, noisy ones. So each |z| is compared with
the mean of its reflection.

Functions:
    analyse_orientations: angles, association and extremes
    standardised_residuals: in units of what is expected
    relative_sizes: against the others of the reflection
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from dials_spread import orientation
from dials_spread.observations import Observations
from dials_spread.observations.canonical_order import crystal_rank
from dials_spread.spread.orientations.association import (
    FEWEST_CRYSTALS,
    Association,
    associate,
)
from dials_spread.spread.orientations.zone_axes import (
    HIGHEST_INDEX,
    LOW_INDEX,
    axis_angles,
    nearest_zones,
)
from dials_spread.spread.size.residuals import Residuals
from dials_spread.stages import stage

EXTREMES = 50
"""Observations that are listed."""


@dataclass(frozen=True)
class Orientations:
    """
    Special orientations of all images and the residuals on them.

    Attributes:
        zone: Shape (images, 3), int: the nearest zone axis.
        zone_angle: Shape (images,) [°], the angle to it.
        low_zone: Shape (images, 3): the nearest of the simplest ones.
        low_zone_angle: Shape (images,) [°].
        axis_angle: Shape (images,) [°] by the name of the axis.
        image_residual: Shape (images,), mean |z| of the observations; nan without any.
        relative_residual: Shape (images,), mean of |z| over the mean |z| of the same
            reflection; what is associated with the angles.
        image_n: Shape (images,), observations behind it.
        associations: One an angle.
        extremes: The observations of largest |z|, with their images and zones.
        n_beyond: How many observations have |z| above 3, and how many would have if
            residuals were normal.
        reason: Why associations have no p-value, or why there is nothing.
    """

    zone: np.ndarray
    zone_angle: np.ndarray
    low_zone: np.ndarray
    low_zone_angle: np.ndarray
    axis_angle: dict[str, np.ndarray]
    image_residual: np.ndarray
    relative_residual: np.ndarray
    image_n: np.ndarray
    associations: list[Association]
    extremes: list[dict]
    n_beyond: tuple[int, float]
    reason: str

    def as_dict(self) -> dict:
        """Give the attributes by name, associations as dicts."""
        return {**vars(self), "associations": [a.as_dict() for a in self.associations]}

    @property
    def angles(self) -> dict[str, np.ndarray]:
        """Shape (images,) [°] by the name of the angle."""
        named = {"low_index_zone": self.low_zone_angle, "zone": self.zone_angle}
        return {**named, **_different(self.axis_angle)}


def standardised_residuals(residuals: Residuals, s: float) -> np.ndarray:
    """
    Give the residuals in units of what is expected of them.

    Args:
        residuals: n of them.
        s: Excess relative spread.

    Returns:
        Shape (n,): (I - μ) / sqrt(σ² + σ_μ² + s²μ²(1 + 1/n)).
    """
    expected = residuals.variance + residuals.mean_variance
    expected = expected + (s * residuals.level) ** 2 * (1 + 1 / residuals.number)
    return (residuals.intensity - residuals.mean) / np.sqrt(expected)


def relative_sizes(residuals: Residuals, size: np.ndarray) -> np.ndarray:
    """
    Give what is expected to be one for every reflection.

    Args:
        residuals: n of them.
        size: Shape (n,), |z|.

    Returns:
        Shape (n,), |z| over the mean |z| of the observations of its reflection.
    """
    start = residuals.start
    n = np.diff(start)
    mean = np.add.reduceat(size, start[:-1]) / n if len(n) else np.empty(0)
    # All alike is as expected.
    return np.where(
        (mean > 0).repeat(n), size / np.where(mean > 0, mean, 1).repeat(n), 1
    )


@stage("Special orientations")
def analyse_orientations(
    observations: Observations,
    residuals: Residuals,
    s: float,
    rng: np.random.Generator,
    highest: int = HIGHEST_INDEX,
    n_extremes: int = EXTREMES,
) -> Orientations:
    """
    Relate the size of residuals to special orientations.

    Args:
        observations: With the images.
        residuals: Of these.
        s: Excess relative spread over all, for the size that is expected.
        rng: For the permutations.
        highest: Index of zone axes.
        n_extremes: Observations that are listed.

    Returns:
        Angles of all images, associations, extremes.
    """
    images = observations.images
    basis = orientation.reciprocal_basis(observations.unit_cell)
    zone, zone_angle = nearest_zones(images.beam, basis, highest)
    low, low_angle = nearest_zones(images.beam, basis, min(LOW_INDEX, highest))
    z = standardised_residuals(residuals, s if np.isfinite(s) else 0.0)
    n = np.bincount(residuals.image, minlength=len(images))
    size = np.abs(z)
    of_image = [
        np.bincount(residuals.image, values, minlength=len(images))
        for values in (size, relative_sizes(residuals, size))
    ]
    with np.errstate(invalid="ignore"):
        mean, relative = (total / n for total in of_image)
    axes = axis_angles(images.beam, basis)
    angles = {"low_index_zone": low_angle, "zone": zone_angle, **_different(axes)}
    expected = 2 * stats.norm.sf(3) * len(z)
    where = (zone, zone_angle, low, low_angle)
    return Orientations(
        zone=zone,
        zone_angle=zone_angle,
        low_zone=low,
        low_zone_angle=low_angle,
        axis_angle=axes,
        image_residual=mean,
        relative_residual=relative,
        image_n=n,
        associations=_associations(observations, angles, relative, n, rng),
        extremes=_extremes(observations, residuals, z, where, n_extremes),
        n_beyond=(int((np.abs(z) > 3).sum()), float(expected)),
        reason=_reason(len(z), len(np.unique(residuals.crystal))),
    )


def _associations(
    observations: Observations,
    angles: dict[str, np.ndarray],
    mean: np.ndarray,
    n: np.ndarray,
    rng: np.random.Generator,
) -> list[Association]:
    """Correlate what images have, in an order that does not depend on that of files."""
    rank = crystal_rank(observations)[observations.images.crystal]
    order = np.argsort(rank, kind="stable")
    angles = {name: angle[order] for name, angle in angles.items()}
    return associate(angles, mean[order], n[order], rank[order], rng)


def _different(axes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each angle once: a and a* are one line where they are parallel."""
    names: list[list[str]] = []
    for name, angle in axes.items():
        for same in names:
            if np.allclose(axes[same[0]], angle, atol=1e-3):
                same.append(name)
                break
        else:
            names.append([name])
    return {", ".join(same): axes[same[0]] for same in names}


def _reason(n: int, n_crystals: int) -> str:
    if not n:
        return "No reflection was observed twice with a mean above its error."
    if n_crystals < FEWEST_CRYSTALS:
        there = "is one crystal" if n_crystals == 1 else f"are {n_crystals} crystals"
        return (
            f"There {there}: no p-value, which takes {FEWEST_CRYSTALS} or more whose "
            "orientations can be exchanged."
        )
    return ""


def _extremes(
    observations: Observations, residuals: Residuals, z: np.ndarray, where, most: int
) -> list[dict]:
    """Describe the observations of largest |z|, the largest first."""
    zone, zone_angle, low, low_angle = where
    images = observations.images
    # Two observations of a reflection have the same |z|: which comes first must not
    # depend on the order of rows, nor on the last digit.
    size = -np.round(np.abs(z), 9)
    first = np.arange(len(size))
    if 0 < most < len(size):
        first = np.flatnonzero(size <= np.partition(size, most - 1)[most - 1])
    columns = (z, residuals.image, residuals.unique, size)
    order = first[np.lexsort([column[first] for column in columns])][:most]
    listed = []
    for i in order:
        image, row = residuals.image[i], residuals.observation[i]
        crystal = images.crystal[image]
        listed.append(
            {
                "dataset": observations.dataset[crystal],
                "crystal": crystal,
                "image": images.first[image],
                "image_last": images.last[image],
                "miller_index": observations.miller_index[row],
                "d_spacing": observations.d_spacing[residuals.unique[i]],
                "intensity": residuals.intensity[i],
                "sigma": np.sqrt(residuals.variance[i]),
                "mean_of_others": residuals.mean[i],
                "others": residuals.number[i],
                "z": z[i],
                "zone": zone[image],
                "zone_angle": zone_angle[image],
                "low_index_zone": low[image],
                "low_index_zone_angle": low_angle[image],
            }
        )
    return listed
