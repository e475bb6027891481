"""
Special directions of a crystal, and how near the beam of each image is to one.

A direction here is a line: [uvw] and [-u-v-w] are one, because the zone is excited from
both sides.

Functions:
    zone_axes: all [uvw] up to an index, each direction once
    nearest_zones: the nearest of them to each beam direction
    axis_angles: angles to a, b, c, a*, b* and c*
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dials_spread.orientation import angle_between

HIGHEST_INDEX = 5
"""Of u, v and w."""

LOW_INDEX = 1
"""Zones up to this index are the dense ones, where many beams are excited at once."""

AXES = ("a", "b", "c", "a*", "b*", "c*")


def zone_axes(highest: int = HIGHEST_INDEX) -> np.ndarray:
    """
    List the zone axes up to an index.

    Args:
        highest: Of |u|, |v| and |w|.

    Returns:
        Shape (n, 3), int, without common divisors, the first index that is not zero
        positive; the simplest first.
    """
    span = np.arange(-highest, highest + 1)
    uvw = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
    uvw = uvw[np.gcd.reduce(uvw, axis=1) == 1]
    first = np.take_along_axis(uvw, (uvw != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    uvw = uvw[first > 0]
    order = np.lexsort((*-uvw.T, np.abs(uvw).sum(axis=1), np.abs(uvw).max(axis=1)))
    return uvw[order]


def direct_basis(basis: np.ndarray) -> np.ndarray:
    """
    Give the matrix that takes [uvw] to Cartesian vectors.

    Args:
        basis: Shape (3, 3) [Å⁻¹], B of the reference cell.

    Returns:
        Shape (3, 3) [Å], (B⁻¹)ᵀ: columns a, b and c.
    """
    return np.linalg.inv(basis).T


def _lines(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def line_angles(beam: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """
    Give the angle between directions and lines.

    Args:
        beam: Shape (..., 3), unit vectors.
        lines: Shape (..., 3), unit vectors of either sign.

    Returns:
        Shape (...) [°], 0 to 90.
    """
    angle = angle_between(beam, lines)
    return np.minimum(angle, 180 - angle)


def nearest_zones(
    beam: np.ndarray, basis: np.ndarray, highest: int = HIGHEST_INDEX
) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the zone axis nearest to each beam direction.

    Args:
        beam: Shape (n, 3), unit vectors in the reference crystal.
        basis: Shape (3, 3) [Å⁻¹], B of the reference cell.
        highest: Of |u|, |v| and |w|.

    Returns:
        The axes, shape (n, 3), int; and the angles to them [°], shape (n,).
    """
    uvw = zone_axes(highest)
    lines = _lines(uvw @ direct_basis(basis).T)
    # The nearest by chord is the nearest by angle.
    _, found = cKDTree(np.concatenate([lines, -lines])).query(beam)
    found = found % len(uvw)
    return uvw[found], line_angles(beam, lines[found])


def axis_angles(beam: np.ndarray, basis: np.ndarray) -> dict[str, np.ndarray]:
    """
    Give the angles between beam directions and the axes of both lattices.

    Args:
        beam: Shape (n, 3), unit vectors in the reference crystal.
        basis: Shape (3, 3) [Å⁻¹], B of the reference cell: columns a*, b*, c*.

    Returns:
        Shape (n,) [°], 0 to 90, by the name of the axis.
    """
    columns = np.concatenate([direct_basis(basis).T, basis.T])
    return {name: line_angles(beam, line) for name, line in zip(AXES, _lines(columns))}
