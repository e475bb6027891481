"""
Features as the network takes them.

Trees do not care for the scale of a feature, networks do: each is centred on its median,
divided by its spread, and squashed, so that a value beyond all that was trained on counts
as a large one and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
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


# Each row is a call of its own: numba makes these loops of many numbers at a time only there.


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _row_to_logarithm(row, centre, width, out):
    for j in range(len(out)):
        x = abs((row[j] - centre[j]) / width[j])
        size = min(np.float32(x), MOST)
        out[j] = size + np.sqrt(size * size + np.float32(1))


@nb.njit(cache=True, nogil=True)
def _row_with_sign(row, centre, out):
    for j in range(len(out)):
        x = out[j] if out[j] < np.float32(LARGEST) else np.float32(LARGEST)
        x = x if row[j] >= centre[j] else -x
        out[j] = x if row[j] == row[j] else np.float32(0)


@nb.njit(cache=True, nogil=True)
def _to_logarithm(rows, centre, width, out):
    """Give |x| + √(x² + 1), whose logarithm is arsinh |x|, of the centred rows over the
    width."""
    for i in range(len(rows)):
        _row_to_logarithm(rows[i], centre, width, out[i])


@nb.njit(cache=True, nogil=True)
def _with_sign(rows, centre, out):
    """Bound arsinh, and give it the sign of the centred rows; 0 for nan."""
    for i in range(len(rows)):
        _row_with_sign(rows[i], centre, out[i])


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
        rows = np.ascontiguousarray(rows)
        # By logarithm and root, which take a fifth of the time of numpy's arsinh.
        found = np.empty(rows.shape, dtype=np.float32)
        _to_logarithm(rows, self.centre, self.width, found)
        np.log(found, out=found)
        _with_sign(rows, self.centre, found)
        return found


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
