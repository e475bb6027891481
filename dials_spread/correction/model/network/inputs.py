"""
Features as the network takes them.

Trees do not care for the scale of a feature, networks do: each is centred on its median,
divided by its spread, and squashed, so that a value beyond all that was trained on counts
as a large one and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.features.registry import MODEL_1, REFLECTION_ALL, names

OWN = ("amplitude", "less_merged", "less_others")
"""Of the observation itself: E_i, E_i - E_k, E_i less the mean of the others."""

OBSERVATION_INPUTS = (*names(MODEL_1), *OWN)
REFLECTION_INPUTS = names(REFLECTION_ALL)

LARGEST = 5.0
"""Squashed inputs are no larger."""

MOST = np.float32(1e3)
"""Beyond what becomes `LARGEST`."""

SPREADS = 2.5
"""From the 10 % to the 90 % quantile there are about as many standard deviations."""


@dataclass(frozen=True)
class Squash:
    """
    How raw inputs are made comparable.

    Attributes:
        centre: Shape (columns,).
        width: Shape (columns,), positive.
    """

    centre: np.ndarray
    width: np.ndarray

    @classmethod
    def fitted_to(cls, rows: np.ndarray) -> Squash:
        """
        Find centre and width.

        Args:
            rows: Shape (n, columns), nan where a value is not known.
        """
        known = np.isfinite(rows).any(axis=0)
        levels = np.zeros((3, rows.shape[1]))
        levels[:, known] = np.nanquantile(rows[:, known], [0.5, 0.1, 0.9], axis=0)
        width = (levels[2] - levels[1]) / SPREADS
        width = np.where(width > 1e-9, width, 1.0)
        return cls(levels[0].astype(np.float32), width.astype(np.float32))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Give arsinh of the centred rows over the width, float32; 0 for nan."""
        x = np.asarray((rows - self.centre) / self.width, dtype=np.float32)
        size = np.minimum(np.abs(x), MOST)
        # By logarithm and root, which take a fifth of the time of numpy's arsinh.
        found = np.log(size + np.sqrt(size * size + 1))
        np.copysign(np.minimum(found, LARGEST), x, out=found)
        return np.nan_to_num(found, copy=False)


def observation_rows(features: FeatureSet, part: slice = slice(None)) -> np.ndarray:
    """
    Give what the network sees of observations, not squashed.

    Args:
        features: Of a compound.
        part: Which observations; all by default.

    Returns:
        Shape (n, 37).
    """
    observation = features.observation[part]
    E_i, E_k = features.E_i[part], features.E_k[features.unique[part]]
    others = observation[:, 0]
    less_others = E_i - np.where(np.isnan(others), E_k, others)
    own = np.stack([E_i, E_i - E_k, less_others], axis=1)
    return np.hstack([observation, own.astype(np.float32)])
