"""
All frames, each read once, by several workers.

Functions:
    make_blocks: what each worker needs of the frames that it reads
    read_all: the counts of all frames
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from dxtbx.model import Detector, Experiment

from dials_spread import stages
from dials_spread.beam.files import NoFrames, open_frames, unreadable
from dials_spread.beam.frames import FrameCounts, Trusted, count_frame, trusted_ranges
from dials_spread.beam.plan import Frame, ReadingPlan
from dials_spread.beam.regions import BeamRegion, PanelPixels, find_pixels
from dials_spread.beam.spots import SpotBoxes, boxes_on_frame, join_boxes
from dials_spread.orientation import incident_beam
from dials_spread.processes import outcome, submit, worker_pool
from dials_spread.versions import available_cores

FRAMES_AT_ONCE = 20
"""Frames that one worker reads with one opening of files."""


@dataclass(frozen=True)
class Block:
    """
    Frames that are read together; what a worker needs of them, and no more.

    Attributes:
        numbers: Of the frames, in the plan.
        frames: The frames, all of one crystal's images.
        format_kwargs: As the imageset was opened with.
        sizes: Shape (slow, fast) of each panel.
        pixels: Of the regions, panel by panel.
        ranges: Trusted ranges, panel by panel.
        masks: For each panel True where a pixel is good, or None.
        boxes: For each frame those of its spots.
        region: The regions.
    """

    numbers: list[int]
    frames: list[Frame]
    format_kwargs: dict
    sizes: list[tuple[int, int]]
    pixels: list[PanelPixels]
    ranges: list[Trusted]
    masks: list[np.ndarray | None]
    boxes: list[SpotBoxes]
    region: BeamRegion


def static_masks(experiment: Experiment) -> list[np.ndarray | None]:
    """
    Give what never counts: untrusted rectangles, and the mask of dials.generate_mask.

    Args:
        experiment: With an imageset.

    Returns:
        For each panel shape (slow, fast), True where a pixel is good; or None.
    """
    external = experiment.imageset.external_lookup.mask.data
    masks = []
    for k, panel in enumerate(experiment.detector):
        mask = None
        if not external.empty():
            mask = external.tile(k).data().as_numpy_array().copy()
        for x0, y0, x1, y1 in panel.get_mask():
            if mask is None:
                mask = np.ones(panel.get_image_size()[::-1], dtype=bool)
            mask[max(y0, 0) : y1, max(x0, 0) : x1] = False
        masks.append(mask)
    return masks


def make_blocks(
    plan: ReadingPlan,
    experiments: Sequence[Experiment],
    boxes: Sequence[SpotBoxes],
    region: BeamRegion,
) -> list[Block]:
    """
    Cut the plan into blocks for workers.

    Args:
        plan: The frames, those of a crystal one after the other.
        experiments: One a crystal.
        boxes: One a crystal: of its spots.
        region: The regions.

    Returns:
        The blocks, all frames once.

    Raises:
        ValueError: The annulus misses the detector of a crystal.
    """
    blocks, before = [], None
    for (c, _), group in groupby(enumerate(plan.frames), _same_file):
        numbered, experiment = list(group), experiments[c]
        detector, masks = experiment.detector, static_masks(experiment)
        ranges = trusted_ranges(detector)
        for k in range(0, len(numbered), FRAMES_AT_ONCE):
            part = numbered[k : k + FRAMES_AT_ONCE]
            frames = [frame for _, frame in part]
            s0 = tuple(incident_beam(experiment, frames[len(frames) // 2].index + 0.5))
            # Most blocks have the detector and the beam of the one before.
            if before is None or before[1] != s0 or before[0] != detector:
                before = (detector, s0, _pixels(detector, s0, region, c))
            blocks.append(
                Block(
                    numbers=[number for number, _ in part],
                    frames=frames,
                    format_kwargs=dict(experiment.imageset.params() or {}),
                    sizes=[panel.get_image_size()[::-1] for panel in detector],
                    pixels=before[2],
                    ranges=ranges,
                    masks=masks,
                    boxes=[_spots_of(frame, boxes) for frame in frames],
                    region=region,
                )
            )
    return blocks


def _pixels(
    detector: Detector, s0: Sequence[float], region: BeamRegion, crystal: int
) -> list[PanelPixels]:
    try:
        return find_pixels(detector, np.array(s0), region)
    except ValueError as error:
        raise ValueError(f"Crystal {crystal}: {error}") from None


def _same_file(numbered: tuple[int, Frame]) -> tuple:
    """Frames of one file, or of one crystal's files, are opened together."""
    frame = numbered[1]
    return frame.crystals[0], frame.path if frame.place is not None else None


