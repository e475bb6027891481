"""
Amplitudes and intensities that cannot be negative, and their standard deviations.

An estimate with a symmetric σ is not what is known of a weak reflection: where the estimate
is nought the amplitude is larger, and how far off it may be no σ about nought says. What is
known beforehand is Wilson's distribution (French & Wilson (1978), Acta Cryst. A34, 517), of
normalised amplitudes ``2 E exp(-E²)`` for acentric and ``√(2/π) exp(-E²/2)`` for centric
reflections; ε and the fall-off with resolution are in the normalisation.

The networks were trained on amplitudes that have this distribution, and what they give is a
mean over it already, within the errors that they know of. What comes on top of these widens
it: the mean moves by what the wider distribution, cut at nought, has more than the narrower.
Near nought, where this matters, Wilson's distribution is ``E`` or constant (acentric,
centric); its fall-off towards strong reflections is not drawn upon a second time.

And some estimates are wrong altogether: of a share u of reflections nothing is known but
Wilson's distribution. Density of the true E:

    (1 - u) N(E; m, s) + u Wilson(E).

Functions:
    cut_at_nought: mean and standard deviation of a normal distribution, cut at nought
    posterior: mean and standard deviation of amplitudes and intensities
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfc, erfcx

MEAN_OF_NORMAL = float(np.sqrt(2 / np.pi))
"""Mean absolute error of normal errors over their standard deviation; mean of Wilson's
distribution of centric amplitudes, too."""

MEAN_ACENTRIC = float(np.sqrt(np.pi) / 2)
"""Mean of Wilson's distribution of acentric amplitudes."""


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


def cut_at_nought(
    mean: np.ndarray, sigma: np.ndarray, centric: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give mean and standard deviation of ``E^a N(E; mean, sigma)``, E > 0.

    Args:
        mean: Shape (u,), not negative.
        sigma: Shape (u,), positive.
        centric: Shape (u,), bool: a is 0, and 1 of the others.

    Returns:
        Both of shape (u,). From the moments of the normal distribution cut at nought,
        ``M_k = mean M_(k-1) + (k-1) sigma² M_(k-2)``.
    """
    a = mean / sigma
    with np.errstate(over="ignore"):  # infinite where nothing is cut off
        first = a + MEAN_OF_NORMAL / erfcx(-a / np.sqrt(2))
    second = a * first + 1
    third = a * second + 2 * first
    m1, m2 = (
        np.where(centric, *both)
        for both in ((first, second / first), (second, third / first))
    )
    return sigma * m1, sigma * np.sqrt(np.maximum(m2 - m1**2, 0))


def posterior(
    E: np.ndarray,
    known: np.ndarray,
    sigma: np.ndarray,
    centric: np.ndarray,
    unknown: np.ndarray | float = 0.0,
) -> Posterior:
    """
    Give mean and standard deviation of amplitudes and intensities.

    Args:
        E: Shape (u,), normalised amplitudes, means within the errors `known`.
        known: Shape (u,), standard deviations of these errors, positive.
        sigma: Shape (u,), standard deviations of all errors, `known` or more.
        centric: Shape (u,), bool.
        unknown: Shape (u,) or a number, share of estimates that say nothing, 0 to 1.
    """
    narrow = cut_at_nought(E, known, centric)[0]
    wide, s = cut_at_nought(E, sigma, centric)
    m = E + wide - narrow
    wilson = np.where(centric, MEAN_OF_NORMAL, MEAN_ACENTRIC)
    mean = _mixed(m, wilson, unknown)
    I = _mixed(m**2 + s**2, 1.0, unknown)
    fourth = _mixed(
        m**4 + 6 * m**2 * s**2 + 3 * s**4, np.where(centric, 3.0, 2.0), unknown
    )
    return Posterior(
        E=mean,
        sigma_E=np.sqrt(np.maximum(I - mean**2, 0)),
        error=_mixed(MEAN_OF_NORMAL * s, _distance(mean, centric), unknown),
        I=I,
        sigma_I=np.sqrt(np.maximum(fourth - I**2, 0)),
    )


def _mixed(
    own: np.ndarray, wilson: np.ndarray | float, unknown: np.ndarray | float
) -> np.ndarray:
    return (1 - unknown) * own + unknown * wilson


def _distance(E: np.ndarray, centric: np.ndarray) -> np.ndarray:
    """Give the mean of |x - E| over Wilson's distribution of x."""
    beyond = np.where(
        centric,
        MEAN_OF_NORMAL * np.exp(-(E**2) / 2) - E * erfc(E / np.sqrt(2)),
        MEAN_ACENTRIC * erfc(E),
    )
    return E - np.where(centric, MEAN_OF_NORMAL, MEAN_ACENTRIC) + 2 * beyond
