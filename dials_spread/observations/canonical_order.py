"""
An order of crystals and observations that depends on what was observed alone.

Random numbers are drawn by crystal or by observation, one after the other: neither the
order of files and rows nor the choice of axes must decide which crystal gets which.

Functions:
    order_of_rows: of one table
    order_of_crystals, order_keys: of all of them, and what they are sorted by
    rank_by_keys, ranks: the place of each
    crystal_rank, image_rank: the place of each in that order
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dials.array_family import flex

from dials_spread.valid_input.columns import POSITIONS

if TYPE_CHECKING:
    from dials_spread.observations.table import Observations


def order_of_rows(first: np.ndarray, table: flex.reflection_table) -> np.ndarray:
    """
    Sort reflections by frame and position, however the table and the indices are.

    Args:
        first: Shape (n,), the frame of each.
        table: n reflections.

    Returns:
        Shape (n,), numbers of rows.
    """
    position = next(table[name] for name in POSITIONS if name in table)
    x, y, z = position.as_numpy_array().reshape(-1, 3).T
    # Hardly ever are two on a frame at the same x, and a second key is half of the time.
    order = np.lexsort((x, first))
    same = (x[order[1:]] == x[order[:-1]]) & (first[order[1:]] == first[order[:-1]])
    return np.lexsort((z, y, x, first)) if same.any() else order


def order_of_crystals(intensities: Sequence[np.ndarray]) -> list[int]:
    """
    Sort crystals, those with many observations first.

    Small ones come last, so that they do not change what the others draw.

    Args:
        intensities: Of each crystal, in any order.

    Returns:
        Numbers of crystals.
    """
    keys = [(-len(own), *order_keys(own).tolist()) for own in intensities]
    return sorted(range(len(keys)), key=keys.__getitem__)


def order_keys(intensity: np.ndarray) -> np.ndarray:
    """
    Give what crystals with as many observations are sorted by.

    Args:
        intensity: Of a crystal.

    Returns:
        Lowest, middle and highest; empty without observations.
    """
    values = np.sort(intensity)
    return values[[0, len(values) // 2, -1]] if len(values) else np.empty(0)


def rank_by_keys(number: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """
    Give the place of each of n crystals in that order.

    Args:
        number: Shape (n,), observations of each.
        keys: Shape (n, 3), their order_keys.
    """
    order = np.lexsort((*keys.T[::-1], -number))
    return _places(order)


def ranks(values: np.ndarray) -> np.ndarray:
    """
    Give the place of each value when they are sorted.

    Args:
        values: Shape (n,); equal ones stay in their order.
    """
    return _places(np.argsort(values, kind="stable"))


def _places(order: np.ndarray) -> np.ndarray:
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def crystal_rank(observations: Observations) -> np.ndarray:
    """
    Give the place of each crystal among the observations.

    Args:
        observations: In the order of `order_of_crystals`.

    Returns:
        Shape (experiments,); those without observations come last.
    """
    crystal, n = observations.crystal, observations.n_experiments
    begins = np.append(0, np.flatnonzero(np.diff(crystal)) + 1)
    found = crystal[begins].tolist() if len(crystal) else []
    rank = np.empty(n, dtype=np.int64)
    rank[[*dict.fromkeys([*found, *range(n)])]] = np.arange(n)
    return rank


def image_rank(observations: Observations) -> np.ndarray:
    """
    Give the place of each image in that order of crystals.

    Args:
        observations: As for `crystal_rank`.

    Returns:
        Shape (images,).
    """
    return ranks(crystal_rank(observations)[observations.images.crystal])
