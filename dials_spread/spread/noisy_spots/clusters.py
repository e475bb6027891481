"""
How many kinds of reflections there are, by their spread: a Gaussian mixture on log s.

The spread of a reflection is known poorly: from two observations it can come out as
anything, often as zero. A mixture fitted to the estimates would take the tail of poor
ones for a cluster. Here the mixture describes the true log s, and each reflection has a
say through its likelihood, which is broad where it was observed a few times: the
number of observations makes no cluster. This is deconvolution as by Bovy, Hogg and
Roweis (2011), Ann. Appl. Stat. 5, 1657, on a grid. Sums over reflections are taken one
after the other, not by a library whose last digits depend on the number of threads.

Functions:
    fit_clusters: the mixture with the number of components by BIC
    fit_mixture: one with a given number
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

MOST_CLUSTERS = 4

ROUNDS = 300
"""Of the EM algorithm at most."""

CONVERGED = 1e-5
"""Gain in log-likelihood per reflection at which it ends."""

NARROWEST = 0.15
"""Width of a component in log s: 15 % of s; narrower ones chase single reflections."""

STARTS = 2
"""Random starts besides the one from quantiles."""


@dataclass(frozen=True)
class Mixture:
    """
    A Gaussian mixture on log s, from the quietest component to the noisiest.

    Attributes:
        weight: Shape (k,), share of the reflections.
        centre: Shape (k,), mean of log s.
        width: Shape (k,), standard deviation of log s.
        log_likelihood: Of all reflections.
        bic: The lower the better; n counts reflections.
        n: Reflections.
    """

    weight: np.ndarray
    centre: np.ndarray
    width: np.ndarray
    log_likelihood: float
    bic: float
    n: int

    def __len__(self) -> int:
        return len(self.weight)

    def as_dict(self) -> dict:
        """Give the components, s instead of its logarithm."""
        return {
            "share": self.weight,
            "s": np.exp(self.centre),
            "width_of_log_s": self.width,
            "log_likelihood": self.log_likelihood,
            "bic": self.bic,
        }

    @property
    def separation(self) -> float:
        """
        Give Ashman's D of the two noisiest components: above 2 they are apart.

        Ashman, Bird and Zepf (1994), Astron. J. 108, 2348; nan for one component.
        """
        if len(self) < 2:
            return np.nan
        (c1, c2), (w1, w2) = self.centre[-2:], self.width[-2:]
        return float(abs(c2 - c1) / np.sqrt(0.5 * (w1**2 + w2**2)))


def _densities(grid: np.ndarray, centre: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Shape (grid, k), each component summing to one over the grid."""
    exponent = -0.5 * ((grid[:, None] - centre) / width) ** 2
    density = np.exp(exponent - exponent.max(axis=0))
    return density / density.sum(axis=0)


def memberships(likelihood: np.ndarray, grid: np.ndarray, mixture: Mixture):
    """
    Give the probability of each component for each reflection.

    Args:
        likelihood: Shape (n, grid), relative to each one's maximum.
        grid: Shape (grid,), log s.
        mixture: The mixture.

    Returns:
        Shape (n, k), rows that sum to one.
    """
    density = _densities(grid, mixture.centre, mixture.width)
    joint = np.einsum("ng,gk->nk", likelihood, density) * mixture.weight
    return joint / joint.sum(axis=1, keepdims=True)


def posterior_log_s(likelihood: np.ndarray, grid: np.ndarray, mixture: Mixture):
    """
    Give the log s of each reflection, with the others as prior knowledge.

    Args:
        likelihood: Shape (n, grid), relative to each one's maximum.
        grid: Shape (grid,), log s.
        mixture: The mixture.

    Returns:
        Mean and standard deviation, shape (n,) each.
    """
    density = _densities(grid, mixture.centre, mixture.width)
    prior = (density * mixture.weight).sum(axis=1)
    weight = likelihood * prior
    weight /= weight.sum(axis=1, keepdims=True)
    mean = (weight * grid).sum(axis=1)
    return mean, np.sqrt(np.maximum((weight * grid**2).sum(axis=1) - mean**2, 0))


