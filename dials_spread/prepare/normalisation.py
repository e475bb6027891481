"""
Normalised amplitudes: intensities in units of the mean at their resolution.

``Σ(s)`` is the mean of the merged intensity over ε in shells of resolution, smoothed and
interpolated log-linearly in d*²; ``N = ε Σ``. Observed and merged amplitudes are then
``E_i = sign(I) √|I/N|`` and ``E_k = √(max(I_m, 0)/N)``, and ⟨E²⟩ = 1. The observed
fall-off is kept as it is; no Wilson line is forced on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PER_SHELL = 70
"""Unique reflections of a shell."""

FEWEST_SHELLS = 3

FLOOR = 1e-3
"""Least mean of a shell, relative to the mean of all."""

SMOOTHING = np.array([0.25, 0.5, 0.25])


@dataclass(frozen=True)
class Normalisation:
    """
    The mean intensity of every unique reflection.

    Attributes:
        N: Shape (u,), expected intensity ε Σ(s), in the unit of the intensities.
        sigma_s: Shape (u,), Σ(s) itself.
        shell_d_star_sq: Shape (shells,) [Å⁻²], increasing.
        shell_mean: Shape (shells,), Σ there.
        shell_n: Shape (shells,), unique reflections that each rests on.
    """

    N: np.ndarray
    sigma_s: np.ndarray
    shell_d_star_sq: np.ndarray
    shell_mean: np.ndarray
    shell_n: np.ndarray


def normalise(
    merged: np.ndarray, d_star_sq: np.ndarray, epsilon: np.ndarray
) -> Normalisation:
    """
    Find the mean intensity as a function of resolution.

    Args:
        merged: Shape (u,), merged intensities.
        d_star_sq: Shape (u,) [Å⁻²].
        epsilon: Shape (u,), factor of the mean intensity from symmetry.

    Returns:
        N of every reflection, such that the mean of merged / N is 1.

    Raises:
        ValueError: The mean intensity is not positive.

    Source: Karle & Hauptman (1956), Acta Cryst. 9, 635; Wilson (1949), Acta Cryst. 2,
    318.
    """
    reduced = merged / epsilon
    if not len(merged) or not reduced.mean() > 0:
        raise ValueError(
            f"The mean of {len(merged)} merged intensities is not positive: nothing "
            "can be normalised"
        )
    n_shells = max(len(merged) // PER_SHELL, min(FEWEST_SHELLS, len(merged)))
    shells = np.array_split(np.argsort(d_star_sq, kind="stable"), n_shells)
    place = np.array([d_star_sq[shell].mean() for shell in shells])
    mean = np.array([reduced[shell].mean() for shell in shells])
    log_mean = np.log(np.maximum(mean, FLOOR * reduced.mean()))
    log_mean = _smooth(log_mean)
    log_sigma = _interpolate(d_star_sq, place, log_mean)
    # Smoothing and interpolation do not keep the mean of the quotient.
    mean_ratio = np.mean(reduced / np.exp(log_sigma))
    if not mean_ratio > 0:  # negative shells, which weigh most
        mean_ratio = reduced.sum() / np.exp(log_sigma).sum()
    shift = np.log(mean_ratio)
    sigma_s = np.exp(log_sigma + shift)
    return Normalisation(
        N=epsilon * sigma_s,
        sigma_s=sigma_s,
        shell_d_star_sq=place,
        shell_mean=np.exp(log_mean + shift),
        shell_n=np.array([len(shell) for shell in shells]),
    )


def _smooth(log_mean: np.ndarray) -> np.ndarray:
    """Average neighbours; the ends are continued by the line through the last two."""
    if len(log_mean) < 3:
        return log_mean
    first, last = 2 * log_mean[0] - log_mean[1], 2 * log_mean[-1] - log_mean[-2]
    return np.convolve(np.concatenate([[first], log_mean, [last]]), SMOOTHING, "valid")


def _interpolate(x: np.ndarray, place: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Interpolate linearly, and beyond the ends with the slope of the last interval."""
    if len(place) < 2:
        return np.full(len(x), value[0])
    right = np.clip(np.searchsorted(place, x), 1, len(place) - 1)
    left = right - 1
    width = np.maximum(place[right] - place[left], 1e-12)
    return value[left] + (x - place[left]) / width * (value[right] - value[left])


def observed_amplitudes(intensity: np.ndarray, N: np.ndarray) -> np.ndarray:
    """
    Give E_i = sign(I) √|I/N| of observations.

    Args:
        intensity: Shape (n,), scaled.
        N: Shape (n,), expected intensity of each one's reflection.

    Returns:
        Shape (n,), dimensionless.
    """
    return np.sign(intensity) * np.sqrt(np.abs(intensity) / N)


def merged_amplitudes(merged: np.ndarray, N: np.ndarray) -> np.ndarray:
    """
    Give E_k = √(max(I_m, 0)/N) of unique reflections.

    Args:
        merged: Shape (u,).
        N: Shape (u,).

    Returns:
        Shape (u,), dimensionless, mean square about 1.
    """
    return np.sqrt(np.maximum(merged, 0) / N)
