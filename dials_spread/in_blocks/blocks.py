"""
From files to blocks, where the workers are.

Functions:
    read_block: a pair of files, read, checked and reduced to columns
    as_block: these columns with the numbers that all blocks have in common
    on_scale: its intensities on one scale
    added_up: what blocks give
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from dataclasses import asdict
from typing import NamedTuple, TypeVar

import numpy as np

from dxtbx.model import Crystal, Experiment

from dials_spread.incidence import pack
from dials_spread.observations import Choices, Observations, build_observations
from dials_spread.observations.canonical_order import order_keys
from dials_spread.observations.error_model import counting_errors
from dials_spread.observations.intensities import choose_intensity
from dials_spread.observations.reading_on_workers import missing_here
from dials_spread.observations.right_factors import Asked, read

LARGEST_INDEX = 1000
"""Of a Miller index, in the numbers that indices are packed into."""

KEYS = 3
"""Intensities that tell the order of crystals besides their number of observations."""


class Reading(NamedTuple):
    """
    How blocks are read.

    Attributes:
        asked: How files are.
        choices: About observations and images.
        error_model: Take off the variances of scaled data what dials.scale has put on.
    """

    asked: Asked
    choices: Choices
    error_model: bool


class BlockFile(NamedTuple):
    """Names of a pair of files as they were given, and for a worker."""

    names: tuple[str, str]
    paths: tuple[str, str]


class BlockSummary(NamedTuple):
    """
    What the process that asks knows of a block of k crystals with m images.

    Attributes:
        problems: All that is wrong, one line each; then nothing else is known.
        experiments: Beam and crystal of each, pickled.
        choice: The intensity in use.
        dropped: Reflections left out, by reason.
        number: Shape (k,), observations of each crystal.
        keys: Shape (k, KEYS), lowest, middle and highest intensity of each.
        hkl: Shape (u,), int64: packed indices that were measured.
        crystal: Shape (m,), of each image, from 0.
        first, last: Shape (m,), frames of each image.
        setting: Shape (m, 3, 3) [Å⁻¹].
        s0: Shape (m, 3) [Å⁻¹].
        notes: Sentences on columns lp.
    """

    problems: list[str]
    experiments: bytes = b""
    choice: str = ""
    dropped: dict[str, int] = {}
    number: np.ndarray = np.empty(0, np.int64)
    keys: np.ndarray = np.empty((0, KEYS))
    hkl: np.ndarray = np.empty(0, np.int64)
    crystal: np.ndarray = np.empty(0, np.int32)
    first: np.ndarray = np.empty(0, np.int32)
    last: np.ndarray = np.empty(0, np.int32)
    setting: np.ndarray = np.empty((0, 3, 3))
    s0: np.ndarray = np.empty((0, 3))
    notes: tuple[str, ...] = ()


class BlockColumns(NamedTuple):
    """
    Observations of a block, by image; arrays of length n.

    Attributes:
        indptr: Shape (m + 1,): those of image i are indptr[i]:indptr[i + 1].
        crystal: Shape (m,), the crystal of each image, from 0.
        hkl: Packed Miller indices.
        intensity, variance: As measured.
    """

    indptr: np.ndarray
    crystal: np.ndarray
    hkl: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray


class CrystalBlock(NamedTuple):
    """
    Observations of a block, by image and index; 24 bytes for each of n.

    Attributes:
        indptr: Shape (m + 1,): those of image i are indptr[i]:indptr[i + 1].
        crystal: Shape (m,), the crystal of each image, from 0.
        column: Shape (n,), int32: number of the index, as in CommonFrame.
        unique: Shape (n,), int32: number of the unique reflection.
        intensity, variance: Shape (n,), as measured.
    """

    indptr: np.ndarray
    crystal: np.ndarray
    column: np.ndarray
    unique: np.ndarray
    intensity: np.ndarray
    variance: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """Shape (n,), the image of each observation."""
        return np.repeat(np.arange(len(self.crystal)), np.diff(self.indptr))

    @property
    def of_crystal(self) -> np.ndarray:
        """Shape (n,), the crystal of each observation."""
        return np.repeat(self.crystal, np.diff(self.indptr))


def read_block(
    how: Reading, task: BlockFile
) -> tuple[BlockSummary, BlockColumns | None]:
    """
    Read a pair of files: a task for another process.

    Args:
        how: It is read.
        task: The files.

    Returns:
        What is told, and the columns, which stay.
    """
    for name, path in zip(task.names, task.paths):
        if not os.path.exists(path):
            return BlockSummary([missing_here(name)]), None
    try:
        return _read(how, task)
    except ValueError as error:
        told = str(error)
        for name, path in zip(task.names, task.paths):
            told = told.replace(path, name)
        lines = [
            line if line.startswith(task.names) else f"{task.names[1]}: {line}"
            for line in told.splitlines()
        ]
        return BlockSummary(lines), None


def _read(how: Reading, task: BlockFile) -> tuple[BlockSummary, BlockColumns]:
    expt, refl = task.paths
    data = read([expt], [refl], **vars(how.asked))
    choices = asdict(how.choices)
    choices["intensity"] = choose_intensity(data.tables, how.choices.intensity)
    found = build_observations(data.experiments, data.tables, **choices)
    variance = found.variance
    if how.error_model:
        variance = counting_errors(found, data.experiments, data.tables).variance
    number, keys = _order(found)
    # Files of one crystal may have tens of scan points, which nothing is asked of here.
    light = [
        Experiment(beam=e.beam, crystal=_without_scan(e.crystal))
        for e in data.experiments
    ]
    images, entry = found.images, found.entry
    hkl = pack(found.miller_index, LARGEST_INDEX)[entry]
    columns = BlockColumns(
        indptr=np.searchsorted(found.entry_image, np.arange(len(images) + 1)),
        crystal=images.crystal.astype(np.int32),
        hkl=hkl,
        intensity=found.intensity[entry],
        variance=variance[entry],
    )
    summary = BlockSummary(
        problems=[],
        experiments=pickle.dumps(light),
        choice=found.choice,
        dropped=found.dropped,
        number=number,
        keys=keys,
        hkl=np.unique(hkl),
        crystal=columns.crystal,
        first=images.first.astype(np.int32),
        last=images.last.astype(np.int32),
        setting=images.setting,
        s0=images.s0,
        notes=tuple(f"{task.names[1]}: {note}" for note in data.notes),
    )
    return summary, columns


def _without_scan(crystal: Crystal) -> Crystal:
    still = Crystal(crystal)
    still.reset_scan_points()
    return still


def _order(found: Observations) -> tuple[np.ndarray, np.ndarray]:
    """What observations.canonical_order sorts crystals by."""
    n = found.n_experiments
    number, keys = np.zeros(n, np.int64), np.zeros((n, KEYS))
    for k, own in enumerate(found.by_crystal(n)):
        if len(own):
            number[k], keys[k] = len(own), order_keys(found.intensity[own])
    return number, keys


def as_block(
    numbers: tuple[np.ndarray, np.ndarray],
    read_before: tuple[BlockSummary, BlockColumns | None],
) -> CrystalBlock:
    """
    Number the indices of a block as all blocks do: a task for another process.

    Args:
        numbers: Packed indices of all columns, rising, and the unique reflection of each.
        read_before: From read_block.

    Raises:
        ValueError: The block was lost with a worker, and cannot be read again.
    """
    closed, unique = numbers
    summary, columns = read_before
    if columns is None:
        raise ValueError("\n".join(summary.problems))
    column = np.searchsorted(closed, columns.hkl).astype(np.int32)
    image = np.repeat(np.arange(len(columns.crystal)), np.diff(columns.indptr))
    order = np.lexsort((column, image))
    column = column[order]
    return CrystalBlock(
        indptr=columns.indptr,
        crystal=columns.crystal,
        column=column,
        unique=unique[column],
        intensity=columns.intensity[order],
        variance=columns.variance[order],
    )


def on_scale(block: CrystalBlock, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give intensities and variances, divided by the scales of the block's crystals."""
    divisor = scale[block.of_crystal]
    return block.intensity / divisor, block.variance / divisor**2


T = TypeVar("T", bound=tuple)


def added_up(parts: Iterable[T]) -> T:
    """
    Add up what blocks give.

    Args:
        parts: At least one named tuple; flags are joined by "or".

    Returns:
        One of the same kind, with the sums of each field.
    """
    rest = iter(parts)
    total = next(rest)
    for part in rest:
        total = type(total)(*(a + b for a, b in zip(total, part)))
    return total
