"""
What features ask of a group of crystals, wherever it is kept.

A feature of an observation needs its own columns and what is known of its reflection; one of
a reflection is made of sums, but for quantiles, for which the amplitudes of some reflections
come together from all groups.

Classes:
    KnownOfReflections: what observations are compared with
    FeatureGroup: a group of crystals
    KeptTables: tables of features where the groups are

Functions:
    feature_group: of its parts
    of_crystals: features of crystals
    first_sums, second_sums: what means, spreads and slopes of reflections are made of
    observation_table: features of observations
    quantiles_of_groups: of the amplitudes of each reflection
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba as nb
import numpy as np

from dials_spread.prepare.crystal_groups import CrystalGroup, CrystalGroups
from dials_spread.prepare.normalisation import observed_amplitudes
from dials_spread.prepare.weights import coupling_weights, residual_weights
from dials_spread.statistics.groups import (
    group_means,
    group_medians,
    group_quantiles,
    group_sums,
)

SLOPES_WITH = (1, 8)
"""Couplings with which amplitudes are compared."""

TABLE_ROWS = 1024
"""Of a table that are filled at a time, so that they stay near the processor."""


class KnownOfReflections(NamedTuple):
    """
    What is known of u unique reflections.

    Attributes:
        N: Shape (u,), expected intensities.
        E_k: Shape (u,), amplitudes of merged intensities.
        E_sum: Shape (u,), amplitudes of observations, summed.
        n: Shape (u,), observations.
        told: Shape (u, columns), what features of observations say of their reflections.
        limits: Quantiles of E_k: weakest up to, middle from and to, strong from.
    """

    N: np.ndarray
    E_k: np.ndarray
    E_sum: np.ndarray
    n: np.ndarray
    told: np.ndarray
    limits: tuple[float, float, float, float]


class FeatureGroup(NamedTuple):
    """
    The observations of a group of crystals.

    Attributes:
        observed: n observations, on one scale.
        rate: Shape (n,) [Å⁻¹/rad].
        coupling: Shape (n, 9), float32.
        known: Of reflections.
    """

    observed: CrystalGroup
    rate: np.ndarray
    coupling: np.ndarray
    known: KnownOfReflections

    @property
    def amplitudes(self) -> np.ndarray:
        """Shape (n,), normalised and signed."""
        observed = self.observed
        return observed_amplitudes(observed.intensity, self.known.N[observed.unique])


class KeptTables(NamedTuple):
    """
    Tables of features that are where the groups are.

    Attributes:
        groups: How observations are cut.
        of: A FeatureGroup each, or its handle.
        tables: Features of observations, likewise.
    """

    groups: CrystalGroups
    of: Sequence[Any]
    tables: Sequence[Any]


def feature_group(
    known: KnownOfReflections,
    observed: CrystalGroup,
    rate: np.ndarray,
    coupling: np.ndarray,
) -> FeatureGroup:
    """Put the parts of a group together."""
    return FeatureGroup(observed, rate, coupling, known)


def of_crystals(_, group: FeatureGroup) -> np.ndarray:
    """
    Describe each crystal; see crystals.crystal_features.

    Args:
        group: k crystals.

    Returns:
        Shape (k, 6), nan where a crystal has no such reflection.
    """
    observed, known = group.observed, group.known
    crystal, n, a = observed.crystal, observed.n_crystals, group.amplitudes
    E = known.E_k[observed.unique]
    q30, q40, q70, q90 = known.limits
    strong, middle, weakest = E >= q90, (E >= q40) & (E <= q70), E <= q30
    strong_mean, middle_mean, weakest_mean = (
        group_means(a[s], crystal[s], n) for s in (strong, middle, weakest)
    )
    mean = group_means(a, crystal, n)
    square = group_means(a**2, crystal, n)
    fourth = group_means(a**4, crystal, n)
    size = np.maximum(np.abs(observed.intensity), 1e-300)
    noise = np.sqrt(observed.variance) / size
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [
            strong_mean / middle_mean,
            group_sums(np.abs(a - E), crystal, n) / group_sums(E, crystal, n),
            weakest_mean,
            square / mean**2,
            fourth / square**2,
            group_medians(noise, crystal, n),
        ]
    found = np.stack(columns, axis=1)
    return np.where(np.isfinite(found), found, np.nan)


@nb.njit(cache=True, nogil=True)
def _least(unique, x, n_unique):
    """Give the least value of each reflection, infinite where it has none."""
    found = np.full(n_unique, np.inf)
    for i in range(len(unique)):
        found[unique[i]] = min(found[unique[i]], x[i])
    return found


def first_sums(
    _, group: FeatureGroup, crystals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Add up the observations of each reflection.

    Args:
        group: k crystals.
        crystals: Shape (k, 6), from of_crystals.

    Returns:
        Shape (22, u): amplitudes; three weights, by two couplings and by the residual of the
        crystal; amplitudes times these; nine couplings; features of crystals. And the
        least of the second coupling, shape (u,), infinite where there is none.
    """
    observed, a, o = group.observed, group.amplitudes, group.coupling
    unique, n = observed.unique, len(group.known.N)
    weights = (
        coupling_weights(o[:, 1]),
        coupling_weights(o[:, 2], factor=1.5),
        residual_weights(crystals[:, 1])[observed.crystal],
    )
    columns = [
        a,
        *weights,
        *(a * w for w in weights),
        *o.T,
        *(c[observed.crystal] for c in np.nan_to_num(crystals).T),
    ]
    sums = np.stack([group_sums(x, unique, n) for x in columns])
    return sums, _least(unique, np.ascontiguousarray(o[:, 1]), n)


