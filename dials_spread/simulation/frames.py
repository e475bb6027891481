"""
Raw frames of virtual crystals: background, direct beam, spots and Poisson noise.

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
    write_frames: the frames of all crystals
    write_crystal_frames: those of one crystal, for parallel tasks
    name_frames: let experiments point at their frames
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.imageset import ImageSetFactory
from dxtbx.model.experiment_list import Experiment, ExperimentList

from dials_spread.simulation.detection import record
from dials_spread.simulation.frame_background import (
    background_counts,
    direct_beam_counts,
)
from dials_spread.simulation.frame_spots import (
    add_spots,
    beam_factors,
    rocking_fractions,
    spot_sigma,
)
from dials_spread.simulation.image_files import (
    HIGHEST,
    SUFFIXES,
    frame_geometry,
    write_image,
)

logger = logging.getLogger("dials.spread.frames")

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
        saturation: Largest count of a pixel. Without it a million in CBF files, and
            what SMV files can hold.
        dead_time: Of a pixel after each electron [s]; it is not prolonged by further
            ones.
        counting: Draw Poisson counts. Without it the expected counts are rounded.

    Raises:
        ValueError: A value is out of range.
    """

    background: float = 1.0
    flat_fraction: float = 0.1
    background_width: float = 0.02
    direct_beam: float = 1e6
    direct_beam_size: float = 1.5
    saturation: int | None = None
    dead_time: float = 0.0
    counting: bool = True

    def __post_init__(self) -> None:
        low = {"background", "direct_beam", "dead_time"}
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


def write_frames(
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    folder: Path,
    *,
    file_format: str = "cbf",
    rng: np.random.Generator,
    model: FrameModel = FrameModel(),  # noqa: B008, it is immutable
) -> list[Path]:
    """
    Write the frames of every crystal.

    Each crystal has random numbers of its own, so that it does not depend on the others.

    Args:
        experiments: Rotation scans with profile models.
        reflections: With `truth.expected`, `truth.image_factor` and predictions.
        folder: Made where it does not exist.
        file_format: "cbf" or "smv".
        rng: Source of one seed for each crystal.
        model: Background, direct beam and detector.

    Returns:
        The files, crystal by crystal.

    Raises:
        ValueError: The geometry or a column cannot be used; see `frame_geometry`.
        OSError: A file cannot be written.
    """
    if file_format not in SUFFIXES:
        raise ValueError(f"Frames are written as cbf or smv, not as {file_format}.")
    for experiment in experiments:
        frame_geometry(experiment)  # fail before the work
    seeds = rng.integers(2**63, size=len(experiments))
    files = []
    for index, (experiment, seed) in enumerate(zip(experiments, seeds)):
        own = reflections.select(reflections["id"] == index)
        files += write_crystal_frames(
            experiment, own, Path(folder), index, int(seed), file_format, model
        )
    size = sum(file.stat().st_size for file in files)
    logger.info("%d frames in %s, %.0f MB.", len(files), folder, size * 1e-6)
    return files


def write_crystal_frames(
    experiment: Experiment,
    reflections: flex.reflection_table,
    folder: Path,
    index: int,
    seed: int,
    file_format: str = "cbf",
    model: FrameModel = FrameModel(),  # noqa: B008
) -> list[Path]:
    """
    Write the frames of one crystal.

    Args:
        experiment: Its experiment.
        reflections: Its reflections alone.
        folder: Made where it does not exist.
        index: Its number in the list, from zero, for the names of the files.
        seed: Of all its random numbers.
        file_format, model: See `write_frames`.

    Returns:
        The files.
    """
    geometry = frame_geometry(experiment)
    saturation = model.largest_count(file_format)
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    template = frame_template(folder, index, file_format)
    files = []
    for image, expected in expected_frames(experiment, reflections, model):
        dead = model.dead_time / geometry.exposure_time
        counts = record(rng, expected, dead, model.counting)
        files.append(Path(str(template).replace("#####", f"{image:05d}")))
        write_image(files[-1], counts, geometry, image, saturation, file_format)
    return files


def frame_template(folder: Path, index: int, file_format: str) -> Path:
    """The names of a crystal's frames, by its number in the list from zero."""
    return Path(folder) / f"simulated_{index + 1:04d}_#####{SUFFIXES[file_format]}"


def name_frames(experiments: ExperimentList, folder: Path, file_format: str) -> None:
    """
    Let experiments point at their frames, written or not.

    Args:
        experiments: Their imagesets are replaced.
        folder, file_format: As given to `write_frames`.
    """
    for index, experiment in enumerate(experiments):
        first, last = experiment.scan.get_image_range()
        experiment.imageset = ImageSetFactory.make_sequence(
            str(frame_template(Path(folder).resolve(), index, file_format)),
            list(range(first, last + 1)),
            beam=experiment.beam,
            detector=experiment.detector,
            goniometer=experiment.goniometer,
            scan=experiment.scan,
            check_format=False,
        )


def expected_frames(
    experiment: Experiment, reflections: flex.reflection_table, model: FrameModel
) -> Iterator[tuple[int, np.ndarray]]:
    """
    The expected counts of every frame of a crystal.

    Args:
        experiment: A rotation scan with a profile model.
        reflections: Its reflections alone, as for `write_frames`.
        model: Background and direct beam.

    Yields:
        Number of the frame, and expected counts of shape (slow, fast).

    Raises:
        ValueError: There is no profile model, or a column is missing.
    """
    missing = [name for name in _NEEDED if name not in reflections]
    if missing:
        raise ValueError(f"The reflections have no {', '.join(missing)}.")
    if experiment.profile is None:
        raise ValueError("Without a profile model spots have no size.")
    geometry = frame_geometry(experiment)
    x, y, z = (p.as_numpy_array() for p in reflections["xyzcal.px"].parts())
    rows, frames, parts = rocking_fractions(experiment, reflections)
    counts = reflections["truth.expected"].as_numpy_array()
    sigma = spot_sigma(experiment)
    factors = beam_factors(experiment, reflections)
    between = background_counts(
        geometry, model.background, model.flat_fraction, model.background_width
    )
    between += direct_beam_counts(geometry, model.direct_beam, model.direct_beam_size)
    for number, factor in enumerate(factors):
        frame = factor * between
        here = frames == number
        spots = rows[here]
        add_spots(frame, x[spots], y[spots], counts[spots] * parts[here], sigma)
        yield geometry.first_image + number, frame
