"""
Noisy spots: which reflections, or single observations, spread more than the others.

Functions:
    analyse_noisy: spread by reflection, clusters, dependence, effect of removal
    beyond_cut: observations far from the median of their reflection
    without_lone: residuals without those that are alone beyond the cut
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dials_spread.observations import Observations
from dials_spread.spread.noisy_spots.agreement import Columns
from dials_spread.spread.noisy_spots.cluster_check import check_clusters
from dials_spread.spread.noisy_spots.clusters import (
    Mixture,
    fit_clusters,
    memberships,
    posterior_log_s,
)
from dials_spread.spread.noisy_spots.removal import (
    Removal,
    effect_of_removal,
    no_removal,
)
from dials_spread.spread.size.reflection_spread import (
    LOG_GRID,
    ReflectionSpreads,
    dependence_on,
    reflection_spreads,
)
from dials_spread.spread.size.residuals import Residuals, residuals_of_arrays
from dials_spread.spread.size.size import deviations
from dials_spread.stages import stage
from dials_spread.statistics.excess_spread import most_likely, robust_spread
from dials_spread.statistics.groups import group_medians

CUT = 6.0
"""Standard deviations from the median beyond which an observation is noisy."""

FEWEST_FOR_CUT = 3
"""Observations of a reflection: of two nobody knows which is wrong."""

LONE = 0.15
"""Part of the observations of a reflection up to which those beyond the cut are single
wild ones; one always is. They say nothing of the others."""

APART = 2.0
"""Ashman's D from which two components are two clusters, not one that is skewed."""

CHANCE = 0.05

FEWEST_REFLECTIONS = 20
"""With fewer no mixture is fitted."""

NO_CLASS = (
    "no class of noisy reflections was found, so that there is none to leave out."
)

NONE_FAR = "No observation is that far from the median of its reflection."


@dataclass(frozen=True)
class NoisySpots:
    """
    The spread by reflection, and what leaving out the noisiest does.

    Attributes:
        spreads: Of each reflection that counts, without single wild observations, which
            are told of on their own.
        expected_s: Shape (reflections,): s with all others as prior knowledge.
        miller_index: Shape (reflections, 3), in the asymmetric unit.
        d_spacing: Shape (reflections,) [Å].
        mixtures: Fitted mixtures, by number of components; empty without.
        n_clusters: By BIC, and as the check allows; 0 without a mixture.
        check_p: p-value of more than one cluster; nan where BIC took one.
        cluster: Shape (reflections,), number of the cluster, the noisiest last.
        dependence: By quantity: bins with their s and Spearman's correlation.
        noisy_reflections: Shape (observations,), bool: of the noisiest cluster.
        noisy_observations: Shape (observations,), bool: beyond the cut.
        cut: In standard deviations.
        remove_cluster, remove_cut: The effect of leaving them out.
        reason: Why there is nothing, or no clusters, in a sentence.
        without_factors: Whether the factors of images were taken out before.
    """

    spreads: ReflectionSpreads
    expected_s: np.ndarray
    miller_index: np.ndarray
    d_spacing: np.ndarray
    mixtures: list[Mixture]
    n_clusters: int
    check_p: float
    cluster: np.ndarray
    dependence: dict[str, dict]
    noisy_reflections: np.ndarray
    noisy_observations: np.ndarray
    cut: float
    remove_cluster: Removal
    remove_cut: Removal
    reason: str
    without_factors: bool = False

    def as_dict(self) -> dict:
        """Give what a reader of the JSON document needs."""
        x = self.spreads
        return {
            "n_reflections": len(x),
            "n_clusters": self.n_clusters,
            "clusters": [m.as_dict() for m in self.mixtures],
            "clusters_p_value": self.check_p,
            "tails": x.tails,
            "dependence": self.dependence,
            "reflections": {
                "miller_index": self.miller_index,
                "n": x.number,
                "mean_intensity": x.level,
                "d_spacing": self.d_spacing,
                **{"s": x.s, "s_low": x.low, "s_high": x.high},
                "s_expected": self.expected_s,
                "cluster": self.cluster,
            },
            "cut": self.cut,
            "remove_cluster": self.remove_cluster.as_dict(),
            "remove_cut": self.remove_cut.as_dict(),
            "reason": self.reason,
            "image_factors_taken_out": self.without_factors,
        }


