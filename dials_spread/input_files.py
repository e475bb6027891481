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
        unmatched: Number of reflections, by file, whose experiment was not given.
    """

    experiments: list[Experiment]
    tables: list[flex.reflection_table]
    dataset: list[int]
    files: list[str]
    unmatched: dict[str, int]


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
    found, unmatched = pair_up(lists, tables, expt, refl)
    experiments = [e for some in lists for e in some]
    check_crystals(experiments)
    # An experiment without reflections keeps its number, with an empty table.
    nothing = tables[0].select(flex.bool(len(tables[0]), False))
    return Input(
        experiments=experiments,
        tables=[found.get(n, nothing) for n in range(len(experiments))],
        dataset=[k for k, some in enumerate(lists) for _ in some],
        files=[*expt, *refl],
        unmatched=unmatched,
    )


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
) -> tuple[dict[int, flex.reflection_table], dict[str, int]]:
    """
    Find the reflections of each experiment.

    Args:
        lists: The experiment lists.
        tables: The reflection tables, in any order where identifiers tell which is
            whose, else in the order of the lists.
        expt: File names, for messages.
        refl: File names, for messages.

    Returns:
        Tables by the number of the experiment, counted through all lists; and how many
        reflections of each file have no experiment.

    Raises:
        ValueError: A table has no experiment, or a list has no reflections.
    """
    identifiers = [e.identifier for some in lists for e in some]
    first = np.cumsum([0] + [len(some) for some in lists])
    found: dict[int, flex.reflection_table] = {}
    unmatched, problems, used = {}, [], 0
    for k, (table, name) in enumerate(zip(tables, refl)):
        ids = sorted(set(table["id"]) - {-1})
        names = dict(table.experiment_identifiers())
        # Alone with its list, a table belongs to it; else it goes on counting.
        bounds = (used, len(identifiers))
        if len(tables) == len(lists):
            bounds = (first[k], first[k + 1])
        used += len(ids)
        numbers = _experiments_of(ids, names, identifiers, bounds)
        if not numbers:
            problems.append(f"{name}: the experiments of these reflections are missing")
        for i in ids:
            part = table.select(table["id"] == i)
            if i not in numbers:
                unmatched[name] = unmatched.get(name, 0) + len(part)
            elif numbers[i] in found:
                problems.append(f"{name}: a second table for the same experiment")
            else:
                found[numbers[i]] = part
    for k, name in enumerate(expt):
        if not problems and not any(first[k] <= n < first[k + 1] for n in found):
            problems.append(f"{name}: the reflections of these experiments are missing")
    if problems:
        raise ValueError("\n".join(problems))
    return found, unmatched


def _experiments_of(
    ids: list[int], names: dict[int, str], identifiers: list[str], bounds
) -> dict[int, int]:
    """
    Find the experiments of one table, by its ids.

    By identifier among all experiments where these are unambiguous, else among those
    within bounds; else by place.
    """
    first, stop = bounds
    for low, high in ((0, len(identifiers)), (first, stop)):
        own = identifiers[low:high]
        if len(set(own)) == len(own) and any(names.get(i) in own for i in ids):
            return {i: low + own.index(names[i]) for i in ids if names.get(i) in own}
    if any(names.get(i) for i in ids) and all(identifiers[first:stop]):
        return {}
    if len(ids) == stop - first:
        # As DIALS does: the lowest id is the first experiment, whatever it is called.
        return dict(zip(ids, range(first, stop)))
    return {i: first + i for i in ids if first + i < stop}


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
