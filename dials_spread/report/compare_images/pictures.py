"""
Two raw images in a common orientation, on one grid across the beam.

A point of the grid is a pair of components [Å⁻¹] of ``s1 - s0`` along
orientation.axes_across(s0), as in SpotComparison. For each the direction of s1 and the
pixel that sees it follow, on whichever panel, so that detectors of many panels, tilts
and off-centre beams need no special care.

Functions:
    build_picture: of a chosen pair
    resample: one image on the grid
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dxtbx.model import Detector, Experiment

from dials_spread import orientation
from dials_spread.beam.files import NeverRecorded
from dials_spread.observations import Observations
from dials_spread.pairs import SpotComparison
from dials_spread.report.compare_images.frames import NoFrames, pixel_at, read_frames

GRID = 440
"""Points along each side of a picture; with 16 levels about 100 kB in a page."""

LEVELS = 16

BRIGHT_PERCENTILE = 99.8
"""Of all points above the background; what is brighter is drawn alike."""

RING_WIDTH = 3
"""Grid points across a ring of the background."""

RING_PERCENTILE = 80
"""Above the median, so that the noise of the background is paper too."""

INKS = ((0, 114, 178), (213, 94, 0))
"""Image a and image b in the overlay, as plot_style.BLUE and RED."""


@dataclass(frozen=True)
class Picture:
    """
    The pixels of two images in a common orientation.

    Attributes:
        pixels_a: Shape (n, n), counts per frame of image a; the first row is the
            highest position. nan where nothing was recorded. None without raw images.
        pixels_b: The same for image b, turned onto a.
        limit: The grid spans -limit to limit [Å⁻¹] both ways.
        reason: Why there are no pixels, a sentence; empty where there are.
    """

    pixels_a: np.ndarray | None
    pixels_b: np.ndarray | None
    limit: float
    reason: str = ""

    def encode(self) -> list[str]:
        """Give a, b and their overlay as PNG in data URLs; none without pixels."""
        if self.pixels_a is None or self.pixels_b is None:
            return []
        a, b = darkness(self.pixels_a), darkness(self.pixels_b)
        level = np.arange(LEVELS)
        grey = np.repeat(255 - 255 * level // (LEVELS - 1), 3).reshape(-1, 3)
        both = _palette(np.repeat(level, LEVELS), np.tile(level, LEVELS))
        return [
            _data_url(a, grey.astype(np.uint8)),
            _data_url(b, grey.astype(np.uint8)),
            _data_url(LEVELS * a + b, both),
        ]


def ring_background(pixels: np.ndarray) -> np.ndarray:
    """
    Estimate the background, which in electron diffraction falls steeply outwards.

    Args:
        pixels: Shape (n, n), centred on the beam; nan where nothing was recorded.

    Returns:
        Shape (n, n): a percentile over the ring that each point is on; 0 where unknown.
    """
    centre = np.arange(len(pixels)) - 0.5 * (len(pixels) - 1)
    ring = (np.hypot(*np.meshgrid(centre, centre)) / RING_WIDTH).astype(int)
    known = np.isfinite(pixels)
    order = np.lexsort((pixels[known], ring[known]))
    values, rings = pixels[known][order], ring[known][order]
    start = np.searchsorted(rings, np.arange(ring.max() + 2))
    level = np.zeros(ring.max() + 1)
    filled = np.flatnonzero(np.diff(start))
    place = start[:-1] + RING_PERCENTILE * np.diff(start) // 100
    level[filled] = values[place[filled]]
    return level[ring]


def darkness(pixels: np.ndarray) -> np.ndarray:
    """
    Turn counts into what is printed, 0 for paper and LEVELS - 1 for black.

    Args:
        pixels: Shape (n, n), centred on the beam; nan where nothing was recorded.

    Returns:
        Shape (n, n), int: by the square root of the counts above the background, which
        shows weak spots beside strong ones.
    """
    above = np.nan_to_num(pixels - ring_background(pixels))
    high = np.percentile(above, BRIGHT_PERCENTILE)
    if high <= 0:
        high = max(above.max(), 1.0)
    part = np.sqrt(np.clip(above / high, 0, 1))
    return np.round(part * (LEVELS - 1)).astype(int)


def _palette(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Colours of two inks on white paper: where both are, it comes out dark."""
    paper = np.ones((a.size, 3))
    for level, ink in zip((a, b), INKS):
        part = level[:, None] / (LEVELS - 1)
        paper *= 1 - part * (1 - np.array(ink) / 255)
    return np.round(255 * paper).astype(np.uint8)


