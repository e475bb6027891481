"""
Frames of a rotation or of precession: what is found, and what the log says of it.

Functions:
    is_precession: by header and intensities
    tell_precession: which Lorentz factor they have
"""

from __future__ import annotations

import logging

import numpy as np

from dials_spread.pets.cif_file import PetsFile
from dials_spread.pets.rocking_curves import Verdict

logger = logging.getLogger("dials.spread.pets")


def is_precession(pets: PetsFile, verdict: Verdict) -> bool:
    """
    Say how the data were measured, by header and intensities, and log it.

    Args:
        pets: The file.
        verdict: On its rocking curves.
    """
    header = pets.geometry or "nothing"
    by_header = "precession" in pets.geometry.lower()
    if verdict.kind == "one intensity":
        logger.info(
            "  Header: %s. Each reflection has one intensity on all frames of a "
            "crossing: no rocking curve can tell whether the header is right",
            header,
        )
    elif verdict.kind == "unknown":
        logger.info(
            "  Header: %s. Rocking curves of %d reflections do not tell whether it "
            "is right",
            *(header, verdict.n_curves),
        )
    else:
        humps = verdict.kind == "precession"
        tell = logger.info if humps == by_header else logger.warning
        tell(
            "  Header: %s. Rocking curves of %d reflections have %s, as those of %s: %s",
            *(header, verdict.n_curves),
            "two humps" if humps else "no humps at the ends of the range",
            "precession" if humps else "rotation",
            "as the header says"
            if humps == by_header
            else "the header is wrong, or says nothing of it; they are taken as such",
        )
        logger.info("  Mean intensity by excitation error: %s", _bars(verdict.curve))
        return humps
    return by_header


def tell_precession(semi: np.ndarray, partial: bool) -> None:
    """
    Say which Lorentz factor dials.ml_correct will apply.

    Args:
        semi: Semi-angles of the frames [°]; nan where the file does not tell.
        partial: Whether a frame has its own part of an intensity.
    """
    known = semi[semi > 0]
    if not partial:
        logger.info(
            "  Precession: dials.ml_correct multiplies by the Lorentz factor of the tilt, "
            "which is that of intensities summed over frames"
        )
    elif len(known) < len(semi):
        logger.warning(
            "  Precession: %d of %d frames have no semi-angle, without which there is no "
            "Lorentz factor; give dials.ml_correct precession_angle=, or sum_frames=True "
            "here",
            *(len(semi) - len(known), len(semi)),
        )
    else:
        logger.info(
            "  Precession by %.2f°: dials.ml_correct multiplies by the Lorentz factor of "
            "single frames with precession (column pets.precession_angle; "
            "experiment=rotation takes that of the tilt)",
            np.median(known),
        )


def _bars(curve: np.ndarray) -> str:
    return " ".join("-" if np.isnan(x) else f"{x:.2f}" for x in curve)
