"""
What explains the image component: the beam, the background, the spots, dials.scale?

Functions:
    indicators_of_images: what each says about the images
    analyse_beam: all of it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials.array_family import flex

from dials_spread.beam import BeamIntensity
from dials_spread.observations import Observations
from dials_spread.observations.canonical_order import crystal_rank
from dials_spread.spread.beam.beam_shares import (
    Explained,
    centred,
    explained_share,
    reliability,
)
from dials_spread.spread.beam.image_factors import (
    UnscaledImageFactors,
    fit_image_factors,
    unscaled_intensities,
)
from dials_spread.spread.size.residuals import images_of_observations
from dials_spread.stages import stage
from dials_spread.statistics.groups import rounded

SHELLS = 20


@dataclass(frozen=True)
class BeamSources:
    """
    The image component and what explains it.

    Attributes:
        beam: From raw images; None where they were not looked for.
        factors: The image component, from the spots.
        indicators: Shape (images,) by name.
        explained: By name of the indicator.
        ceiling: Share of the variance of log k that is not noise, from two halves of
            the reflections: what a perfect indicator would explain; nan if unknown.
        spread_of_k: Standard deviation of log k within crystals.
        reasons: Why an indicator is not there, in a sentence, by name.
    """

    beam: BeamIntensity | None
    factors: UnscaledImageFactors
    indicators: dict[str, np.ndarray]
    explained: dict[str, Explained]
    ceiling: float
    spread_of_k: float
    reasons: dict[str, str]

    def as_dict(self) -> dict:
        """Give the attributes by name, nested results as dicts."""
        return {
            "from_images": None if self.beam is None else self.beam.as_dict(),
            "image_factor": dict(vars(self.factors)),
            "indicators": self.indicators,
            "explained": {n: e.as_dict() for n, e in self.explained.items()},
            "ceiling": self.ceiling,
            "spread_of_k": self.spread_of_k,
            "reasons": self.reasons,
        }


def _column_of(
    observations: Observations, tables: Sequence[flex.reflection_table], name: str
) -> np.ndarray | None:
    """A column for each observation; None where a table with observations lacks it."""
    values = np.full(len(observations), np.nan)
    for own, table in zip(observations.by_crystal(len(tables)), tables):
        if not len(own):
            continue
        if name not in table:
            return None
        column = table[name].as_numpy_array().astype(float)
        values[own] = column[observations.row[own]]
    return values


def _mean_by_image(values, image, n_images) -> np.ndarray:
    good = np.isfinite(values)
    n = np.bincount(image[good], minlength=n_images)
    with np.errstate(invalid="ignore"):
        return np.bincount(image[good], values[good], n_images) / n


def background_of_images(
    background: np.ndarray, d_spacing: np.ndarray, image: np.ndarray, n_images: int
) -> np.ndarray:
    """
    Give the background of each image relative to that of all at the same resolution.

    Args:
        background: Shape (n,), counts a pixel under each observation.
        d_spacing: Shape (n,) [Å].
        image: Shape (n,).
        n_images: Number of images.

    Returns:
        Shape (n_images,), a ratio of sums, 1 for an ordinary image; nan without spots.
    """
    good = np.isfinite(background)
    d_spacing = rounded(d_spacing)
    edges = np.quantile(d_spacing, np.linspace(0, 1, SHELLS + 1)[1:-1])
    shell = np.searchsorted(edges, d_spacing)
    number = np.maximum(np.bincount(shell[good], minlength=SHELLS), 1)
    usual = np.bincount(shell[good], background[good], SHELLS) / number
    measured = np.bincount(image[good], background[good], n_images)
    expected = np.bincount(image[good], usual[shell[good]], n_images)
    with np.errstate(invalid="ignore", divide="ignore"):
        return measured / expected


def indicators_of_images(
    observations: Observations,
    tables: Sequence[flex.reflection_table],
    factors: UnscaledImageFactors,
    beam: BeamIntensity | None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """
    Give what each source says about the images.

    Args:
        observations: With the images.
        tables: That they were built from.
        factors: Of the images, for what the spots say.
        beam: From raw images, or None.

    Returns:
        Shape (images,) by name; and why others are missing, by name.
    """
    image, n = images_of_observations(observations), len(observations.images)
    found, reasons = {"spots": factors.half_a}, {}
    if beam is None:
        reasons = dict.fromkeys(("annulus", "disc"), "Raw images were not asked for.")
    elif beam.reason:
        reasons = dict.fromkeys(("annulus", "disc"), beam.reason)
    else:
        found["annulus"] = beam.annulus
        if beam.disc_reason:
            reasons["disc"] = beam.disc_reason
        else:
            found["disc"] = beam.disc
    background = _column_of(observations, tables, "background.mean")
    if background is None:
        reasons["background"] = "The reflections have no background.mean."
    else:
        d = observations.d_spacing[observations.unique]
        found["background"] = background_of_images(background, d, image, n)
    scale = None
    if observations.scaled:
        scale = _column_of(observations, tables, "inverse_scale_factor")
    if scale is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            found["dials_scale"] = np.exp(_mean_by_image(np.log(scale), image, n))
    else:
        reasons["dials_scale"] = "The data have not been scaled by dials.scale."
    return found, reasons


@stage("Beam and images")
def analyse_beam(
    observations: Observations,
    tables: Sequence[flex.reflection_table],
    beam: BeamIntensity | None,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> BeamSources:
    """
    Say how much of the image component of unscaled data is explained, and by what.

    Args:
        observations: Scaled or not: the integrated values are taken in any case.
        tables: That they were built from.
        beam: From raw images, or None.
        rng: For halves and intervals.
        nproc: Threads; all cores by default.

    Returns:
        The image component, what each source says, and how much that explains.
    """
    image, n = images_of_observations(observations), len(observations.images)
    intensity, variance = unscaled_intensities(observations, tables)
    factors = fit_image_factors(
        observations.unique, image, n, intensity, variance, rng, nproc
    )
    indicators, reasons = indicators_of_images(observations, tables, factors, beam)
    crystal = observations.images.crystal
    scale = indicators.get("dials_scale")
    explained = {
        name: explained_share(
            factors.half_b if name == "spots" else factors.k,
            factors.relative_sigma,
            values,
            crystal_rank(observations)[crystal],
            scale if name != "dials_scale" else None,
            rng,
        )
        for name, values in indicators.items()
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        k = centred(np.log(factors.k), crystal)
    known = np.isfinite(k)
    return BeamSources(
        beam=beam,
        factors=factors,
        indicators=indicators,
        explained=explained,
        ceiling=reliability(factors.half_a, factors.half_b, crystal),
        spread_of_k=float(k[known].std()) if known.any() else np.nan,
        reasons=reasons,
    )
