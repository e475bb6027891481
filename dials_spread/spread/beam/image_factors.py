"""
The image component of unscaled data: a factor for each image.

Unscaled intensities differ from image to image with the beam, the illuminated volume,
the exposure. The factors k of I = k μ are fitted to all reflections at once, image by
image, without any smoothness along the scan; nothing of the raw images enters.

Functions:
    unscaled_intensities: profile-fitted or summed values of the same observations
    fit_image_factors: k of each image
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dials.array_family import flex

from dials_spread.observations import Observations
from dials_spread.observations.intensities import intensity_and_variance
from dials_spread.threads import run_blocks

RELATIVE_ERROR = 0.3
"""Of an observation beside σ: keeps a few strong reflections from deciding alone."""

FEW = 1000
"""Observations that are fitted first, so that no thread meets types that are new."""

ROUNDS = 25
CONVERGED = 1e-4

FEWEST_SPOTS = 3
"""On an image, for a factor."""


@dataclass(frozen=True)
class UnscaledImageFactors:
    """
    What the spots say about each image, arrays of shape (images,).

    Attributes:
        k: Factor, geometric mean 1; nan where there are too few spots, or none of a
            reflection that ties the image to the others.
        relative_sigma: Of k.
        half_a, half_b: k from two random halves of the unique reflections.
        n: Observations behind k.
    """

    k: np.ndarray
    relative_sigma: np.ndarray
    half_a: np.ndarray
    half_b: np.ndarray
    n: np.ndarray


def unscaled_intensities(
    observations: Observations, tables: Sequence[flex.reflection_table]
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the integrated values of observations, whatever they were scaled to.

    Args:
        observations: The observations.
        tables: The tables that they were built from.

    Returns:
        Intensity and variance, shape (n,), with lp, qe and partiality applied;
        profile-fitted where the table has such values, else summed.
    """
    if not observations.scaled:
        return observations.intensity, observations.variance
    intensity = np.full(len(observations), np.nan)
    variance = intensity.copy()
    for own, table in zip(observations.by_crystal(len(tables)), tables):
        if not len(own):
            continue
        fitted = "intensity.prf.value" in table and (
            table.get_flags(table.flags.integrated_prf).count(True) > 0
        )
        values = intensity_and_variance(table, "profile" if fitted else "sum")
        rows = observations.row[own]
        intensity[own], variance[own] = (v[rows] for v in values)
    return intensity, variance


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _factor(image, n_images, variance, scale, intensity, mean):
    """k of each image, and the sum of weights behind it."""
    below, k = np.zeros(n_images), np.zeros(n_images)
    for i in range(len(image)):
        weight = 1 / (variance[i] + (RELATIVE_ERROR * scale[i] * mean[i]) ** 2)
        below[image[i]] += weight * mean[i] ** 2
        k[image[i]] += weight * intensity[i] * mean[i]
    for j in range(n_images):
        k[j] = k[j] / below[j]
    return k, below


def _alternate(unique, image, intensity, variance, n_images):
    """
    Fit factors by least squares, alternating with the means of the reflections.

    Returns:
        k and its relative σ, shape (n_images,); nan where spots are too few.
    """
    several = np.bincount(unique, minlength=1) > 1
    use = several[unique]
    use[use] = _connected(unique[use], image[use], n_images)
    unique, image, intensity, variance = (
        column[use] for column in (unique, image, intensity, variance)
    )
    n, n_unique = np.bincount(image, minlength=n_images), len(several)
    k = _start(image, n_images, intensity)
    new, below = np.full(n_images, np.nan), np.ones(n_images)
    for _ in range(ROUNDS if len(image) else 0):
        scale = k[image]
        mean = _means(unique, scale, intensity, variance, n_unique)
        new, below = _factor(image, n_images, variance, scale, intensity, mean)
        new = np.where(new > 0, new, np.nan)
        if not np.isfinite(new).any():
            break
        new /= np.exp(np.nanmean(np.log(new)))
        step = np.nanmax(np.abs(np.log(new / k)))
        k = np.where(np.isfinite(new), new, 1e-6)
        if step < CONVERGED:
            break
    known = (n >= FEWEST_SPOTS) & np.isfinite(new)
    with np.errstate(divide="ignore"):
        sigma = np.where(known, 1 / (np.sqrt(below) * k), np.nan)
    return np.where(known, k, np.nan), sigma


