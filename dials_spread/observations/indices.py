"""
Miller indices in the asymmetric unit.

Functions:
    as_flex: as cctbx has them
    as_array: as numpy has them
    unique_indices: mapped to the asymmetric unit, and numbered

Classes:
    Absences: the systematic absences of a space group
"""

from __future__ import annotations

import numpy as np

from cctbx import miller, sgtbx
from cctbx.array_family import flex as cctbx_flex

from dials_spread.statistics.groups import numbered

MOST_INDICES = 10_000_000
"""In a box around those that were measured, so that each has a number."""


def as_flex(miller_index: np.ndarray) -> cctbx_flex.miller_index:
    """Give indices of shape (n, 3) as cctbx has them."""
    h, k, l = (cctbx_flex.int(np.ascontiguousarray(c)) for c in miller_index.T)
    return cctbx_flex.miller_index(h, k, l)


def as_array(miller_index: cctbx_flex.miller_index) -> np.ndarray:
    """Give indices in shape (n, 3), int32."""
    return (
        miller_index.as_vec3_double().as_numpy_array().reshape(-1, 3).astype(np.int32)
    )


class Absences:
    """
    The systematic absences of a space group, of each index found once.

    Asking cctbx of every observation takes a quarter of the time in which observations
    are made of tables.

    Args:
        space_group: Of the crystals.
        n: Observations that will be asked of; of few of them cctbx is asked.
    """

    def __init__(self, space_group: sgtbx.space_group, n: int):
        self.space_group = space_group
        self._most = n // 4
        self._table = np.zeros((0, 0, 0), dtype=bool)

    def among(self, miller_index: cctbx_flex.miller_index) -> np.ndarray:
        """
        Say which indices are systematically absent.

        Args:
            miller_index: n indices.

        Returns:
            Shape (n,), bool.
        """
        hkl = as_array(miller_index)
        # Some more, so that the next crystals do not go beyond.
        reach = -np.abs(hkl).max(axis=0, initial=0) // 8 * -8
        size = np.maximum(2 * reach + 1, self._table.shape)
        if size.prod(dtype=float) > self._most:
            return self.space_group.is_sys_absent(miller_index).as_numpy_array()
        if size.tolist() != [*self._table.shape]:
            there = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in size)), -1)
            absent = self.space_group.is_sys_absent(as_flex(there.reshape(-1, 3)))
            self._table = np.zeros(size, dtype=bool)
            self._table[tuple(there.reshape(-1, 3).T)] = absent.as_numpy_array()
        # Those below zero are counted from the end.
        return self._table[tuple(hkl.T)]


def unique_indices(
    miller_index: np.ndarray, space_group: sgtbx.space_group, friedel: bool
) -> tuple[np.ndarray, np.ndarray]:
    """
    Map indices to the asymmetric unit of reciprocal space.

    Args:
        miller_index: Shape (n, 3), int.
        space_group: Of the crystals.
        friedel: Take Friedel mates as equivalent.

    Returns:
        The unique indices, shape (u, 3), and the number of each observation's among
        them, shape (n,).
    """
    # Of many observations of few indices each index is mapped once.
    low = miller_index.min(axis=0, initial=0).astype(np.int64)
    size = miller_index.max(axis=0, initial=0) - low + 1
    if np.prod(size.astype(float)) > MOST_INDICES:
        return _mapped(miller_index, space_group, friedel)
    h, k, l = (miller_index - low).T
    keys, number = numbered((h * size[1] + k) * size[2] + l, int(size.prod()))
    first, l = np.divmod(keys, size[2])
    there = np.stack([*np.divmod(first, size[1]), l], axis=1) + low
    index, of_each = _mapped(there, space_group, friedel)
    return index, of_each[number]


def _mapped(
    miller_index: np.ndarray, space_group: sgtbx.space_group, friedel: bool
) -> tuple[np.ndarray, np.ndarray]:
    hkl = as_flex(miller_index.astype(np.int32))
    miller.map_to_asu(space_group.type(), not friedel, hkl)
    mapped = as_array(hkl).astype(np.int64)
    span = 2 * int(np.abs(mapped).max(initial=0)) + 1
    keys = ((mapped[:, 0] * span) + mapped[:, 1]) * span + mapped[:, 2]
    _, where, number = np.unique(keys, return_index=True, return_inverse=True)
    return mapped[where].astype(np.int32), number.ravel().astype(np.int32)
