"""
What a permutation of a matched pair draws from, and what it is compared with.

Functions:
    build_pools: all observations, by reflection and by image
    benjamini_hochberg: the false discovery rate
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pools(NamedTuple):
    """
    All observations, by unique reflection and by image.

    Attributes:
        start: Shape (reflections + 1,): those of reflection u are start[u]:start[u + 1]
            of the next.
        drawn: Shape (n, 3): intensity on one scale, variance and image of each, together
            because they are drawn together, from anywhere.
        sum: Shape (reflections,), of the intensities.
        noise: Shape (reflections,), sum of the variances.
        row_start: Shape (images + 1,): those of image i are row_start[i]:row_start[i + 1]
            of the next three.
        row_unique: Shape (n,).
        row_intensity: Shape (n,).
        row_variance: Shape (n,).
    """

    start: np.ndarray
    drawn: np.ndarray
    sum: np.ndarray
    noise: np.ndarray
    row_start: np.ndarray
    row_unique: np.ndarray
    row_intensity: np.ndarray
    row_variance: np.ndarray


class CommonSpots(NamedTuple):
    """
    The common spots of pairs; those of pair p are start[p]:start[p + 1].

    Attributes:
        start: Shape (pairs + 1,).
        image_a: Shape (pairs,).
        unique: Shape (m,), the unique reflection.
        intensity_a, variance_a: Shape (m,), on image a.
        intensity_b, variance_b: Shape (m,), on image b.
    """

    start: np.ndarray
    image_a: np.ndarray
    unique: np.ndarray
    intensity_a: np.ndarray
    variance_a: np.ndarray
    intensity_b: np.ndarray
    variance_b: np.ndarray


def build_pools(
    row_start: np.ndarray,
    unique: np.ndarray,
    intensity: np.ndarray,
    variance: np.ndarray,
) -> Pools:
    """
    Sort observations by unique reflection.

    Args:
        row_start: Shape (images + 1,), the observations of image i are
            row_start[i]:row_start[i + 1].
        unique: Shape (n,), number of the unique reflection, from 0.
        intensity: Shape (n,).
        variance: Shape (n,).

    Returns:
        The same in both orders.
    """
    image = np.repeat(np.arange(len(row_start) - 1), np.diff(row_start))
    order = np.argsort(unique, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(unique))]).astype(np.int64)
    return Pools(
        start=start,
        drawn=np.stack([intensity, variance, image], axis=1)[order],
        sum=np.bincount(unique, intensity),
        noise=np.bincount(unique, variance),
        row_start=np.asarray(row_start, dtype=np.int64),
        row_unique=unique.astype(np.int64),
        row_intensity=intensity,
        row_variance=variance,
    )
