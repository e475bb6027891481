"""
Merged intensities, and what to say of them beside R1.

Functions:
    merge: the mean of each unique reflection
    r_meas: agreement of the observations with one another
    correlation: of intensities with those expected
    likelihood: of intensities, given those expected
    cc_half: of the merged means; cc_half_of_means where these are known
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from dials_spread.rfactor.r1 import amplitudes, r_factor
from dials_spread.statistics.groups import group_means


@dataclass(frozen=True)
class Merged:
    """
    One intensity for each unique reflection.

    Attributes:
        intensity: Shape (u,), nan where there is no observation.
        sigma: Shape (u,), from the variances of the observations.
        n: Shape (u,), number of observations.
    """

    intensity: np.ndarray
    sigma: np.ndarray
    n: np.ndarray


def merge(
    intensity: np.ndarray,
    variance: np.ndarray,
    unique: np.ndarray,
    n_unique: int,
    weight: np.ndarray | None = None,
) -> Merged:
    """
    Average the observations of each unique reflection.

    Args:
        intensity: Shape (n,), on one scale.
        variance: Shape (n,).
        unique: Shape (n,), number of the unique reflection.
        n_unique: How many there are.
        weight: Shape (n,), not negative; equal weights by default. Dynamical differences
            between electron intensities exceed their counting noise, and weights 1/σ²
            would let the weakest observations of a strong reflection decide.

    Returns:
        The means.
    """
    w = np.ones(len(intensity)) if weight is None else weight
    total = np.bincount(unique, w, n_unique)
    n = np.bincount(unique, minlength=n_unique)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(unique, w * intensity, n_unique) / total
        sigma = np.sqrt(np.bincount(unique, w * w * variance, n_unique)) / total
    return Merged(mean, sigma, n)


def r_meas(
    intensity: np.ndarray,
    unique: np.ndarray,
    n_unique: int,
    weight: np.ndarray | None = None,
) -> tuple[float, int]:
    """
    Give R_meas = Σ_h √(n / (n - 1)) Σ |I - ⟨I⟩| / Σ_h Σ I.

    Diederichs & Karplus (1997), Nat. Struct. Biol. 4, 269.

    Args:
        intensity: Shape (n,), on one scale.
        unique: Shape (n,), number of the unique reflection.
        n_unique: How many there are.
        weight: Shape (n,), for the mean; equal weights by default.

    Returns:
        R_meas, nan where nothing was measured twice or the sum is not positive; and the
        number of unique reflections measured at least twice, which it rests on.
    """
    mean = group_means(intensity, unique, n_unique, weight)
    size = np.bincount(unique, minlength=n_unique)
    repeated = size > 1
    kept = repeated[unique]
    n = size[unique[kept]]
    misfit = np.abs(intensity[kept] - mean[unique[kept]])
    total = intensity[kept].sum()
    value = np.sum(np.sqrt(n / (n - 1)) * misfit) / total if total > 0 else np.nan
    return float(value), int(np.count_nonzero(repeated))


def correlation(intensity: np.ndarray, f_c: np.ndarray) -> float:
    """
    Give Pearson's correlation between intensities and F_c².

    Args:
        intensity: Shape (n,).
        f_c: Shape (n,); what is not finite in either is left out.

    Returns:
        nan for fewer than three reflections, or where one does not vary.
    """
    kept = np.isfinite(intensity) & np.isfinite(f_c)
    x, y = intensity[kept], f_c[kept] ** 2
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


@dataclass(frozen=True)
class Likelihood:
    """
    How likely intensities are, given those expected.

    Attributes:
        per_reflection: Mean log-likelihood of a reflection, its intensity on the scale
            of F_c² and divided by the mean F_c², so that no scale enters.
        relative_misfit: b, the error relative to F_c² besides the counting noise. No
            spread of observations: all may agree with one another and miss F_c².
        floor: a, the error that reflections have however weak they should be, as a part
            of the mean F_c²: what multiple scattering gives them.
        n: Number of reflections.
    """

    per_reflection: float
    relative_misfit: float
    floor: float
    n: int


def likelihood(intensity: np.ndarray, sigma: np.ndarray, f_c: np.ndarray) -> Likelihood:
    """
    Fit and evaluate k² I ~ N(F_c², k⁴ σ² + b² F_c⁴ + a² ⟨F_c²⟩²).

    The scale k is that of R1: fitted together with b, intensities with heavy tails, as
    dynamical ones are, can run away with it. b and a are 0 where counting noise explains
    everything.

    Args:
        intensity: Shape (n,).
        sigma: Shape (n,), positive.
        f_c: Shape (n,); reflections without are left out.

    Returns:
        At the most likely b and a; nan where there are fewer than four reflections.
    """
    kept = np.isfinite(intensity) & np.isfinite(f_c) & (sigma > 0)
    I, sigma, f_c = intensity[kept], sigma[kept], f_c[kept]
    k = r_factor(amplitudes(I), f_c)[1]
    if len(I) < 4 or not k > 0:
        nan = float("nan")
        return Likelihood(nan, nan, nan, len(I))
    mean = np.mean(f_c**2)
    expected, square = f_c**2 / mean, (k * k * I - f_c**2) ** 2 / mean**2
    noise = (k * k * sigma / mean) ** 2

    def minus(parameters):
        b, a = np.exp(parameters)
        variance = noise + (b * expected) ** 2 + a**2
        return 0.5 * np.mean(np.log(2 * np.pi * variance) + square / variance)

    fits = [
        optimize.minimize(
            minus,
            (np.log(b), np.log(a)),
            method="Nelder-Mead",
            bounds=[(-12.0, 5.0), (-12.0, 5.0)],
            options={"maxiter": 1000, "xatol": 1e-4, "fatol": 1e-9},
        )
        for b, a in ((0.05, 0.01), (0.5, 0.1), (1.0, 0.01))
    ]
    best = min(fits, key=lambda fit: fit.fun)
    b, a = np.exp(best.x)
    return Likelihood(float(-best.fun), float(b), float(a), len(I))


def cc_half(unique: np.ndarray, intensity: np.ndarray) -> float:
    """
    Give CC½ by the σ-τ method.

    Args:
        unique: Shape (n,), number of the unique reflection, from 0.
        intensity: Shape (n,).

    Returns:
        (y - e)/(y + e) of y, the variance of the merged means, and e, the mean of their
        own variances: Assmann, Brehm and Diederichs (2016), J. Appl. Cryst. 49, 1021.
        nan with fewer than two reflections that were observed twice.
    """
    n = np.bincount(unique)
    several = n > 1
    if several.sum() < 2:
        return np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(unique, intensity) / n
        square = np.bincount(unique, (intensity - mean[unique]) ** 2)
        of_mean = square / (n - 1) / n
    return cc_half_of_means(mean[several], of_mean[several])


def cc_half_of_means(mean: np.ndarray, variance: np.ndarray) -> float:
    """
    Give CC½ by the σ-τ method.

    Args:
        mean: Shape (u,), merged means of reflections that were observed twice, at least two.
        variance: Shape (u,), of each mean.

    Returns:
        As cc_half.
    """
    of_mean, between = variance.mean(), np.var(mean, ddof=1)
    if not between + of_mean > 0:
        return np.nan
    return float((between - of_mean) / (between + of_mean))
