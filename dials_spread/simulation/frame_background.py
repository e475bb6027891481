"""What lies between the spots of a frame: background and direct beam."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from dials_spread.simulation.image_files import FrameGeometry


def scattering_vectors(geometry: FrameGeometry) -> np.ndarray:
    """
    The length of the scattering vector that ends in the middle of each pixel.

    Args:
        geometry: A detector normal to the beam.

    Returns:
        2 sin θ / λ [1/Å], of shape (slow, fast).
    """
    fast, slow = (
        np.arange(n) + 0.5 - centre
        for n, centre in zip(geometry.image_size, geometry.beam_centre)
    )
    radius = np.hypot(slow[:, None], fast) * geometry.pixel_size
    angle = np.arctan(radius / geometry.distance)
    return 2 * np.sin(0.5 * angle) / geometry.wavelength


def background_counts(
    geometry: FrameGeometry, level: float, flat_fraction: float, width: float
) -> np.ndarray:
    """
    A background that falls as a Lorentzian to a constant.

    Args:
        geometry: Of the frames.
        level: Mean over the detector [counts per pixel].
        flat_fraction: Part of it that is the same everywhere.
        width: Half width at half maximum of the rest [1/Å].

    Returns:
        Expected counts of shape (slow, fast).
    """
    falling = 1 / (1 + (scattering_vectors(geometry) / width) ** 2)
    return level * (flat_fraction + (1 - flat_fraction) * falling / falling.mean())


def direct_beam_counts(
    geometry: FrameGeometry, electrons: float, sigma: float
) -> np.ndarray:
    """
    A Gaussian direct beam, integrated over each pixel.

    Args:
        geometry: Of the frames.
        electrons: Expected counts of the whole beam.
        sigma: Standard deviation [pixels].

    Returns:
        Expected counts of shape (slow, fast).
    """
    fast, slow = (
        np.diff(ndtr((np.arange(n + 1) - centre) / sigma))
        for n, centre in zip(geometry.image_size, geometry.beam_centre)
    )
    return electrons * np.outer(slow, fast)
