"""
Charge flipping: one start from random phases.

A cycle (Oszlányi & Sütő (2004), Acta Cryst. A60, 134): densities below δ change their sign;
the Fourier transform gives phases; amplitudes become those measured; back to a density.

- Amplitudes are normalised (E), as for point atoms.
- δ = 1.2 × the standard deviation of the map of the cycle.
- The weakest 30 % of reflections keep their calculated moduli and turn by π/2
  (Oszlányi & Sütő (2005), Acta Cryst. A61, 147).
- Reflections that were not measured, within the limit of resolution and some way beyond,
  float: calculated modulus and phase, the modulus no larger than 1. Rotation data of one
  crystal lack a wedge of them, and with noughts in their place measured glycine,
  natrolite and carbamazepine did not solve.
- At the end `POLISHING` cycles with all moduli as measured and a smaller δ.

F(000) is what the map makes it.

Classes:
    FlippingGrid: where reflections stand in the Fourier transform
    Flipped: what one start ends with

Functions:
    flip: one start
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numba as nb
import numpy as np
from scipy import fft

from dials_spread.solution.amplitudes import SphereAmplitudes

THRESHOLD = 1.2
"""δ in standard deviations of the map."""

WEAK_FRACTION = 0.3
FLOATING_LIMIT = 1.0
"""Largest |E| of a reflection that was not measured."""

POLISHING = 30
POLISHING_THRESHOLD = 1.0


@dataclass(frozen=True)
class FlippingGrid:
    """
    Where reflections stand in the Fourier transform of a real map.

    Attributes:
        shape: Of the map: just fine enough for all indices.
        place: Shape (k,), flat position of measured reflections in the half transform.
        row: Shape (k,), which reflection that is.
        sign: Shape (k,), 1, or -1 where it is the Friedel mate that stands there.
        E: Shape (k,), float32.
        weak: Shape (k,), whether it is among the weakest.
        floating: Shape (m,), flat position of what was not measured.
        first: Shape (n,), position in place of each reflection.
    """

    shape: tuple[int, int, int]
    place: np.ndarray
    row: np.ndarray
    sign: np.ndarray
    E: np.ndarray
    weak: np.ndarray
    floating: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class Flipped:
    """
    What one start ends with.

    Attributes:
        phase_factor: Shape (n,), complex, exp(iφ) of each reflection.
        cycles: Number of cycles, polishing included.
        r_flipping: Σ ||k G| - E| / Σ E of the last cycle, G the transform of the flipped
            map and k the ratio of the sums: the figure of merit of the method.
        skewness: Of the last map: positive atoms on nothing are skew.
    """

    phase_factor: np.ndarray
    cycles: int
    r_flipping: float
    skewness: float


def make_grid(amplitudes: SphereAmplitudes) -> FlippingGrid:
    """Place reflections, and those that float, in the half transform of a real map."""
    index, floating = amplitudes.miller_index, amplitudes.floating
    everything = np.concatenate([index, floating])
    shape = tuple(
        fft.next_fast_len(int(2 * h + 1), real=True)
        for h in np.abs(everything).max(axis=0)
    )
    place, row, sign = _in_half(index, shape)
    first = np.empty(len(index), dtype=np.int64)
    first[row[::-1]] = np.arange(len(row))[::-1]
    E = amplitudes.E[row].astype(np.float32)
    n_weak = int(WEAK_FRACTION * len(index))
    weak = np.zeros(len(index), dtype=bool)
    weak[np.argsort(amplitudes.E, kind="stable")[:n_weak]] = True
    return FlippingGrid(
        shape=shape,
        place=place,
        row=row,
        sign=sign,
        E=E,
        weak=weak[row],
        floating=_in_half(floating, shape)[0],
        first=first,
    )


def _in_half(
    index: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat positions with l ≥ 0, the row and the sign of each; of l = 0 both mates."""
    both = np.concatenate([index, -index]).reshape(-1, 3)
    n = len(index)
    kept = np.flatnonzero(both[:, 2] >= 0)
    h, k, l = both[kept].T
    half = (shape[0], shape[1], shape[2] // 2 + 1)
    place = np.ravel_multi_index((h % shape[0], k % shape[1], l), half)
    sign = np.where(kept < n, 1.0, -1.0).astype(np.float32)
    return place.astype(np.int64), kept % max(n, 1), sign


@nb.njit(cache=True, nogil=True, fastmath=True)
def _flip_in_place(rho, threshold):
    """Change the sign of all below; the skewness of the map before."""
    n = rho.size
    total = 0.0
    squares = 0.0
    cubes = 0.0
    for i in range(n):
        x = float(rho[i])
        total += x
        squares += x * x
        cubes += x * x * x
    mean = total / n
    variance = squares / n - mean * mean
    if not variance > 0:
        return 0.0
    spread = np.sqrt(variance)
    delta = np.float32(threshold * spread)
    for i in range(n):
        x = rho[i]
        rho[i] = -x if x < delta else x
    third = cubes / n - 3 * mean * squares / n + 2 * mean**3
    return third / (variance * spread)


@nb.njit(cache=True, nogil=True)
def _replace_moduli(transform, kept, grid_arrays, turn_weak, limit, phase):
    """
    Give the next structure factors; sums for R are returned.

    kept is nought but at the places written here.
    """
    place, E, weak, sign, floating = grid_arrays
    sum_G = 0.0
    sum_E = 0.0
    for j in range(place.size):
        g = transform[place[j]]
        modulus = abs(g)
        sum_G += modulus
        sum_E += E[j]
        u = g / modulus if modulus > 0 else np.complex64(1.0)
        phase[j] = u
        if turn_weak and weak[j]:
            kept[place[j]] = g * np.complex64(1j * sign[j])
        else:
            kept[place[j]] = u * E[j]
    for j in range(floating.size):
        g = transform[floating[j]]
        modulus = abs(g)
        kept[floating[j]] = g * np.float32(limit / modulus) if modulus > limit else g
    kept[0] = transform[0]
    scale = sum_E / sum_G if sum_G > 0 else 0.0
    misfit = 0.0
    for j in range(place.size):
        misfit += abs(scale * abs(transform[place[j]]) - E[j])
    return misfit / sum_E


def flip(
    grid: FlippingGrid,
    rng: np.random.Generator,
    n_cycles: int,
    settled: Callable[[np.ndarray], bool] | None = None,
    every: int = 25,
) -> Flipped:
    """
    Flip charges from random phases.

    Args:
        grid: Made by `make_grid`.
        rng: Where the phases come from: a map of white noise.
        n_cycles: Number of cycles, before those of polishing.
        settled: Called with the phase factors, shape (n,), now and then; where it says
            True polishing begins at once.
        every: After so many cycles each.
    """
    half = (grid.shape[0], grid.shape[1], grid.shape[2] // 2 + 1)
    kept = np.zeros(half, dtype=np.complex64)
    arrays = (grid.place, grid.E, grid.weak, grid.sign, grid.floating)
    phase = np.empty(len(grid.place), dtype=np.complex64)
    # Moduli are those of a map with the scale of numpy's inverse transform.
    limit = np.float32(FLOATING_LIMIT)

    def cycle(rho: np.ndarray, polish: bool) -> tuple[np.ndarray, float, float]:
        threshold = POLISHING_THRESHOLD if polish else THRESHOLD
        skewness = _flip_in_place(rho.reshape(-1), threshold)
        transform = fft.rfftn(rho).reshape(-1)
        R = _replace_moduli(
            transform, kept.reshape(-1), arrays, not polish, limit, phase
        )
        return fft.irfftn(kept, s=grid.shape), R, skewness

    rho = rng.standard_normal(grid.shape, dtype=np.float32)
    start = fft.rfftn(rho).reshape(-1)
    _replace_moduli(start, kept.reshape(-1), arrays, False, limit, phase)
    kept[0, 0, 0] = 0
    rho = np.ascontiguousarray(fft.irfftn(kept, s=grid.shape))
    done = 0
    while done < n_cycles:
        rho, _, _ = cycle(np.ascontiguousarray(rho), False)
        done += 1
        if settled and done % every == 0 and settled(_by_row(grid, phase)):
            break
    R = skewness = float("nan")
    for _ in range(POLISHING):
        rho, R, skewness = cycle(np.ascontiguousarray(rho), True)
    return Flipped(_by_row(grid, phase), done + POLISHING, float(R), float(skewness))


def _by_row(grid: FlippingGrid, phase: np.ndarray) -> np.ndarray:
    """Phase factors of the reflections from those at places."""
    own = phase[grid.first].astype(complex)
    return np.where(grid.sign[grid.first] > 0, own, own.conj())
