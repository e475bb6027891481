"""
One file after the other to experiments and reflections, and what the log says of each.

Functions:
    convert: all files
    add: one data block of one file
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cctbx import sgtbx, uctbx
from dials.array_family import flex
from dxtbx.model import Experiment
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.orientation import reciprocal_basis
from dials_spread.pets.cif_file import PetsFile, read_pets
from dials_spread.pets.experiments import (
    build_experiment,
    into_laboratory,
    moment_of,
    rotation_axis,
)
from dials_spread.pets.frame_kinds import is_precession, tell_precession
from dials_spread.pets.frame_orientations import (
    TiltRun,
    base_orientation,
    frame_settings,
    onto_zone_axes,
    split_runs,
)
from dials_spread.pets.reflections import Lines, build_table
from dials_spread.pets.rocking_curves import (
    BEYOND,
    Verdict,
    excitation,
    judge,
    relative_error,
)
from dials_spread.pets.summed_frames import are_narrow, sum_over_frames
from dials_spread.valid_input.models import impossible_models
from dials_spread.valid_input.values import impossible_values

logger = logging.getLogger("dials.spread.pets")

LARGEST_MISFIT = 1.0
"""Zone axes and angles of a file agree to this, in the median [°]."""

TOLD_MISFIT = 0.05
"""A frame whose zone axis and angles differ by more is told [°]."""

CELL_LENGTH, CELL_ANGLE = 0.02, 2.0
"""A cell may be so far from the symmetry, relatively and [°]."""

TOLD_CELL = 0.002
"""Lengths of the cells of header and matrix that differ by more are told."""


@dataclass(frozen=True)
class ImportChoices:
    """
    What the user chose.

    Attributes:
        space_group: Symbol; None takes that of the file, or P 1.
        cell: "matrix" or "header".
        wavelength: [Å], None takes that of the file.
        max_relative_error: Listings beyond are left out; None keeps all, "auto" those
            within BEYOND where frames have their own part of an intensity, else all.
        tolerance: Largest deviation from even steps within a run [°].
        summed: Whether intensities are summed over the frames of a crossing; None where
            frames are narrower than the rocking curves.
    """

    space_group: str | None = None
    cell: str = "matrix"
    wavelength: float | None = None
    max_relative_error: float | str | None = "auto"
    tolerance: float = 1.0
    summed: bool | None = None


def convert(
    files: Sequence[str], choices: ImportChoices
) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Read files, and make experiments and one table of them.

    Args:
        files: Names; each data block with frames is a crystal.
        choices: What the user chose.

    Returns:
        Experiments, with identifiers, and their reflections.

    Raises:
        ValueError: One line for each file that cannot be used.
    """
    found, problems = [], []
    for name in files:
        try:
            found += read_pets(name, choices.wavelength)
        except ValueError as error:
            problems.append(str(error))
    experiments = ExperimentList()
    tables: list[flex.reflection_table] = []
    for pets in found:
        try:
            add(pets, choices, experiments, tables)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    table = tables[0]
    for more in tables[1:]:
        table.extend(more)
    for k, experiment in enumerate(experiments):
        table.experiment_identifiers()[k] = experiment.identifier
    table["partial_id"] = flex.size_t_range(len(table))
    return experiments, table


def add(
    pets: PetsFile, choices: ImportChoices, experiments: ExperimentList, tables: list
) -> None:
    """
    Append the experiments and tables of one data block.

    Args:
        pets: As read.
        choices: What the user chose.
        experiments: Appended to.
        tables: Appended to.

    Raises:
        ValueError: The file contradicts itself or what was chosen.
    """
    _tell_what_was_read(pets)
    group, cell = _symmetry(pets, choices)
    basis = reciprocal_basis(cell)
    settings = _settings(pets, basis)
    frames, listed = pets.frames, pets.listed
    lone = 2 * float(np.nanmedian(np.append(frames.semi_angle, 0.5)))
    runs = split_runs(frames.alpha, frames.omega, choices.tolerance, lone)
    _tell_runs(runs, frames.number, frames.alpha)
    run_of, axis = _of_frames(runs, len(frames.number))
    setting, own = settings[listed.frame], axis[listed.frame]
    error, rate, length = excitation(setting, listed.hkl, own, pets.wavelength)
    semi = _semi_angles(frames.semi_angle, runs)[listed.frame]
    crossing = _crossing_numbers(listed.hkl, listed.frame, run_of)
    of_length = relative_error(error, length, semi)
    verdict = judge(
        *(listed.hkl, crossing, listed.intensity, listed.sigma),
        *(of_length, rate / length),
    )
    precession = is_precession(pets, verdict)
    narrow = not precession and are_narrow(verdict, crossing, of_length, listed)
    summed = narrow if choices.summed is None else choices.summed
    if precession:
        tell_precession(frames.semi_angle, verdict.partial and not summed)
    relative = of_length if precession else relative_error(error, rate, semi)
    if summed:
        sums = sum_over_frames(listed, crossing, error, frames, runs, pets.name)
        pets, kept = replace(pets, listed=sums[0]), sums[1]
    else:
        kept = _kept(relative, verdict, choices, pets.name)
    largest = 2 * np.arcsin(min(0.7, pets.wavelength * length.max() / 2))
    for number, run in enumerate(runs):
        rows = np.flatnonzero(kept & (run_of[listed.frame] == number))
        if not len(rows):
            logger.info("  No reflection on frames of run %d: left out", number + 1)
            continue
        experiment = build_experiment(
            *(run, into_laboratory(settings[run.frames], run), basis, group),
            *(pets.wavelength, float(largest), _stem(pets.name), len(experiments)),
        )
        lines = _lines(pets, run, settings, rows, relative)
        if precession and verdict.partial and not summed:
            known = np.where(frames.semi_angle > 0, frames.semi_angle, np.nan)
            lines = replace(lines, precession=known[listed.frame[rows]])
        tables.append(_possible_table(lines, experiment, len(experiments), pets.name))
        experiments.append(experiment)


