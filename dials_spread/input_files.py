"""
Files in: experiments and the reflections that belong to them, or all that is wrong.

A list of experiments and a table of reflections are brought together by the experiment
identifiers where the table has them, else by their order, as in DIALS. Nothing is
written into what was read: tables keep their ids.

Functions:
    read_files: from names of files
    pair_up: one table for each experiment
    check_crystals: one space group, similar cells
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory

logger = logging.getLogger("dials.spread.input_files")

LENGTH_TOLERANCE = 0.1
"""A cell edge may differ from the median by this part of it."""

ANGLE_TOLERANCE = 5.0
"""A cell angle may differ from the median by so many degrees."""

MIN_TABLE = 1
"""Reflections that a table must have."""


@dataclass(frozen=True)
class Input:
    """
    Experiments with their reflections.

    Attributes:
        experiments: One a crystal, from all files in order.
        tables: The reflections of each.
        dataset: The number of each experiment's file.
        files: Names of the experiment files, then of the reflection files.
    """

    experiments: list[Experiment]
    tables: list[flex.reflection_table]
    dataset: list[int]
    files: list[str]


def _read(filename: str, reader, problems: list[str]):
    """Read one file; what goes wrong becomes a problem, whatever it is."""
    path = Path(filename)
    if not path.is_file():
        problems.append(f"{filename}: no such file")
        return None
    try:
        return reader(filename)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # boost and json raise all kinds, even SystemExit
        logger.debug("Reading %s", filename, exc_info=True)
        reason = (str(error).strip().splitlines() or [""])[0][:80]
        problems.append(
            f"{filename}: cannot be read, damaged or of another kind "
            f"({type(error).__name__}{': ' if reason else ''}{reason})"
        )
        return None


def _read_experiments(filename: str) -> ExperimentList:
    return ExperimentListFactory.from_json_file(filename, check_format=False)


def _read_reflections(filename: str) -> flex.reflection_table:
    table = flex.reflection_table.from_file(filename)
    if not isinstance(table, flex.reflection_table):
        raise TypeError("no reflection table")
    return table


def _lacks(table: flex.reflection_table, filename: str) -> list[str]:
    """Say what a table lacks to be of use."""
    if len(table) < MIN_TABLE:
        return [f"{filename}: no reflections"]
    problems = []
    if "miller_index" not in table or (table["miller_index"] == (0, 0, 0)).all_eq(True):
        problems.append(f"{filename}: no Miller indices; index and integrate first")
    if "id" not in table or flex.max(table["id"]) < 0:
        problems.append(f"{filename}: no reflection belongs to an experiment")
    if not any(f"intensity.{kind}.value" in table for kind in ("prf", "sum", "scale")):
        problems.append(f"{filename}: no integrated intensities")
    if "flags" not in table:
        problems.append(f"{filename}: no flags")
    return problems


def read_files(expt: Sequence[str], refl: Sequence[str]) -> Input:
    """
    Read experiments and reflections, and bring them together.

    Args:
        expt: Names of experiment files.
        refl: Names of reflection files.

    Returns:
        The experiments, and a table for each.

    Raises:
        ValueError: All that is wrong, one line each.
    """
    problems: list[str] = []
    if not expt:
        problems.append("no experiments given (.expt)")
    if not refl:
        problems.append("no reflections given (.refl)")
    lists = [_read(f, _read_experiments, problems) for f in expt]
    tables = [_read(f, _read_reflections, problems) for f in refl]
    for filename, table in zip(refl, tables):
        if table is not None:
            problems += _lacks(table, filename)
    for filename, experiments in zip(expt, lists):
        if experiments is not None:
            problems += _without_crystal(experiments, filename)
    if problems:
        raise ValueError("\n".join(problems))
    experiments, parts, dataset = pair_up(lists, tables, expt, refl)
    check_crystals(experiments)
    return Input(experiments, parts, dataset, [*expt, *refl])


def _without_crystal(experiments: ExperimentList, filename: str) -> list[str]:
    if not len(experiments):
        return [f"{filename}: no experiments"]
    lacking = sum(e.crystal is None for e in experiments)
    if lacking:
        return [
            f"{filename}: {lacking} of {len(experiments)} experiments have no crystal; "
            "index first"
        ]
    lacking = sum(e.beam is None or e.detector is None for e in experiments)
    if lacking:
        return [f"{filename}: {lacking} experiments have no beam or no detector"]
    return []


def pair_up(
    lists: Sequence[ExperimentList],
    tables: Sequence[flex.reflection_table],
    expt: Sequence[str],
    refl: Sequence[str],
) -> tuple[list[Experiment], list[flex.reflection_table], list[int]]:
    """
    Find the reflections of each experiment.

    Args:
        lists: The experiment lists.
        tables: The reflection tables, in any order where identifiers tell which is
            whose, else in the order of the lists.
        expt: File names, for messages.
        refl: File names, for messages.

    Returns:
        The experiments in order, a table for each (empty for one that has no
        reflections), and the number of the list that each comes from.

    Raises:
        ValueError: Reflections without an experiment, or a list without reflections.
    """
    experiments = [e for some in lists for e in some]
    dataset = [k for k, some in enumerate(lists) for _ in some]
    found: dict[int, flex.reflection_table] = {}
    problems = []
    first = np.cumsum([0] + [len(some) for some in lists])
    identifiers = [e.identifier for e in experiments]
    unambiguous = len(set(identifiers)) == len(identifiers) and all(identifiers)
    used = 0
    for k, (table, name) in enumerate(zip(tables, refl)):
        ids = sorted(set(table["id"]) - {-1})
        names = dict(table.experiment_identifiers())
        if unambiguous and all(names.get(i) in identifiers for i in ids):
            numbers = [identifiers.index(names[i]) for i in ids]
        elif len(tables) == len(lists):
            numbers = _within_list(ids, names, identifiers, first[k], first[k + 1])
        else:
            numbers = [used + place for place in range(len(ids))]
        used += len(ids)
        if any(n is None or n >= len(experiments) for n in numbers):
            problems.append(f"{name}: reflections of experiments that were not given")
            continue
        for i, n in zip(ids, numbers):
            if n in found:
                problems.append(f"{name}: reflections of an experiment that has some")
            found[n] = table.select(table["id"] == i)
    for k, name in enumerate(expt):
        if not problems and not any(first[k] <= n < first[k + 1] for n in found):
            problems.append(f"{name}: experiments without reflections")
    if problems:
        raise ValueError("\n".join(problems))
    # An experiment without reflections keeps its number, with an empty table.
    nothing = tables[0].select(flex.bool(len(tables[0]), False))
    return (
        experiments,
        [found.get(n, nothing) for n in range(len(experiments))],
        dataset,
    )


def _within_list(ids, names, identifiers, first, stop) -> list[int | None]:
    """Numbers of the experiments of one table that goes with one list."""
    own = identifiers[first:stop]
    numbers: list[int | None] = []
    for i in ids:
        if names.get(i) and names[i] in own:
            numbers.append(first + own.index(names[i]))
        else:
            # Tables of one experiment may have kept an id from a larger set.
            place = 0 if len(ids) == 1 and stop - first == 1 else i
            numbers.append(first + place if first + place < stop else None)
    return numbers


def check_crystals(experiments: Sequence[Experiment]) -> None:
    """
    Check that all crystals can be compared.

    Args:
        experiments: One a crystal.

    Raises:
        ValueError: More than one space group, or cells that differ wildly.
    """
    groups = {str(e.crystal.get_space_group().info()) for e in experiments}
    if len(groups) > 1:
        raise ValueError(
            f"The crystals have {len(groups)} different space groups: "
            f"{', '.join(sorted(groups))}. Reindex them to one (dials.reindex, "
            "dials.cosym)"
        )
    cells = np.array([e.crystal.get_unit_cell().parameters() for e in experiments])
    median = np.median(cells, axis=0)
    edges = np.abs(cells[:, :3] / median[:3] - 1) > LENGTH_TOLERANCE
    angles = np.abs(cells[:, 3:] - median[3:]) > ANGLE_TOLERANCE
    odd = np.flatnonzero(edges.any(axis=1) | angles.any(axis=1))
    if len(odd):
        told = ", ".join(f"{p:.2f}" for p in cells[odd[0]])
        rest = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        raise ValueError(
            f"The cell of crystal {odd[0]} ({told}){rest} differs from the median "
            f"({', '.join(f'{p:.2f}' for p in median)}) by more than "
            f"{100 * LENGTH_TOLERANCE:.0f} % or {ANGLE_TOLERANCE:.0f}°"
        )
