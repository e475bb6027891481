"""
Raw frames of virtual crystals, written to files.

Functions:
    check_room: refuse what would not fit on the disk
    write_frames: the frames of all crystals
    draw_frames: the same, to be put into their folder with other files
    write_crystal_frames: those of one crystal
    name_frames: let experiments point at their frames
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dials.array_family import flex
from dxtbx.imageset import ImageSetFactory
from dxtbx.model.experiment_list import Experiment, ExperimentList

from dials_spread.output_files import Drawn, draw_files, write_together
from dials_spread.simulation.detection import record
from dials_spread.simulation.driver import Resources, run_tasks
from dials_spread.simulation.frame_contents import FrameModel, expected_frames
from dials_spread.simulation.image_files import SUFFIXES, frame_geometry, write_image

logger = logging.getLogger("dials.spread.frames")


def write_frames(
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    folder: Path,
    **choices,
) -> list[Path]:
    """
    Write the frames of every crystal: `draw_frames`, and all of them into their folder.

    Args:
        experiments, reflections, folder, choices: As there.

    Returns:
        The files, crystal by crystal.
    """
    drawn = draw_frames(experiments, reflections, folder, **choices)
    write_together({}, [drawn])
    return drawn.paths


def draw_frames(
    experiments: ExperimentList,
    reflections: flex.reflection_table,
    folder: Path,
    *,
    file_format: str = "cbf",
    rng: np.random.Generator,
    model: FrameModel = FrameModel(),  # noqa: B008, it is immutable
    resources: Resources = Resources(),  # noqa: B008
) -> Drawn:
    """
    Make the frames of every crystal, and let the experiments point at them.

    Each crystal has random numbers of its own, so that it does not depend on the others.

    Args:
        experiments: Rotation scans with profile models. Their imagesets are replaced.
        reflections: With `truth.expected`, `truth.image_factor` and predictions.
        folder: Made where it does not exist; what is around it must be there.
        file_format: "cbf" or "smv".
        rng: Source of one seed for each crystal.
        model: Background, direct beam and detector.
        resources: Where crystals are worked on: here, or in local processes.

    Returns:
        The files, crystal by crystal, for `write_together`.

    Raises:
        ValueError: The geometry or a column cannot be used; see `frame_geometry`.
        OSError: A file cannot be written.
    """
    if file_format not in SUFFIXES:
        raise ValueError(f"Frames are written as cbf or smv, not as {file_format}.")
    for experiment in experiments:
        frame_geometry(experiment)  # fail before the work
    tasks = [
        FrameTask(index, int(seed), e, reflections.select(reflections["id"] == index))
        for index, (e, seed) in enumerate(
            zip(experiments, rng.integers(2**63, size=len(experiments)))
        )
    ]
    written = []

    def draw(made: str) -> list[Path]:
        shared = (Path(made), file_format, model)
        written.extend(run_tasks(write_crystal_frames, shared, tasks, resources))
        return [file for one in written for file in one.files]

    drawn = draw_files(folder, draw)
    name_frames(experiments, folder, file_format)
    _log_frames(drawn, sum(one.n_saturated for one in written))
    return drawn


def _log_frames(drawn: Drawn, n_saturated: int) -> None:
    size = sum(Path(move.made).stat().st_size for move in drawn.moves)
    n, folder = len(drawn.paths), drawn.paths[0].parent.name
    logger.info("%d frames in %s, %.0f MB.", n, folder, size * 1e-6)
    if n_saturated:
        logger.warning(
            "%d spots have saturated pixels, which are marked in the frames: the "
            "intensities of strong reflections will be missing or wrong.",
            n_saturated,
        )


@dataclass(frozen=True)
class FrameTask:
    """
    What is a crystal's own.

    Attributes:
        index: Its number in the list, from zero, for the names of the files.
        seed: Of all its random numbers.
        experiment: Its experiment.
        reflections: Its reflections alone.
    """

    index: int
    seed: int
    experiment: Experiment
    reflections: flex.reflection_table


class CrystalFrames(NamedTuple):
    """
    What was written of one crystal.

    Attributes:
        files: In the order of the scan.
        n_saturated: Spots, one count for each frame, with a saturated pixel.
    """

    files: list[Path]
    n_saturated: int


def write_crystal_frames(
    shared: tuple[Path, str, FrameModel], task: FrameTask, threads: int | None = 1
) -> CrystalFrames:
    """
    Write the frames of one crystal.

    Args:
        shared: The folder, made where it does not exist, the format and the model.
        task: What is the crystal's own.
        threads: Not used; `run_tasks` gives it.
    """
    folder, file_format, model = shared
    geometry = frame_geometry(task.experiment)
    saturation = model.largest_count(file_format)
    rng = np.random.default_rng(task.seed)
    folder.mkdir(parents=True, exist_ok=True)
    template = str(frame_template(folder, task.index, file_format))
    files, n_saturated = [], 0
    for frame in expected_frames(task.experiment, task.reflections, model):
        counts = record(rng, frame.expected, frame.loss, model.counting)
        n_saturated += np.count_nonzero(counts[frame.slow, frame.fast] > saturation)
        files.append(Path(template.replace("#####", f"{frame.image:05d}")))
        write_image(files[-1], counts, geometry, frame.image, saturation, file_format)
    return CrystalFrames(files, n_saturated)


def check_room(
    folder: Path, n_frames: int, n_pixels: int, file_format: str = "cbf"
) -> None:
    """
    Refuse frames that would not fit on the disk, before they are made.

    Args:
        folder: Where they are to be written.
        n_frames: Of all crystals.
        n_pixels: Along each edge of the detector.
        file_format: "cbf" or "smv".

    Raises:
        ValueError: With both sizes.
    """
    # A little over a byte in CBF, as most differences of neighbours are small.
    needed = n_frames * n_pixels**2 * (1.05 if file_format == "cbf" else 2.0)
    free = shutil.disk_usage(Path(folder).resolve().parent).free
    if needed > free:
        raise ValueError(
            f"{n_frames} frames of {n_pixels} by {n_pixels} pixels take about "
            f"{needed * 1e-9:.0f} GB, and {free * 1e-9:.1f} GB are free"
        )


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
