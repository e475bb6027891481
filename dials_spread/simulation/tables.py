"""
Observations with a known spread, without crystals: for tests of statistics.

Functions:
    make_table: observations whose spread has known components
    GaussianFields: a smooth function of the direction for each reflection
    directions_in_cap: directions at random
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class KnownSpread:
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


@dataclass(frozen=True)
class GaussianFields:
    """
    Normal functions of the direction, one for each unique reflection.

    Attributes:
        frequency: Shape (u, features, 3).
        phase: Shape (u, features).
        amplitude: Shape (u, features).
    """

    frequency: np.ndarray
    phase: np.ndarray
    amplitude: np.ndarray

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, n_unique: int, width: float
    ) -> GaussianFields:
        """
        Draw functions with covariance exp(-3 (θ/width)²) and variance 1.

        By random Fourier features (Rahimi and Recht (2007), NIPS 20).

        Args:
            rng: Source of all random numbers.
            n_unique: Number of reflections.
            width: Range [°].
        """
        shape = (n_unique, 60)
        return cls(
            frequency=rng.normal(0, np.sqrt(6) / np.radians(width), (*shape, 3)),
            phase=rng.uniform(0, 2 * np.pi, shape),
            amplitude=rng.standard_normal(shape),
        )

    def __call__(self, directions: np.ndarray, unique: np.ndarray) -> np.ndarray:
        """
        Give the value of each observation's function.

        Args:
            directions: Shape (n, 3), unit vectors.
            unique: Shape (n,), the reflection of each.

        Returns:
            Shape (n,).
        """
        angle = np.einsum("nfi,ni->nf", self.frequency[unique], directions)
        waves = np.cos(angle + self.phase[unique])
        return np.sqrt(2 / waves.shape[1]) * (self.amplitude[unique] * waves).sum(
            axis=1
        )


class SimulatedTable(NamedTuple):
    """
    Observations of known spread; arrays of length n.

    Attributes:
        unique, crystal, image: Numbers, of each observation.
        intensity, variance: Of each.
        beam: Shape (images, 3), beam direction of each image.
        noise: Mean variance of a relative intensity from counting.
        fields: What depends on orientation; None if nothing does.
    """

    unique: np.ndarray
    crystal: np.ndarray
    image: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    beam: np.ndarray
    noise: float
    fields: GaussianFields | None


def make_table(
    rng: np.random.Generator,
    truth: KnownSpread,
    n_crystals: int = 16,
    n_images: int = 12,
    n_unique: int = 200,
    per_image: int = 30,
    half_angle: float = 25.0,
) -> SimulatedTable:
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
    fields = None
    if truth.orientation:
        fields = GaussianFields.drawn(rng, int(unique.max()) + 1, truth.range)
        r += truth.orientation * fields(beam[image], unique)
    mu = 100 * rng.exponential(1, n_unique) + 30
    sigma = truth.sigma * np.sqrt(100 * mu[unique])
    intensity = mu[unique] * (1 + r) + sigma * rng.standard_normal(len(unique))
    noise = np.mean((sigma / mu[unique]) ** 2)
    return SimulatedTable(
        unique, crystal, image, intensity, sigma**2, beam, noise, fields
    )