def _stem(name: str) -> str:
    return re.sub(r"\W+", "_", Path(name).stem)


def _possible_table(
    lines: Lines, experiment: Experiment, number: int, name: str
) -> flex.reflection_table:
    """Build a table, and refuse what no program would read again."""
    problems = impossible_models([experiment], name)
    if not problems:
        table = build_table(lines, experiment, number)
        problems = impossible_values(table, name)
    if problems:  # one stands for all: the intensities are in two columns
        raise ValueError(problems[0])
    return table


def _lines(
    pets: PetsFile,
    run: TiltRun,
    settings: np.ndarray,
    rows: np.ndarray,
    relative: np.ndarray,
) -> Lines:
    """Give the lines of a run."""
    frames, listed = pets.frames, pets.listed
    where = np.zeros(len(frames.number), dtype=int)
    where[run.frames] = np.arange(len(run.frames))
    frame = listed.frame[rows]
    return Lines(
        hkl=listed.hkl[rows],
        intensity=listed.intensity[rows],
        sigma=listed.sigma[rows],
        number=frames.number[frame],
        z=moment_of(run.places)[where[frame]],
        setting=into_laboratory(settings[frame], run),
        relative=relative[rows],
        scale=frames.scale[frame],
    )


def _tell_what_was_read(pets: PetsFile) -> None:
    n = len(pets.listed.hkl)
    logger.info(
        "\n%s: %d frames, %d reflections on them, %d indices; wavelength %.5f Å",
        *(pets.name, len(pets.frames.number), n),
        *(len(np.unique(pets.listed.hkl, axis=0)), pets.wavelength),
    )
    for sentence in pets.assumed:
        logger.warning("  %s", sentence)
    for reason, count in pets.listed.dropped.items():
        logger.info("  Left out: %d with %s", count, reason)
    scale = pets.frames.scale
    if np.ptp(scale) > 0:
        logger.info(
            "  Scales of frames from %.3f to %.3f are in the column pets.scale; they "
            "are not applied",
            *(scale.min(), scale.max()),
        )


def _symmetry(pets: PetsFile, choices: ImportChoices):
    """Give space group and the cell, averaged by the symmetry."""
    symbol = choices.space_group or pets.space_group
    if symbol is None:
        logger.warning(
            "  No space group in the file: P 1 is taken; give space_group= where it "
            "is known"
        )
    try:
        group = sgtbx.space_group_info(symbol or "P 1").group()
    except (RuntimeError, ValueError, TypeError):  # of text that is not ASCII
        raise ValueError(f"{pets.name}: {symbol} is no space group") from None
    ortho = np.linalg.inv(pets.ub).T  # columns: a, b, c
    of_matrix = uctbx.unit_cell(metrical_matrix=_metric(ortho))
    cell = of_matrix
    if pets.cell is not None:
        header = uctbx.unit_cell(tuple(pets.cell))
        _tell_cells(header, of_matrix, choices.cell)
        cell = header if choices.cell == "header" else of_matrix
    elif choices.cell == "header":
        raise ValueError(f"{pets.name}: no cell in the header; give cell=matrix")
    average = group.average_unit_cell(cell)
    before, after = np.array(cell.parameters()), np.array(average.parameters())
    if (
        np.abs(after[:3] / before[:3] - 1).max() > CELL_LENGTH
        or np.abs(after[3:] - before[3:]).max() > CELL_ANGLE
    ):
        raise ValueError(
            f"{pets.name}: the cell {_cell(cell)} is not that of "
            f"{sgtbx.space_group_info(group=group)}"
        )
    return group, average


def _metric(ortho: np.ndarray) -> tuple[float, ...]:
    m = ortho.T @ ortho
    return (m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2])


def _cell(cell: uctbx.unit_cell) -> str:
    lengths, angles = cell.parameters()[:3], cell.parameters()[3:]
    told = [f"{x:.3f}" for x in lengths] + [f"{x:.2f}" for x in angles]
    return ", ".join(told)


def _tell_cells(header, of_matrix, taken: str) -> None:
    ratio = np.array(header.parameters()[:3]) / of_matrix.parameters()[:3]
    if np.abs(ratio - 1).max() > TOLD_CELL:
        logger.warning(
            "  Cell of the header: %s; of the orientation matrix: %s. The experiments "
            "have that of the %s; cell=%s takes the other",
            *(_cell(header), _cell(of_matrix), taken),
            "header" if taken == "matrix" else "matrix",
        )


