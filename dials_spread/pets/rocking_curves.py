"""
Excitation errors on frames, and what the intensities say of the measurement.

Functions:
    excitation: excitation error and rate of each listing
    relative_error: the former over the range of the frame
    judge: rotation or precession, whole or partial intensities
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BEYOND = 0.7
"""Listings of a greater relative excitation error are left out by Jana2020, as RSg."""

SAME = 1e-3
"""Intensities of a reflection that differ less, relatively, are the same number."""

STRONG = 5.0
"""Only curves with a sum of more than this many σ are looked at."""

LEAST_CURVES = 20

LEAST_LISTINGS = 3

NEARLY_ACROSS = 0.7
"""Curves are of reflections whose rate is at least this part of |g|: the ranges of
rotation and of precession are alike for them."""

HUMPS = 1.15
"""Two humps: on both sides higher than the middle by this factor at least."""

EDGES = np.array([-1.8, -1.5, -1.15, -0.65, -0.35, 0.35, 0.65, 1.15, 1.5, 1.8])
"""Bins of the excitation error over |g| sin(semi-angle); the third and fourth from
either end hold the humps of precession, the middle one is between them."""


@dataclass(frozen=True)
class Verdict:
    """
    What the intensities say.

    Attributes:
        kind: "one intensity": each reflection has the same on all its frames;
            "precession", "rotation"; or "unknown": too few curves, or unclear.
        partial: Whether a frame has its own part of an intensity.
        n_curves: Number of rocking curves looked at.
        curve: Shape (9,), mean of them by excitation error (EDGES), 1 on average; NaN
            in empty bins, and empty where no curve was looked at.
        error: Shape (9,), standard errors.
    """

    kind: str
    partial: bool
    n_curves: int
    curve: np.ndarray
    error: np.ndarray


def excitation(
    settings: np.ndarray, hkl: np.ndarray, axis: np.ndarray, wavelength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Give excitation error and rate.

    Args:
        settings: Shape (n, 3, 3) [Å⁻¹], of the frame of each listing.
        hkl: Shape (n, 3).
        axis: Shape (n, 3), tilt axes.
        wavelength: [Å].

    Returns:
        s = (K² - |k + g|²) / 2K [Å⁻¹] with the beam along -z, |(axis × g)·k̂| [Å⁻¹/rad]
        and |g| [Å⁻¹], each of shape (n,).
    """
    k = 1 / wavelength
    g = np.einsum("nij,nj->ni", settings, hkl)
    squared = np.sum(g**2, axis=1)
    error = (2 * k * g[:, 2] - squared) / (2 * k)
    rate = np.abs(np.cross(axis, g)[:, 2])
    return error, rate, np.sqrt(squared)


def relative_error(
    error: np.ndarray, length: np.ndarray, semi_angle: np.ndarray
) -> np.ndarray:
    """
    Give the excitation error over the largest that the frame sweeps.

    Args:
        error: Shape (n,) [Å⁻¹].
        length: Shape (n,) [Å⁻¹], rate of a rotation, |g| with precession.
        semi_angle: Shape (n,) [°], half of the range of the frame.

    Returns:
        Shape (n,) [1].
    """
    swept = length * np.sin(np.radians(semi_angle))
    with np.errstate(divide="ignore"):
        return error / swept


def judge(
    hkl: np.ndarray,
    crossing: np.ndarray,
    intensity: np.ndarray,
    sigma: np.ndarray,
    relative: np.ndarray,
    across: np.ndarray,
) -> Verdict:
    """
    Say how data were measured, from rocking curves.

    While the beam precesses, a reflection stays longest at the ends of the range of its
    excitation errors, so that its intensity has a hump at either end (Vincent & Midgley
    (1994), Ultramicroscopy 53, 271); a frame of a rotation has most of the intensity
    where the crossing of the Ewald sphere is in its middle, or as much everywhere.

    Args:
        hkl: Shape (n, 3).
        crossing: Shape (n,), what distinguishes several crossings of one index.
        intensity: Shape (n,).
        sigma: Shape (n,).
        relative: Shape (n,), excitation error over |g| sin(semi-angle).
        across: Shape (n,), rate over |g|.

    Returns:
        The verdict.
    """
    key = np.column_stack([hkl, crossing])
    _, group = np.unique(key, axis=0, return_inverse=True)
    group = np.ravel(group)
    count = np.bincount(group)
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    high = np.maximum.reduceat(intensity[order], start)
    low = np.minimum.reduceat(intensity[order], start)
    nothing = np.empty(0)
    several = count >= 2
    equal = high - low <= SAME * np.maximum(np.abs(high), np.abs(low))
    if several.any() and equal[several].mean() > 0.9:
        return Verdict("one intensity", False, 0, nothing, nothing)
    total = np.bincount(group, intensity)
    noise = np.sqrt(np.bincount(group, sigma**2))
    wide = np.bincount(group, np.abs(relative) < EDGES[-1]) >= LEAST_LISTINGS
    chosen = wide & (total > STRONG * noise)
    chosen &= np.bincount(group, across) >= NEARLY_ACROSS * count
    if chosen.sum() < LEAST_CURVES:
        return Verdict(
            "unknown", bool(several.any()), int(chosen.sum()), nothing, nothing
        )
    own = chosen[group]
    shape = intensity[own] * count[group[own]] / total[group[own]]
    return _from_curve(shape, relative[own], int(chosen.sum()))


def _from_curve(shape: np.ndarray, relative: np.ndarray, n_curves: int) -> Verdict:
    """Compare the ends of the range with its middle."""
    where = np.digitize(relative, EDGES) - 1
    inside = (where >= 0) & (where < len(EDGES) - 1)
    mean, error = np.full(len(EDGES) - 1, np.nan), np.full(len(EDGES) - 1, np.nan)
    for k in range(len(mean)):
        values = shape[inside & (where == k)]
        if len(values) > 1:
            mean[k] = values.mean()
            error[k] = values.std(ddof=1) / np.sqrt(len(values))
    middle, n = len(mean) // 2, len(mean)
    sides = ((2, 3), (n - 4, n - 3))
    kind = "unknown"
    if np.all(np.isfinite(mean[2 : n - 2])):
        higher = np.array(
            [
                mean[k] > HUMPS * mean[middle]
                and mean[k] - mean[middle] > 3 * np.hypot(error[k], error[middle])
                for side in sides
                for k in side
            ]
        ).reshape(2, 2)
        if np.all(higher.any(axis=1)):
            kind = "precession"
        elif not higher.any():
            kind = "rotation"
    return Verdict(kind, True, n_curves, mean, error)