def beyond_cut(columns: Columns, s: float, cut: float = CUT) -> np.ndarray:
    """
    Find observations far from the median of their reflection.

    Args:
        columns: n observations.
        s: Excess relative spread, from a robust estimate: what is looked for should
            not widen the limit.
        cut: In standard deviations sqrt(σ² + s²m²), m the median.

    Returns:
        Shape (n,), bool; never of a reflection with fewer than FEWEST_FOR_CUT.
    """
    unique, intensity = columns.unique, columns.intensity
    n_unique = int(unique.max(initial=-1)) + 1
    median = group_medians(intensity, unique, n_unique)[unique]
    expected = columns.variance + (s * np.maximum(median, 0)) ** 2
    far = np.abs(intensity - median) > cut * np.sqrt(expected)
    return far & (np.bincount(unique)[unique] >= FEWEST_FOR_CUT)


def without_lone(residuals: Residuals, far: np.ndarray) -> Residuals:
    """
    Leave out what is beyond the cut alone.

    Args:
        residuals: n of them.
        far: Shape (n,), bool, beyond the cut.

    Returns:
        The residuals of the others, as they are without it.
    """
    n = np.diff(residuals.start)
    of = np.arange(len(n)).repeat(n)
    few = np.bincount(of, far, len(n)) <= np.maximum(LONE * n, 1)
    rows = np.flatnonzero(~(far & few[of]))
    if len(rows) == len(residuals):
        return residuals
    kept = residuals_of_arrays(
        residuals.unique[rows],
        residuals.crystal[rows],
        residuals.image[rows],
        residuals.intensity[rows],
        residuals.variance[rows],
    )
    return replace(kept, observation=residuals.observation[rows][kept.observation])


