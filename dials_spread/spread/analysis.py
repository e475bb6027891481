"""
The size of the spread, where it comes from and how it is distributed: all of it at once.

Functions:
    analyse_spread: from observations
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import numpy as np

from dials_spread.observations import Observations
from dials_spread.observations.canonical_order import crystal_rank
from dials_spread.observations.error_model import CountingErrors
from dials_spread.pairs import left_by_scales
from dials_spread.spread.origins import OriginChoices
from dials_spread.spread.size.residuals import Residuals, build_residuals, mean_levels
from dials_spread.spread.size.size import SpreadSize, measure_size
from dials_spread.spread.sources.components import Components, variance_components
from dials_spread.spread.sources.factors import (
    RelativeImageFactors,
    crystal_moments,
    fit_factors,
)
from dials_spread.spread.sources.normality import Normality, describe_normality
from dials_spread.spread.variogram.angle_bins import binned, crystals_in_bins
from dials_spread.spread.variogram.directions import map_directions
from dials_spread.spread.variogram.pair_table import (
    BETWEEN,
    WITHIN,
    PairTable,
    pairs_to_draw,
    sum_pairs,
)
from dials_spread.spread.variogram.repeats import Repeats, repeats_at_zero
from dials_spread.spread.variogram.shuffles import shuffle_pairs
from dials_spread.spread.variogram.variogram import (
    VAGUE,
    Variogram,
    build_variogram,
)
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import Groups, group_crystals

logger = logging.getLogger("dials.spread.analysis")

SWITCHED_OFF = "switched off."
NOTHING = (
    "no reflection that is strong enough (mean above three standard deviations) was "
    "observed twice."
)


@dataclass(frozen=True)
class SpreadChoices:
    """
    What a user may choose about the spread.

    Attributes:
        size, variogram, components, normality, likelihood: Whether each is computed.
        max_pairs: Most pairs of observations behind the variogram; of more, 5 million
            at most are drawn at random.
        max_tested: Most matched pairs that are tested by permutation, the best first.
        permutations: Of each, at most.
        error_model: Take what dials.scale has put on the variances of scaled data off.
        origins: About beam, special orientations and noisy spots.
    """

    size: bool = True
    variogram: bool = True
    components: bool = True
    normality: bool = True
    likelihood: bool = True
    max_pairs: int = 20_000_000
    max_tested: int = 50_000
    permutations: int = 9999
    error_model: bool = True
    origins: OriginChoices = field(default_factory=OriginChoices)


@dataclass(frozen=True)
class Variograms:
    """
    The variogram and its companions.

    Attributes:
        main: Between crystals; within, where there is one crystal only.
        within: Within crystals; None where that is the main one.
        corrected: As main, with the factors of images taken off; None where these are
            undetermined.
        repeats: Observations of one crystal at one orientation, of the corrected pairs
            if there are any; None for one crystal, or without a curve.
        n_used: Pairs of observations of one reflection on two images that are used.
        n_all: All of them; the used ones are a random choice (max_pairs).
    """

    main: Variogram
    within: Variogram | None
    corrected: Variogram | None
    repeats: Repeats | None
    n_used: int
    n_all: int

    @property
    def shown(self) -> Variogram:
        """The one that sentences, tables and plots are about, and sources come from."""
        return self.corrected or self.main

    def as_dict(self) -> dict:
        """Give the main one by name, and the others beside it."""
        other = {
            name: part.as_dict() if part else None
            for name, part in (("within", self.within), ("corrected", self.corrected))
        }
        repeats = self.repeats
        told = repeats and {
            "pairs": repeats.pairs,
            "crystals": repeats.crystals,
            "at_zero": float(repeats.at_zero[0]),
            "reason": repeats.reason,
        }
        return {**self.main.as_dict(), **other, "repeats": told}


@dataclass(frozen=True)
class SpreadAnalysis:
    """
    The results; None for a part that was not computed.

    Attributes:
        size: How large the spread is.
        variograms: Against the angle between beams.
        components: Shares of its sources.
        normality: Of the residuals.
        factors: Of images; undetermined ones are nan.
        s: The overall spread, also where its size was not asked for; nan without data.
        counting: The variances that all of it rests on, and the error model that was
            taken off; None where variances are as written.
        reasons: Why a part is empty, in one sentence, by its key in the document.
    """

    size: SpreadSize | None = None
    variograms: Variograms | None = None
    components: Components | None = None
    normality: Normality | None = None
    factors: RelativeImageFactors | None = None
    s: float = np.nan
    counting: CountingErrors | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def correlation_angle(self) -> float:
        """
        Angle [°] within which images agree with each other.

        nan where it is not known, or to more than a factor of VAGUE only.
        """
        if self.variograms is None:
            return np.nan
        angle, low, high = self.variograms.shown.range
        return float(angle) if high <= VAGUE * low else np.nan


@dataclass(frozen=True)
class _Sample:
    """What all parts start from."""

    observations: Observations
    residuals: Residuals
    groups: Groups
    weights: np.ndarray
    levels: np.ndarray
    crystals_scaled: str
    nproc: int | None


def analyse_spread(
    observations: Observations,
    counting: CountingErrors,
    scales: np.ndarray,
    choices: SpreadChoices,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> SpreadAnalysis:
    """
    Quantify the spread and say where it comes from.

    Args:
        observations: The observations.
        counting: Their counting errors, and the error model of dials.scale.
        scales: Shape (crystals,), what the intensities of each crystal are divided by.
        choices: What is computed.
        rng: For draws.
        nproc: Threads; all cores by default.

    Returns:
        The results.
    """
    if choices.error_model:
        observations = replace(observations, variance=counting.variance)
    residuals = build_residuals(observations, scales, left=left_by_scales(observations))
    names = ("size", "variogram", "components", "normality")
    off = {_key(n): SWITCHED_OFF for n in names if not getattr(choices, n)}
    if not len(residuals):
        return SpreadAnalysis(reasons={**{_key(n): NOTHING for n in names}, **off})
    groups = group_crystals(
        residuals.crystal, residuals.n_crystals, rng, rank=crystal_rank(observations)
    )
    weights = groups.draws(rng)
    levels = mean_levels(residuals, groups, weights)
    scaled = crystals_scaled(observations, scales)
    sample = _Sample(observations, residuals, groups, weights, levels, scaled, nproc)
    size = measure_size(
        residuals,
        observations.d_spacing,
        groups,
        weights,
        levels,
        counting.scaling_limit if observations.scaled else np.nan,
        nproc,
    )
    parts = _by_source(sample, size.s, choices, rng)
    normality = None
    if choices.normality:
        normality = describe_normality(residuals, size.s, groups, weights, rng)
    return replace(
        parts,
        size=size if choices.size else None,
        normality=normality,
        s=size.s,
        counting=counting if choices.error_model and counting.known else None,
        reasons=off,
    )


def crystals_scaled(observations: Observations, scales: np.ndarray) -> str:
    """
    Say why factors of crystals are no part of the spread.

    Args:
        observations: The observations.
        scales: Shape (crystals,), what the intensities of each are divided by.

    Returns:
        A sentence; empty for one crystal, or where they were left in the spread.
    """
    own = scales[np.unique(observations.crystal)]
    if len(own) < 2:
        return ""
    if observations.scaled:
        return "dials.scale has put each crystal on its own scale."
    if np.ptp(own) == 0 or not (own > 0).all():
        return ""
    return (
        "each crystal was put on its own scale first; these scales differ by "
        f"{100 * np.std(np.log(own), ddof=1):.0f} % (standard deviation)."
    )


def _key(part: str) -> str:
    return "spread" if part == "size" else part


def _by_source(
    sample: _Sample, s: float, choices: SpreadChoices, rng: np.random.Generator
) -> SpreadAnalysis:
    """Factors, variograms and components, as far as they are wanted."""
    if not (choices.components or choices.variogram or choices.likelihood):
        return SpreadAnalysis()
    fitted = fit_factors(sample.residuals, rng, sample.nproc)
    if not (choices.components or choices.variogram):
        return SpreadAnalysis(factors=fitted)
    variograms, corrected_pairs = _variograms(sample, fitted, choices, rng)
    components = None
    if choices.components:
        factors = fitted if corrected_pairs else None
        components = variance_components(
            sample.residuals,
            sample.groups,
            sample.weights,
            sample.levels,
            None if factors is None else crystal_moments(factors, sample.groups),
            variograms.shown,
            len(np.unique(sample.residuals.image)),
            variograms.repeats,
            sample.crystals_scaled,
        )
    return SpreadAnalysis(
        factors=fitted,
        variograms=variograms if choices.variogram else None,
        components=components,
    )


@stage("Variogram")
def _variograms(
    sample: _Sample,
    factors: RelativeImageFactors,
    choices: SpreadChoices,
    rng: np.random.Generator,
) -> tuple[Variograms, bool]:
    """All variograms, and whether factors could be taken off."""
    directions = map_directions(sample.observations)

    known = np.isfinite(factors.halves).all(axis=(0, 1))
    most = pairs_to_draw(np.diff(sample.residuals.start), choices.max_pairs)
    table = sum_pairs(
        sample.residuals, directions, sample.groups, rng, most, sample.nproc,
        factors.halves,
    )  # fmt: skip
    noise = float(np.mean(sample.residuals.relative_sigma**2))
    shuffled = shuffle_pairs(
        sample.residuals, directions, np.random.default_rng(0), sample.nproc,
        factors.halves,
    )  # fmt: skip

    def variogram(kind: int, without_factors: bool = False) -> Variogram:
        return build_variogram(
            table, sample.groups, sample.weights, sample.levels, noise, kind,
            without_factors, shuffled if kind == BETWEEN else None,
        )  # fmt: skip

    kind = BETWEEN if sample.groups.n_crystals > 1 else WITHIN
    main = variogram(kind)
    enough = known[sample.residuals.image].mean() > 0.5
    corrected = variogram(kind, without_factors=True) if enough else None
    repeats = None
    if kind == BETWEEN:
        repeats = _repeats(sample, table, corrected or main, enough, noise)
    return (
        Variograms(
            main=main,
            within=variogram(WITHIN) if kind == BETWEEN else None,
            corrected=corrected,
            repeats=repeats,
            n_used=table.n_pairs,
            n_all=table.n_all,
        ),
        bool(enough),
    )


def _repeats(
    sample: _Sample,
    table: PairTable,
    found: Variogram,
    without_factors: bool,
    noise: float,
) -> Repeats | None:
    """Repeats within crystals, where there is a curve that says what is near."""
    if found.curves is None:
        return None
    data = binned(table, sample.weights, WITHIN, without_factors)
    data = data._replace(gamma=data.gamma / sample.levels[:, None] ** 2)
    return repeats_at_zero(
        data,
        crystals_in_bins(table, WITHIN),
        found.curves,
        bool(found.opposite_alike),
        sample.groups.n,
        noise,
    )
