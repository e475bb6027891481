"""
Beam, special orientations and noisy spots: all of it at once, each part on request.

Functions:
    beam_of_images: the beam on raw images
    analyse_origins: all the rest, from observations
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.beam import BeamIntensity, BeamRegion, measure_beam
from dials_spread.observations import Observations
from dials_spread.observations.error_model import CountingErrors
from dials_spread.pairs import left_by_scales
from dials_spread.spread.beam.beam_sources import BeamSources
from dials_spread.spread.noisy_spots.noisy import NoisySpots, analyse_noisy
from dials_spread.spread.orientations.special import Orientations, analyse_orientations
from dials_spread.spread.size.residuals import build_residuals, images_of_observations
from dials_spread.spread.sources.factors import (
    RelativeImageFactors,
    divided_by_factors,
    fit_factors,
    usable_factors,
)

SWITCHED_OFF = "switched off."
SCALE_FIRST = (
    "the intensities are not scaled and the factors of their images are undetermined (too "
    "few reflections in common), so that spots would be noisy by the brightness of their "
    "images: scale first (dials.scale)."
)
LEAST_KNOWN = 0.5
"""Part of unscaled observations that must be on images with a factor."""

NOTHING = (
    "no reflection that is strong enough (mean above three standard deviations) was "
    "observed twice."
)


@dataclass(frozen=True)
class OriginChoices:
    """
    What a user may choose about beam, special orientations and noisy spots.

    Attributes:
        beam: Say what explains the differences between images.
        raw_images: Measure the beam on raw images for it, where they can be read.
        region: Annulus and disc.
        orientations: Relate residuals to special orientations.
        highest_index: Of zone axes.
        n_extremes: Observations that are listed.
        noisy_spots: Look for noisy reflections and observations.
        cut: Standard deviations beyond which an observation is noisy.
        error_model: Take what dials.scale has put on the variances of scaled data off.
        folders: Where to look for raw images besides the stored places.
        progress: Show progress bars on a terminal.
    """

    beam: bool = True
    raw_images: bool = True
    region: BeamRegion = field(default_factory=BeamRegion)
    orientations: bool = True
    highest_index: int = 5
    n_extremes: int = 50
    noisy_spots: bool = True
    cut: float = 6.0
    error_model: bool = True
    folders: tuple[str, ...] = ()
    progress: bool = False


@dataclass(frozen=True)
class OriginAnalysis:
    """
    The results; None for a part that was not computed.

    Attributes:
        beam: What explains the differences between images.
        orientations: Residuals and special orientations.
        noisy_spots: Noisy reflections and observations.
        reasons: Why a part is empty, in one sentence, by its key in the document.
    """

    beam: BeamSources | None = None
    orientations: Orientations | None = None
    noisy_spots: NoisySpots | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def analyse_origins(
    observations: Observations,
    counting: CountingErrors,
    scales: np.ndarray,
    s: float,
    choices: OriginChoices,
    rng: np.random.Generator,
    nproc: int | None = None,
    factors: RelativeImageFactors | None = None,
    beam: BeamSources | None = None,
) -> OriginAnalysis:
    """
    Look for special orientations and noisy spots behind the spread.

    Args:
        observations: The observations.
        counting: The counting errors of the observations.
        scales: Shape (crystals,), what the intensities of each crystal are divided by.
        s: Excess relative spread over all.
        choices: What is computed.
        rng: For draws.
        nproc: Threads and processes; all cores by default.
        factors: Of images, for unscaled data; fitted where they are not given.
        beam: What beam_sources.analyse_beam has found.

    Returns:
        The results.
    """
    names = ("beam", "orientations", "noisy_spots")
    reasons = {n: SWITCHED_OFF for n in names if not getattr(choices, n)}
    orientations = noisy = None
    variance = counting.variance if choices.error_model else observations.variance
    counted = replace(observations, variance=variance)
    residuals = build_residuals(counted, scales, left=left_by_scales(counted))
    if not len(residuals):
        reasons = {**dict.fromkeys(names[1:], NOTHING), **reasons}
        return OriginAnalysis(beam=beam, reasons=reasons)
    if choices.orientations:
        orientations = analyse_orientations(
            counted, residuals, s, rng, choices.highest_index, choices.n_extremes
        )
    if choices.noisy_spots:
        if not observations.scaled:
            factors = factors or fit_factors(residuals, rng, nproc)
            observations = divided_by_factors(observations, factors)
            variance = observations.variance
            left = left_by_scales(observations)
            residuals = build_residuals(observations, scales, left=left)
        if _mostly_known(observations, factors) and len(residuals):
            noisy = analyse_noisy(
                observations, residuals, scales, rng, variance, choices.cut, nproc
            )
            noisy = replace(noisy, without_factors=not observations.scaled)
        else:
            reasons["noisy_spots"] = SCALE_FIRST
    return OriginAnalysis(beam, orientations, noisy, reasons)


def beam_of_images(
    observations: Observations,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    choices: OriginChoices,
    nproc: int | None = None,
) -> BeamIntensity | None:
    """
    Measure the beam on raw images, where that is wanted.

    Args:
        observations: The observations.
        experiments: One a crystal.
        tables: That the observations were built from.
        choices: Whether it is looked for, and where.
        nproc: Processes; all cores by default.
    """
    if not (choices.beam and choices.raw_images):
        return None
    return measure_beam(
        experiments, tables, observations.images, choices.region,
        choices.folders, nproc, choices.progress,
    )  # fmt: skip


def _mostly_known(
    observations: Observations, factors: RelativeImageFactors | None
) -> bool:
    """Whether observations are scaled, or most of them on images that have a factor."""
    if observations.scaled:
        return True
    known = usable_factors(factors, len(observations.images))[1]
    return bool(np.mean(known[images_of_observations(observations)]) >= LEAST_KNOWN)


def as_documents(analysis: OriginAnalysis) -> dict[str, dict]:
    """
    Give the results as parts of the JSON document.

    Args:
        analysis: The results.

    Returns:
        By key; for a part that was not computed why.
    """
    documents = {}
    for name in ("beam", "orientations", "noisy_spots"):
        part = getattr(analysis, name)
        reason = analysis.reasons.get(name, "")
        documents[name] = part.as_dict() if part else {"reason": reason}
    return documents


def noisy_of(analysis: OriginAnalysis, which: str) -> np.ndarray:
    """
    Say which observations are to be set aside.

    Args:
        analysis: With noisy spots.
        which: "cluster", "cut" or "both".

    Returns:
        Shape (observations,), bool.

    Raises:
        ValueError: Noisy spots were not looked for.
    """
    found = analysis.noisy_spots
    if found is None:
        why = analysis.reasons.get("noisy_spots", "")
        raise ValueError(f"output.filtered: there are no noisy spots: {why}")
    chosen = np.zeros(len(found.noisy_observations), dtype=bool)
    if which in ("cluster", "both"):
        chosen |= found.noisy_reflections
    if which in ("cut", "both"):
        chosen |= found.noisy_observations
    return chosen
