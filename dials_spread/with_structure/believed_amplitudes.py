"""
Amplitudes between those of the data and of the structure, by how far either is believed.

Of a measured reflection two amplitudes are known: the estimate from the data, F ± σ, and
|F_c| of the structure. How far the structure is from the truth is found from how far they
disagree beyond σ, by maximum likelihood in shells of resolution, as in refinement (Pannu &
Read (1996), Acta Cryst. A52, 659). A true structure factor is normally distributed about
D F_c with the variance Σ: atoms lack, are elsewhere, or scatter otherwise (Luzzati (1952),
Acta Cryst. 5, 802; Read (1986), Acta Cryst. A42, 140). So the distribution of its amplitude
is that of Rice where all phases are possible,

    p(F | F_c) = (2 F / Σ) exp(-(F² + D² F_c²) / Σ) I₀(2 F D F_c / Σ),

and of a centric reflection the sum of two Gaussians (Woolfson (1956), Acta Cryst. 9, 804).
Times the Gaussian of the estimate it is the posterior, whose mean is taken. A structure that
agrees with the data within their errors decides much, one that lacks much decides little. D
takes up what scale and B differ by between the two. Errors of the data are taken larger or
smaller by one factor where that is more likely: they change from reflection to reflection,
those of the structure do not, so that the two can be told apart. A structure that lacks most
cannot tell: then errors of the data come out too small, and the data decide.

These are amplitudes to simulate with. Amplitudes that are *found* start from the
first estimate and its error alone, so that none is drawn to the structure.

Classes:
    ShellAgreement: of structure and data in a shell
    BelievedAmplitudes: what comes of it

Functions:
    believed_amplitudes: the posterior of data and structure
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import optimize, special

PER_SHELL = 100
"""Reflections to a shell, at least, unless there are fewer: two figures are found from them."""

NODES = np.linspace(-6.0, 6.0, 61)
"""Amplitudes over which is integrated, in standard deviations about the most likely one."""

LEAST_SIGMA = 0.01
"""Of normalised amplitudes: no estimate from data is better than that."""

STRETCHES = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
"""That errors of the data are multiplied by; one is taken for all reflections."""

LEAST_VARIANCE = 4e-3
"""Of normalised structure factors: no structure is better than that (R1 of about .04)."""

USUAL_D = 0.3
"""Standard deviation of ln D, before data are looked at: a shell of few reflections, with
a structure that says next to nothing of them, tells it badly."""

FIRST_GUESS = 0.95, 0.1
"""D and Σ at first."""

ACCURACY = {"xatol": 0.02, "fatol": 0.05, "maxiter": 80}
"""Of their logarithms and of ln of the likelihood."""


@dataclass(frozen=True)
class ShellAgreement:
    """
    How a structure agrees with the data in a shell of resolution.

    Attributes:
        n: Reflections.
        D: What |F_c| is multiplied by.
        variance: Σ, of normalised structure factors; the square of an R1, roughly.
    """

    n: int
    D: float
    variance: float

    def as_dict(self) -> dict[str, float]:
        """Give what goes into a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class BelievedAmplitudes:
    """
    Amplitudes that data and structure say together.

    Attributes:
        F: Shape (u,), mean of the posterior [Å].
        share: Shape (u,), how much the structure has decided: 0, nothing, to 1.
        stretch: What errors of the data were multiplied by.
        shells: From low to high resolution.
    """

    F: np.ndarray
    share: np.ndarray
    stretch: float
    shells: tuple[ShellAgreement, ...]

    @property
    def mean_share(self) -> float:
        """Mean of the shares, weighted by |F|."""
        return float(np.average(self.share, weights=self.F))

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "share_of_structure": self.mean_share,
            "errors_of_data_times": self.stretch,
            "shells": [one.as_dict() for one in self.shells],
        }


