"""
Amplitudes and intensities that cannot be negative, and their standard deviations.

An estimate E with its σ is not the amplitude: where it is small, or nought, the amplitude is
larger in the mean, and by how much it may be off is not told by a σ about nought. What is
known before the measurement is Wilson's distribution (French & Wilson (1978), Acta Cryst.
A34, 517), for normalised amplitudes ``2 E exp(-E²)`` of acentric and
``√(2/π) exp(-E²/2)`` of centric reflections; ε and the fall-off with resolution are in the
normalisation. Of this the estimates hold a part already: they come from networks that were
trained on amplitudes with this distribution, and strong ones must not be drawn to the mean a
second time. What they lack is the phase space near nought, which cutting negative estimates
takes away: ``E`` of acentric reflections and a constant of centric ones, Wilson's
distribution for E ≪ 1. So

    p(E | Ê, σ) = (1 - u) N(E; Ê, σ) E^a / ∫ N(E; Ê, σ) E^a dE  +  u Wilson(E),

a = 1 acentric and 0 centric, E > 0, with u the share of estimates that say nothing at all:
their reflections have what Wilson's distribution gives.

Functions:
    positive_moments: of a normal distribution, of what is positive
    posterior: mean and standard deviation of amplitudes and intensities
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfc, erfcx

MEAN_OF_NORMAL = float(np.sqrt(2 / np.pi))
"""Mean absolute error of normal errors over their standard deviation."""


@dataclass(frozen=True)
class Posterior:
    """
    What is known of normalised amplitudes, each of shape (u,).

    Attributes:
        E: Mean amplitude.
        sigma_E: Its standard deviation.
        error: Mean absolute deviation from E.
        I: Mean of E², which is more than the square of the mean.
        sigma_I: Its standard deviation.
    """

    E: np.ndarray
    sigma_E: np.ndarray
    error: np.ndarray
    I: np.ndarray
    sigma_I: np.ndarray


def positive_moments(mean: np.ndarray, sigma: np.ndarray, n: int) -> list[np.ndarray]:
    """
    Give ``∫ x^k N(x; mean, sigma) dx / ∫ N(x; mean, sigma) dx`` over x > 0.

    Args:
        mean: Shape (u,), not negative.
        sigma: Shape (u,), positive.
        n: The largest k.

    Returns:
        n + 1 arrays of shape (u,), for k from 0, by ``M_k = a M_(k-1) + (k-1) M_(k-2)``.
    """
    a = mean / sigma
    with np.errstate(over="ignore"):  # infinite where nothing is cut off
        cut = MEAN_OF_NORMAL / erfcx(-a / np.sqrt(2))
    moments = [np.ones_like(a), a + cut]
    for k in range(2, n + 1):
        moments.append(a * moments[k - 1] + (k - 1) * moments[k - 2])
    return [m * sigma**k for k, m in enumerate(moments)][: n + 1]


def posterior(
    E: np.ndarray, sigma: np.ndarray, centric: np.ndarray, unknown: float = 0.0
) -> Posterior:
    """
    Give mean and standard deviation of amplitudes and intensities.

    Args:
        E: Shape (u,), estimates of normalised amplitudes, not negative.
        sigma: Shape (u,), their standard deviations, positive.
        centric: Shape (u,), bool.
        unknown: Share of estimates that say nothing, 0 to 1.
    """
    m = positive_moments(E, sigma, 5)
    # Moments with the prior E are those one higher, over the first.
    m1, m2, m4 = (np.where(centric, m[k], m[k + 1] / m[1]) for k in (1, 2, 4))
    own = np.sqrt(np.maximum(m2 - m1**2, 0))
    wilson = np.where(centric, MEAN_OF_NORMAL, np.sqrt(np.pi) / 2)
    mean, I = _mixed(m1, wilson, unknown), _mixed(m2, 1.0, unknown)
    fourth = _mixed(m4, np.where(centric, 3.0, 2.0), unknown)
    error = _mixed(MEAN_OF_NORMAL * own, _distance(mean, centric), unknown)
    return Posterior(
        E=mean,
        sigma_E=np.sqrt(np.maximum(I - mean**2, 0)),
        error=error,
        I=I,
        sigma_I=np.sqrt(np.maximum(fourth - I**2, 0)),
    )


def _mixed(own: np.ndarray, wilson: np.ndarray | float, unknown: float) -> np.ndarray:
    return (1 - unknown) * own + unknown * wilson


def _distance(E: np.ndarray, centric: np.ndarray) -> np.ndarray:
    """Give the mean of |x - E| over Wilson's distribution of x."""
    beyond = np.where(
        centric,
        MEAN_OF_NORMAL * np.exp(-(E**2) / 2) - E * erfc(E / np.sqrt(2)),
        np.sqrt(np.pi) / 2 * erfc(E),
    )
    return E - np.where(centric, MEAN_OF_NORMAL, np.sqrt(np.pi) / 2) + 2 * beyond
