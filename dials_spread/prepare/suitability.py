"""
What a correction for multiple scattering must not be applied to.
"""

from __future__ import annotations

import logging

import numpy as np

from dials_spread.observations import Observations
from dials_spread.prepare.measurement import Measurement

logger = logging.getLogger("dials.spread.suitability")

FEWEST_UNIQUE = 120
"""Unique reflections without which amplitudes cannot be normalised."""

LEAST_MULTIPLICITY = 2.0
"""Observations of a reflection; below there is nothing to compare."""

FEWEST_OBSERVATIONS = 300
"""Below, a correction is offered with a warning."""


def reasons_against(
    observations: Observations, measurement: Measurement | None = None
) -> list[str]:
    """
    Say why these data should not be corrected.

    Args:
        observations: Of all crystals.
        measurement: How they were measured; as rotations by default.

    Returns:
        One sentence for each reason.
    """
    n, n_unique = len(observations), len(observations.unique_index)
    wavelength = 1 / np.median(np.linalg.norm(observations.images.s0, axis=1))
    reasons = []
    if observations.radiation != "electrons":
        reasons.append(
            f"The data are of {observations.radiation} (wavelength {wavelength:.4f} Å), "
            "and the correction is for electrons"
        )
    if measurement is not None and measurement.kind == "stills":
        n_stills = measurement.n_stills
        which = (
            f"{n_stills} of {observations.n_crystals} crystals are stills"
            if n_stills
            else "The data are of stills, says experiment=stills"
        )
        reasons.append(
            f"{which}, and the correction was trained on crystals that rotate and tested "
            "on no others"
        )
    if n_unique < FEWEST_UNIQUE:
        reasons.append(
            f"There are {n_unique} unique reflections; {FEWEST_UNIQUE} are needed"
        )
    if n < LEAST_MULTIPLICITY * n_unique:
        reasons.append(
            f"The multiplicity is {n / n_unique:.2f} ({n} observations of {n_unique} "
            f"unique reflections); {LEAST_MULTIPLICITY:g} is needed"
        )
    return reasons


def check_suitable(
    observations: Observations,
    force: bool = False,
    measurement: Measurement | None = None,
) -> list[str]:
    """
    Refuse data that should not be corrected.

    Args:
        observations: Of all crystals.
        force: Warn only.
        measurement: How they were measured; as rotations by default.

    Returns:
        Warnings.

    Raises:
        ValueError: All reasons, one a line, unless forced.
    """
    reasons = reasons_against(observations, measurement)
    if reasons and not force:
        told = [f"{reason}." for reason in reasons]
        stills = measurement is not None and measurement.kind == "stills"
        between = " " if stills and len(told) == 1 else "\n"
        raise ValueError(between.join([*told, "force=True corrects them all the same"]))
    warnings = [f"Forced: {reason}." for reason in reasons]
    if len(observations) < FEWEST_OBSERVATIONS:
        warnings.append(
            f"There are {len(observations)} observations; with fewer than "
            f"{FEWEST_OBSERVATIONS} a correction rests on little."
        )
    for sentence in warnings:
        logger.warning(sentence)
    return warnings
