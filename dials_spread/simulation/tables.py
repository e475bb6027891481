"""
Observations with a known spread, without crystals: for tests of statistics.

Functions:
    make_table: observations whose spread has known components
    gaussian_fields: a smooth function of the direction for each reflection
    directions_in_cap: directions at random
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Truth:
    """
    Standard deviations of what makes relative intensities differ.

    Attributes:
        crystal, image: Of a factor common to a crystal, or an image.
        orientation: Of a smooth function of the beam direction, one a reflection.
        rest: Of each observation on its own.
        sigma: Of the noise, relative to the intensity where that is 100.
        range: Of the function of the beam direction [°], as of a Gaussian variogram.
        freedom: Of Student's t for the rest; normal by default.
    """

    crystal: float = 0.0
    image: float = 0.0
    orientation: float = 0.0
    rest: float = 0.0
    sigma: float = 0.05
    range: float = 8.0
    freedom: float = np.inf


def directions_in_cap(
    rng: np.random.Generator, n: int, half_angle: float
) -> np.ndarray:
    """
    Draw directions within a cap about z.

    Args:
        rng: Source of all random numbers.
        n: How many.
        half_angle: Of the cap [°].

    Returns:
        Shape (n, 3), unit vectors.
    """
    z = rng.uniform(np.cos(np.radians(half_angle)), 1, n)
    phi = rng.uniform(0, 2 * np.pi, n)
    rho = np.sqrt(1 - z**2)
    return np.stack([rho * np.cos(phi), rho * np.sin(phi), z], axis=1)


def gaussian_fields(
    rng: np.random.Generator, directions: np.ndarray, unique: np.ndarray, width: float
) -> np.ndarray:
    """
    Draw a normal field for each unique reflection, with covariance exp(-3 (θ/width)²).

    By random Fourier features (Rahimi and Recht (2007), NIPS 20).

    Args:
        rng: Source of all random numbers.
        directions: Shape (n, 3), of the beam at each observation.
        unique: Shape (n,), the reflection of each.
        width: Range [°].

    Returns:
        Shape (n,).
    """
    n_features, n_unique = 60, int(unique.max()) + 1
    frequency = rng.normal(0, np.sqrt(6) / np.radians(width), (n_unique, n_features, 3))
    phase = rng.uniform(0, 2 * np.pi, (n_unique, n_features))
    amplitude = rng.standard_normal((n_unique, n_features))
    angle = np.einsum("nfi,ni->nf", frequency[unique], directions) + phase[unique]
    return np.sqrt(2 / n_features) * (amplitude[unique] * np.cos(angle)).sum(axis=1)


def make_table(
    rng: np.random.Generator,
    truth: Truth,
    n_crystals: int = 16,
    n_images: int = 12,
    n_unique: int = 200,
    per_image: int = 30,
    half_angle: float = 25.0,
) -> tuple[np.ndarray, ...]:
    """
    Observe reflections on crystals whose images lie along short arcs.

    Args:
        rng: Source of all random numbers.
        truth: What makes observations differ.
        n_crystals: Number of crystals.
        n_images: Of each, 1.5° apart.
        n_unique: Number of unique reflections.
        per_image: Of these on each image, chosen at random.
        half_angle: Of the cap that the first images lie in [°].

    Returns:
        Unique reflection, crystal, image, intensity and variance of each observation,
        the beam direction of each image, shape (images, 3), and the mean variance of a
        relative intensity from counting.
    """
    total = n_crystals * n_images
    axis = directions_in_cap(rng, n_crystals, half_angle)
    steps = np.radians(np.arange(n_images) * 1.5)
    across = np.cross(axis, rng.standard_normal((n_crystals, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    beam = (
        np.cos(steps)[None, :, None] * axis[:, None]
        + np.sin(steps)[None, :, None] * across[:, None]
    ).reshape(total, 3)
    unique = np.concatenate(
        [rng.choice(n_unique, per_image, replace=False) for _ in range(total)]
    )
    image = np.repeat(np.arange(total), per_image)
    crystal = image // n_images
    r = truth.crystal * rng.standard_normal(n_crystals)[crystal]
    r += truth.image * rng.standard_normal(total)[image]
    noise = rng.standard_normal(len(unique))
    if np.isfinite(truth.freedom):
        nu = truth.freedom
        noise = rng.standard_t(nu, len(unique)) * np.sqrt((nu - 2) / nu)
    r += truth.rest * noise
    if truth.orientation:
        field = gaussian_fields(rng, beam[image], unique, truth.range)
        r += truth.orientation * field
    mu = 100 * rng.exponential(1, n_unique) + 30
    sigma = truth.sigma * np.sqrt(100 * mu[unique])
    intensity = mu[unique] * (1 + r) + sigma * rng.standard_normal(len(unique))
    noise = np.mean((sigma / mu[unique]) ** 2)
    return unique, crystal, image, intensity, sigma**2, beam, noise
