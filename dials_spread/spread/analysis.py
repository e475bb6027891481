"""
The size of the spread, where it comes from and how it is distributed: all of it at once.

Functions:
    analyse_spread: from observations
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dxtbx.model import Experiment

from dials_spread.observations import Observations
from dials_spread.spread.origins import OriginChoices
from dials_spread.spread.size.error_model import (
    counting_variance,
    relative_terms,
    scaling_limit,
)
from dials_spread.spread.size.residuals import Residuals, build_residuals, mean_levels
from dials_spread.spread.size.size import SpreadSize, measure_size
from dials_spread.spread.sources.components import (
    Components,
    variance_components,
    without_factors,
)
from dials_spread.spread.sources.factors import (
    RelativeImageFactors,
    crystal_moments,
    fit_factors,
)
from dials_spread.spread.sources.normality import Normality, describe_normality
from dials_spread.spread.variogram.directions import map_directions
from dials_spread.spread.variogram.pair_table import (
    BETWEEN,
    WITHIN,
    PairTable,
    sum_pairs,
)
from dials_spread.spread.variogram.variogram import Variogram, build_variogram
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
        max_pairs: Most pairs of observations behind the variogram; of more, a random
            choice.
        max_tested: Most matched pairs that are tested by permutation, the best first.
        permutations: Of each, at most.
        error_model: Take the relative term of the error model of dials.scale off the
            variances of scaled data.
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
        n_used: Pairs of observations of one reflection on two images that are used.
        n_all: All of them; the used ones are a random choice (max_pairs).
    """

    main: Variogram
    within: Variogram | None
    corrected: Variogram | None
    n_used: int
    n_all: int

    def as_dict(self) -> dict:
        """Give the main one by name, and the others beside it."""
        other = {
            name: part.as_dict() if part else None
            for name, part in (("within", self.within), ("corrected", self.corrected))
        }
        return {**self.main.as_dict(), **other}


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
        s_of_error_model: The relative term (ab) that was taken off the variances; nan
            where none was.
        variance: Shape (observations,), σ² that s comes on top of; None without data.
        reasons: Why a part is empty, in one sentence, by its key in the document.
    """

    size: SpreadSize | None = None
    variograms: Variograms | None = None
    components: Components | None = None
    normality: Normality | None = None
    factors: RelativeImageFactors | None = None
    s: float = np.nan
    s_of_error_model: float = np.nan
    variance: np.ndarray | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def correlation_angle(self) -> float:
        """Angle [°] within which images agree with each other; nan where not known."""
        if self.variograms is None:
            return np.nan
        found = self.variograms.corrected or self.variograms.main
        return float(found.range[0])


@dataclass(frozen=True)
class _Sample:
    """What all parts start from."""

    observations: Observations
    residuals: Residuals
    groups: Groups
    weights: np.ndarray
    levels: np.ndarray
    nproc: int | None


def analyse_spread(
    observations: Observations,
    experiments: Sequence[Experiment],
    scales: np.ndarray,
    choices: SpreadChoices,
    rng: np.random.Generator,
    nproc: int | None = None,
) -> SpreadAnalysis:
    """
    Quantify the spread and say where it comes from.

    Args:
        observations: The observations.
        experiments: One a crystal, for the error model of dials.scale.
        scales: Shape (crystals,), what the intensities of each crystal are divided by.
        choices: What is computed.
        rng: For draws.
        nproc: Threads; all cores by default.

    Returns:
        The results.
    """
    terms = relative_terms(experiments)
    taken_off = choices.error_model and observations.scaled
    if taken_off:
        variance = counting_variance(observations, terms)
        observations = replace(observations, variance=variance)
    residuals = build_residuals(observations, scales)
    names = ("size", "variogram", "components", "normality")
    off = {_key(n): SWITCHED_OFF for n in names if not getattr(choices, n)}
    if not len(residuals):
        return SpreadAnalysis(reasons={**{_key(n): NOTHING for n in names}, **off})
    groups = group_crystals(residuals.crystal, residuals.n_crystals, rng)
    weights = groups.draws(rng)
    levels = mean_levels(residuals, groups, weights)
    sample = _Sample(observations, residuals, groups, weights, levels, nproc)
    size = measure_size(
        residuals,
        observations.d_spacing,
        groups,
        weights,
        levels,
        scaling_limit(terms) if observations.scaled else np.nan,
        nproc,
    )
    parts = _by_source(sample, size.s, choices, rng)
    normality = None
    if choices.normality:
        normality = describe_normality(residuals, size.s, groups, weights, rng)
    known = taken_off and np.isfinite(terms).any()
    return replace(
        parts,
        size=size if choices.size else None,
        normality=normality,
        s=size.s,
        s_of_error_model=float(np.nanmedian(terms)) if known else np.nan,
        variance=observations.variance,
        reasons=off,
    )


def _key(part: str) -> str:
    return "spread" if part == "size" else part


def _by_source(
    sample: _Sample, s: float, choices: SpreadChoices, rng: np.random.Generator
) -> SpreadAnalysis:
    """Factors, variograms and components, as far as they are wanted."""
    if not (choices.components or choices.variogram or choices.likelihood):
        return SpreadAnalysis()
    fitted = fit_factors(sample.residuals, s, rng)
    if not (choices.components or choices.variogram):
        return SpreadAnalysis(factors=fitted)
    variograms, corrected_pairs = _variograms(sample, s, fitted, choices, rng)
    components = None
    if choices.components:
        factors = fitted if corrected_pairs else None
        components = variance_components(
            sample.residuals,
            sample.groups,
            sample.weights,
            sample.levels,
            None if factors is None else crystal_moments(factors, sample.groups),
            variograms.corrected or variograms.main,
            0 if factors is None else int(np.isfinite(factors.factor).sum()),
            s,
        )
    return SpreadAnalysis(
        factors=fitted,
        variograms=variograms if choices.variogram else None,
        components=components,
    )


def _variograms(
    sample: _Sample,
    s: float,
    factors: RelativeImageFactors,
    choices: SpreadChoices,
    rng: np.random.Generator,
) -> tuple[Variograms, bool]:
    """All variograms, and whether factors could be taken off."""
    directions = map_directions(sample.observations)

    def pairs_of(residuals: Residuals) -> PairTable:
        return sum_pairs(
            residuals, directions, sample.groups, s, rng, choices.max_pairs,
            sample.nproc,
        )  # fmt: skip

    def variogram(table: PairTable, kind: int) -> Variogram:
        noise = float(np.mean(sample.residuals.relative_sigma**2))
        return build_variogram(
            table, sample.groups, sample.weights, sample.levels, noise, kind
        )

    kind = BETWEEN if sample.groups.n_crystals > 1 else WITHIN
    table = pairs_of(sample.residuals)
    corrected = without_factors(sample.residuals, factors)
    enough = len(corrected) > 0.5 * len(sample.residuals)
    return (
        Variograms(
            main=variogram(table, kind),
            within=variogram(table, WITHIN) if kind == BETWEEN else None,
            corrected=variogram(pairs_of(corrected), kind) if enough else None,
            n_used=table.n_pairs,
            n_all=table.n_all,
        ),
        enough,
    )
