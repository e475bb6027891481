"""
All features of a compound, as two tables: of observations and of unique reflections.

Whatever depends on resolution is told by the shell, not by d itself, which with the
symmetry would name the reflection.

Neighbours: where both E_g and E_{h-g} are large for many g, much intensity reaches h over
a detour, whatever the orientation; and for phases that follow direct methods such
triplets are where F(h) itself is likely to be large (Cochran (1955), Acta Cryst. 8, 473).

Functions:
    make_features, features_of: both tables, from observations or what was made of them
    observation_columns, reflection_features: what is told of each
    neighbour_features: what the merged amplitudes of neighbours say about a reflection
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numba as nb
import numpy as np

from dials_spread.correction.features.crystals import (
    compound_features,
    crystal_features,
)
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL, names
from dials_spread.observations import Observations
from dials_spread.prepare.lattice import Lattice
from dials_spread.prepare.normalisation import LARGEST_E
from dials_spread.prepare.prepared import Prepared, prepare
from dials_spread.prepare.weights import coupling_weights, residual_weights
from dials_spread.statistics.groups import (
    group_means,
    group_quantiles,
    group_slopes,
    group_spreads,
)
from dials_spread.threads import run_blocks

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

STRONGEST = 1500
"""Lattice points g that sums go over; more where the last of them are equivalents."""

NEIGHBOUR_COLUMNS = (
    "triplets",
    "mean_pair",
    "largest_pair",
    "double_index",
    "half_index",
)

BLOCK = 512


@dataclass(frozen=True)
class FeatureSet:
    """
    The features of one compound, and what a correction is applied to.

    Attributes:
        observation: Shape (n, 34), float32, columns `observation_names`.
        reflection: Shape (u, 52), float32, columns `reflection_names`.
        observation_names, reflection_names: See registry.
        unique: Shape (n,), the unique reflection of each observation.
        crystal: Shape (n,).
        E_i: Shape (n,), signed normalised amplitudes of observations.
        E_k: Shape (u,), of merged intensities.
        N: Shape (u,), expected intensities: |F| = E √N.
    """

    observation: np.ndarray
    reflection: np.ndarray
    observation_names: tuple[str, ...]
    reflection_names: tuple[str, ...]
    unique: np.ndarray
    crystal: np.ndarray
    E_i: np.ndarray
    E_k: np.ndarray
    N: np.ndarray


def make_features(measured: Observations, nproc: int | None = None) -> FeatureSet:
    """
    Make the features of a compound.

    Args:
        measured: n observations of u unique reflections.
        nproc: Threads; all cores by default.

    Returns:
        Both tables. Values are finite, or nan where there is nothing to be known.

    Raises:
        ValueError: The mean intensity is not positive.
    """
    return features_of(prepare(measured, nproc), nproc)


def features_of(prepared: Prepared, nproc: int | None = None) -> FeatureSet:
    """
    Make the features of a compound that is scaled and merged.

    Args:
        prepared: The compound.
        nproc: Threads; all cores by default.
    """
    measured = prepared.measured
    unique, n_unique = measured.unique, measured.n_unique
    of_crystal = crystal_features(prepared)
    of_compound = compound_features(prepared)
    crystal = measured.crystal
    averaged = [
        group_means(np.nan_to_num(column)[crystal], unique, n_unique)
        for column in of_crystal.T
    ]
    observation = _table(
        chain(observation_columns(prepared), (c[crystal] for c in of_crystal.T)),
        (len(measured), len(MODEL_1)),
        of_compound,
    )
    reflection = _table(
        chain(reflection_features(prepared, of_crystal[:, 1], nproc).T, averaged),
        (n_unique, len(REFLECTION_ALL)),
        of_compound,
    )
    return FeatureSet(
        observation=observation,
        reflection=reflection,
        observation_names=names(MODEL_1),
        reflection_names=names(REFLECTION_ALL),
        unique=unique,
        crystal=crystal,
        E_i=prepared.E_i,
        E_k=prepared.E_k,
        N=prepared.N,
    )


def _table(
    columns: Iterable[np.ndarray], shape: tuple[int, int], of_compound: np.ndarray
) -> np.ndarray:
    """Put columns side by side as they come, those of the compound in every row."""
    table = np.empty(shape, dtype=np.float32)
    for at, column in enumerate(columns):
        table[:, at] = column
    table[:, at + 1 :] = of_compound
    return table


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


def observation_columns(prepared: Prepared) -> Iterator[np.ndarray]:
    """
    Describe each observation by all but its own intensity.

    Args:
        prepared: A compound of n observations.

    Yields:
        Shape (n,) each, in the order of OBSERVATION_COLUMNS; nan where an observation is
        the only one of its reflection, or the crystal did not rotate.
    """
    measured = prepared.measured
    unique = measured.unique
    yield prepared.others
    yield from prepared.coupling.T
    yield prepared.sigma / prepared.N[unique]
    yield measured.rate
    yield np.log(prepared.n)[unique]
    yield shells(measured.d_star_sq)[unique]
    yield _shell_U_rms(prepared)[unique]
    yield measured.centric[unique]


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


@nb.njit(cache=True, nogil=True)
def _block(h_shifted, h_place, place, E2, box_E2, out):
    """Sum over the strongest points for some reflections."""
    for i in range(len(h_shifted)):
        total = mean = largest = 0.0
        m = 0
        for j in range(len(place)):
            if place[j] == h_place[i]:
                continue
            other = box_E2[h_shifted[i] - place[j]]
            if np.isnan(other):
                continue
            m += 1
            total += (E2[j] - 1) * (other - 1)
            pair = E2[j] * other
            mean += pair
            largest = max(largest, pair)
        if m:
            out[i, 0] = total / np.sqrt(m)
            out[i, 1] = mean / m
            out[i, 2] = largest


def neighbour_features(
    lattice: Lattice, unique_index: np.ndarray, nproc: int | None = None
) -> np.ndarray:
    """
    Give what neighbours say of each unique reflection.

    Args:
        lattice: Amplitudes at all lattice points.
        unique_index: Shape (u, 3).
        nproc: Threads; all cores by default.

    Returns:
        Shape (u, 5) in the order of NEIGHBOUR_COLUMNS: Σ(E_g² - 1)(E_{h-g}² - 1)/√m over the m
        pairs that were measured, mean and largest E_g² E_{h-g}², E²(2h) and E²(h/2);
        nan where nothing of it was measured.
    """
    box_E2 = np.minimum(lattice.box_E, LARGEST_E) ** 2
    known = np.flatnonzero(np.isfinite(lattice.box_E[lattice.place]))
    E = lattice.E[known]
    if len(E) > STRONGEST:
        # Equivalents are as strong as one another: all of them or none.
        known = known[E >= np.partition(E, -STRONGEST)[-STRONGEST]]
    place = lattice.place[known]
    h_place = lattice.places_of(unique_index)
    out = np.full((len(unique_index), len(NEIGHBOUR_COLUMNS)), np.nan)
    sums = np.full((len(unique_index), 3), np.nan)

    def block(first: int, stop: int) -> None:
        own = slice(first, stop)
        shifted = h_place[own] + lattice.origin
        _block(shifted, h_place[own], place, box_E2[place], box_E2, sums[own])

    run_blocks(block, len(unique_index), BLOCK, nproc)
    out[:, :3] = sums
    out[:, 3] = box_E2[lattice.places_of(2 * unique_index.astype(np.int64))]
    even = ~np.any(unique_index % 2, axis=1)
    out[even, 4] = box_E2[lattice.places_of(unique_index[even] // 2)]
    return out
