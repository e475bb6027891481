"""
Are the residuals Gaussian?

Standardised residuals z = (I - μ) / √Var, with the variance of the spread model (s by
intensity bin would hide what this is to show: one s for all). A quantile plot, skewness,
excess kurtosis, and the statistic of Anderson and Darling (1954), J. Am. Stat. Assoc. 49,
765, against a normal distribution with the mean and the width that the residuals have.

Functions:
    standardise: z of each observation
    anderson_darling: the statistic
    describe_normality: the statistics
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from dials_spread.spread.size.residuals import Residuals
from dials_spread.spread.size.size import deviations
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import Groups, interval

MOST = 1_000_000
"""Residuals that are sorted; of more, a random choice."""

FEWEST = 20
"""With fewer residuals nothing is said."""

N_QUANTILES = 200

CRITICAL = 1.035
"""Of the Anderson-Darling statistic at 1 %, mean and width estimated (Stephens (1974),
J. Am. Stat. Assoc. 69, 730, case 3)."""


@dataclass(frozen=True)
class Normality:
    """
    How far standardised residuals are from a normal distribution.

    Attributes:
        gaussian: Whether the Anderson-Darling statistic is below its 1 % point; None
            where there are too few residuals.
        skewness, excess_kurtosis: (value, low, high) with 95 % intervals over crystals;
            0 for a normal distribution.
        anderson_darling: The statistic.
        critical: Its 1 % point.
        beyond_3: Part of the residuals beyond ±3; 0.0027 for a normal distribution.
        normal_quantiles, quantiles: Of the quantile plot, shape (q,) each.
        n: Residuals.
        n_tested: Residuals behind the statistic.
        n_crystals: Crystals.
        reason: Why there is nothing, in one sentence, or nothing.
    """

    gaussian: bool | None
    skewness: tuple[float, float, float]
    excess_kurtosis: tuple[float, float, float]
    anderson_darling: float
    critical: float
    beyond_3: float
    normal_quantiles: np.ndarray
    quantiles: np.ndarray
    n: int
    n_tested: int
    n_crystals: int
    reason: str = ""

    def as_dict(self) -> dict:
        """Give the attributes by name, estimates as {value, low, high}."""
        given = dict(vars(self))
        for name in ("skewness", "excess_kurtosis"):
            given[name] = dict(zip(("value", "low", "high"), given[name]))
        return given


def standardise(residuals: Residuals, s: float) -> np.ndarray:
    """
    Give the deviation of each observation in units of what is expected.

    Args:
        residuals: n of them.
        s: Relative spread.

    Returns:
        Shape (n,), signed.
    """
    data = deviations(residuals)
    variance = data.known + s**2 * data.unknown
    return (residuals.intensity - residuals.mean) / np.sqrt(variance)


def _moments(z: np.ndarray, group: np.ndarray, groups: Groups, weights: np.ndarray):
    """Skewness and excess kurtosis in each draw, shape (2, draws)."""
    powers = [np.bincount(group, z**k, minlength=groups.n) for k in range(5)]
    n, *sums = (weights @ p for p in powers)
    m1, m2, m3, m4 = (x / n for x in sums)
    variance = m2 - m1**2
    third = m3 - 3 * m1 * m2 + 2 * m1**3
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    with np.errstate(divide="ignore", invalid="ignore"):
        return third / variance**1.5, fourth / variance**2 - 3


def anderson_darling(values: np.ndarray) -> float:
    """
    Compute the statistic A² against a normal distribution of the values' mean and width.

    scipy has it, but with other arguments in each release.

    Args:
        values: Shape (n,).
    """
    n = len(values)
    z = np.sort((values - np.mean(values)) / np.std(values, ddof=1))
    weight = (2 * np.arange(1, n + 1) - 1.0) / n
    return float(
        -n - np.sum(weight * (stats.norm.logcdf(z) + stats.norm.logsf(z[::-1])))
    )


@stage("Distribution of residuals")
def describe_normality(
    residuals: Residuals,
    s: float,
    groups: Groups,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> Normality:
    """
    Compare standardised residuals with a normal distribution.

    Args:
        residuals: n of them.
        s: Relative spread.
        groups: Of crystals.
        weights: Shape (draws, groups), from groups.draws.
        rng: Chooses residuals, where there are very many.

    Returns:
        The statistics.
    """
    n = len(residuals)
    if n < FEWEST or not np.isfinite(s):
        return _nothing(n, groups.n_crystals)
    z = standardise(residuals, s)
    group = groups.of_crystal[residuals.crystal]
    skewness, kurtosis = _moments(z, group, groups, weights)
    tested = z if n <= MOST else z[rng.choice(n, MOST, replace=False)]
    statistic = anderson_darling(tested)
    at = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    ends = np.array([1e-4, 1e-3, 2e-3])
    ends = ends[ends * len(tested) >= 1]
    at = np.concatenate([ends, at, 1 - ends[::-1]])
    return Normality(
        gaussian=statistic < CRITICAL,
        skewness=(float(skewness[0]), *interval(skewness, groups.n)),
        excess_kurtosis=(float(kurtosis[0]), *interval(kurtosis, groups.n)),
        anderson_darling=statistic,
        critical=CRITICAL,
        beyond_3=float(np.mean(np.abs(z) > 3)),
        normal_quantiles=stats.norm.ppf(at),
        quantiles=np.quantile(tested, at),
        n=n,
        n_tested=len(tested),
        n_crystals=groups.n_crystals,
    )


def _nothing(n: int, n_crystals: int) -> Normality:
    unknown, empty = (np.nan, np.nan, np.nan), np.empty(0)
    return Normality(
        gaussian=None,
        skewness=unknown,
        excess_kurtosis=unknown,
        anderson_darling=np.nan,
        critical=CRITICAL,
        beyond_3=np.nan,
        normal_quantiles=empty,
        quantiles=empty,
        n=n,
        n_tested=0,
        n_crystals=n_crystals,
        reason=f"{n} residuals are too few to say anything of their distribution.",
    )
