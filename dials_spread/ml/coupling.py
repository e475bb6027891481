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
"""

from __future__ import annotations

import numba as nb
import numpy as np

from dials_spread.ml.interaction import Interaction
from dials_spread.ml.lattice import Lattice
from dials_spread.ml.measured import Measured
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
)

SAME_LIST = np.deg2rad(0.4)
"""Observations with beams this near share one list of candidates [rad]."""

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
def _one(beam, h_shifted, h_place, near, near_place, n, box, K2, out):
    """Sum over the excited beams of one observation."""
    w3, w10, w30 = 0.03**2, 0.1**2, 0.3**2
    sum3 = sum10 = sum30 = strongest = from_0 = to_h = 0.0
    for i in range(n):
        s = beam[0] * near[i, 0] + beam[1] * near[i, 1] + beam[2] * near[i, 2]
        s += near[i, 3]
        if abs(s) >= 0.015 or near_place[i] == h_place:
            continue
        U2 = near[i, 4]
        other = box[h_shifted - near_place[i]]
        q = U2 * other
        t = K2 * s * s
        sum3 += q / (t + w3)
        path = q / (t + w10)
        sum10 += path
        strongest = max(strongest, path)
        sum30 += q / (t + w30)
        if abs(s) < 0.012:
            excited = np.exp(-((s / 0.003) ** 2))
            from_0 += U2 * excited
            to_h += other * excited
    out[0], out[1], out[2] = sum3, sum10, sum30
    out[3], out[4], out[5] = strongest, from_0, to_h


@nb.njit(cache=True, nogil=True)
def _block(
    beam, h_shifted, h_place, crystal, points, margin, place, box, cos_same, K2, out
):
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
        _one(beam[i], h_shifted[i], h_place[i], near, near_place, n, box, K2, out[i])


def couplings(
    measured: Measured,
    lattice: Lattice,
    interaction: Interaction,
    nproc: int | None = None,
) -> np.ndarray:
    """
    Give the three-beam coupling of every observation.

    Args:
        measured: n observations.
        lattice: Potentials at all points.
        interaction: Strength of the interaction.
        nproc: Threads; all cores by default.

    Returns:
        Shape (n, 6), dimensionless, in the order of COLUMNS. Rotating crystals or
        applying a symmetry operator to indices and beams changes nothing.

    Source: recipe of the project; the amplitude is Born's second, e.g. Spence & Zuo
    (1992), Electron Microdiffraction, ch. 3.
    """
    order = np.lexsort((measured.angle, measured.crystal))
    h_place = lattice.places_of(measured.miller_index)[order]
    length = np.linalg.norm(lattice.vectors, axis=1)
    out = np.zeros((len(order), len(COLUMNS)))
    arguments = (
        np.ascontiguousarray(measured.beam[order]),
        h_place + lattice.origin,
        h_place,
        measured.crystal[order].astype(np.int64),
    )
    # x, y, z, λ g²/2 and U² of each beam side by side, as the inner loop reads them.
    points = np.column_stack(
        [lattice.vectors, 0.5 * measured.wavelength * length**2, lattice.U**2]
    )
    shared = (
        points,
        S_MAX + SAME_LIST * length,
        lattice.place,
        (lattice.box_U**2).astype(np.float32),
        float(np.cos(SAME_LIST)),
        (2 / measured.wavelength) ** 2,
    )

    def block(first: int, stop: int) -> None:
        own = (a[first:stop] for a in arguments)
        _block(*own, *shared, out[first:stop])

    run_blocks(block, len(order), BLOCK, nproc)
    U_rms = interaction.U_rms(measured.d_star_sq, measured.epsilon)[measured.unique]
    result = np.empty_like(out)
    result[order] = np.sqrt(out)
    return result / U_rms[:, None]
