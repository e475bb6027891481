"""
The features of the published method, for comparison.

Position in reciprocal space, intensity, σ, resolution, and statistics of the image and
of the neighbours on it. They name the reflection: a model that learns from them knows
the compound it was trained on, and none other.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dials_spread.correction.features.registry import Feature
from dials_spread.observations import Observations
from dials_spread.orientation import reciprocal_basis
from dials_spread.statistics.groups import group_means, group_medians, group_spreads

N_NEIGHBOURS = 5
"""Nearest spots on the image that count as neighbours."""

IMAGE_WIDTH = 1.0
"""Rotation that makes an image [°]."""

PUBLISHED = tuple(
    Feature(name, unit, meaning, "as published")
    for name, unit, meaning in (
        ("x", "1/Å", "of the unique reflection, along a* × b* × …: cctbx's x"),
        ("y", "1/Å", "the same, y"),
        ("z", "1/Å", "the same, z"),
        ("d", "Å", "resolution"),
        ("intensity", "counts", "of the observation"),
        ("sigma", "counts", "its σ"),
        ("i_over_sigma", "1", "their quotient"),
        ("image_mean", "counts", "mean intensity of the image"),
        ("image_median", "counts", "median intensity of the image"),
        ("image_spread", "counts", "standard deviation of the image's intensities"),
        ("image_spots", "1", "spots on the image"),
        ("neighbour_mean", "counts", "mean intensity of the five nearest spots"),
        ("neighbour_distance", "1/Å", "their mean distance"),
    )
)

PUBLISHED_GROUPS = {
    "position": ("x", "y", "z", "d"),
    "own intensity": ("intensity", "sigma", "i_over_sigma"),
    "image": ("image_mean", "image_median", "image_spread", "image_spots"),
    "neighbours": ("neighbour_mean", "neighbour_distance"),
}
"""Features that tell of one thing."""


def published_features(measured: Observations) -> np.ndarray:
    """
    Make the published features of observations.

    Args:
        measured: n observations, intensities on whatever scale they were measured.

    Returns:
        Shape (n, 13), columns PUBLISHED; nan where an image has no neighbour.
    """
    I, sigma = measured.intensity, measured.sigma
    image = images_of(measured)
    n_images = int(image.max()) + 1
    position = measured.unique_index @ reciprocal_basis(measured.unit_cell).T
    distance, around = _neighbours(measured, image)
    columns = [
        *position[measured.unique].T,
        1 / np.sqrt(measured.d_star_sq)[measured.unique],
        I,
        sigma,
        I / sigma,
        group_means(I, image, n_images)[image],
        group_medians(I, image, n_images)[image],
        group_spreads(I, image, n_images)[image],
        np.bincount(image)[image],
        around,
        distance,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def images_of(measured: Observations) -> np.ndarray:
    """Number the degrees of rotation of each crystal that were measured, shape (n,)."""
    turn = np.floor(measured.angle / IMAGE_WIDTH).astype(np.int64)
    keys = np.stack([measured.crystal.astype(np.int64), turn], axis=1)
    return np.ravel(np.unique(keys, axis=0, return_inverse=True)[1])


def _neighbours(
    measured: Observations, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give mean distance and mean intensity of the nearest spots of each."""
    vectors = measured.miller_index @ reciprocal_basis(measured.unit_cell).T
    # Images far apart in a fourth dimension: one tree serves them all.
    apart = 10 * np.sqrt(measured.d_star_sq.max()) * image
    points = np.column_stack([vectors, apart])
    reach = 5 * np.sqrt(measured.d_star_sq.max())
    k = N_NEIGHBOURS + 1
    distance, index = cKDTree(points).query(points, k=k, distance_upper_bound=reach)
    distance, index = distance[:, 1:], index[:, 1:]
    found = np.isfinite(distance)
    n = found.sum(axis=1)
    intensity = np.append(measured.intensity, 0.0)[index]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_distance = np.where(found, distance, 0).sum(axis=1) / n
        mean_intensity = np.where(found, intensity, 0).sum(axis=1) / n
    return mean_distance, mean_intensity
