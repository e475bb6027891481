"""
Features of observations and of unique reflections.

Whatever depends on resolution is told by the shell, not by d itself, which with the
symmetry would name the reflection.
"""

from __future__ import annotations

import numpy as np

from dials_spread.correction.features.neighbours import neighbour_features
from dials_spread.prepare.prepared import Prepared
from dials_spread.prepare.weights import coupling_weights, residual_weights
from dials_spread.statistics.groups import (
    group_means,
    group_quantiles,
    group_slopes,
    group_spreads,
)

OBSERVATION_COLUMNS = (
    "mean_of_others",
    "coupling_3",
    "coupling_10",
    "coupling_30",
    "strongest_path",
    "excited",
    "excited_to_h",
    "signed_3",
    "signed_10",
    "signed_30",
    "noise",
    "rate",
    "ln_n",
    "shell",
    "U_rms",
    "centric",
)

REFLECTION_COLUMNS = (
    "E_k",
    "mean",
    "least",
    "lower_quartile",
    "median",
    "upper_quartile",
    "largest",
    "spread",
    "mean_o10",
    "mean_o30",
    "mean_residual",
    "coupling_3_mean",
    "coupling_10_mean",
    "coupling_30_mean",
    "strongest_path_mean",
    "excited_mean",
    "excited_to_h_mean",
    "signed_3_mean",
    "signed_10_mean",
    "signed_30_mean",
    "coupling_10_least",
    "coupling_slope",
    "signed_slope",
    "ln_n",
    "noise",
    "shell",
    "epsilon",
    "centric",
    "U_rms",
    "triplets",
    "mean_pair",
    "largest_pair",
    "double_index",
    "half_index",
)

SLOPE_RIDGE = 0.1
"""Drawn to zero are slopes where couplings vary by less than about its root."""

SHELL_WIDTH = 0.1
"""Width of a resolution shell [Å⁻¹]."""


def shells(d_star_sq: np.ndarray) -> np.ndarray:
    """
    Give the middle of each reflection's resolution shell [Å⁻¹].

    Args:
        d_star_sq: Any shape [Å⁻²].
    """
    return (np.floor(np.sqrt(d_star_sq) / SHELL_WIDTH) + 0.5) * SHELL_WIDTH


def _shell_U_rms(prepared: Prepared) -> np.ndarray:
    """Give U_rms in the middle of each reflection's shell, with its ε, shape (u,)."""
    measured = prepared.measured
    middle = shells(measured.d_star_sq) ** 2
    return prepared.interaction.U_rms(middle, measured.epsilon)


def observation_features(prepared: Prepared) -> np.ndarray:
    """
    Describe each observation by all but its own intensity.

    Args:
        prepared: A compound of n observations.

    Returns:
        Shape (n, 16), in the order of OBSERVATION_COLUMNS; nan where an observation is
        the only one of its reflection, or the crystal did not rotate.
    """
    measured = prepared.measured
    unique = measured.unique
    columns = [
        prepared.others,
        *prepared.coupling.T,
        prepared.sigma / prepared.N[unique],
        measured.rate,
        np.log(prepared.n)[unique],
        shells(measured.d_star_sq)[unique],
        _shell_U_rms(prepared)[unique],
        measured.centric[unique],
    ]
    return np.stack(columns, axis=1)


def reflection_features(
    prepared: Prepared, crystal_residual: np.ndarray, nproc: int | None = None
) -> np.ndarray:
    """
    Describe each unique reflection.

    Args:
        prepared: A compound of u unique reflections.
        crystal_residual: Shape (crystals,), how far each is from the merged data.
        nproc: Threads; all cores by default.

    Returns:
        Shape (u, 34), in the order of REFLECTION_COLUMNS.
    """
    measured, a = prepared.measured, prepared.E_i
    unique, n = measured.unique, measured.n_unique
    o = prepared.coupling
    weights = (
        coupling_weights(o[:, 1]),
        coupling_weights(o[:, 2], factor=1.5),
        residual_weights(crystal_residual[measured.crystal]),
    )
    quantiles = group_quantiles(a, unique, n, [0, 0.25, 0.5, 0.75, 1])
    columns = [
        prepared.E_k,
        group_means(a, unique, n),
        *quantiles,
        group_spreads(a, unique, n),
        *(group_means(a, unique, n, w) for w in weights),
        *(group_means(column, unique, n) for column in o.T),
        group_quantiles(o[:, 1], unique, n, [0])[0],
        group_slopes(o[:, 1], a, unique, n, SLOPE_RIDGE),
        group_slopes(o[:, 8], a, unique, n, SLOPE_RIDGE),
        np.log(prepared.n),
        prepared.merged_sigma / prepared.N,
        shells(measured.d_star_sq),
        measured.epsilon,
        measured.centric,
        _shell_U_rms(prepared),
        *neighbour_features(prepared.lattice, measured.unique_index, nproc).T,
    ]
    return np.stack(columns, axis=1)
