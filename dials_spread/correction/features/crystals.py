"""
Features of a crystal and of a compound.

A thick crystal shows in its intensities: strong reflections lose, weak ones gain, and
the distribution of amplitudes narrows. How far it has gone is the same for all
reflections of the crystal and tells the models how much to correct.
"""

from __future__ import annotations

import numpy as np

from dials_spread.prepare.outsiders import effective_number
from dials_spread.prepare.prepared import Prepared

CRYSTAL_COLUMNS = (
    "strong_over_middle",
    "crystal_residual",
    "weakest_mean",
    "second_moment",
    "fourth_moment",
    "crystal_noise",
)

COMPOUND_COLUMNS = (
    "E4",
    "mean_E",
    "weak_fraction",
    "compound_U_rms",
    "total_U",
    "ln_volume",
    "r_meas",
    "B",
    "wilson_misfit",
    "ln_crystals",
    "ln_multiplicity",
    "compound_noise",
)

WEAK = 0.4
"""Amplitudes below it are weak."""

LN_VOLUME_STEP = 0.5
"""Volumes are told to a factor of 1.6, so that they do not name the compound."""


def compound_features(prepared: Prepared) -> np.ndarray:
    """
    Describe the compound and its data as a whole.

    Args:
        prepared: A compound.

    Returns:
        Shape (12,), in the order of COMPOUND_COLUMNS.
    """
    measured, E = prepared.measured, prepared.E_k
    volume = measured.unit_cell.volume()
    U_rms = prepared.interaction.U_rms(measured.d_star_sq)
    noise = prepared.sigma / np.maximum(np.abs(prepared.intensity), 1e-300)
    step = LN_VOLUME_STEP
    return np.array(
        [
            np.mean(E**4) / np.mean(E**2) ** 2,
            np.mean(E) / np.sqrt(np.mean(E**2)),
            np.mean(E < WEAK),
            np.sqrt(np.mean(U_rms**2)),
            np.sqrt(np.sum(prepared.lattice.U**2) / volume),
            step * np.round(np.log(volume) / step),
            prepared.r_meas,
            prepared.interaction.B,
            prepared.interaction.misfit,
            np.log(effective_number(measured.crystal)),
            np.log(len(measured) / measured.n_unique),
            np.median(noise),
        ]
    )