def posterior_sum(likelihood: np.ndarray, grid: np.ndarray, mixture: Mixture):
    """
    Give how many reflections have which log s, each spread out over what it may have.

    Args:
        likelihood: Shape (n, grid), relative to each one's maximum.
        grid: Shape (grid,), log s.
        mixture: The mixture, as prior knowledge.

    Returns:
        Shape (grid,), which sums to n.
    """
    taken, _ = _expectation(
        likelihood, grid, mixture.weight, mixture.centre, mixture.width
    )
    return taken.sum(axis=1)


# Sums in any order: four or eight numbers at a time.
@nb.njit(cache=True, nogil=True, fastmath={"reassoc"})
def _shares(likelihood, prior):
    """Sum what each value of log s has of the reflections, and their log-likelihood."""
    share, log_likelihood = np.zeros(len(prior)), 0.0
    for i in range(len(likelihood)):
        total = 0.0
        for g in range(len(prior)):
            total += likelihood[i, g] * prior[g]
        for g in range(len(prior)):
            share[g] += likelihood[i, g] / total
        log_likelihood += np.log(total)
    return share, log_likelihood


def _expectation(likelihood, grid, weight, centre, width):
    """Responsibilities summed over reflections, shape (grid, k); log-likelihood."""
    density = _densities(grid, centre, width) * weight
    share, log_likelihood = _shares(likelihood, density.sum(axis=1))
    return density * share[:, None], float(log_likelihood)


def _climb(likelihood, grid, weight, centre, width):
    """EM from one start."""
    before = -np.inf
    for _ in range(ROUNDS):
        taken, now = _expectation(likelihood, grid, weight, centre, width)
        if now - before < CONVERGED * len(likelihood):
            break
        before = now
        share = np.maximum(taken.sum(axis=0), 1e-12)
        weight = share / share.sum()
        centre = (taken * grid[:, None]).sum(axis=0) / share
        variance = (taken * (grid[:, None] - centre) ** 2).sum(axis=0) / share
        width = np.sqrt(np.maximum(variance, NARROWEST**2))
    return now, weight, centre, width


def fit_mixture(
    likelihood: np.ndarray, grid: np.ndarray, k: int, rng: np.random.Generator
) -> Mixture:
    """
    Fit a mixture of k components by the EM algorithm.

    Args:
        likelihood: Shape (n, grid), relative to each one's maximum.
        grid: Shape (grid,), log s, evenly spaced.
        k: Number of components.
        rng: For starts.

    Returns:
        The best of several starts.
    """
    best = grid[likelihood.argmax(axis=1)]
    quantiles = np.quantile(best, (np.arange(k) + 0.5) / k)
    starts = [quantiles]
    if k > 1:
        starts += [np.sort(rng.choice(best, k)) for _ in range(STARTS)]
    spread = max(np.std(best) / k, 2 * NARROWEST)
    tried = [
        _climb(likelihood, grid, np.full(k, 1 / k), c, np.full(k, spread))
        for c in starts
    ]
    best_of, weight, centre, width = max(tried, key=lambda t: t[0])
    order = np.argsort(centre)
    return Mixture(
        weight=weight[order],
        centre=centre[order],
        width=width[order],
        log_likelihood=best_of,
        bic=(3 * k - 1) * np.log(len(likelihood)) - 2 * best_of,
        n=len(likelihood),
    )


def fit_clusters(
    likelihood: np.ndarray,
    grid: np.ndarray,
    rng: np.random.Generator,
    most: int = MOST_CLUSTERS,
) -> list[Mixture]:
    """
    Fit mixtures of one, two … components until one more does not help.

    Args:
        likelihood: Shape (n, grid), relative to each one's maximum.
        grid: Shape (grid,), log s, evenly spaced.
        rng: For starts.
        most: Components at most.

    Returns:
        The mixtures, two at least where two are allowed. That of lowest BIC (Schwarz
        (1978), Ann. Stat. 6, 461) is the last, or the last but one.
    """
    fitted = [fit_mixture(likelihood, grid, 1, rng)]
    while len(fitted) < most:
        fitted.append(fit_mixture(likelihood, grid, len(fitted) + 1, rng))
        if fitted[-1].bic >= fitted[-2].bic:
            break
    return fitted
