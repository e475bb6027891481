"""
The Lorentz factor, applied once and only once.

A reflection whose excitation error changes slowly with the rotation stays excited for
longer. Tables of DIALS carry the factor that takes this out as `lp`, and Observations
apply it. Converted tables of virtual frames lack it, or carry ones: there intensities
and σ are multiplied by the rate |(axis × r) · k̂| of the geometry, to which `lp` is
proportional.

Functions:
    lorentz_missing: by provenance, or as the user says
    factor_from_zeta: of rows that are no observation
    preferred_exponent: what the agreement between equivalents says, as a warning
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from dials.array_family import flex

logger = logging.getLogger("dials.spread.lorentz")

LORENTZ = ("auto", "applied", "missing")

EXPONENTS = (-1.0, 0.0, 1.0)
"""Powers of the rate tried on top of what is in use."""

CLEARLY = 0.97
"""R_meas must fall to this part before another exponent is called better."""


def lorentz_missing(
    tables: Sequence[flex.reflection_table], lorentz: str = "auto"
) -> bool:
    """
    Say whether intensities still need the Lorentz factor.

    Args:
        tables: The input tables; empty ones have no say.
        lorentz: "applied" and "missing" are taken at their word; "auto" goes by the
            column `lp`: missing where a table has none or it is 1 throughout.

    Returns:
        True where the factor is to be applied.

    Raises:
        ValueError: An unknown choice, or tables of both kinds.
    """
    if lorentz not in LORENTZ:
        raise ValueError(f"lorentz={lorentz} is none of {', '.join(LORENTZ)}")
    if lorentz != "auto":
        return lorentz == "missing"
    missing = [_lacks_lp(table) for table in tables if len(table)]
    if any(missing) and not all(missing):
        raise ValueError(
            f"{sum(missing)} of {len(missing)} reflection tables lack the Lorentz "
            "factor (column lp). Correct them apart, or say lorentz=applied or missing"
        )
    return any(missing)


def _lacks_lp(table: flex.reflection_table) -> bool:
    if "lp" not in table:
        return True
    lp = table["lp"].as_numpy_array()
    return bool(np.all(lp == 1.0))


def factor_from_zeta(
    zeta: np.ndarray, d_star: np.ndarray, median_rate: float
) -> np.ndarray:
    """
    Give the Lorentz factor of rows that are no observation, over its median.

    Args:
        zeta: Shape (n,), column `zeta` of a table.
        d_star: Shape (n,), 1/d [Å⁻¹].
        median_rate: Of the observations [Å⁻¹/rad].

    Returns:
        Shape (n,); 1 where it is not known. The rate is |zeta|/d up to the cosine of the
        Bragg angle, which is 1 for electrons (Kabsch (2010), Acta Cryst. D66, 133).
    """
    factor = np.maximum(np.abs(zeta) * d_star / median_rate, 1e-3)
    known = np.isfinite(zeta) & (zeta != 0) & (d_star > 0)
    return np.where(known, factor, 1.0)


def preferred_exponent(
    intensity: np.ndarray,
    sigma: np.ndarray,
    rate: np.ndarray,
    agreement: Callable[[np.ndarray, np.ndarray], float],
) -> tuple[float, dict[float, float]]:
    """
    Find the power of the rate with which equivalents agree best.

    Dynamical error can favour the wrong one, so that it is told and not obeyed.

    Args:
        intensity: Shape (n,), with the Lorentz factor as it is to be used.
        sigma: Shape (n,).
        rate: Shape (n,) [Å⁻¹/rad].
        agreement: Gives R_meas after scaling of intensities and σ.

    Returns:
        The preferred extra exponent, 0 unless another is clearly better, and R_meas by
        exponent.
    """
    usable = np.isfinite(rate) & (rate > 0)
    relative = np.ones(len(rate))
    if usable.any():
        relative[usable] = rate[usable] / np.median(rate[usable])
    found = {
        exponent: agreement(intensity * relative**exponent, sigma * relative**exponent)
        for exponent in EXPONENTS
    }
    finite = {e: r for e, r in found.items() if np.isfinite(r)}
    best = min(finite, key=finite.get, default=0.0)
    if best and finite[best] < CLEARLY * finite.get(0.0, np.inf):
        logger.warning(
            "Equivalent reflections agree better with the rate to the power %+d more "
            "(R_meas %.3f instead of %.3f): is the Lorentz factor in these "
            "intensities? See lorentz=",
            best,
            finite[best],
            finite[0.0],
        )
        return best, found
    return 0.0, found
