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
from dials_spread.stages import stage
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

FAST = {"fastmath": True, "error_model": "numpy"}
"""Sums in any order and no test for zero divisors, so that several beams go at a time."""


@nb.njit(cache=True, nogil=True, **FAST)
def _candidates(beam, points, margin, place, s, near, near_place):
    """Copy the beams that may be excited at directions near this one."""
    b0, b1, b2 = beam[0], beam[1], beam[2]
    for i in range(len(s)):
        error = b0 * points[0, i] + b1 * points[1, i] + b2 * points[2, i] + points[3, i]
        s[i] = abs(error) - margin[i]
    n = 0
    for i in range(len(s)):
        if s[i] < 0:
            for j in range(len(points)):
                near[j, n] = points[j, i]
            near_place[n] = place[i]
            n += 1
    return n


@nb.njit(cache=True, nogil=True, **FAST)
def _excited(beam, h_shifted, h_place, near, near_place, n, s, kept, box, box_E):
    """Copy what sums need of those beams that are excited: s, U², E, U² and E of h - g."""
    b0, b1, b2 = beam[0], beam[1], beam[2]
    for i in range(n):
        s[i] = b0 * near[0, i] + b1 * near[1, i] + b2 * near[2, i] + near[3, i]
    m = 0
    for i in range(n):  # without a branch: what is not kept is written over
        keep = (abs(s[i]) < S_MAX) & (near_place[i] != h_place)
        place = h_shifted - near_place[i] if keep else 0
        kept[0, m] = s[i]
        kept[1, m] = near[4, i]
        kept[2, m] = near[5, i]
        kept[3, m] = box[place]
        kept[4, m] = box_E[place]
        m += keep
    return m


@nb.njit(cache=True, nogil=True, **FAST)
def _bell(x):
    """exp(-x²), 0 beyond x = 4, to 1e-12: a power series, of which many are made at a time."""
    v = -x * x / 16
    e = 1 + v / 11
    e = 1 + v / 10 * e
    e = 1 + v / 9 * e
    e = 1 + v / 8 * e
    e = 1 + v / 7 * e
    e = 1 + v / 6 * e
    e = 1 + v / 5 * e
    e = 1 + v / 4 * e
    e = 1 + v / 3 * e
    e = 1 + v / 2 * e
    e = 1 + v * e
    e *= e
    e *= e
    e *= e
    e *= e
    return e * np.float64(v > -1)


@nb.njit(cache=True, nogil=True, **FAST)
def _largest(x):
    """The largest of values that are not negative, whose number is a multiple of four."""
    a = b = c = d = 0.0
    for j in range(0, len(x), 4):
        a, b = max(a, x[j]), max(b, x[j + 1])
        c, d = max(c, x[j + 2]), max(d, x[j + 3])
    return max(max(a, b), max(c, d))


@nb.njit(cache=True, nogil=True, **FAST)
def _sum(y_h, kept, m, K2, out):
    """Sum over the m excited beams of one observation, all steps for many at a time."""
    w3, w10, w30 = WIDTHS[0] ** 2, WIDTHS[1] ** 2, WIDTHS[2] ** 2
    sum3 = sum10 = sum30 = from_0 = to_h = 0.0
    signed3 = signed10 = signed30 = 0.0
    K_2 = np.sqrt(K2)
    errors, strengths, Es = kept[0], kept[1], kept[2]
    others, other_Es = kept[3], kept[4]
    for j in range(m):
        s, U2, other = errors[j], strengths[j], others[j]
        q = U2 * other
        x = K_2 * s
        t = x * x
        by3, by10, by30 = 1 / (t + w3), 1 / (t + w10), 1 / (t + w30)
        sum3 += q * by3
        sum10 += q * by10
        sum30 += q * by30
        y = y_h * Es[j] * other_Es[j]
        amplitude = np.sqrt(q / (1 + y * y)) * y * x
        signed3 += amplitude * by3
        signed10 += amplitude * by10
        signed30 += amplitude * by30
        excited = _bell(s / S_WIDTH)
        from_0 += U2 * excited
        to_h += other * excited
        strengths[j] = (
            q * by10
        )  # largest of all: apart, as one value waits for the other
    strengths[m : m + 3] = 0
    out[0], out[1], out[2] = sum3, sum10, sum30
    out[3], out[4], out[5] = _largest(strengths[: (m + 3) // 4 * 4]), from_0, to_h
    out[6], out[7], out[8] = signed3, signed10, signed30


@nb.njit(cache=True, nogil=True)
def _block(
    beam, h_shifted, h_place, y_h, crystal,
    points, margin, place, box, box_E, cos_same, K2, out,
):  # fmt: skip
    """Sum for consecutive observations, ordered by crystal and angle."""
    n_points = points.shape[1]
    near = np.empty_like(points)
    near_place = np.empty(n_points, np.int64)
    s, kept = np.empty(n_points), np.empty((5, n_points + 4))
    n, centre, of_crystal = 0, np.zeros(3), -1
    for i in range(len(beam)):
        cosine = (
            beam[i, 0] * centre[0] + beam[i, 1] * centre[1] + beam[i, 2] * centre[2]
        )
        if crystal[i] != of_crystal or cosine < cos_same:
            centre[:] = beam[i]
            of_crystal = crystal[i]
            n = _candidates(centre, points, margin, place, s, near, near_place)
        m = _excited(
            beam[i], h_shifted[i], h_place[i], near, near_place, n, s, kept, box, box_E
        )
        _sum(y_h[i], kept, m, K2, out[i])


@stage("Three-beam couplings")
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
    # x, y, z, λ g²/2, U² and E of all beams, one after the other.
    columns = [
        0.5 * measured.wavelength * length**2,
        lattice.U**2,
        box_E[lattice.place],
    ]
    return (
        np.vstack([lattice.vectors.T, *columns]),
        S_MAX + SAME_LIST * length,
        lattice.place,
        (lattice.box_U**2).astype(np.float32),
        box_E,
        float(np.cos(SAME_LIST)),
        (2 / measured.wavelength) ** 2,
    )
