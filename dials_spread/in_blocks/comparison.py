"""
Images against images where no process holds all observations.

Questions that sums answer are answered as dials_spread.comparison answers them; `NOT_ANSWERED`
are the others.

Functions:
    compare_in_blocks: from names of files, on the workers in use
    compare_blocks: from what workers have read
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dials_spread import cluster
from dials_spread.in_blocks.blocks import (
    BlockFile,
    BlockSummary,
    Reading,
    added_up,
    as_block,
    read_block,
)
from dials_spread.in_blocks.contrast import (
    OfPairs,
    Sums,
    build_weights,
    contrast,
    parts_of,
    sum_entries,
    sums_of_cells,
)
from dials_spread.in_blocks.entries import OfEntries
from dials_spread.in_blocks.factors import factors_of_blocks
from dials_spread.in_blocks.frame import CommonFrame, build_frame, packed_columns
from dials_spread.in_blocks.matching import MatchedPairs, match_blocks
from dials_spread.in_blocks.pair_tasks import (
    STATISTICS,
    ForAgreement,
    ForGroups,
    compare_task,
    divide_pairs,
    group_task,
)
from dials_spread.in_blocks.scales import scales_of_blocks
from dials_spread.in_blocks.size import SizeOfBlocks, size_of_blocks
from dials_spread.input_files import problems_of_names
from dials_spread.observations.intensities import refuse_mixed
from dials_spread.observations.reading_on_workers import (
    FILE_IN_MEMORY,
    look_for_files,
    refuse,
)
from dials_spread.pairs.summary import (
    CORRELATIONS,
    MedianOverPairs,
    median_over_pairs,
)
from dials_spread.pairs.tolerance import DEFAULT, SameOrientation, same_orientation
from dials_spread.spread.chance.orientation_sums import NO_PAIR, OrientationContrast
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import group_crystals
from dials_spread.valid_input.pairing import lists_of_tables

logger = logging.getLogger("dials.spread.in_blocks")

MOST_OF_MEDIANS = 1_000_000
"""Pairs behind the interval of a median; of more, as many are drawn."""

NO_ANGLE = "the default, because the correlation angle is not among what sums tell"


@dataclass(frozen=True)
class BlocksComparison:
    """
    What is found of blocks.

    Attributes:
        files: Names of experiment and reflection files.
        frame: Cell, images, crystals.
        dropped: Reflections left out, by reason.
        notes: Sentences on columns lp.
        scales: Shape (crystals,), what intensities were divided by.
        factors: Shape (images,), of images.
        size: Of the spread.
        pairs: The pairs.
        statistics: By name, shape (pairs,) each.
        same_orientation: Up to which angle two orientations are the same.
        near: Shape (pairs,), bool: pairs of it.
        medians, medians_near: Over all pairs, and over those of one orientation.
        contrast: These against all other pairs of their reflections.
    """

    files: tuple[str, ...]
    frame: CommonFrame
    dropped: dict[str, int]
    notes: tuple[str, ...]
    scales: np.ndarray
    factors: np.ndarray
    size: SizeOfBlocks
    pairs: MatchedPairs
    statistics: dict[str, np.ndarray]
    same_orientation: SameOrientation
    near: np.ndarray
    medians: dict[str, MedianOverPairs]
    medians_near: dict[str, MedianOverPairs]
    contrast: OrientationContrast


def compare_in_blocks(
    expt: Sequence[str],
    refl: Sequence[str],
    how: Reading,
    top: int = 10,
    min_common: int = 5,
    exclude_same_crystal: bool = True,
    same_angle: float | None = None,
    seed: int = 0,
) -> BlocksComparison:
    """
    Compare images of files that the workers in use read and keep.

    Args:
        expt, refl: Names of files, as many of both.
        how: They are read.
        top, min_common, exclude_same_crystal: As in comparison.Matching.
        same_angle: [°], of the same orientation; None for the default.
        seed: For the bootstrap.

    Raises:
        ValueError: Files or workers do not serve, or the crystals cannot be compared.
    """
    if how.choices.assign != "centroid":
        raise ValueError(
            f"assign={how.choices.assign}: with dask.observations=workers an observation "
            "counts for the image of its centroid"
        )
    read, summaries, files = _read(expt, refl, how)
    names = [file.names[0] for file in files]
    return compare_blocks(
        read, summaries, names, (*expt, *refl), how.choices.friedel, top, min_common,
        exclude_same_crystal, same_angle, seed,
    )  # fmt: skip


def compare_blocks(
    read: list,
    summaries: Sequence[BlockSummary],
    names: Sequence[str],
    files: Sequence[str],
    friedel: bool = True,
    top: int = 10,
    min_common: int = 5,
    exclude_same_crystal: bool = True,
    same_angle: float | None = None,
    seed: int = 0,
) -> BlocksComparison:
    """
    Compare images of blocks that workers have read.

    Args:
        read: Handles of what blocks.read_block gives; the list is emptied.
        summaries: The first part of each.
        names: Of each block, for messages.
        files: All files, to be named in the results.
        friedel: Take Friedel mates as equivalent.
        top, min_common, exclude_same_crystal, same_angle, seed: As compare_in_blocks.
    """
    frame = build_frame(summaries, names, friedel)
    blocks = cluster.keep(as_block, packed_columns(frame), [(b,) for b in read])
    read.clear()  # what blocks were made of goes once these are there
    logger.info(
        "%d crystals in %d blocks: %d observations on %d images.",
        frame.present.sum(), len(blocks), frame.number.sum(), len(frame.images),
    )  # fmt: skip
    scales = scales_of_blocks(frame, blocks)
    logger.info("Crystals are on one scale.")
    rng = np.random.default_rng(seed)
    size = size_of_blocks(frame, blocks, scales, rng)
    logger.info("The spread is measured: s = %.4f.", size.s)
    factors = factors_of_blocks(frame, blocks, scales, size)
    logger.info("Images have their factors.")
    pairs = match_blocks(frame, blocks, top, min_common, exclude_same_crystal)
    logger.info("%d pairs of images are matched.", len(pairs))
    same = _same(same_angle)
    near = same.of(pairs.beam_angle)
    own = _own(frame, scales.scale, factors)
    statistics, found = _compare_pairs(frame, blocks, own, pairs, near, size.s, seed)
    return BlocksComparison(
        files=tuple(files),
        frame=frame,
        dropped=_total([s.dropped for s in summaries]),
        notes=tuple(note for s in summaries for note in s.notes),
        scales=scales.scale,
        factors=factors,
        size=size,
        pairs=pairs,
        statistics=statistics,
        same_orientation=same,
        near=near,
        medians=_medians(frame, pairs, statistics, np.ones(len(pairs), bool), seed),
        medians_near=_medians(frame, pairs, statistics, near, seed),
        contrast=found,
    )


def _same(angle: float | None) -> SameOrientation:
    """Which pairs are of the same orientation; no angle comes from the data here."""
    if angle is None:
        return SameOrientation(DEFAULT, NO_ANGLE)
    return same_orientation(angle)


def _own(frame: CommonFrame, scale: np.ndarray, factor: np.ndarray) -> list[OfEntries]:
    """What entries of each block are divided by, and the order of its crystals."""
    parts = (
        *map(frame.of_block, (scale, frame.rank)),
        frame.images_of_block(factor),
    )
    return [OfEntries(*of_block) for of_block in zip(*parts)]


def _total(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for reason, number in part.items():
            total[reason] = total.get(reason, 0) + number
    return total


def _told_of(_, read: tuple[BlockSummary, Any]) -> BlockSummary:
    return read[0]


@stage("Reading files")
def _read(
    expt: Sequence[str], refl: Sequence[str], how: Reading
) -> tuple[list, list[BlockSummary], list[BlockFile]]:
    """Let workers read pairs of files, with one kind of intensity for all."""
    problems = problems_of_names(expt, refl)
    if not problems and len(expt) != len(refl):
        problems = [
            f"{len(expt)} experiment files and {len(refl)} reflection files: with "
            "dask.observations=workers each .refl file has an .expt file of its own"
        ]
    refuse(problems)
    paths = [os.path.abspath(name) for name in (*expt, *refl)]
    sizes = look_for_files([*expt, *refl], paths)
    cluster.refuse_too_little_memory(
        int(FILE_IN_MEMORY * max(sizes)), "reading the largest file takes"
    )
    path_of = dict(zip((*expt, *refl), paths))
    files = []
    for k, name in zip(lists_of_tables(expt, refl), refl):
        names = (expt[k], name)
        files.append(BlockFile(names, (path_of[expt[k]], path_of[name])))
    read, summaries = _read_as(files, how)
    kinds = {s.choice for s in summaries}
    if len(kinds) > 1:
        refuse_mixed(sum(s.choice == "scale" for s in summaries), len(summaries))
    if len(kinds) > 1:  # profile-fitted ones are not everywhere
        choices = how.choices.__class__(**{**vars(how.choices), "intensity": "sum"})
        read, summaries = _read_as(files, how._replace(choices=choices))
    return read, summaries, files


def _read_as(
    files: Sequence[BlockFile], how: Reading
) -> tuple[list, list[BlockSummary]]:
    read = cluster.keep(read_block, how, [(file,) for file in files])
    summaries = [*cluster.told(_told_of, None, [(one,) for one in read])]
    refuse([problem for s in summaries for problem in s.problems])
    return read, summaries


@stage("Comparing pairs")
def _compare_pairs(
    frame: CommonFrame,
    blocks: Sequence[Any],
    own: Sequence[OfEntries],
    pairs: MatchedPairs,
    near: np.ndarray,
    s: float,
    seed: int,
) -> tuple[dict[str, np.ndarray], OrientationContrast]:
    """Agreement of each pair; those of one orientation against all others."""
    of_blocks = [*zip(blocks, own)]
    scaled, free = sum(cluster.told(sum_entries, frame.n_unique, of_blocks))
    weights = build_weights(Sums(*free), s)
    for_agreement = ForAgreement(
        frame.permutation, Sums(*scaled), weights, not frame.scaled
    )
    crystal = frame.images.crystal
    two = near & (crystal[pairs.image_a] != crystal[pairs.image_b])
    values = np.full((len(pairs), len(STATISTICS)), np.nan, dtype=np.float32)
    divided = [*divide_pairs(frame, pairs, two, blocks, own)]
    tasks = [(one.blocks, one.task) for one in divided]
    of_pairs = OfPairs(*np.zeros((3, frame.n_unique)))
    for one, done in zip(divided, cluster.told(compare_task, for_agreement, tasks)):
        values[one.numbers] = done.statistics
        of_pairs = added_up([of_pairs, done.of_pairs])
    statistics = {name: values[:, k] for k, name in enumerate(STATISTICS)}
    logger.info("Pairs are compared; those of one orientation follow.")
    if not two.any():
        return statistics, OrientationContrast(reason=NO_PAIR)
    # Groups are dealt by the order of crystals, whichever number they have.
    n = len(frame.number)
    rng = _rng(seed)
    groups = group_crystals(np.arange(int(frame.present.sum())), n, rng)
    draws = groups.draws(rng)
    shared = (weights, groups.of_crystal, groups.n)
    cells = added_up(cluster.told(sums_of_cells, shared, of_blocks))
    parts = parts_of(weights, cells, of_pairs)
    second = ForGroups(frame.permutation, weights, parts, groups.of_crystal, groups.n)
    by_groups = added_up(cluster.told(group_task, second, tasks))
    return statistics, contrast(
        weights, cells, of_pairs, by_groups, parts, draws, int(two.sum()),
    )  # fmt: skip


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@stage("Medians over pairs")
def _medians(
    frame: CommonFrame,
    pairs: MatchedPairs,
    statistics: dict[str, np.ndarray],
    used: np.ndarray,
    seed: int,
) -> dict[str, MedianOverPairs]:
    """Medians over pairs, with intervals over crystals."""
    numbers = np.flatnonzero(used)
    some = numbers
    if len(numbers) > MOST_OF_MEDIANS:
        some = np.sort(_rng(seed).choice(numbers, MOST_OF_MEDIANS, replace=False))
    crystal = frame.rank[frame.images.crystal]
    a, b = crystal[pairs.image_a[some]], crystal[pairs.image_b[some]]
    return {
        name: median_over_pairs(x[some], a, b, _rng(seed), name in CORRELATIONS)
        for name, x in statistics.items()
    }
