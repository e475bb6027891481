"""
One scale for each crystal, from medians of which no process holds all values.

`pairs.scales.crystal_scales` alternates medians of each reflection, over crystals, and
medians of each crystal, over reflections. A median is no sum; so strong observations are
held twice: crystal by crystal in the blocks, and reflection by reflection in some parts
that go between the workers once. Then only the medians go to and fro.

Functions:
    scales_of_blocks: of all crystals, and what they leave of the variance
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dials_spread import cluster
from dials_spread.in_blocks.blocks import CrystalBlock
from dials_spread.in_blocks.frame import CommonFrame
from dials_spread.pairs.scales import FEWEST, ROUNDS, STRONG, left_by_median
from dials_spread.stages import stage
from dials_spread.statistics.groups import group_medians

IN_A_PART = 5_000_000
"""Observations of the reflections of one part, roughly."""


@dataclass(frozen=True)
class CrystalScales:
    """
    Scales of k crystals.

    Attributes:
        scale: Shape (k,), what intensities are divided by.
        number: Shape (k,), observations with a say in each; none where scaled.
        shared: Shape (u,), bool: reflections that several crystals have strong.
    """

    scale: np.ndarray
    number: np.ndarray
    shared: np.ndarray

    def left(self, block: CrystalBlock, number: np.ndarray) -> np.ndarray:
        """
        Give what the scales leave of the variance of each observation of a block.

        Args:
            block: n observations.
            number: Shape (crystals of the block,), part of `number`.
        """
        left = np.ones(len(block.unique))
        rows = _strong(block)
        of = number[block.of_crystal[rows]]
        used = self.shared[block.unique[rows]] & (of >= FEWEST)
        left[rows[used]] = left_by_median(of[used])
        return left


def _strong(block: CrystalBlock) -> np.ndarray:
    """Numbers of the observations that may have a say."""
    return np.flatnonzero(block.intensity > STRONG * np.sqrt(block.variance))


def _crystals_of(n_unique: int, block: CrystalBlock) -> np.ndarray:
    """Count the crystals that have each reflection strong, shape (n_unique,)."""
    rows, n = _strong(block), int(block.crystal.max(initial=0)) + 1
    pairs = np.unique(block.unique[rows].astype(np.int64) * n + block.of_crystal[rows])
    return np.bincount(pairs // n, minlength=n_unique)


def _number_of(shared: np.ndarray, block: CrystalBlock, n_crystals: int) -> np.ndarray:
    """Count the shared strong observations of each crystal."""
    rows = _strong(block)
    rows = rows[shared[block.unique[rows]]]
    return np.bincount(block.of_crystal[rows], minlength=n_crystals)


def _dealt(n_parts: int, block: CrystalBlock, first_crystal: int) -> list[tuple]:
    """Divide strong observations by reflection: unique, crystal and log I of each."""
    rows = _strong(block)
    unique, crystal = block.unique[rows], block.of_crystal[rows] + first_crystal
    log_i = np.log(block.intensity[rows])
    part = unique % n_parts
    return [
        (unique[own], crystal[own].astype(np.int32), log_i[own])
        for own in (np.flatnonzero(part == k) for k in range(n_parts))
    ]


def _take(k: int, parts: list[tuple]) -> tuple:
    return parts[k]


def _joined(_, parts: Sequence[tuple]) -> tuple:
    """One part, of all blocks."""
    return tuple(np.concatenate(columns) for columns in zip(*parts))


def _merged(shared: tuple[int, np.ndarray], part: tuple) -> np.ndarray:
    """Medians of the reflections of a part; nan for others."""
    n_unique, log_scale = shared
    unique, crystal, log_i = part
    return group_medians(log_i - log_scale[crystal], unique, n_unique)


def _found(shared: tuple, block: CrystalBlock, n_crystals: int) -> np.ndarray:
    """Medians of the crystals of a block, from those of reflections."""
    merged, several = shared
    rows = _strong(block)
    rows = rows[several[block.unique[rows]]]
    residual = np.log(block.intensity[rows]) - merged[block.unique[rows]]
    return group_medians(residual, block.of_crystal[rows], n_crystals)


@stage("Scales of crystals")
def scales_of_blocks(frame: CommonFrame, blocks: Sequence[Any]) -> CrystalScales:
    """
    Put crystals on one scale, as pairs.scales.crystal_scales and left_by_scales do.

    Args:
        frame: What blocks have in common.
        blocks: Handles.
    """
    k, n_unique = len(frame.number), frame.n_unique
    nothing = np.zeros(k, dtype=np.int64)
    if frame.scaled:
        return CrystalScales(np.ones(k), nothing, np.zeros(n_unique, dtype=bool))
    sizes = np.diff(frame.first_crystal).tolist()
    with_sizes = [*zip(blocks, sizes)]
    crystals = sum(cluster.told(_crystals_of, n_unique, [(b,) for b in blocks]))
    shared = crystals > 1
    number = np.concatenate([*cluster.told(_number_of, shared, with_sizes)])
    enough = number >= FEWEST
    parts = _by_reflection(frame, blocks)
    log_scale = np.zeros(k)
    for _ in range(ROUNDS):
        merged = np.full(n_unique, np.nan)
        for own in cluster.told(_merged, (n_unique, log_scale), [(p,) for p in parts]):
            merged = np.where(np.isfinite(own), own, merged)
        found = [*cluster.told(_found, (merged, shared), with_sizes)]
        log_scale = np.where(enough, np.nan_to_num(np.concatenate(found)), 0.0)
        # In their order, so that the mean is that of one process to the last digit.
        if enough.any():
            log_scale[enough] -= log_scale[enough].mean()
    return CrystalScales(np.exp(log_scale), number, shared)


def _by_reflection(frame: CommonFrame, blocks: Sequence[Any]) -> list:
    """Handles of strong observations, reflection by reflection."""
    n_parts = max(1, min(int(frame.number.sum()) // IN_A_PART, frame.n_unique))
    firsts = frame.first_crystal[:-1].tolist()
    dealt = cluster.keep(_dealt, n_parts, [*zip(blocks, firsts)])
    parts = []
    for k in range(n_parts):
        own = cluster.keep(_take, k, [(d,) for d in dealt])
        parts += cluster.keep(_joined, None, [(own,)])
    return parts
