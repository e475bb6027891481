"""
A grid on the sphere, to find directions near a given one.

The sphere is cut into bands of equal polar angle and each band into cells of about
equal area. The beam directions of all images, under all operators, are sorted by cell.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numba as nb
import numpy as np

POINTS_PER_CELL = 4
MIN_CELL = 1e-4
"""Smallest width of a cell [rad]."""

Grid = namedtuple("Grid", "directions order start cells_in_band first_cell")
"""What build_grid returns."""


@nb.njit(cache=True)
def _cells(beam, on_directions, n_bands, cells_in_band, first_cell):
    """Give the cell of every image's direction under every operator."""
    n, m = len(beam), len(on_directions)
    cell = np.empty(n * m, dtype=np.int32)
    height = math.pi / n_bands
    for i in range(n):
        for op in range(m):
            x = y = z = 0.0
            for k in range(3):
                x += on_directions[op, 0, k] * beam[i, k]
                y += on_directions[op, 1, k] * beam[i, k]
                z += on_directions[op, 2, k] * beam[i, k]
            band = int(math.acos(min(max(z, -1.0), 1.0)) / height)
            band = min(band, n_bands - 1)
            part = (math.atan2(y, x) + math.pi) / (2 * math.pi)
            k = min(int(part * cells_in_band[band]), cells_in_band[band] - 1)
            cell[i * m + op] = first_cell[band] + k
    return cell


@nb.njit(cache=True)
def _sort_by_cell(cell, n_cells):
    """Counting sort: start of each cell, and the points in order of cell."""
    start = np.zeros(n_cells + 1, dtype=np.int64)
    for c in cell:
        start[c + 1] += 1
    for c in range(n_cells):
        start[c + 1] += start[c]
    place = start[:-1].copy()
    order = np.empty(len(cell), dtype=np.int32)
    for p in range(len(cell)):
        order[place[cell[p]]] = p
        place[cell[p]] += 1
    return start, order


@nb.njit(cache=True)
def _directions(order, beam, on_directions):
    m = len(on_directions)
    directions = np.empty((len(order), 3))
    for p in range(len(order)):
        i, op = order[p] // m, order[p] % m
        for r in range(3):
            directions[p, r] = (
                on_directions[op, r, 0] * beam[i, 0]
                + on_directions[op, r, 1] * beam[i, 1]
                + on_directions[op, r, 2] * beam[i, 2]
            )
    return directions


def build_grid(beam: np.ndarray, on_directions: np.ndarray) -> Grid:
    """
    Sort directions into cells on the sphere.

    Args:
        beam: Shape (n, 3), unit vectors.
        on_directions: Shape (m, 3, 3).

    Returns:
        Of the N = n m points in order of cell, their directions, shape (N, 3), and
        their numbers image · m + operator, shape (N,); the first point of each cell;
        the number of cells in each band; the first cell of each band.
    """
    n_points = len(beam) * len(on_directions)
    if n_points >= 2**31:
        raise ValueError(f"{n_points} images times operators are more than 2³¹ - 1")
    width = max(math.sqrt(4 * math.pi * POINTS_PER_CELL / n_points), MIN_CELL)
    n_bands = max(4, int(math.pi / width))
    edges = np.linspace(0, math.pi, n_bands + 1)
    widest = np.where(
        (edges[:-1] < math.pi / 2) & (edges[1:] > math.pi / 2),
        1.0,
        np.maximum(np.sin(edges[:-1]), np.sin(edges[1:])),
    )
    cells_in_band = np.maximum(1, (2 * math.pi * widest / width).astype(np.int64))
    first_cell = np.concatenate([[0], np.cumsum(cells_in_band)])
    cell = _cells(beam, on_directions, n_bands, cells_in_band, first_cell)
    start, order = _sort_by_cell(cell, int(first_cell[-1]))
    return Grid(
        _directions(order, beam, on_directions),
        order,
        start,
        cells_in_band,
        first_cell,
    )
