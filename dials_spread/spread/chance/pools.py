"""
What a permutation of a matched pair draws from, and what it is compared with.

Functions:
    build_pools: all observations, by reflection
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dials_spread.statistics.groups import order_of_groups

IMAGE, CRYSTAL = 0, 1
"""Columns of Pools.owner."""


class Pools(NamedTuple):
    """
    All observations by unique reflection.

    Attributes:
        start: Shape (reflections + 1,): those of reflection u are start[u]:start[u + 1]
            of the next.
        drawn: Shape (n, 2), float32: intensity on one scale and variance of each, side by
            side and short, because they are drawn from anywhere.
        owner: Shape (n, 2), int32: image and crystal of each.
        sum: Shape (reflections,), of the intensities.
        noise: Shape (reflections,), sum of the variances.
    """

    start: np.ndarray
    drawn: np.ndarray
    owner: np.ndarray
    sum: np.ndarray
    noise: np.ndarray


class CommonSpots(NamedTuple):
    """
    The common spots of pairs; those of pair p are start[p]:start[p + 1].

    Attributes:
        start: Shape (pairs + 1,).
        one_crystal: Shape (pairs,), bool: both images are of one crystal.
        unique: Shape (m,), the unique reflection.
        intensity_a, variance_a: Shape (m,), on image a.
        intensity_b, variance_b: Shape (m,), on image b.
    """

    start: np.ndarray
    one_crystal: np.ndarray
    unique: np.ndarray
    intensity_a: np.ndarray
    variance_a: np.ndarray
    intensity_b: np.ndarray
    variance_b: np.ndarray


def build_pools(
    image: np.ndarray,
    crystal: np.ndarray,
    unique: np.ndarray,
    intensity: np.ndarray,
    variance: np.ndarray,
) -> Pools:
    """
    Sort observations by unique reflection.

    Args:
        image: Shape (n,), the image of each observation.
        crystal: Shape (n,), its crystal.
        unique: Shape (n,), number of the unique reflection, from 0.
        intensity: Shape (n,).
        variance: Shape (n,).

    Returns:
        The same, by reflection.
    """
    order = order_of_groups(unique)
    start = np.concatenate([[0], np.cumsum(np.bincount(unique))]).astype(np.int64)
    return Pools(
        start=start,
        drawn=np.stack([intensity, variance], axis=1).astype(np.float32)[order],
        owner=np.stack([image, crystal], axis=1).astype(np.int32)[order],
        sum=np.bincount(unique, intensity),
        noise=np.bincount(unique, variance),
    )