def choose_clusters(
    mixtures: list[Mixture],
    residuals: Residuals,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> tuple[int, float, str]:
    """
    Choose the number of clusters by BIC, and check that there is more than one.

    Args:
        mixtures: Of one, two … components.
        residuals: As observed, for the check.
        rng: For the check.
        nproc: Threads; all cores by default.

    Returns:
        The number; the p-value of the check, nan where BIC took one; and why there are
        fewer than BIC took, or nothing.
    """
    best = int(np.argmin([m.bic for m in mixtures]))
    if best == 0:
        return 1, np.nan, ""
    separation = mixtures[best].separation
    if separation < APART:
        return (
            *(1, np.nan),
            f"BIC takes {best + 1} components, but they overlap (Ashman's D "
            f"{separation:.1f}, below {APART:g}): one skewed distribution.",
        )
    p, n = check_clusters(residuals, rng, nproc)
    if p > CHANCE:
        return (
            *(1, p),
            f"BIC takes {best + 1} components, but simulated data without "
            "separate classes, with residuals of the same shape, do so as well "
            f"(p = {p:.2f}, {n} reflections).",
        )
    return best + 1, p, ""


def _clusters_of(
    spreads: ReflectionSpreads,
    residuals: Residuals,
    rng: np.random.Generator,
    nproc: int | None,
):
    """Mixtures, number of clusters, p, cluster and expected s of each, reason."""
    n = len(spreads)
    if n < FEWEST_REFLECTIONS:
        reason = (
            f"{n} unique reflections were observed twice with a mean above its error: "
            f"too few for clusters, which take {FEWEST_REFLECTIONS}."
        )
        return [], 0, np.nan, np.zeros(n, dtype=int), spreads.s, reason
    mixtures = fit_clusters(spreads.likelihood, LOG_GRID, rng)
    n_clusters, p, reason = choose_clusters(mixtures, residuals, rng, nproc)
    chosen = mixtures[n_clusters - 1]
    mean, _ = posterior_log_s(spreads.likelihood, LOG_GRID, chosen)
    cluster = memberships(spreads.likelihood, LOG_GRID, chosen).argmax(axis=1)
    return mixtures, n_clusters, p, cluster, np.exp(mean), reason


@stage("Noisy spots")
def analyse_noisy(
    observations: Observations,
    residuals: Residuals,
    scales: np.ndarray,
    rng: np.random.Generator,
    variance: np.ndarray | None = None,
    cut: float = CUT,
    nproc: int | None = None,
) -> NoisySpots:
    """
    Find noisy reflections and observations, and see whether leaving them out helps.

    Args:
        observations: All that count.
        residuals: Of these.
        scales: Shape (crystals,), what intensities of each crystal are divided by.
        rng: For starts, checks and random removals.
        variance: Shape (observations,), of counting alone, that residuals were built
            with; that of the observations by default.
        cut: In standard deviations, for single observations.
        nproc: Threads; all cores by default.

    Returns:
        The result; where no reflection was observed twice, a reason and little else.
    """
    columns = _columns(observations, scales, variance)
    robust = _robust(residuals)
    far = beyond_cut(columns, robust, cut)
    alone_out = without_lone(residuals, far[residuals.observation])
    spreads = reflection_spreads(alone_out, nproc)
    mixtures, n_clusters, p, cluster, expected, reason = _clusters_of(
        spreads, alone_out, rng, nproc
    )
    start = _overall(spreads)
    noisiest = spreads.unique[(cluster == n_clusters - 1) & (n_clusters > 1)]
    in_cluster = np.isin(columns.unique, noisiest)
    judged = np.isin(columns.unique, spreads.unique)
    several = np.bincount(columns.unique)[columns.unique] >= FEWEST_FOR_CUT
    d = observations.d_spacing[spreads.unique]
    why = reason or NO_CLASS
    remove_cluster = _effect(columns, in_cluster, judged, True, start, rng, why, nproc)
    return NoisySpots(
        spreads=spreads,
        expected_s=expected,
        miller_index=observations.unique_index[spreads.unique],
        d_spacing=d,
        mixtures=mixtures,
        n_clusters=n_clusters,
        check_p=p,
        cluster=cluster,
        dependence=_dependences(spreads, d),
        noisy_reflections=in_cluster,
        noisy_observations=far,
        cut=cut,
        remove_cluster=remove_cluster,
        remove_cut=_effect(columns, far, several, False, start, rng, NONE_FAR, nproc),
        reason=reason,
    )


def _dependences(spreads: ReflectionSpreads, d: np.ndarray) -> dict[str, dict]:
    number = spreads.number.astype(float)
    quantities = {"intensity": spreads.level, "d_spacing": d, "multiplicity": number}
    return {name: dependence_on(spreads, x) for name, x in quantities.items()}


def _columns(
    observations: Observations, scales: np.ndarray, variance: np.ndarray | None
) -> Columns:
    divisor = scales[observations.crystal]
    counting = observations.variance if variance is None else variance
    return Columns(
        observations.unique,
        observations.intensity / divisor,
        counting / divisor**2,
        observations.variance / divisor**2,
    )


def _overall(spreads: ReflectionSpreads) -> float:
    """s of all; zero without residuals."""
    if not len(spreads):
        return 0.0
    return float(most_likely(spreads.log_likelihood.sum(axis=0)))


def _robust(residuals: Residuals) -> float:
    """s of all from medians; zero without residuals."""
    if not len(residuals):
        return 0.0
    zero = np.zeros(len(residuals), dtype=int)
    return float(robust_spread(deviations(residuals), zero, 1)[0])


def _effect(columns, removed, eligible, whole, start, rng, reason, nproc) -> Removal:
    """As effect_of_removal; the reason where nothing is to be left out."""
    if not removed.any():
        return no_removal(reason)
    return effect_of_removal(columns, removed, eligible, whole, start, rng, nproc=nproc)
