"""
All of dials.compare_images but its arguments and its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.freed_memory import give_back
from dials_spread.incidence import Incidence, build_incidence
from dials_spread.observations import Observations
from dials_spread.observations.canonical_order import crystal_rank, image_rank
from dials_spread.observations.crystals import check_crystals
from dials_spread.observations.exchanged_axes import Exchanged, find_exchanged
from dials_spread.pairs import (
    Matches,
    MedianOverPairs,
    PairAgreement,
    SameOrientation,
    SpotComparison,
    compare_pairs,
    compare_spots,
    crystal_scales,
    match_images,
    same_orientation,
    summarise,
)
from dials_spread.pairs.matching import check_counts
from dials_spread.partners import ImageDirections, find_partners
from dials_spread.significance import (
    Significance,
    assess_matches,
    contrast_orientations,
    nothing_tested,
)
from dials_spread.spread.analysis import SpreadAnalysis, SpreadChoices, analyse_spread
from dials_spread.spread.beam.beam_sources import BeamSources
from dials_spread.spread.chance.orientation_sums import OrientationContrast
from dials_spread.spread.observed import Observed, observe
from dials_spread.spread.origins import OriginAnalysis, analyse_origins
from dials_spread.spread.sources.explained import ExplainedSpread
from dials_spread.spread.sources.simulated import explain_observations
from dials_spread.spread.table_columns import take_from_tables

REINDEX_FIRST = (
    "crystals with exchanged axes are to be reindexed first: other reflections would be "
    "compared."
)


@dataclass(frozen=True)
class Matching:
    """
    What a user may choose about matching.

    Attributes:
        top: Partners looked for, of each image.
        min_common: Fewest indices in common.
        exclude_same_crystal: Match images of different crystals only; a single crystal
            is matched with itself.
        same_orientation: Angle [°] up to which two beam directions are the same; None
            leaves it to the data (pairs.tolerance).
    """

    top: int = 10
    min_common: int = 5
    exclude_same_crystal: bool = True
    same_orientation: float | None = None


@dataclass(frozen=True)
class Comparison:
    """
    The result of comparing images.

    Attributes:
        experiments: One a crystal.
        observations: Of all crystals.
        incidence: Which index is on which image, all crystals on one scale.
        scales: Shape (crystals,), what the intensities of each were divided by.
        matches: The pairs.
        agreement: Of the pairs.
        summary: Medians over all pairs, with intervals over crystals.
        summary_same: The same over pairs of the same orientation.
        matching: How images were matched.
        same_orientation: Up to which angle two orientations are the same.
        contrast: Pairs of the same orientation against other pairs of their reflections.
        shown: Numbers of the pairs that are shown in full.
        spots: One for each of these.
        spread: How large the spread is, and where it comes from.
        significance: Whether the pairs agree better than expected by chance.
        origins: Beam, special orientations and noisy spots behind the spread.
        simulation: How much of the spread simulated intensities explain, where the
            tables have them.
        exchanged: Crystals whose axes are exchanged.
        outliers_used: Observations that dials.scale rejected and that are used.
        mixture: A sentence where crystals corrected by dials.ml_correct are compared
            with others; else empty.
    """

    experiments: Sequence[Experiment]
    observations: Observations
    incidence: Incidence
    scales: np.ndarray
    matches: Matches
    agreement: PairAgreement
    summary: dict[str, MedianOverPairs]
    summary_same: dict[str, MedianOverPairs]
    matching: Matching
    same_orientation: SameOrientation
    contrast: OrientationContrast
    shown: list[int]
    spots: list[SpotComparison]
    spread: SpreadAnalysis
    significance: Significance
    origins: OriginAnalysis
    simulation: ExplainedSpread | None
    exchanged: tuple[Exchanged, ...] = ()
    outliers_used: int = 0
    mixture: str = ""


def compare_images(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    dataset: Sequence[int] | None = None,
    matching: Matching | None = None,
    n_pairs_shown: int = 6,
    pairs_shown: Sequence[Sequence[int]] = (),
    seed: int = 0,
    nproc: int | None = None,
    progress: bool = False,
    spread: SpreadChoices | None = None,
    emptied: bool = False,
    **choices,
) -> Comparison:
    """
    Match images by their common indices and compare their intensities.

    Args:
        experiments: One a crystal, of one space group and similar cells.
        tables: The reflections of each, in the same order.
        dataset: The number of the input list of each experiment.
        matching: How images are matched.
        n_pairs_shown: How many of the best pairs are compared spot by spot.
        pairs_shown: More of them: crystal and frame, crystal and frame.
        seed: For the bootstrap.
        nproc, progress: Threads, all cores by default; progress bars on a terminal.
        spread: What is said about the spread; all by default.
        emptied: Empty the tables, once all is taken; else they are not changed.
        choices: About observations and images, see observations.Choices.

    Returns:
        The comparison.

    Raises:
        ValueError: The crystals differ, or the data or a pair to be shown do not serve.
    """
    matching, spread = matching or Matching(), spread or SpreadChoices()
    checked = _checked(experiments, tables)
    observed = observe(*checked, dataset, spread.error_model, **choices)
    observations = observed.observations
    scales = crystal_scales(observed.counted)
    told = _of_tables(observed, *checked, scales, spread, seed, nproc, emptied)
    incidence, matches = _match_all(observed.counted, scales, matching, nproc, progress)
    agreement = compare_pairs(observed.counted, incidence, matches, nproc)
    shown = _choose_pairs(observations, matches, n_pairs_shown, pairs_shown)
    found = _spread(observed, told, scales, incidence, matches, spread, seed, nproc)
    pairs = _OfPairs(observations, incidence, matches, agreement, found.spread, seed)
    return Comparison(
        experiments=experiments,
        observations=observations,
        incidence=incidence,
        scales=scales,
        matches=matches,
        agreement=agreement,
        matching=matching,
        **pairs.together(matching.same_orientation, nproc),
        shown=shown,
        spots=_lay_out(observations, matches, agreement, incidence, shown, scales),
        **found._asdict(),
    )


class _OfTables(NamedTuple):
    """What tables say besides, and the random numbers that go on from there."""

    beam: BeamSources | None
    rng: np.random.Generator
    simulation: ExplainedSpread | None
    mixture: str


def _of_tables(
    observed: Observed,
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    scales: np.ndarray,
    choices: SpreadChoices,
    seed: int,
    nproc: int | None,
    emptied: bool,
) -> _OfTables:
    """Take what is needed from the tables, before anything else takes memory."""
    rng = _rng(seed)
    beam, simulated, mixture = take_from_tables(
        observed.observations, experiments, tables, choices.origins, rng, nproc, emptied
    )
    simulation = explain_observations(
        observed.counted, simulated, scales, _rng(seed), nproc
    )
    return _OfTables(beam, rng, simulation, mixture)


def _match_all(
    observations: Observations,
    scales: np.ndarray,
    matching: Matching,
    nproc: int | None,
    progress: bool,
) -> tuple[Incidence, Matches]:
    """Match the images of crystals that are put on one scale."""
    incidence = build_incidence(observations, scales)
    check_counts(incidence.counts, matching.min_common)
    return incidence, _match(observations, incidence, matching, nproc, progress)


class _OfPairs(NamedTuple):
    """What is said of some of the pairs together."""

    observations: Observations
    incidence: Incidence
    matches: Matches
    agreement: PairAgreement
    spread: SpreadAnalysis
    seed: int

    def together(self, angle: float | None, nproc: int | None) -> dict:
        """Give what `Comparison` has of all pairs, and of those of one orientation."""
        give_back()  # what the parts of the spread took
        same = same_orientation(angle, self.spread.correlation_angle)
        every = np.ones(len(self.matches), dtype=bool)
        summary, _ = self.summarise(every, False, nproc)
        near = same.of(self.matches.beam_angle)
        summary_same, contrast = self.summarise(near, True, nproc)
        return {
            "summary": summary,
            "summary_same": summary_same,
            "same_orientation": same,
            "contrast": contrast,
        }

    def summarise(
        self, used: np.ndarray, test: bool, nproc: int | None
    ) -> tuple[dict[str, MedianOverPairs], OrientationContrast]:
        """Medians over some pairs, and their contrast with all others, tested or not."""
        medians = summarise(
            self.observations, self.matches, self.agreement, used, _rng(self.seed),
            nproc,
        )  # fmt: skip
        crystal = crystal_rank(self.observations)[self.observations.images.crystal]
        contrast = contrast_orientations(
            self.incidence, self.matches, used, crystal, self.spread, _rng(self.seed),
            test, nproc,
        )  # fmt: skip
        ratio = MedianOverPairs(
            contrast.ratio, contrast.ratio_low, contrast.ratio_high,
            contrast.n_pairs, contrast.n_crystals,
        )  # fmt: skip
        return {**medians, "spread_ratio": ratio}, contrast


def _lay_out(
    observations: Observations,
    matches: Matches,
    agreement: PairAgreement,
    incidence: Incidence,
    shown: Sequence[int],
    scales: np.ndarray,
) -> list[SpotComparison]:
    """Pairs spot by spot."""
    return [
        compare_spots(observations, matches, agreement, incidence, number, scales)
        for number in shown
    ]


class _SpreadParts(NamedTuple):
    """As in `Comparison`."""

    spread: SpreadAnalysis
    significance: Significance
    exchanged: tuple[Exchanged, ...]
    origins: OriginAnalysis
    simulation: ExplainedSpread | None
    mixture: str
    outliers_used: int


def _spread(
    observed: Observed,
    of_tables: _OfTables,
    scales: np.ndarray,
    incidence: Incidence,
    matches: Matches,
    choices: SpreadChoices,
    seed: int,
    nproc: int | None,
) -> _SpreadParts:
    """The spread, what is behind it, and whether pairs agree better than by chance."""
    give_back()  # what comparing pairs took
    rng = _rng(seed)
    observations, _, counting, outliers_used = observed
    analysis = analyse_spread(observations, counting, scales, choices, rng, nproc)
    exchanged = find_exchanged(observations)
    give_back()
    significance = nothing_tested(len(matches), REINDEX_FIRST)
    if not exchanged:
        significance = assess_matches(
            incidence, matches, observations.images.crystal, image_rank(observations),
            analysis, choices, rng, nproc,
        )  # fmt: skip
    give_back()
    return _SpreadParts(
        spread=analysis,
        significance=significance,
        exchanged=exchanged,
        origins=analyse_origins(
            observations, counting, scales, analysis.s, choices.origins, of_tables.rng,
            nproc, analysis.factors, of_tables.beam,
        ),
        simulation=of_tables.simulation,
        mixture=of_tables.mixture,
        outliers_used=outliers_used,
    )  # fmt: skip


def _rng(seed: int) -> np.random.Generator:
    """A stream from its beginning: no part depends on what was computed before it."""
    return np.random.default_rng(seed)


def _checked(
    experiments: Sequence[Experiment], tables: Sequence[flex.reflection_table]
) -> tuple[Sequence[Experiment], Sequence[flex.reflection_table]]:
    """Both, where they belong together."""
    if len(experiments) != len(tables) or not len(experiments):
        raise ValueError(
            f"{len(experiments)} experiments and {len(tables)} reflection tables: there "
            "must be one table for each experiment"
        )
    check_crystals(experiments)
    return experiments, tables


def _match(
    observations: Observations,
    incidence: Incidence,
    matching: Matching,
    nproc: int | None,
    progress: bool,
) -> Matches:
    """Find the best partners of every image and rank the pairs."""
    exclude = matching.exclude_same_crystal and observations.n_crystals > 1
    images = observations.images
    partners = find_partners(
        incidence.indptr,
        incidence.column,
        incidence.permutation,
        ImageDirections(
            beam=images.beam,
            reciprocal=incidence.reciprocal,
            on_directions=incidence.operators.on_directions,
            wavelength=1 / np.median(np.linalg.norm(images.s0, axis=1)),
        ),
        top=matching.top,
        min_common=matching.min_common,
        group=images.crystal if exclude else None,
        nproc=nproc,
        progress=progress,
    )
    return match_images(observations, incidence, partners)


def _choose_pairs(
    observations: Observations,
    matches: Matches,
    n_best: int,
    named: Sequence[Sequence[int]],
) -> list[int]:
    """The pairs to be shown: the best, then those that the user named."""
    shown = list(range(min(n_best, len(matches))))
    for pair in named:
        number = _find_pair(observations, matches, pair)
        if number not in shown:
            shown.append(number)
    return shown


def _find_pair(
    observations: Observations, matches: Matches, pair: Sequence[int]
) -> int:
    """Give the number of the pair that a user named by crystals and frames."""
    images = observations.images
    found = []
    for crystal, frame in (pair[:2], pair[2:]):
        on = (images.crystal == crystal) & (images.first <= frame)
        numbers = np.flatnonzero(on & (images.last >= frame))
        if not len(numbers):
            raise ValueError(
                f"pair={','.join(map(str, pair))}: crystal {crystal} has no reflections "
                f"on frame {frame}"
            )
        found.append(numbers[0])
    own = np.sort([matches.image_a, matches.image_b], axis=0).T
    number = np.flatnonzero((own == np.sort(found)).all(axis=1))
    if not len(number):
        raise ValueError(
            f"pair={','.join(map(str, pair))}: these images are not among the best "
            "partners of each other; raise matching.top or lower matching.min_common"
        )
    return int(number[0])
