"""
Which file is read for which frame.

Crystals that share images (several lattices on one sweep) share the reading: a frame
is read for the first of them, and the spots of all are left out.

Functions:
    plan_reading: the files of all frames, each once, and what is missing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dxtbx.model import Experiment

from dials_spread.beam.files import NoFrames, find_frame_files
from dials_spread.versions import is_still


@dataclass(frozen=True)
class Frame:
    """
    One frame and where it is read from.

    Attributes:
        path: File.
        place: In a file of several frames; None in a file of its own.
        index: Array index of the frame; 0 for a still.
        crystals: Experiments whose spots are on it, the first one first.
    """

    path: str
    place: int | None
    index: int
    crystals: tuple[int, ...]


@dataclass(frozen=True)
class ReadingPlan:
    """
    What is to be read.

    Attributes:
        frames: Each file and place once.
        where: The number among these of each (crystal, frame number).
        missing: Why frames cannot be read, with the number of frames.
    """

    frames: list[Frame]
    where: dict[tuple[int, int], int]
    missing: dict[str, int]


def plan_reading(
    experiments: Sequence[Experiment],
    crystal: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    folders: Sequence[str | Path] = (),
) -> ReadingPlan:
    """
    Find the file of each frame that an image is made of.

    Args:
        experiments: One a crystal.
        crystal: Shape (n,), of each image.
        first: Shape (n,), number of its first frame.
        last: Shape (n,), of its last.
        folders: Where to look besides the stored places.

    Returns:
        The plan.
    """
    found: dict[tuple[str, int | None], int] = {}
    indices: list[int] = []
    seen_by: list[list[int]] = []
    where: dict[tuple[int, int], int] = {}
    missing: dict[str, int] = {}
    for c, begin, end in zip(map(int, crystal), first, last):
        for number in range(int(begin), int(end) + 1):
            try:
                files, places = find_frame_files(
                    experiments[c], number, number, folders
                )
            except NoFrames as error:
                reason = _without_number(experiments[c], str(error))
                missing[reason] = missing.get(reason, 0) + 1
                continue
            key = (files[0], places[0] if places else None)
            if key not in found:
                found[key] = len(indices)
                still = is_still(experiments[c])
                indices.append(0 if still else number - 1)
                seen_by.append([])
            where[c, number] = found[key]
            if c not in seen_by[found[key]]:
                seen_by[found[key]].append(c)
    frames = [
        Frame(path, place, index, tuple(crystals))
        for (path, place), index, crystals in zip(found, indices, seen_by)
    ]
    return ReadingPlan(frames=frames, where=where, missing=missing)


def _without_number(experiment: Experiment, reason: str) -> str:
    """One reason for all frames of a scan that are not there."""
    imageset = experiment.imageset
    if "not found" in reason and hasattr(imageset, "get_template"):
        return f"Raw images {Path(imageset.get_template()).name} were not found."
    return reason
