"""
Merged amplitudes without any learning.

Multiple scattering adds to weak reflections and takes from strong ones most where other
beams are excited with them. Observations with little coupling are nearer to the
kinematic amplitude, so they should weigh more. That costs no training and cannot go far
wrong; the other methods stand here to be compared with.

Functions:
    coupling_weights, residual_weights, sigma_weights
    estimate_amplitudes: E of unique reflections by one of METHODS
"""

from __future__ import annotations

import numpy as np

from dials_spread.prepare.prepared import Prepared
from dials_spread.statistics.groups import group_medians

METHODS = ("mean", "median", "sigma", "weights")

RELATIVE_ERROR = 0.2
"""Part of an intensity that is not trusted beyond its σ."""


def coupling_weights(
    coupling: np.ndarray, offset: float = 0.15, factor: float = 1.0
) -> np.ndarray:
    """
    Give 1 / (offset + factor · coupling)².

    Args:
        coupling: Any shape, one of the couplings of observations.
        offset: Coupling that every observation has.
        factor: Of the coupling.
    """
    return 1 / (offset + factor * coupling) ** 2


def residual_weights(residual: np.ndarray) -> np.ndarray:
    """
    Give 1 / max(residual, 0.05)², the residual of each observation's crystal.

    Args:
        residual: Any shape; nan weighs as little as a residual of 1.
    """
    return 1 / np.maximum(np.nan_to_num(residual, nan=1.0), 0.05) ** 2


def sigma_weights(prepared: Prepared) -> np.ndarray:
    """
    Give 1 / (σ² + (0.2 I)²) with the merged intensity for I, shape (n,).

    Args:
        prepared: A compound.
    """
    model = prepared.merged[prepared.measured.unique]
    return 1 / (prepared.sigma**2 + (RELATIVE_ERROR * model) ** 2)


def estimate_amplitudes(prepared: Prepared, method: str = "weights") -> np.ndarray:
    """
    Estimate normalised amplitudes of unique reflections.

    Args:
        prepared: A compound.
        method: "mean" of intensities, their "median", their mean with weights from
            "sigma", or the mean of signed amplitudes with "weights" 1/(0.15 + o10)²
            from the coupling of each observation.

    Returns:
        E of shape (u,), not negative; |F| = E √N.

    Raises:
        ValueError: An unknown method.
    """
    observations = prepared.scaled
    if method == "weights":
        weights = coupling_weights(prepared.coupling[:, 1])
        return np.maximum(observations.merged(prepared.E_i, weights), 0)
    if method == "mean":
        merged = prepared.merged
    elif method == "median":
        merged = group_medians(
            observations.intensity, observations.unique, observations.n_unique
        )
    elif method == "sigma":
        merged = observations.merged(weights=sigma_weights(prepared))
    else:
        raise ValueError(f"method={method} is none of {', '.join(METHODS)}")
    return np.sqrt(np.maximum(merged, 0) / prepared.N)