def second_sums(means: np.ndarray, group: FeatureGroup) -> np.ndarray:
    """
    Add up deviations of observations from the means of their reflections.

    Args:
        means: Shape (3, u), of amplitudes and of both couplings of SLOPES_WITH.
        group: The group.

    Returns:
        Shape (5, u): squares of those of amplitudes; and of each coupling, squares and
        products with amplitudes.
    """
    unique, n, a = group.observed.unique, len(group.known.N), group.amplitudes
    found = [group_sums((a - means[0][unique]) ** 2, unique, n)]
    for column, mean in zip(SLOPES_WITH, means[1:]):
        off = group.coupling[:, column] - mean[unique]
        found += [group_sums(x, unique, n) for x in (off**2, off * a)]
    return np.stack(found)


def observation_table(
    of_compound: np.ndarray, group: FeatureGroup, crystals: np.ndarray
) -> np.ndarray:
    """
    Describe each observation by all but its own intensity.

    Args:
        of_compound: Shape (12,), from crystals.compound_features.
        group: k crystals, n observations.
        crystals: Shape (k, 6), from of_crystals.

    Returns:
        Shape (n, 34), float32, in the order of registry.MODEL_1; nan where an observation is
        the only one of its reflection, or the crystal did not rotate.
    """
    observed, known = group.observed, group.known
    unique, n = observed.unique, known.n[observed.unique]
    rest = known.E_sum[unique] - group.amplitudes
    others = np.where(n > 1, rest / np.maximum(n - 1, 1), np.nan)
    noise = np.sqrt(observed.variance) / known.N[unique]
    told, own = known.told.astype(np.float32), crystals.astype(np.float32)
    ends = np.cumsum([1, 9, 1, 1, told.shape[1], own.shape[1]])
    table = np.empty((len(unique), ends[-1] + len(of_compound)), dtype=np.float32)
    table[:, ends[-1] :] = of_compound
    for first in range(0, len(table), TABLE_ROWS):
        part = slice(first, first + TABLE_ROWS)
        some = table[part]
        some[:, 0] = others[part]
        some[:, 1 : ends[1]] = group.coupling[part]
        some[:, ends[1]], some[:, ends[2]] = noise[part], group.rate[part]
        some[:, ends[3] : ends[4]] = told[unique[part]]
        some[:, ends[4] : ends[5]] = own[observed.crystal[part]]
    return table


def quantiles_of_groups(
    groups: CrystalGroups, of: Sequence[Any], n_unique: int, levels: Sequence[float]
) -> np.ndarray:
    """
    Give quantiles of the amplitudes of each reflection.

    Args:
        groups: How observations are cut.
        of: A FeatureGroup each, or its handle.
        n_unique: Number of unique reflections.
        levels: Each from 0 to 1.

    Returns:
        Shape (len(levels), n_unique). Workers send each other the amplitudes, every one once.
    """
    n_parts = min(len(of), n_unique)
    dealt = groups.keep(_dealt, n_parts, [(o,) for o in of])
    found = np.full((len(levels), n_unique), np.nan)
    parts = []
    for k in range(n_parts):
        own = groups.keep(_take, k, [(d,) for d in dealt])
        parts += groups.keep(_joined, None, [(own,)])
    told = groups.told(_quantiles, levels, [(p, n_unique) for p in parts])
    for k, own in enumerate(told):
        found[:, k::n_parts] = own[:, : found[:, k::n_parts].shape[1]]
    return found


def _dealt(n_parts: int, group: FeatureGroup) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide amplitudes by reflection."""
    unique, a = group.observed.unique, group.amplitudes
    places = (np.flatnonzero(unique % n_parts == k) for k in range(n_parts))
    return [(unique[own] // n_parts, a[own]) for own in places]


def _take(k: int, parts: list) -> tuple[np.ndarray, np.ndarray]:
    return parts[k]


def _joined(_, parts: Sequence[tuple]) -> tuple[np.ndarray, ...]:
    """One part, of all groups."""
    return tuple(np.concatenate(columns) for columns in zip(*parts))


def _quantiles(
    levels: Sequence[float], part: tuple[np.ndarray, np.ndarray], n_unique: int
) -> np.ndarray:
    unique, a = part
    return group_quantiles(a, unique, n_unique, levels)