def believed_amplitudes(
    F: np.ndarray,
    sigma: np.ndarray,
    calculated: np.ndarray,
    expected: np.ndarray,
    centric: np.ndarray,
) -> BelievedAmplitudes:
    """
    Combine amplitudes of the data with those of a structure.

    Args:
        F, sigma: Shape (u,), estimate from the data and its standard deviation [Å].
        calculated: Shape (u,), |F| of the structure, about on that scale [Å].
        expected: Shape (u,), √⟨F²⟩ at the resolution of each [Å].
        centric: Shape (u,), bool, whether the phase is one of two.
    """
    sigma = np.maximum(sigma, LEAST_SIGMA * expected)
    given = (F / expected, sigma / expected, calculated / expected, centric)
    shells = [tuple(x[own] for x in given) for own in _shells(expected)]
    tried, start = [], None
    for stretch in STRETCHES:
        stretched = [(E, stretch * s, m, c) for E, s, m, c in shells]
        start = _most_likely(stretched, start)
        each = [_posterior(one, *p) for one, p in zip(stretched, start)]
        tried.append((sum(one[2] for one in each), stretch, start, each))
    _, stretch, told, each = max(tried, key=lambda one: one[0])
    mean, spread = np.empty(len(F)), np.empty(len(F))
    for own, one in zip(_shells(expected), each):
        mean[own], spread[own] = one[0], one[1]
    share = np.clip(1 - (spread * expected / (stretch * sigma)) ** 2, 0.0, 1.0)
    agreement = [ShellAgreement(len(x[0]), *p) for x, p in zip(shells, told)]
    return BelievedAmplitudes(mean * expected, share, stretch, tuple(agreement))


def _shells(expected: np.ndarray) -> list[np.ndarray]:
    """Deal reflections out by the amplitude expected of them, which falls with resolution."""
    order = np.argsort(-expected, kind="stable")
    return np.array_split(order, max(1, len(order) // PER_SHELL))


def _most_likely(
    shells: Sequence[Sequence[np.ndarray]], start: Sequence[tuple[float, float]] | None
) -> list[tuple[float, float]]:
    """Give D and Σ of each shell, from where they were with other errors of the data."""
    found = []
    for given, begin in zip(shells, start or [FIRST_GUESS] * len(shells)):

        def minus(p: np.ndarray, given: Sequence[np.ndarray] = given) -> float:
            D, variance = np.exp(p)
            likelihood = _posterior(given, D, max(variance, LEAST_VARIANCE))[2]
            return float((p[0] / USUAL_D) ** 2 / 2 - likelihood)

        best = optimize.minimize(
            minus, np.log(begin), method="Nelder-Mead", options=ACCURACY
        )
        D, variance = np.exp(best.x)
        found.append((float(D), max(float(variance), LEAST_VARIANCE)))
    return found


def _posterior(
    given: Sequence[np.ndarray], D: float, variance: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """
    Integrate over true amplitudes.

    Args:
        given: Shape (m,) each: amplitudes of the data, their errors, amplitudes of the
            structure, all normalised; whether centric.
        D, variance: Of the structure.

    Returns:
        Mean and standard deviation of each, shape (m,), and ln of the likelihood of all.
    """
    E, sigma, model, centric = given
    # About the product of two Gaussians, which both distributions are nearly.
    weights = 1 / sigma**2, np.where(centric, 1, 2) / variance
    spread = 1 / np.sqrt(weights[0] + weights[1])
    middle = spread**2 * (weights[0] * E + weights[1] * D * model)
    x = np.abs(middle[:, None] + spread[:, None] * NODES)
    log_p = _log_distribution(x, D * model[:, None], variance, centric[:, None])
    log_p -= 0.5 * ((E[:, None] - x) / sigma[:, None]) ** 2
    # Those beyond 0 came back on this side, and were counted there already.
    log_p[middle[:, None] + spread[:, None] * NODES < 0] = -np.inf
    top = log_p.max(axis=1)
    p = np.exp(log_p - top[:, None])
    total = p.sum(axis=1)
    mean = np.sum(p * x, axis=1) / total
    second = np.sum(p * (x - mean[:, None]) ** 2, axis=1) / total
    likelihood = np.sum(np.log(total * spread / sigma) + top)
    return mean, np.sqrt(np.maximum(second, 1e-10)), float(likelihood)


def _log_distribution(
    x: np.ndarray, model: np.ndarray, variance: float, centric: np.ndarray
) -> np.ndarray:
    """Give ln p of true amplitudes, given D F_c: shapes that broadcast."""
    z = 2 * x * model / variance
    off = (x - model) ** 2 / variance
    x = np.maximum(x, 1e-12)
    rice = np.log(2 * x / variance * special.i0e(z)) - off
    two = -0.5 * (off + np.log(2 * np.pi * variance)) + np.log1p(np.exp(-z))
    return np.where(centric, two, rice)
