"""
All features of a compound, as two tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.correction.features.crystals import (
    compound_features,
    crystal_features,
)
from dials_spread.correction.features.reflections import (
    observation_features,
    reflection_features,
)
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL, names
from dials_spread.observations import Observations
from dials_spread.prepare.prepared import Prepared, prepare
from dials_spread.statistics.groups import group_means


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
        [observation_features(prepared), of_crystal[crystal]], of_compound
    )
    reflection = _table(
        [
            reflection_features(prepared, of_crystal[:, 1], nproc),
            np.stack(averaged, axis=1),
        ],
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


def _table(parts: list[np.ndarray], of_compound: np.ndarray) -> np.ndarray:
    """Put columns side by side, those of the compound in every row."""
    n = len(parts[0])
    width = sum(part.shape[1] for part in parts)
    table = np.empty((n, width + len(of_compound)), dtype=np.float32)
    at = 0
    for part in parts:
        table[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    table[:, at:] = of_compound
    return table
