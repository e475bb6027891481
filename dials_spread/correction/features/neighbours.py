"""
What the merged amplitudes of neighbours say about a reflection.

Where both E_g and E_{h-g} are large for many g, much intensity reaches h over a detour,
whatever the orientation; and for phases that follow direct methods such triplets are
where F(h) itself is likely to be large (Cochran (1955), Acta Cryst. 8, 473).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread.prepare.lattice import Lattice
from dials_spread.prepare.normalisation import LARGEST_E
from dials_spread.threads import run_blocks

STRONGEST = 1500
"""Lattice points g that sums go over; more where the last of them are equivalents."""

COLUMNS = ("triplets", "mean_pair", "largest_pair", "double_index", "half_index")

BLOCK = 512


@nb.njit(cache=True, nogil=True)
def _block(h_shifted, h_place, place, E2, box_E2, out):
    """Sum over the strongest points for some reflections."""
    for i in range(len(h_shifted)):
        total = mean = largest = 0.0
        m = 0
        for j in range(len(place)):
            if place[j] == h_place[i]:
                continue
            other = box_E2[h_shifted[i] - place[j]]
            if np.isnan(other):
                continue
            m += 1
            total += (E2[j] - 1) * (other - 1)
            pair = E2[j] * other
            mean += pair
            largest = max(largest, pair)
        if m:
            out[i, 0] = total / np.sqrt(m)
            out[i, 1] = mean / m
            out[i, 2] = largest


def neighbour_features(
    lattice: Lattice, unique_index: np.ndarray, nproc: int | None = None
) -> np.ndarray:
    """
    Give what neighbours say of each unique reflection.

    Args:
        lattice: Amplitudes at all lattice points.
        unique_index: Shape (u, 3).
        nproc: Threads; all cores by default.

    Returns:
        Shape (u, 5) in the order of COLUMNS: Σ(E_g² - 1)(E_{h-g}² - 1)/√m over the m
        pairs that were measured, mean and largest E_g² E_{h-g}², E²(2h) and E²(h/2);
        nan where nothing of it was measured.
    """
    box_E2 = np.minimum(lattice.box_E, LARGEST_E) ** 2
    known = np.flatnonzero(np.isfinite(lattice.box_E[lattice.place]))
    E = lattice.E[known]
    if len(E) > STRONGEST:
        # Equivalents are as strong as one another: all of them or none.
        known = known[E >= np.partition(E, -STRONGEST)[-STRONGEST]]
    place = lattice.place[known]
    h_place = lattice.places_of(unique_index)
    out = np.full((len(unique_index), len(COLUMNS)), np.nan)
    sums = np.full((len(unique_index), 3), np.nan)

    def block(first: int, stop: int) -> None:
        own = slice(first, stop)
        shifted = h_place[own] + lattice.origin
        _block(shifted, h_place[own], place, box_E2[place], box_E2, sums[own])

    run_blocks(block, len(unique_index), BLOCK, nproc)
    out[:, :3] = sums
    out[:, 3] = box_E2[lattice.places_of(2 * unique_index.astype(np.int64))]
    even = ~np.any(unique_index % 2, axis=1)
    out[even, 4] = box_E2[lattice.places_of(unique_index[even] // 2)]
    return out
