"""
Pairs of images of two groups of blocks: what is computed where both are.

Functions:
    divide_pairs: which pairs are of which two groups
    compare_task: agreement of each pair, and first sums over common spots
    group_task: a second round over common spots
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dials_spread.in_blocks.blocks import CrystalBlock
from dials_spread.in_blocks.contrast import (
    ByGroups,
    OfPairs,
    Sums,
    Weights,
    deviations_of,
    totals_of_cells,
    without_factors,
)
from dials_spread.in_blocks.entries import Entries, OfEntries, entries_of, joined
from dials_spread.in_blocks.frame import CommonFrame
from dials_spread.in_blocks.matching import MatchedPairs
from dials_spread.incidence import Incidence
from dials_spread.pairs.agreement import BLOCK, compare_shared
from dials_spread.pairs.shared import common_reflections, shared_reflections
from dials_spread.spread.chance.orientation_sums import ReflectionParts, half_squares

STATISTICS = ("cc", "r_factor", "excess_spread", "background_spread")
"""Of pairs.PairAgreement, those that are kept of each pair."""

ENTRIES_TOGETHER = 6_000_000
"""Observations in a group of blocks, at most, unless one block has more."""

SPOTS_TOGETHER = 4_000_000
"""Common spots of the pairs of two groups, roughly."""


class PairTask(NamedTuple):
    """
    Pairs of the images of two groups of blocks; arrays of length n.

    Attributes:
        own: Of each block of both groups.
        image_a, image_b: Numbered through these blocks.
        operator, n_common: As in MatchedPairs.
        near: Of the same orientation, and of two crystals.
    """

    own: list[OfEntries]
    image_a: np.ndarray
    image_b: np.ndarray
    operator: np.ndarray
    n_common: np.ndarray
    near: np.ndarray


class ForAgreement(NamedTuple):
    """What all tasks of the first round need."""

    permutation: np.ndarray
    sums: Sums
    weights: Weights
    fit_scale: bool


class ForGroups(NamedTuple):
    """What all tasks of the second round need."""

    permutation: np.ndarray
    weights: Weights
    parts: ReflectionParts
    group: np.ndarray
    n_groups: int


class Compared(NamedTuple):
    """Shape (n, STATISTICS), float32, of each pair; and sums over spots."""

    statistics: np.ndarray
    of_pairs: OfPairs


class _Divided(NamedTuple):
    """Blocks of a task, the pairs that it is of, and what it is told."""

    blocks: list
    numbers: np.ndarray
    task: PairTask


def group_blocks(frame: CommonFrame, pairs: MatchedPairs) -> list[list[int]]:
    """
    Put blocks into groups, so that two groups and the spots of their pairs fit together.

    Args:
        frame: For the sizes of blocks.
        pairs: For the number of common spots.
    """
    sizes = [int(n.sum()) for n in frame.of_block(frame.number)]
    spots = int(pairs.n_common.sum(dtype=np.int64))
    by_spots = int(np.ceil(np.sqrt(2 * spots / SPOTS_TOGETHER)))
    n_groups = max(-(-sum(sizes) // ENTRIES_TOGETHER), by_spots)
    most = sum(sizes) / max(n_groups, 1)
    groups: list[list[int]] = [[]]
    filled = 0
    for block, size in enumerate(sizes):
        if groups[-1] and filled + size / 2 > most * len(groups):
            groups.append([])
        groups[-1].append(block)
        filled += size
    return groups


def divide_pairs(
    frame: CommonFrame,
    pairs: MatchedPairs,
    near: np.ndarray,
    blocks: Sequence[Any],
    own: Sequence[OfEntries],
) -> Iterator[_Divided]:
    """
    Divide pairs by the groups of blocks that their images are in.

    Args:
        frame: For the images of blocks.
        pairs: n of them.
        near: Shape (n,), bool.
        blocks: Handles.
        own: Of each block.
    """
    groups = group_blocks(frame, pairs)
    group_of_block = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
    of_image = np.repeat(group_of_block, np.diff(frame.first_image))
    a, b = of_image[pairs.image_a], of_image[pairs.image_b]
    key = np.minimum(a, b) * len(groups) + np.maximum(a, b)
    order = np.argsort(key, kind="stable")
    found, starts = np.unique(key[order], return_index=True)
    for one, numbers in zip(found, np.split(order, starts[1:])):
        both = sorted({int(one) // len(groups), int(one) % len(groups)})
        chosen = [block for g in both for block in groups[g]]
        place = np.zeros(len(frame.images), dtype=np.int64)
        offset = 0
        for block in chosen:
            first, stop = frame.first_image[block : block + 2]
            place[first:stop] = np.arange(offset, offset + stop - first)
            offset += stop - first
        task = PairTask(
            own=[own[block] for block in chosen],
            image_a=place[pairs.image_a[numbers]],
            image_b=place[pairs.image_b[numbers]],
            operator=pairs.operator[numbers].astype(np.int64),
            n_common=pairs.n_common[numbers].astype(np.int64),
            near=near[numbers],
        )
        yield _Divided([blocks[block] for block in chosen], numbers, task)


def _incidence(entries: Entries, permutation: np.ndarray) -> Incidence:
    """As much of an incidence matrix as pairs need."""
    nothing: Any = None
    return Incidence(
        indptr=entries.indptr,
        column=entries.column,
        intensity=entries.intensity,
        variance=entries.variance,
        unique=entries.unique,
        miller_index=nothing,
        permutation=permutation,
        reciprocal=nothing,
        operators=nothing,
    )


def _entries(blocks: Sequence[CrystalBlock], task: PairTask) -> Entries:
    return joined([entries_of(b, own) for b, own in zip(blocks, task.own)])


def _spots(
    entries: Entries, permutation: np.ndarray, task: PairTask
) -> tuple[np.ndarray, np.ndarray]:
    """Entries on a and on b of the common spots of all pairs of the same orientation."""
    near = task.near
    _, on_a, on_b = common_reflections(
        _incidence(entries, permutation), task.image_a[near], task.image_b[near],
        task.operator[near], task.n_common[near],
    )  # fmt: skip
    return on_a, on_b


def compare_task(
    shared: ForAgreement, blocks: Sequence[CrystalBlock], task: PairTask
) -> Compared:
    """
    Compare pairs: a task for another process.

    Args:
        shared: What all such tasks need.
        blocks: Of both groups.
        task: The pairs.
    """
    entries = _entries(blocks, task)
    n_unique = len(shared.weights.weight)
    z = deviations_of(entries, shared.weights)
    on_a, on_b = _spots(entries, shared.permutation, task)
    unique = entries.unique[on_a]
    variance = without_factors(entries)[1]
    weight = shared.weights.weight[unique]
    half = half_squares(z, variance, weight, on_a, on_b)
    columns = (None, z[on_a] * z[on_b], half)
    of_pairs = OfPairs(*(np.bincount(unique, c, n_unique) for c in columns))
    return Compared(_agreement(entries, shared, task), of_pairs)


def _agreement(entries: Entries, shared: ForAgreement, task: PairTask) -> np.ndarray:
    """Agreement of each pair, some at a time."""
    incidence = _incidence(entries, shared.permutation)
    n = len(task.image_a)
    found = np.empty((n, len(STATISTICS)), dtype=np.float32)
    size = np.cumsum(task.n_common) // BLOCK
    sums = (shared.sums.total, shared.sums.variance, shared.sums.number)
    for own in np.split(np.arange(n), np.flatnonzero(np.diff(size)) + 1):
        common = shared_reflections(
            incidence, task.image_a[own], task.image_b[own], task.operator[own],
            task.n_common[own], sums,
        )  # fmt: skip
        agreement = compare_shared(incidence, common, shared.fit_scale, 1)
        for k, name in enumerate(STATISTICS):
            found[own, k] = getattr(agreement, name)
    return found


def group_task(
    shared: ForGroups, blocks: Sequence[CrystalBlock], task: PairTask
) -> ByGroups:
    """
    Sum common spots by groups of crystals: a task for another process.

    Args:
        shared: What all such tasks need.
        blocks: Of both groups.
        task: The pairs.
    """
    entries = _entries(blocks, task)
    z = deviations_of(entries, shared.weights)
    on_a, on_b = _spots(entries, shared.permutation, task)
    kept = shared.parts.use[entries.unique[on_a]]
    on_a, on_b = on_a[kept], on_b[kept]
    unique = entries.unique[on_a]
    crystal = entries.crystal[entries.image]
    weight, variance = shared.weights.weight[unique], without_factors(entries)[1]
    product, part = z[on_a] * z[on_b], shared.parts.of_all[unique]
    half = half_squares(z, variance, weight, on_a, on_b)
    n = shared.n_groups
    pair = shared.group[crystal[on_a]].astype(np.int64) * n
    pair += shared.group[crystal[on_b]]
    columns = product * (1 + part), half + product * part
    common, squares = (np.bincount(pair, c, n * n).reshape(n, n) for c in columns)
    cell, _, _, total, _ = totals_of_cells(entries, z)
    one, two = np.sort([cell[on_a], cell[on_b]], axis=0)
    cells, number = np.unique(one * len(total) + two, return_inverse=True)
    joint = np.bincount(number, product, len(cells))
    of_unique = np.empty(len(cells), dtype=np.int64)
    of_unique[number] = unique
    same, every = shared.parts.of_same[of_unique], shared.parts.of_all[of_unique]
    one, two = np.divmod(cells, max(len(total), 1))
    added = (same * joint) ** 2 - 2 * same * every * joint * total[one] * total[two]
    seen = np.zeros(len(shared.group), dtype=bool)
    seen[crystal[on_a]] = seen[crystal[on_b]] = True
    return ByGroups(common, squares, float(added.sum()), seen)
