"""
From frames to images: how intense the beam was on each.

Functions:
    measure_beam: the beam on all images, from raw images
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.beam.frames import FrameCounts
from dials_spread.beam.plan import plan_reading
from dials_spread.beam.regions import BeamRegion
from dials_spread.beam.series import Block, make_blocks, read_all
from dials_spread.beam.spots import spot_boxes
from dials_spread.observations import Images
from dials_spread.versions import is_still

logger = logging.getLogger("dials.spread.beam")

NO_DISC = "No pixel of the detector is within the disc of the direct beam."

LEAST_OF_DISC = 0.5
"""Share of the disc's pixels that must be good on all frames where the beam does not
saturate. What is left of a disc without its middle tells where the beam is, not how
intense."""


@dataclass(frozen=True)
class BeamIntensity:
    """
    The beam on each image, from raw images, in quanta a pixel and frame.

    Attributes:
        region: The regions.
        frames: Shape (images,), frames that were read for each.
        annulus_sum: Shape (images,), sum over the pixels of the annulus that are left,
            of all frames [quanta]; nan where no frame was read.
        annulus_pixels: Shape (images,), these pixels.
        annulus: Shape (images,), mean over the annulus as if no pixel were missing.
        spot_share: Shape (images,), share of the annulus that lies in spots.
        disc: Shape (images,), mean over the disc of the direct beam; nan where a pixel
            of it saturates, or too few can be trusted.
        disc_saturated: Shape (images,), saturated pixels in the disc, a frame.
        frames_read: Frames that were read, each once.
        frames_missing: Reasons, with the number of frames.
        reason: Why there is nothing, in a sentence; empty where there is.
        disc_reason: The same of the disc.
    """

    region: BeamRegion
    frames: np.ndarray
    annulus_sum: np.ndarray
    annulus_pixels: np.ndarray
    annulus: np.ndarray
    spot_share: np.ndarray
    disc: np.ndarray
    disc_saturated: np.ndarray
    frames_read: int
    frames_missing: dict[str, int]
    reason: str
    disc_reason: str

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return {**vars(self), "region": self.region.as_dict()}


def measure_beam(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    images: Images,
    region: BeamRegion,
    folders: Sequence[str | Path] = (),
    nproc: int | None = None,
    progress: bool = False,
) -> BeamIntensity:
    """
    Measure how intense the beam was on each image.

    Args:
        experiments: One a crystal, with imagesets.
        tables: The reflections of each, all of them, for the pixels of their spots.
        images: The images.
        region: Annulus and disc.
        folders: Where to look for images besides the stored places.
        nproc: Processes; all cores by default.
        progress: Show a progress bar on a terminal.

    Returns:
        The intensities; without images, or with the beam off the detector, none, and
        the reason.
    """
    plan = plan_reading(experiments, images.crystal, images.first, images.last, folders)
    if not plan.frames:
        return _nothing(images, region, plan.missing, _first(plan.missing))
    boxes = [spot_boxes(t, is_still(e)) for e, t in zip(experiments, tables)]
    try:
        blocks = make_blocks(plan, experiments, boxes, region)
    except ValueError as error:
        return _nothing(images, region, plan.missing, f"{error}.")
    counts: list[FrameCounts | str] = [""] * len(plan.frames)
    disc = np.full(len(plan.frames), np.nan)
    missing = dict(plan.missing)
    for crystal_blocks in _by_crystal(read_all(blocks, nproc, progress)):
        numbers = [n for block, _ in crystal_blocks for n in block.numbers]
        results = [c for _, some in crystal_blocks for c in some]
        for number, result in zip(numbers, results):
            counts[number] = result
            if isinstance(result, str):
                missing[result] = missing.get(result, 0) + 1
        good = [(n, c) for n, c in zip(numbers, results) if not isinstance(c, str)]
        disc[[n for n, _ in good]] = steady_disc(
            [c.disc for _, c in good], [c.disc_saturated.any() for _, c in good]
        )
    of_image = [
        [plan.where[c, f] for f in range(a, b + 1) if (c, f) in plan.where]
        for c, a, b in zip(images.crystal, images.first, images.last)
    ]
    return _combine(region, of_image, counts, disc, missing)


def _first(missing: dict[str, int]) -> str:
    """The commonest reason."""
    return max(missing, key=missing.__getitem__) if missing else "There are no images."


def _by_crystal(read) -> list[list[tuple[Block, list]]]:
    """Blocks of one crystal's images, whose disc has the same pixels, together."""
    groups: dict[tuple, list] = {}
    for block, counts in read:
        key = (block.frames[0].crystals[0], sum(len(p.disc) for p in block.pixels))
        groups.setdefault(key, []).append((block, counts))
    return list(groups.values())