def fit_image_factors(
    unique: np.ndarray,
    image: np.ndarray,
    n_images: int,
    intensity: np.ndarray,
    variance: np.ndarray,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> UnscaledImageFactors:
    """
    Fit a factor for each image, to all reflections and to two halves of them.

    Args:
        unique: Shape (n,), number of the unique reflection, from 0.
        image: Shape (n,), number of the image.
        n_images: Number of images.
        intensity: Shape (n,), unscaled.
        variance: Shape (n,).
        rng: Deals the unique reflections out to halves.
        nproc: Threads; all cores by default.

    Returns:
        The factors.
    """
    good = np.isfinite(intensity) & (variance > 0)
    half = rng.random(int(unique.max(initial=0)) + 1) < 0.5
    unique, image = unique[good], image[good]
    intensity, variance = intensity[good], variance[good]

    uses = np.ones(len(unique), dtype=bool), half[unique], ~half[unique]
    fits: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def fitted(own):
        return _alternate(
            unique[own], image[own], intensity[own], variance[own], n_images
        )

    def fit(first, stop):
        for k in range(first, stop):
            fits[k] = fitted(uses[k])

    def fit_few():
        few = np.searchsorted(np.cumsum(np.bincount(unique)), FEW)
        return bool(np.isfinite(fitted(unique <= few)[0]).any())

    run_blocks(fit, len(uses), 1, nproc, little=fit_few)
    return UnscaledImageFactors(
        k=fits[0][0],
        relative_sigma=fits[0][1],
        half_a=fits[1][0],
        half_b=fits[2][0],
        n=np.bincount(image, minlength=n_images),
    )


def _connected(unique, image, n_images) -> np.ndarray:
    """
    Say which spots are on the largest set of images that hang together by reflections.

    How strong images are beside those that share no reflection with them, not even over
    others, is not determined.
    """
    if not len(image):
        return np.ones(0, dtype=bool)
    n = n_images + int(unique.max()) + 1
    both = coo_matrix((np.ones(len(image)), (image, n_images + unique)), shape=(n, n))
    part = connected_components(both, directed=False)[1][image]
    return part == np.argmax(np.bincount(part))


def _start(image, n_images, intensity) -> np.ndarray:
    """Mean intensity of each image over that of all: rough, and positive."""
    n = np.maximum(np.bincount(image, minlength=n_images), 1)
    mean = np.bincount(image, intensity, n_images) / n
    typical = np.median(mean[mean > 0]) if (mean > 0).any() else 1.0
    return np.where(mean > 0, mean / typical, 1.0) ** 0.5


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _means(unique, scale, intensity, variance, n_unique):
    """μ of each observation's reflection, on the scale of k = 1."""
    total, weights = np.zeros(n_unique), np.zeros(n_unique)
    for i in range(len(unique)):
        weight = scale[i] ** 2 / variance[i]
        total[unique[i]] += weight * intensity[i] / scale[i]
        weights[unique[i]] += weight
    square = np.empty(n_unique)
    for u in range(n_unique):
        rough = total[u] / max(weights[u], 1e-300)
        square[u] = (RELATIVE_ERROR * max(rough, 0.0)) ** 2
        total[u] = weights[u] = 0.0
    for i in range(len(unique)):
        weight = 1 / (variance[i] / scale[i] ** 2 + square[unique[i]])
        total[unique[i]] += weight * intensity[i] / scale[i]
        weights[unique[i]] += weight
    found = np.empty(len(unique))
    for i in range(len(unique)):
        u = unique[i]
        found[i] = max(total[u] / max(weights[u], 1e-300), 0.0)
    return found
