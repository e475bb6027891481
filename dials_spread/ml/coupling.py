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
def _candidates(beam, vectors, half_squares, margin, out):
    """List the beams that may be excited at directions near this one."""
    n = 0
    for i in range(len(vectors)):
        x, y, z = vectors[i]
        s = beam[0] * x + beam[1] * y + beam[2] * z + half_squares[i]
        if abs(s) < margin[i]:
            out[n] = i
            n += 1
    return n


@nb.njit(cache=True, nogil=True, fastmath=True)
def _one(
    beam, h_shifted, h_place, cand, n,
    vectors, half_squares, U2, place, box, K2, out,
):  # fmt: skip
    """Sum over the excited beams of one observation."""
    w3, w10, w30 = 0.03**2, 0.1**2, 0.3**2
    sum3 = sum10 = sum30 = strongest = from_0 = to_h = 0.0
    for j in range(n):
        i = cand[j]
        s = (
            beam[0] * vectors[i, 0]
            + beam[1] * vectors[i, 1]
            + beam[2] * vectors[i, 2]
            + half_squares[i]
        )
        if abs(s) >= 0.015 or place[i] == h_place:
            continue
        other = box[h_shifted - place[i]]
        q = U2[i] * other
        t = K2 * s * s
        sum3 += q / (t + w3)
        path = q / (t + w10)
        sum10 += path
        strongest = max(strongest, path)
        sum30 += q / (t + w30)
        if abs(s) < 0.012:
            excited = np.exp(-((s / 0.003) ** 2))
            from_0 += U2[i] * excited
            to_h += other * excited
    out[0], out[1], out[2] = sum3, sum10, sum30
    out[3], out[4], out[5] = strongest, from_0, to_h


@nb.njit(cache=True, nogil=True)
def _block(
    beam, h_shifted, h_place, crystal,
    vectors, half_squares, margin, cos_same, U2, place, box, K2, out,
):  # fmt: skip
    """Sum for consecutive observations, ordered by crystal and angle."""
    cand = np.empty(len(vectors), np.int64)
    n, centre, centre_crystal = 0, np.zeros(3), -1
    for i in range(len(beam)):
        cosine = (
            beam[i, 0] * centre[0] + beam[i, 1] * centre[1] + beam[i, 2] * centre[2]
        )
        if crystal[i] != centre_crystal or cosine < cos_same:
            centre[:] = beam[i]
            centre_crystal = crystal[i]
            n = _candidates(centre, vectors, half_squares, margin, cand)
        _one(
            beam[i], h_shifted[i], h_place[i], cand, n,
            vectors, half_squares, U2, place, box, K2, out[i],
        )  # fmt: skip


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
    shared = (
        np.ascontiguousarray(lattice.vectors),
        0.5 * measured.wavelength * length**2,
        S_MAX + SAME_LIST * length,
        float(np.cos(SAME_LIST)),
        lattice.U**2,
        lattice.place,
        lattice.box_U**2,
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