def steady_disc(discs: Sequence[np.ndarray], saturated: Sequence[bool]) -> np.ndarray:
    """
    Give the mean over the disc, over the same pixels on all frames.

    Args:
        discs: One a frame, shape (pixels,) each [quanta], nan where not trusted.
        saturated: One a frame: some pixel of its disc is.

    Returns:
        Shape (frames,); nan for a frame that saturates, and for all where fewer than
        LEAST_OF_DISC of the pixels are good on the others.
    """
    means = np.full(len(discs), np.nan)
    use = np.flatnonzero(~np.asarray(saturated, dtype=bool))
    if not len(use) or not len(discs[0]):
        return means
    values = np.array([discs[n] for n in use], dtype=float)
    good = np.isfinite(values).all(axis=0)
    if good.mean() >= LEAST_OF_DISC:
        means[use] = values[:, good].mean(axis=1)
    return means


def _nothing(
    images: Images, region: BeamRegion, missing: dict[str, int], reason: str
) -> BeamIntensity:
    none = np.full(len(images), np.nan)
    zero = np.zeros(len(images), dtype=int)
    return BeamIntensity(
        region=region,
        frames=zero,
        annulus_sum=none,
        annulus_pixels=zero,
        annulus=none,
        spot_share=none,
        disc=none,
        disc_saturated=none,
        frames_read=0,
        frames_missing=missing,
        reason=reason,
        disc_reason=reason,
    )


def _combine(
    region: BeamRegion,
    of_image: Sequence[Sequence[int]],
    counts: Sequence[FrameCounts | str],
    disc: np.ndarray,
    missing: dict[str, int],
) -> BeamIntensity:
    """Put the frames of each image together."""
    read = [
        [counts[n] for n in ns if not isinstance(counts[n], str)] for ns in of_image
    ]
    good = [[n for n in ns if not isinstance(counts[n], str)] for ns in of_image]

    def over(name, combine):
        return np.array(
            [combine([getattr(f, name) for f in fs]) if fs else np.nan for fs in read]
        )

    left = over("pixels", np.sum)
    spots = over("in_spots", np.sum)
    n_read = sum(not isinstance(f, str) for f in counts)
    of_frames = [disc[ns][np.isfinite(disc[ns])] for ns in good]
    disc_of_image = np.array([d.mean() if len(d) else np.nan for d in of_frames])
    disc_reason = ""
    if not np.isfinite(disc_of_image).any():
        disc_reason = _why_no_disc([f for f in counts if not isinstance(f, str)])
    with np.errstate(invalid="ignore", divide="ignore"):
        share = spots / (left + spots)
    return BeamIntensity(
        region=region,
        frames=np.array([len(fs) for fs in read]),
        annulus_sum=over("total", np.sum),
        annulus_pixels=np.nan_to_num(left).astype(int),
        annulus=over("level", np.mean),
        spot_share=share,
        disc=disc_of_image,
        disc_saturated=over("disc_saturated", lambda s: np.mean([x.sum() for x in s])),
        frames_read=n_read,
        frames_missing=missing,
        reason="" if n_read else _first(missing),
        disc_reason=disc_reason or ("" if n_read else _first(missing)),
    )


def _why_no_disc(frames: Sequence[FrameCounts]) -> str:
    """Say why the direct beam tells nothing."""
    sizes = [len(f.disc) for f in frames]
    if not any(sizes):
        return NO_DISC if frames else ""
    saturated = np.array([f.disc_saturated.sum() for f in frames])
    if saturated.all():
        return (
            f"The direct beam saturates on every frame, {saturated.mean():.1f} pixels "
            "of its disc on average."
        )
    return "Too few pixels of the direct beam's disc can be trusted."
