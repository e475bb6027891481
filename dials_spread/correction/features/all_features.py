"""
All features of a compound, as two tables: of observations and of unique reflections.

Whatever depends on resolution is told by the shell, not by d itself, which with the
symmetry would name the reflection.

Neighbours: where both E_g and E_{h-g} are large for many g, much intensity reaches h over
a detour, whatever the orientation; and for phases that follow direct methods such
triplets are where F(h) itself is likely to be large (Cochran (1955), Acta Cryst. 8, 473).

Functions:
    make_features, features_of: both tables, from observations or what was made of them
    neighbour_features: what the merged amplitudes of neighbours say about a reflection
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba as nb
import numpy as np

from dials_spread.correction.features.crystals import compound_features
from dials_spread.correction.features.feature_groups import (
    SLOPES_WITH,
    FeatureGroup,
    KeptTables,
    KnownOfReflections,
    feature_group,
    first_sums,
    observation_table,
    of_crystals,
    quantiles_of_groups,
    second_sums,
)
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL, names
from dials_spread.observations import Observations
from dials_spread.prepare.crystal_groups import CrystalGroups, added_up
from dials_spread.prepare.lattice import Lattice
from dials_spread.prepare.normalisation import LARGEST_E
from dials_spread.prepare.prepared import Prepared, prepare
from dials_spread.stages import stage
from dials_spread.statistics.groups import group_quantiles, group_sums
from dials_spread.threads import in_turn, run_blocks

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

ASKED = 2**16
"""Observations that are asked of at a time."""


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
        kept: Where the rows of `observation` are; None where they are here.
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
    kept: KeptTables | None = None

    def from_tables(
        self, function: Callable, shared: Any, nproc: int | None = None
    ) -> np.ndarray:
        """
        Ask something of the rows of `observation`, here or where they are.

        Args:
            function: Called as function(shared, E, table) with the merged amplitude and
                the features of some observations; at the top level of a module.
            shared: What it needs besides.
            nproc: Threads; all cores by default.

        Returns:
            What it gives for each observation, shape (n,).
        """
        if self.kept is not None:
            groups, of, tables = self.kept
            tasks = [*zip(of, tables)]
            return groups.joined(
                groups.told(_of_table, _Asked(function, shared), tasks)
            )
        own: list[tuple] = []
        for first in range(0, max(len(self.unique), 1), ASKED):
            part = slice(first, first + ASKED)
            E = self.E_k[self.unique[part]]
            own.append((shared, E, self.observation[part]))
        return np.concatenate([*in_turn(function, own, nproc)])


class _Asked(NamedTuple):
    """A function with what it needs; Dask takes a plain tuple of that kind for a task."""

    function: Callable
    shared: Any


def _of_table(asked: _Asked, group: FeatureGroup, table: np.ndarray) -> np.ndarray:
    """Ask something of the table of a group: a task for another process."""
    E = group.known.E_k[group.observed.unique]
    return asked.function(asked.shared, E, table)


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


@stage("Features")
def features_of(
    prepared: Prepared, nproc: int | None = None, kept: bool = False
) -> FeatureSet:
    """
    Make the features of a compound that is scaled and merged.

    Args:
        prepared: The compound.
        nproc: Threads; all cores by default.
        kept: Leave the table of observations on the workers of a cluster, where there is
            one and several groups of crystals; `observation` is empty then.
    """
    measured = prepared.measured
    groups = CrystalGroups.of(prepared.scaled, nproc)
    columns = groups.observed, groups.cut(measured.rate), groups.cut(prepared.coupling)
    of = groups.keep(feature_group, _known(prepared), [*zip(*columns)])
    of_crystal = [*groups.told(of_crystals, None, [(g,) for g in of])]
    of_compound = compound_features(prepared)
    own = [*zip(of, of_crystal)]
    reflection = _reflection_table(prepared, groups, own, of_compound, nproc)
    observation, tables = np.empty((0, len(MODEL_1)), dtype=np.float32), None
    if kept and groups.elsewhere:
        made = groups.keep(observation_table, of_compound, own)
        tables = KeptTables(groups, of, made)
    else:
        observation = groups.joined(groups.told(observation_table, of_compound, own))
    return FeatureSet(
        observation=observation,
        reflection=reflection,
        observation_names=names(MODEL_1),
        reflection_names=names(REFLECTION_ALL),
        unique=measured.unique,
        crystal=measured.crystal,
        E_i=prepared.E_i,
        E_k=prepared.E_k,
        N=prepared.N,
        kept=tables,
    )


def _known(prepared: Prepared) -> KnownOfReflections:
    """Give what observations are compared with."""
    measured = prepared.measured
    told = [
        np.log(prepared.n),
        shells(measured.d_star_sq),
        _shell_U_rms(prepared),
        measured.centric,
    ]
    q30, q40, q70, q90 = np.quantile(prepared.E_k, [0.3, 0.4, 0.7, 0.9])
    return KnownOfReflections(
        N=prepared.N,
        E_k=prepared.E_k,
        E_sum=group_sums(prepared.E_i, measured.unique, measured.n_unique),
        n=prepared.n,
        told=np.stack(told, axis=1),
        limits=(q30, q40, q70, q90),
    )


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


def _reflection_table(
    prepared: Prepared,
    groups: CrystalGroups,
    own: Sequence[tuple],
    of_compound: np.ndarray,
    nproc: int | None,
) -> np.ndarray:
    """
    Describe each unique reflection.

    Args:
        prepared: A compound of u unique reflections.
        groups: Its observations.
        own: A FeatureGroup and the features of its crystals, of each.
        of_compound: Features of the compound.
        nproc: Threads; all cores by default.

    Returns:
        Shape (u, 52), float32.
    """
    measured, n = prepared.measured, prepared.n
    sums, least = zip(*groups.told(first_sums, None, own))
    total = added_up(sums)
    means = total / n
    weighted = [np.divide(x, w) for x, w in zip(total[4:7], total[1:4])]
    couplings, crystals = means[7:16], means[16:]
    compared = np.stack([means[0], *(couplings[k] for k in SLOPES_WITH)])
    off = added_up(groups.told(second_sums, compared, [(g,) for g, _ in own]))
    spread = np.where(n > 1, np.sqrt(off[0] / np.maximum(n - 1, 1)), np.nan)
    columns = [
        prepared.E_k,
        means[0],
        *_quantiles(prepared, groups, own),
        spread,
        *weighted,
        *couplings,
        np.minimum.reduce(least),
        *(xy / (xx + SLOPE_RIDGE) for xx, xy in (off[1:3], off[3:5])),
        np.log(n),
        prepared.merged_sigma / prepared.N,
        shells(measured.d_star_sq),
        measured.epsilon,
        measured.centric,
        _shell_U_rms(prepared),
        *neighbour_features(prepared.lattice, measured.unique_index, nproc).T,
        *crystals,
    ]
    table = np.empty((len(n), len(REFLECTION_ALL)), dtype=np.float32)
    table[:, : len(columns)] = np.stack(columns, axis=1)
    table[:, len(columns) :] = of_compound
    return table


def _quantiles(
    prepared: Prepared, groups: CrystalGroups, own: Sequence[tuple]
) -> np.ndarray:
    """Give five quantiles of the amplitudes of each reflection, shape (5, u)."""
    measured, levels = prepared.measured, [0, 0.25, 0.5, 0.75, 1]
    if groups.elsewhere:
        return quantiles_of_groups(
            groups, [g for g, _ in own], measured.n_unique, levels
        )
    return group_quantiles(prepared.E_i, measured.unique, measured.n_unique, levels)


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
