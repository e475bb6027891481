"""
How strongly other excited beams feed a reflection: three-beam coupling.

In the second Born approximation a wave goes from the beam over g to h with the amplitude
``U_g U_{h-g} / (2 K s_g)``. Phases are unknown, so squares are added: over all g with
|s_g| < 0.015 Å⁻¹, ``q = U_g² U_{h-g}²`` and ``t = (2 K s_g)²``,

- ``√Σ q/(t + w²)`` for w = 0.03, 0.1 and 0.3 Å⁻²: w keeps beams at the exact Bragg
  condition finite, where thickness or coupling itself limits them,
- ``√max q/(t + 0.1²)``: the strongest path alone,
- ``√Σ U_g² exp(-(s_g/0.003)²)`` and the same with U_{h-g}: how much is excited at all,
  and how much of it can scatter into h,

all over U_rms of h, so that they say how the detour compares with the direct way.

Of strong triplets the phases are not unknown: φ_g + φ_{h-g} - φ_h is near zero, the more
so the larger ``κ = 2 E_h E_g E_{h-g} / √n`` for n atoms in the primitive cell (Cochran
(1955), Acta Cryst. 8, 473), since the potential is positive. Detour and direct way then
interfere, with the sign of the excitation error (Bethe (1928), Ann. Phys. 392, 55), and
amplitudes are added:

- ``Σ ⟨cos⟩ U_g U_{h-g} x/(x² + w²)`` over U_rms(h), with ``x = |k+g|² - K²`` and the same
  three w. E_h is the mean of the other observations, so that none enters its own features.
  ``⟨cos⟩ = I₁(κ)/I₀(κ)`` is taken as y/√(1 + y²) with y = κ/2, at most 0.02 off.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread import cluster
from dials_spread.observations import Observations
from dials_spread.prepare.lattice import Lattice
from dials_spread.prepare.normalisation import ATOM_VOLUME, LARGEST_E, Interaction
from dials_spread.threads import run_blocks

S_MAX = 0.015
"""Excitation errors that count [Å⁻¹]."""

WIDTHS = (0.03, 0.1, 0.3)
"""w [Å⁻²]."""

S_WIDTH = 0.003
"""Width of what counts as excited [Å⁻¹]."""

COLUMNS = (
    "coupling_3",
    "coupling_10",
    "coupling_30",
    "strongest_path",
    "excited",
    "excited_to_h",
    "signed_3",
    "signed_10",
    "signed_30",
)

N_SQUARED = 6
"""Columns that are roots of sums of squares; the others have signs."""

SAME_LIST = np.deg2rad(0.4)
"""Observations with beams this near share one list of candidates [rad]."""

TASK = 64 * 4096
"""Observations that a worker of a cluster takes at once."""

BLOCK = 4096
"""Observations of one call; each makes its own lists."""


@nb.njit(cache=True, nogil=True)
def _candidates(beam, points, margin, place, near, near_place):
    """Copy the beams that may be excited at directions near this one."""
    n = 0
    for i in range(len(points)):
        s = beam[0] * points[i, 0] + beam[1] * points[i, 1] + beam[2] * points[i, 2]
        if abs(s + points[i, 3]) < margin[i]:
            near[n] = points[i]
            near_place[n] = place[i]
            n += 1
    return n


@nb.njit(cache=True, nogil=True, fastmath=True)
def _one(beam, h_shifted, h_place, y_h, near, near_place, n, box, box_E, K2, out):
    """Sum over the excited beams of one observation."""
    w3, w10, w30 = 0.03**2, 0.1**2, 0.3**2
    sum3 = sum10 = sum30 = strongest = from_0 = to_h = 0.0
    signed3 = signed10 = signed30 = 0.0
    K_2 = np.sqrt(K2)
    for i in range(n):
        s = beam[0] * near[i, 0] + beam[1] * near[i, 1] + beam[2] * near[i, 2]
        s += near[i, 3]
        if abs(s) >= 0.015 or near_place[i] == h_place:
            continue
        U2 = near[i, 4]
        place = h_shifted - near_place[i]
        other = box[place]
        q = U2 * other
        t = K2 * s * s
        path = q / (t + w10)
        sum3 += q / (t + w3)
        sum10 += path
        sum30 += q / (t + w30)
        strongest = max(strongest, path)
        y = y_h * near[i, 5] * box_E[place]
        amplitude = np.sqrt(q) * y / np.sqrt(1 + y * y) * K_2 * s
        signed3 += amplitude / (t + w3)
        signed10 += amplitude / (t + w10)
        signed30 += amplitude / (t + w30)
        if abs(s) < 0.012:
            excited = np.exp(-((s / 0.003) ** 2))
            from_0 += U2 * excited
            to_h += other * excited
    out[0], out[1], out[2] = sum3, sum10, sum30
    out[3], out[4], out[5] = strongest, from_0, to_h
    out[6], out[7], out[8] = signed3, signed10, signed30


@nb.njit(cache=True, nogil=True)
def _block(
    beam, h_shifted, h_place, y_h, crystal,
    points, margin, place, box, box_E, cos_same, K2, out,
):  # fmt: skip
    """Sum for consecutive observations, ordered by crystal and angle."""
    near = np.empty_like(points)
    near_place = np.empty(len(points), np.int64)
    n, centre, of_crystal = 0, np.zeros(3), -1
    for i in range(len(beam)):
        cosine = (
            beam[i, 0] * centre[0] + beam[i, 1] * centre[1] + beam[i, 2] * centre[2]
        )
        if crystal[i] != of_crystal or cosine < cos_same:
            centre[:] = beam[i]
            of_crystal = crystal[i]
            n = _candidates(centre, points, margin, place, near, near_place)
        _one(
            beam[i], h_shifted[i], h_place[i], y_h[i],
            near, near_place, n, box, box_E, K2, out[i],
        )  # fmt: skip


def couplings(
    measured: Observations,
    lattice: Lattice,
    interaction: Interaction,
    E_h: np.ndarray,
    nproc: int | None = None,
) -> np.ndarray:
    """
    Give the three-beam coupling of every observation.

    Args:
        measured: n observations.
        lattice: Potentials at all points.
        interaction: Strength of the interaction.
        E_h: Shape (n,), amplitudes of their reflections that the observations
            themselves have no part in.
        nproc: Threads; all cores by default.

    Returns:
        Shape (n, 9), float32, dimensionless, in the order of COLUMNS. Rotating crystals or
        applying a symmetry operator to indices and beams changes nothing.

    Source: recipe of the project; the amplitude is Born's second, e.g. Spence & Zuo
    (1992), Electron Microdiffraction, ch. 3.
    """
    order = np.lexsort((measured.angle, measured.crystal))
    h_place = lattice.places_of(measured.miller_index)[order]
    n_atoms = measured.unit_cell.volume() / ATOM_VOLUME / measured.space_group.n_ltr()
    result = np.empty((len(order), len(COLUMNS)), dtype=np.float32)
    beam = np.ascontiguousarray(measured.beam[order])
    y_h = np.clip(E_h[order], 0, LARGEST_E) / np.sqrt(max(n_atoms, 1.0))
    of_crystal = measured.crystal[order].astype(np.int64)
    arrays = _lattice_arrays(measured, lattice)
    U_rms = interaction.U_rms(measured.d_star_sq, measured.epsilon)

    def of(first: int, stop: int) -> tuple[np.ndarray, ...]:
        own = slice(first, stop)
        shifted = h_place[own] + lattice.origin
        return beam[own], shifted, h_place[own], y_h[own], of_crystal[own]

    def put(first: int, stop: int, out: np.ndarray) -> None:
        rows = order[first:stop]
        result[rows] = out / U_rms[measured.unique[rows], None]

    def block(first: int, stop: int) -> None:
        put(first, stop, couplings_of(arrays, of(first, stop)))

    if not cluster.in_use():
        run_blocks(block, len(order), BLOCK, nproc)
        return result
    # Tasks end where blocks do, which share lists of candidates.
    firsts = range(0, len(order), TASK)
    tasks = [of(first, first + TASK) for first in firsts]
    for first, out in zip(firsts, cluster.map_on_workers(couplings_of, arrays, tasks)):
        put(first, first + TASK, out)
    return result


def couplings_of(arrays: tuple, task: tuple[np.ndarray, ...]) -> np.ndarray:
    """
    Give the couplings of some observations, not normalised: a task for another process.

    Args:
        arrays: Of the lattice, as all observations use them.
        task: Beams, places and numbers of consecutive observations, in their order.

    Returns:
        Shape (observations, 9).
    """
    out = np.zeros((len(task[0]), len(COLUMNS)))
    for first in range(0, len(out), BLOCK):
        own = slice(first, first + BLOCK)
        _block(*(column[own] for column in task), *arrays, out[own])
    out[:, :N_SQUARED] = np.sqrt(out[:, :N_SQUARED])
    return out


def _lattice_arrays(measured: Observations, lattice: Lattice) -> tuple:
    """Give what all observations sum over, as the inner loop reads it."""
    length = np.linalg.norm(lattice.vectors, axis=1)
    # What was not measured has no phase to speak of.
    box_E = np.clip(np.nan_to_num(lattice.box_E), 0, LARGEST_E).astype(np.float32)
    # x, y, z, λ g²/2, U² and E of each beam side by side.
    columns = [
        lattice.vectors,
        0.5 * measured.wavelength * length**2,
        lattice.U**2,
        box_E[lattice.place],
    ]
    return (
        np.column_stack(columns),
        S_MAX + SAME_LIST * length,
        lattice.place,
        (lattice.box_U**2).astype(np.float32),
        box_E,
        float(np.cos(SAME_LIST)),
        (2 / measured.wavelength) ** 2,
    )
