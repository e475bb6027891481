"""
Miller indices in the asymmetric unit.

Functions:
    as_flex: as cctbx has them
    unique_indices: mapped to the asymmetric unit, and numbered
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
    mapped = hkl.as_vec3_double().as_numpy_array().reshape(-1, 3).astype(np.int64)
    span = 2 * int(np.abs(mapped).max(initial=0)) + 1
    keys = ((mapped[:, 0] * span) + mapped[:, 1]) * span + mapped[:, 2]
    _, where, number = np.unique(keys, return_index=True, return_inverse=True)
    return mapped[where].astype(np.int32), number.ravel().astype(np.int32)
