"""
All of dials.compare_images but its arguments and its files.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread import pairs
from dials_spread.incidence import Incidence, build_incidence
from dials_spread.observations import Observations, build_observations
from dials_spread.pairs import (
    Agreement,
    Estimate,
    Matches,
    SpotComparison,
    compare_pairs,
    compare_spots,
    crystal_scales,
    match_images,
    summarise,
)
from dials_spread.partners import Directions, find_partners

logger = logging.getLogger("dials.spread.comparison")


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
        tolerance: Angle [°] up to which beam directions are the same.
        shown: Numbers of the pairs that are shown in full.
        spots: One for each of these.
        min_common: Fewest indices in common.
    """

    experiments: Sequence[Experiment]
    observations: Observations
    incidence: Incidence
    scales: np.ndarray
    matches: Matches
    agreement: Agreement
    summary: dict[str, Estimate]
    summary_same: dict[str, Estimate]
    tolerance: float
    shown: list[int]
    spots: list[SpotComparison]
    min_common: int


def compare_images(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    dataset: Sequence[int] | None = None,
    without_experiment: int = 0,
    top: int = 10,
    min_common: int = 5,
    exclude_same_crystal: bool = True,
    same_orientation: float = 2.0,
    n_pairs_shown: int = 6,
    pairs_shown: Sequence[Sequence[int]] = (),
    seed: int = 0,
    nproc: int | None = None,
    progress: bool = False,
    **choices,
) -> Comparison:
    """
    Match images by their common indices and compare their intensities.

    Args:
        experiments: One a crystal, of one space group and similar cells.
        tables: The reflections of each, in the same order; they are not changed.
        dataset: The number of the input list of each experiment.
        without_experiment: Reflections whose experiment was not given, to be counted.
        top: Partners looked for, of each image.
        min_common: Fewest indices in common.
        exclude_same_crystal: Match images of different crystals only.
        same_orientation: Angle [°] up to which two beam directions are the same.
        n_pairs_shown: How many of the best pairs are compared spot by spot.
        pairs_shown: More of them: crystal and frame, crystal and frame.
        seed: For the bootstrap.
        nproc: Threads.
        progress: Show progress bars on a terminal.
        choices: About observations and images, see observations.Choices.

    Returns:
        The comparison.

    Raises:
        ValueError: The data do not serve, or a pair that is to be shown does not exist.
    """
    observations = build_observations(experiments, tables, dataset, **choices)
    if without_experiment:
        dropped = {"no experiment": without_experiment, **observations.dropped}
        observations = replace(observations, dropped=dropped)
    scales = crystal_scales(observations)
    incidence = build_incidence(observations, scales)
    _check_images(incidence, min_common)
    matches = _match(
        observations, incidence, top, min_common, exclude_same_crystal, nproc, progress
    )
    agreement = compare_pairs(observations, incidence, matches)
    shown = list(range(min(n_pairs_shown, len(matches))))
    shown += [
        number
        for pair in pairs_shown
        if (number := _find_pair(observations, matches, pair)) not in shown
    ]
    data = (observations, incidence, matches, agreement)
    every = np.ones(len(matches), dtype=bool)
    same = pairs.same_orientation(matches, same_orientation)
    return Comparison(
        experiments=experiments,
        observations=observations,
        incidence=incidence,
        scales=scales,
        matches=matches,
        agreement=agreement,
        summary=summarise(
            observations, matches, agreement, every, np.random.default_rng(seed)
        ),
        summary_same=summarise(
            observations, matches, agreement, same, np.random.default_rng(seed)
        ),
        tolerance=same_orientation,
        shown=shown,
        spots=[compare_spots(*data, number, scales) for number in shown],
        min_common=min_common,
    )


def _check_images(incidence: Incidence, min_common: int) -> None:
    richest = int(incidence.counts.max(initial=0))
    if (incidence.counts >= min_common).sum() < 2:
        raise ValueError(
            f"Fewer than two images have {min_common} reflections; the richest of "
            f"{len(incidence)} has {richest}. Widen image_width or lower "
            "matching.min_common"
        )


def _match(
    observations: Observations,
    incidence: Incidence,
    top: int,
    min_common: int,
    exclude_same_crystal: bool,
    nproc: int | None,
    progress: bool,
) -> Matches:
    """Find the best partners of every image and rank the pairs."""
    exclude = exclude_same_crystal and observations.n_crystals > 1
    images = observations.images
    wavelength = 1 / np.median(np.linalg.norm(images.s0, axis=1))
    partners = find_partners(
        incidence.indptr,
        incidence.column,
        incidence.permutation,
        Directions(
            images.beam,
            incidence.reciprocal,
            incidence.operators.on_directions,
            wavelength,
        ),
        top=top,
        min_common=min_common,
        group=images.crystal if exclude else None,
        nproc=nproc,
        progress=progress,
    )
    return match_images(observations, incidence, partners)


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
    a, b = min(found), max(found)
    number = np.flatnonzero((matches.image_a == a) & (matches.image_b == b))
    if not len(number):
        raise ValueError(
            f"pair={','.join(map(str, pair))}: these images are not among the best "
            "partners of each other; raise matching.top or lower matching.min_common"
        )
    return int(number[0])