def _spots_of(frame: Frame, boxes: Sequence[SpotBoxes]) -> SpotBoxes:
    return join_boxes([boxes_on_frame(boxes[c], frame.index) for c in frame.crystals])


def read_block(block: Block) -> list[FrameCounts | str]:
    """
    Read the frames of a block, each once.

    Args:
        block: What is to be read.

    Returns:
        For each frame its counts, or why it cannot be read.
    """
    files = [frame.path for frame in block.frames]
    places = [frame.place for frame in block.frames if frame.place is not None]
    single = bool(places)
    try:
        imageset = open_frames(
            files[:1] if single else files,
            places if single else None,
            block.format_kwargs,
        )
    except NoFrames as error:
        if single or len(files) == 1:
            return [str(error)] * len(files)
        # One bad file of many: the others can still be read.
        return [read_block(_only(block, i))[0] for i in range(len(files))]
    return [_read_frame(imageset, i, block) for i in range(len(files))]


def _only(block: Block, i: int) -> Block:
    return replace(block, frames=[block.frames[i]], boxes=[block.boxes[i]])


def _read_frame(imageset, number: int, block: Block) -> FrameCounts | str:
    try:
        panels = [p.as_numpy_array() for p in imageset.get_raw_data(number)]
        masks = block.masks
        if imageset.has_dynamic_mask():  # the shadow of a goniometer
            shadow = [m.as_numpy_array() for m in imageset.get_mask(number)]
            masks = [s if m is None else m & s for m, s in zip(masks, shadow)]
    except Exception as error:  # dxtbx raises whatever its many formats raise
        return str(unreadable(error))
    if [panel.shape for panel in panels] != block.sizes:
        return "The raw images have other panels than the detector model."
    region = block.region
    return count_frame(
        panels, block.pixels, block.ranges, masks, block.boxes[number],
        reject=region.reject, margin=region.margin,
    )  # fmt: skip


def read_all(
    blocks: Sequence[Block], nproc: int | None = None, progress: bool = False
) -> Iterator[tuple[Block, list[FrameCounts | str]]]:
    """
    Read all frames.

    Formats written in Python hold the interpreter's lock while they read, so that the
    workers are processes.

    Args:
        blocks: From make_blocks.
        nproc: Processes; all cores by default.
        progress: Show a progress bar on a terminal.

    Yields:
        Each block with what its frames gave, in order.
    """
    workers = min(nproc or available_cores(), len(blocks))
    total = sum(len(block.frames) for block in blocks)
    with stages.part(total, "Reading images" if progress else None) as done:
        for block, counts in zip(blocks, _results(blocks, workers)):
            done(len(counts))
            yield block, counts


def _results(blocks: Sequence[Block], workers: int) -> Iterator[list]:
    if workers <= 1:
        yield from map(read_block, blocks)
        return
    # Forked workers have everything imported; elsewhere than on Linux that is not safe.
    method = "fork" if sys.platform.startswith("linux") else "spawn"
    context = multiprocessing.get_context(method)
    with worker_pool(workers, context) as pool:
        waiting = deque(submit(pool, read_block, block) for block in blocks)
        while waiting:
            yield outcome(waiting.popleft())
