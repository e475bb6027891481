"""
What is expected on the frames of virtual crystals: background, direct beam and spots.

A spot is a Gaussian on the detector and in rotation, with the widths of the profile
model of DIALS (Kabsch (2010), Acta Cryst. D66, 133), and over all pixels and frames its
expected counts add up to `truth.expected`. Between the spots lie

- the background: a constant, and what is scattered inelastically or by the support,
  of Lorentzian shape in the scattering angle (Egerton (2011), Electron Energy-Loss
  Spectroscopy, sections 3.2 and 3.3). On frames of cinchonine measured with a Timepix
  detector it falls by a factor of 60 from 0.08 to 0.76 1/Å; this falls by 60;
- the direct beam, a Gaussian.

Both follow the beam fluctuation of `truth.image_factor`. Reflections that are not in
the table, beyond its resolution limit, hardly within the scan or next to the rotation
axis, are not on the frames either.

Functions:
    expected_frames: all frames of a crystal
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment

from dials_spread.simulation.frame_background import (
    background_counts,
    direct_beam_counts,
)
from dials_spread.simulation.frame_spots import (
    add_spots,
    beam_factors,
    spot_crossings,
    spot_sigma,
)
from dials_spread.simulation.image_files import HIGHEST, FrameGeometry, frame_geometry

_NEEDED = ("truth.expected", "truth.image_factor", "xyzcal.px", "s1", "id")


@dataclass(frozen=True)
class FrameModel:
    """
    What is on a frame besides the spots, and how the detector counts it.

    Attributes:
        background: Mean over the detector [counts per pixel and frame].
        flat_fraction: Part of it that is the same everywhere.
        background_width: Half width at half maximum of the rest [1/Å].
        direct_beam: Electrons of the direct beam in a frame [counts].
        direct_beam_size: Its standard deviation on the detector [pixels].
        point_spread: Standard deviation by which the detector widens spots and direct
            beam beyond the profile model [pixels].
        saturation: Largest count of a pixel. Without it a million in CBF files, and
            what SMV files can hold.
        dead_time: Of a pixel after each electron [s]; it is not prolonged by further
            ones. Losses are those of the mean rate that the electrons of a spot meet,
            which understates what is counted where most are lost.
        counting: Draw Poisson counts. Without it the expected counts are rounded.

    Raises:
        ValueError: A value is out of range.
    """

    background: float = 1.0
    flat_fraction: float = 0.1
    background_width: float = 0.02
    direct_beam: float = 1e6
    direct_beam_size: float = 1.5
    point_spread: float = 0.0
    saturation: int | None = None
    dead_time: float = 0.0
    counting: bool = True

    def __post_init__(self) -> None:
        low = {"background", "direct_beam", "point_spread", "dead_time"}
        above = {"background_width", "direct_beam_size"}
        wrong = [n for n in low if not 0 <= getattr(self, n) < np.inf]
        wrong += [n for n in above if not 0 < getattr(self, n) < np.inf]
        wrong += [] if 0 <= self.flat_fraction <= 1 else ["flat_fraction"]
        wrong += (
            [] if self.saturation is None or self.saturation > 0 else ["saturation"]
        )
        if wrong:
            told = ", ".join(f"{name}={getattr(self, name)}" for name in sorted(wrong))
            raise ValueError(f"Out of range: {told}.")

    def largest_count(self, file_format: str) -> int:
        """The saturation in files of a format [counts]."""
        if self.saturation is None:
            return min(1_000_000, HIGHEST[file_format])
        return int(self.saturation)


class ExpectedFrame(NamedTuple):
    """
    What reaches the detector during one frame.

    Attributes:
        image: Its number.
        expected: Electrons, of shape (slow, fast).
        loss: Dead time times rate, of shape (slow, fast); 0 without dead time.
        fast, slow: Pixels in the middle of the spots, of shape (n,).
    """

    image: int
    expected: np.ndarray
    loss: np.ndarray | float
    fast: np.ndarray
    slow: np.ndarray


def expected_frames(
    experiment: Experiment, reflections: flex.reflection_table, model: FrameModel
) -> Iterator[ExpectedFrame]:
    """
    The expected counts of every frame of a crystal.

    Args:
        experiment: A rotation scan with a profile model.
        reflections: Its reflections alone, as for `write_frames`.
        model: Background, direct beam and dead time.

    Raises:
        ValueError: There is no profile model, or a column is missing.
    """
    missing = [name for name in _NEEDED if name not in reflections]
    if missing:
        raise ValueError(f"The reflections have no {', '.join(missing)}.")
    if experiment.profile is None:
        raise ValueError("Without a profile model spots have no size.")
    geometry = frame_geometry(experiment)
    x, y, _ = (p.as_numpy_array() for p in reflections["xyzcal.px"].parts())
    crossings = spot_crossings(experiment, reflections)
    counts = reflections["truth.expected"].as_numpy_array()
    dead = model.dead_time / geometry.exposure_time
    sigma = float(np.hypot(spot_sigma(experiment), model.point_spread))
    between = still_counts(geometry, model)
    for number, factor in enumerate(beam_factors(experiment, reflections)):
        i, _, fractions, rates = crossings.on(number)
        expected, loss = factor * between, 0.0
        if dead:
            loss = expected * dead
            add_spots(loss, x[i], y[i], counts[i] * rates * dead, sigma)
        add_spots(expected, x[i], y[i], counts[i] * fractions, sigma)
        fast, slow = (
            np.clip(c[i].astype(int), 0, n - 1)
            for c, n in zip((x, y), geometry.image_size)
        )
        yield ExpectedFrame(geometry.first_image + number, expected, loss, fast, slow)


def still_counts(geometry: FrameGeometry, model: FrameModel) -> np.ndarray:
    """What is the same on all frames but for the beam, of shape (slow, fast)."""
    size = float(np.hypot(model.direct_beam_size, model.point_spread))
    return background_counts(
        geometry, model.background, model.flat_fraction, model.background_width
    ) + direct_beam_counts(geometry, model.direct_beam, size)
