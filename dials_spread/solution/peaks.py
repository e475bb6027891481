"""
The highest peaks of a map.

Functions:
    highest_peaks: of a map in P1
    apart: distances between sites in a crystal
"""

from __future__ import annotations

import numba as nb
import numpy as np
from scipy import fft

from cctbx import uctbx

from dials_spread.observations.table import as_flex

SAMPLES = 3.5
"""So many grid points across the resolution; parabolas find what is between them."""

NEAREST = 0.7
"""Two peaks nearer than this [Å] are one."""


@nb.njit(cache=True, nogil=True)
def _maxima(rho, level):
    """Grid points above level that none of their 26 neighbours exceeds."""
    nx, ny, nz = rho.shape
    found = []
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                x = rho[i, j, k]
                if x <= level:
                    continue
                top = True
                for a in (-1, 0, 1):
                    for b in (-1, 0, 1):
                        for c in (-1, 0, 1):
                            other = rho[(i + a) % nx, (j + b) % ny, (k + c) % nz]
                            if other > x:
                                top = False
                if top:
                    found.append((i, j, k))
    return found


def highest_peaks(
    unit_cell: uctbx.unit_cell, index: np.ndarray, F: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the highest peaks of ρ(x) = Σ F(h) exp(-2πi h·x).

    Args:
        unit_cell: The cell.
        index: Shape (n, 3), int, one of each Friedel pair, in P1.
        F: Shape (n,), complex.
        n: How many peaks are wanted.

    Returns:
        Fractional sites, shape (p, 3), p ≤ n, and heights in standard deviations of the
        map, shape (p,), highest first.
    """
    d_min = unit_cell.min_max_d_star_sq(as_flex(index))[1] ** -0.5
    edges = np.array(unit_cell.parameters()[:3])
    shape = tuple(
        fft.next_fast_len(
            max(int(np.ceil(SAMPLES * edge / d_min)), 2 * h + 1), real=True
        )
        for edge, h in zip(edges, np.abs(index).max(axis=0).tolist())
    )
    rho = _map(index, F, shape)
    spread = float(rho.std())
    if not spread > 0:
        return np.empty((0, 3)), np.empty(0)
    at = np.array(_maxima(rho, 1.5 * spread), dtype=int).reshape(-1, 3)
    height = rho[tuple(at.T)]
    at = at[np.argsort(-height, kind="stable")[: 3 * n]]
    site, height = _between_points(rho, at)
    order = np.argsort(-height, kind="stable")
    site, height = site[order], height[order] / spread
    kept: list[int] = []
    for i in range(len(site)):
        if len(kept) == n:
            break
        if not kept or apart(unit_cell, site[kept], site[i]).min() > NEAREST:
            kept.append(i)
    return site[kept], height[kept]


def _map(index: np.ndarray, F: np.ndarray, shape: tuple) -> np.ndarray:
    """The map on a grid, float32."""
    both = np.concatenate([index, -index])
    value = np.concatenate([F.conj(), F])
    kept = both[:, 2] >= 0
    half = np.zeros((shape[0], shape[1], shape[2] // 2 + 1), dtype=np.complex64)
    h, k, l = both[kept].T
    half[h % shape[0], k % shape[1], l] = value[kept]
    return np.ascontiguousarray(fft.irfftn(half, s=shape))


def _between_points(rho: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fractional sites and heights of maxima from a parabola along each axis."""
    shape = np.array(rho.shape)
    top = rho[tuple(at.T)].astype(float)
    site, height = at.astype(float), top.copy()
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        below = rho[tuple(((at - step) % shape).T)].astype(float)
        above = rho[tuple(((at + step) % shape).T)].astype(float)
        bend = 2 * top - below - above
        move = np.where(
            bend > 0, (above - below) / (2 * np.where(bend > 0, bend, 1)), 0
        )
        site[:, axis] += np.clip(move, -0.5, 0.5)
        height += np.where(bend > 0, (above - below) * move / 4, 0)
    return (site / shape) % 1.0, height


def apart(
    unit_cell: uctbx.unit_cell, sites: np.ndarray, site: np.ndarray
) -> np.ndarray:
    """
    Distances in a crystal without symmetry.

    Args:
        unit_cell: The cell; reduced enough that rounding finds the nearest image.
        sites: Shape (..., 3), fractional.
        site: Shape (..., 3), fractional, broadcast against sites.

    Returns:
        [Å], shape (...,).
    """
    to_cartesian = np.reshape(unit_cell.orthogonalization_matrix(), (3, 3))
    difference = sites - site
    difference = difference - np.round(difference)
    return np.linalg.norm(difference @ to_cartesian.T, axis=-1)