def _settings(pets: PetsFile, basis: np.ndarray) -> np.ndarray:
    """Give the setting matrix of each frame, in the frame of PETS2."""
    frames = pets.frames
    angles = frames.alpha, frames.beta, frames.omega
    if frames.uvw is None:
        return frame_settings(base_orientation(pets.ub, basis) @ basis, *angles)
    # Zone axes are directions in the lattice of the matrix: compare in its metric.
    _, misfit = onto_zone_axes(frame_settings(pets.ub, *angles), frames.uvw)
    if np.median(misfit) > LARGEST_MISFIT:
        raise ValueError(
            f"{pets.name}: zone axes are {np.median(misfit):.1f}° (median) from where "
            "α, β, ω and the orientation matrix have the beam; these are of another "
            "convention than that of PETS2"
        )
    logger.info(
        "  Zone axes are %.3f° (median; at most %.3f°) from where α, β and ω have the "
        "beam; orientations are those of the zone axes",
        *(np.median(misfit), misfit.max()),
    )
    for k in np.flatnonzero(misfit > max(TOLD_MISFIT, 5 * np.median(misfit))):
        logger.warning(
            "  Frame %d: its zone axis is %.2f° off", frames.number[k], misfit[k]
        )
    base = base_orientation(pets.ub, basis) @ basis
    return onto_zone_axes(frame_settings(base, *angles), frames.uvw)[0]


def _tell_runs(runs: list[TiltRun], number: np.ndarray, alpha: np.ndarray) -> None:
    if len(runs) > 1:
        logger.warning(
            "  The tilt turns back, or is far from even steps: %d runs, each an "
            "experiment of its own. They are of one crystal: their agreement is no "
            "agreement between crystals",
            len(runs),
        )
    for k, run in enumerate(runs):
        empty = int(run.places[-1]) + 1 - len(run.frames)
        logger.info(
            "  Run %d: frames %d to %d, α from %.2f° to %.2f°, steps of %.3f° (α "
            "differs by up to %.2f°, kept in orientations that vary along the scan)%s",
            *(k + 1, number[run.frames[0]], number[run.frames[-1]]),
            *(alpha[run.frames[0]], alpha[run.frames[-1]], run.step, run.deviation),
            f"; {empty} places in gaps have no frame" if empty else "",
        )


def _of_frames(runs: list[TiltRun], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Give for each frame the number of its run, and the axis in the frame of PETS2."""
    run_of, axis = np.zeros(n, dtype=int), np.zeros((n, 3))
    for k, run in enumerate(runs):
        run_of[run.frames] = k
        omega = np.radians(run.omega)
        x, _, _ = rotation_axis(run)
        axis[run.frames] = x * np.array([np.cos(omega), np.sin(omega), 0.0])
    return run_of, axis


def _semi_angles(semi: np.ndarray, runs: list[TiltRun]) -> np.ndarray:
    """Fill in half a step where the file does not tell."""
    found = semi.copy()
    for run in runs:
        lacking = run.frames[~(found[run.frames] > 0)]
        found[lacking] = abs(run.step) / 2
    return found


def _crossing_numbers(
    hkl: np.ndarray, frame: np.ndarray, run_of: np.ndarray
) -> np.ndarray:
    """Tell crossings of one index apart: a frame without it is between them."""
    order = np.lexsort((frame, hkl[:, 2], hkl[:, 1], hkl[:, 0]))
    h, f = hkl[order], frame[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (
        np.any(h[1:] != h[:-1], axis=1)
        | (np.diff(f) > 1)
        | (run_of[f[1:]] != run_of[f[:-1]])
    )
    numbers = np.empty(len(order), dtype=int)
    numbers[order] = np.cumsum(new)
    return numbers


def _kept(
    relative: np.ndarray, verdict: Verdict, choices: ImportChoices, name: str
) -> np.ndarray:
    """Say which listings are kept, and how many lie beyond the range of their frame."""
    beyond = int((np.abs(relative) > BEYOND).sum())
    limit = choices.max_relative_error
    if limit == "auto":
        limit = BEYOND if verdict.partial else None
    if limit is None:
        logger.info(
            "  %d of %d listings have an excitation error beyond %.1f of the range of "
            "their frame (Jana2020 leaves such out); all are kept, with the column "
            "pets.relative_excitation_error",
            *(beyond, len(relative), BEYOND),
        )
        return np.ones(len(relative), dtype=bool)
    kept = np.abs(relative) <= limit
    logger.info(
        "  Left out: %d of %d with an excitation error beyond %.2f of the range of "
        "their frame; max_relative_excitation_error=None keeps them",
        *(int((~kept).sum()), len(kept), limit),
    )
    if not kept.any():
        raise ValueError(
            f"{name}: all {len(kept)} reflections have an excitation error beyond "
            f"{limit:g} of the range of their frame; give "
            "max_relative_excitation_error=None to keep them"
        )
    return kept