def _data_url(numbers: np.ndarray, palette: np.ndarray) -> str:
    """A PNG with a palette, which is small and exact."""
    image = Image.fromarray(numbers.astype(np.uint8), "P")
    image.putpalette(palette.tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", bits=4 if len(palette) <= 16 else 8)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _grid(limit: float, n: int) -> np.ndarray:
    """Positions of the grid's points, from the top left, shape (n * n, 2)."""
    centre = (np.arange(n) + 0.5) / n * 2 * limit - limit
    x, y = np.meshgrid(centre, centre[::-1])
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _step(detector: Detector, s0: np.ndarray) -> float:
    """Distance [Å⁻¹] across the beam from pixel to pixel, about the direct beam."""
    panel = detector[0]
    distance = abs(panel.get_directed_distance())
    return float(np.linalg.norm(s0) * min(panel.get_pixel_size()) / distance)


def resample(
    panels: Sequence[np.ndarray],
    detector: Detector,
    s0: np.ndarray,
    turn: np.ndarray,
    limit: float,
    n: int = GRID,
) -> np.ndarray:
    """
    Bring an image onto the grid across the beam.

    Args:
        panels: Counts of each panel, shape (slow, fast).
        detector: Its geometry.
        s0: Shape (3,) [Å⁻¹].
        turn: Shape (2, 2), takes the image's positions to the grid's.
        limit: The grid spans -limit to limit [Å⁻¹].
        n: Points along each side.

    Returns:
        Shape (n, n), the mean of the pixels within each point's square; nan off the
        detector and beyond what elastic scattering reaches.
    """
    fine = int(np.clip(np.ceil(2 * limit / n / _step(detector, s0)), 1, 6))
    position = _grid(limit, n * fine) @ np.linalg.inv(turn).T
    along = s0 @ s0 - (position**2).sum(axis=1)
    axes = orientation.axes_across(s0)
    forward = s0 / np.linalg.norm(s0)
    s1 = position @ axes + np.sqrt(np.clip(along, 0, None))[:, None] * forward
    values = np.full(len(s1), np.nan)
    for panel, counts in zip(detector, panels):
        seen, fast, slow = pixel_at(panel, s1)
        values[seen] = counts[slow, fast]
    values[along <= 0] = np.nan
    squares = values.reshape(n, fine, n, fine).swapaxes(1, 2).reshape(n, n, -1)
    known = np.isfinite(squares)
    total = np.where(known, squares, 0).sum(axis=2)
    count = known.sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def picture_limit(spots: SpotComparison) -> float:
    """
    Choose how far a picture reaches.

    Args:
        spots: With the positions of all spots.

    Returns:
        [Å⁻¹], a little beyond the farthest spot of either image.
    """
    every = np.concatenate([spots.spots_a, spots.spots_b])
    return 1.08 * float(np.abs(every).max(initial=0.1))


def build_picture(
    experiments: Sequence[Experiment],
    observations: Observations,
    spots: SpotComparison,
    folders: Sequence[str | Path] = (),
) -> Picture | None:
    """
    Lay two raw images over one another.

    Args:
        experiments: One a crystal, as given to build_observations; their images need
            not have been opened.
        observations: With the images.
        spots: The pair, with the turn that takes b's positions to a's.
        folders: Where to look for raw images besides the stored place: usually the
            folders of the experiment lists.

    Returns:
        The picture; without pixels, but with the reason, where raw images cannot be
        read; None where there never were any.
    """
    limit = picture_limit(spots)
    images = observations.images

    def pixels(image: int, turn: np.ndarray) -> np.ndarray:
        experiment = experiments[int(images.crystal[image])]
        first, last = int(images.first[image]), int(images.last[image])
        panels = read_frames(experiment, first, last, folders)
        return resample(panels, experiment.detector, images.s0[image], turn, limit)

    try:
        a, b = pixels(spots.image_a, np.eye(2)), pixels(spots.image_b, spots.turn)
    except NeverRecorded:
        return None
    except NoFrames as error:
        return Picture(None, None, limit, str(error))
    return Picture(a, b, limit)
