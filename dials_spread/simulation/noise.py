"""Counting statistics of integrated intensities."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from dials_spread.simulation.geometry import SPOT_SIGMA


@dataclass(frozen=True)
class NoiseModel:
    """
    How measured intensities differ from what the crystal scatters.

    Attributes:
        mean_counts: Electrons of a reflection with the mean |F|², and with the mean
            Lorentz factor of the equator, on a crystal of scale one.
        background: Background [counts per pixel].
        scale_spread: Relative standard deviation of the crystals' scales.
        image_spread: Relative standard deviation of the beam intensity from image to
            image.
        extra_error: Relative standard deviation s of an error of each observation on
            its own, which counting statistics do not explain.
        dead_time: Of a pixel after each electron, not prolonged by further ones [s].
        counting: Draw Poisson counts. Without it intensities are exact, with the
            variances that counting would have given.

    Raises:
        ValueError: A value is negative or not a number.
    """

    mean_counts: float = 1000.0
    background: float = 1.0
    scale_spread: float = 0.3
    image_spread: float = 0.0
    extra_error: float = 0.0
    dead_time: float = 0.0
    counting: bool = True

    def __post_init__(self) -> None:
        wrong = [f"{k}={v}" for k, v in asdict(self).items() if not v >= 0]
        if wrong:
            raise ValueError("Must not be negative: " + ", ".join(wrong) + ".")

    def counts_per_intensity(
        self, mean_intensity: float, wavelength: float, d_min: float
    ) -> float:
        """
        Electrons for |F|² / lp = 1 Å² on a crystal of scale one.

        The Lorentz factor λ|g_x|, with g_x across the axis, has over the reflections that
        pass a flat Ewald sphere the mean 3π/16 λ/d_min. A fixed reference makes
        crystals independent of each other, and the two waves comparable.

        Args:
            mean_intensity: Mean |F|² of all reflections [Å²].
            wavelength: [Å].
            d_min: Resolution limit [Å].
        """
        lorentz = 3 * np.pi / 16 * wavelength / d_min
        return self.mean_counts * lorentz / mean_intensity


class CountedIntensities(NamedTuple):
    """
    Intensities as integration estimates them from counts, arrays of shape (n,).

    Attributes:
        value: Counts in the foreground less the estimated background [counts].
        variance: Its estimated variance [counts²].
        background: Estimated background [counts per pixel].
    """

    value: np.ndarray
    variance: np.ndarray
    background: np.ndarray


def count(
    rng: np.random.Generator,
    expected: np.ndarray,
    background: float,
    n_foreground: np.ndarray,
    n_background: np.ndarray,
) -> CountedIntensities:
    """
    Draw Poisson counts and subtract the background measured around each spot.

    The variance is that of summation integration in DIALS at unit gain,
    N + (n_fg / n_bg)² B (Leslie (1999), Acta Cryst. D55, 1696), estimated from the counts
    themselves as on real images.

    Args:
        rng: Source of all random numbers.
        expected: Expected counts of the spots, of shape (n,).
        background: Expected counts in a pixel.
        n_foreground: Pixels in the foreground masks, of shape (n,).
        n_background: Pixels from which the background is estimated, of shape (n,).
    """
    total = rng.poisson(expected + background * n_foreground).astype(float)
    ratio = n_foreground / n_background
    around = rng.poisson(background * n_background).astype(float)
    # One count more than nothing: an empty mask does not make a measurement exact.
    variance = np.maximum(total, 1.0) + ratio**2 * around
    return CountedIntensities(total - ratio * around, variance, around / n_background)


def recorded_fraction(
    expected: np.ndarray, duration: np.ndarray, dead_time: float
) -> np.ndarray:
    """
    The fraction of a spot's electrons that a detector with a dead time counts.

    After each electron a pixel is blind for the dead time, which further ones do not
    prolong: of a rate r it counts r / (1 + r τ) (Müller (1973), Nucl. Instrum. Methods
    112, 47). A spot is Gaussian on the detector and in time.

    Args:
        expected: Electrons of the spots, of shape (n,).
        duration: Standard deviations in time [s], of shape (n,).
        dead_time: τ [s].

    Returns:
        Fractions of shape (n,). The background's own rate is left out.
    """
    if not dead_time:
        return np.ones(len(expected))
    load = np.maximum(expected, 0.0) * dead_time / duration
    grid = np.append(0.0, np.logspace(-4, 8, 241))
    times = np.linspace(-5, 5, 201)
    curve = np.exp(-0.5 * times**2) / np.sqrt(2 * np.pi)
    across = np.diff(norm.cdf(np.arange(-4.5, 5.0), scale=SPOT_SIGMA))
    pixels = np.outer(across, across).ravel()
    rate = np.outer(pixels, curve)
    counted = [np.sum(rate / (1 + load * rate)) for load in grid]
    return np.interp(load, grid, np.array(counted) / counted[0])


def relative_errors(
    rng: np.random.Generator, n_values: int, spread: float
) -> np.ndarray:
    """
    Factors of mean one and given relative standard deviation, never negative.

    Args:
        rng: Source of all random numbers.
        n_values: Number of factors.
        spread: Standard deviation of the normal distribution about one.

    Returns:
        Factors of shape (n_values,). Normal deviates are cut at zero, which for a
        spread up to 0.3 happens to fewer than one in 2,000.
    """
    return np.maximum(1.0 + spread * rng.standard_normal(n_values), 0.0)


def log_normal_factors(
    rng: np.random.Generator, n_values: int, spread: float
) -> np.ndarray:
    """
    Positive factors of mean one, for scales.

    Args:
        rng: Source of all random numbers.
        n_values: Number of factors.
        spread: Relative standard deviation.
    """
    sigma = np.sqrt(np.log1p(spread**2))
    return np.exp(sigma * rng.standard_normal(n_values) - 0.5 * sigma**2)
