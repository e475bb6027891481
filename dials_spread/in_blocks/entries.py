"""
Blocks on one scale, as rows of an incidence matrix: an index that was measured more than once
on an image has the weighted mean, as in dials_spread.incidence.

Functions:
    entries_of: of one block
    columns_of: which index is on which image, and nothing else
    joined: of several blocks
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dials_spread.in_blocks.blocks import CrystalBlock, on_scale


class Entries(NamedTuple):
    """
    Entries of m images; arrays of length n but for indptr and those of images.

    Attributes:
        indptr: Shape (m + 1,).
        column, unique: Numbers of the index and of the unique reflection.
        intensity, variance: On one scale.
        crystal: Shape (m,), the place of each image's crystal in the order of all.
        factor: Shape (m,), of each image.
    """

    indptr: np.ndarray
    column: np.ndarray
    unique: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray
    crystal: np.ndarray
    factor: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """Shape (n,), the image of each entry."""
        return np.repeat(np.arange(len(self.crystal)), np.diff(self.indptr))


class OfEntries(NamedTuple):
    """What is of a block: scale and place of its crystals, factors of its images."""

    scale: np.ndarray
    rank: np.ndarray
    factor: np.ndarray


def _starts(block: CrystalBlock) -> np.ndarray:
    """First observation of each entry: those of a block lie by image and column."""
    new = np.ones(len(block.column), dtype=bool)
    new[1:] = block.column[1:] != block.column[:-1]
    new[block.indptr[:-1][np.diff(block.indptr) > 0]] = True
    return np.flatnonzero(new)


def entries_of(block: CrystalBlock, own: OfEntries) -> Entries:
    """
    Put a block on one scale.

    Args:
        block: As measured.
        own: Its scales and factors.
    """
    start = _starts(block)
    intensity, variance = on_scale(block, own.scale)
    if len(start) < len(intensity):
        weight = 1 / variance
        total = np.add.reduceat(weight, start)
        intensity = np.add.reduceat(weight * intensity, start) / total
        variance = 1 / total
    return Entries(
        indptr=np.searchsorted(start, block.indptr),
        column=block.column[start],
        unique=block.unique[start],
        intensity=intensity,
        variance=variance,
        crystal=own.rank[block.crystal],
        factor=own.factor,
    )


def columns_of(_, block: CrystalBlock) -> tuple[np.ndarray, np.ndarray]:
    """Give the number of entries of each image, and their columns."""
    start = _starts(block)
    return np.diff(np.searchsorted(start, block.indptr)), block.column[start]


def joined(parts: Sequence[Entries]) -> Entries:
    """
    Put the entries of several blocks one after the other.

    Args:
        parts: At least one; images are numbered anew.
    """
    counts = np.concatenate([np.diff(p.indptr) for p in parts])
    columns = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in Entries._fields[1:]
    }
    return Entries(indptr=np.append(0, np.cumsum(counts)), **columns)
