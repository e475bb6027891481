"""
Files read where the workers of a cluster are.

First each worker says which files it sees, then each file is looked at: experiments are read
whole, of reflections only which crystals they are of. That tells which belong together.
Then each file of reflections is read, checked and reduced on a worker: divided by crystals,
with the right Lorentz factors, and with the columns that are needed. The process that asks
opens no file, and gets what `right_factors.read` would give it.

Functions:
    read: files in, on the workers in use
    look_for_files: which all workers have to see
    refuse: input with problems
    missing_here: what is said of a file that a worker does not see
    look, read_part: tasks of a worker
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread import cluster
from dials_spread.input_files import (
    Input,
    problems_of_names,
    read_one,
    refused_once,
    tell_shared_identifiers,
    wrong_experiments,
    wrong_table,
)
from dials_spread.observations.correction_state import corrected_crystals
from dials_spread.observations.right_factors import Asked, FactorCheck, reduced
from dials_spread.valid_input.columns import ONLY_CHECKED
from dials_spread.valid_input.division import divided
from dials_spread.valid_input.kinds_of_intensity import (
    joined_with_unscaled,
    lacks_intensity,
    mixed_kinds,
)
from dials_spread.valid_input.pairing import match_ids
from dials_spread.valid_input.reading import read_experiments, read_table
from dials_spread.valid_input.values import impossible_geometry

FILE_IN_MEMORY = 2.5
"""Times the size of a file that a worker takes to read and divide it, at most: 2.0 where all
columns are read, 0.9 to 1.1 where those that are needed are (tables of dials.simulate_ed)."""


class Look(NamedTuple):
    """
    What a first look at a file says.

    Attributes:
        problems: Why it cannot be read, one line each.
        experiments: Those of an experiment file, pickled; empty for reflections.
        ids: Shape (k,), the ids in a table of reflections; -1 is of no experiment.
        names: Identifiers by id.
    """

    problems: list[str]
    experiments: bytes = b""
    ids: np.ndarray = np.empty(0, np.int32)
    names: dict[int, str] = {}


class Part(NamedTuple):
    """
    What a worker gives of a file of reflections.

    Attributes:
        problems: All that is wrong with it, one line each.
        columns: Names of what it has; none where there are no reflections.
        tables: By number of the experiment, as msgpack.
        empty: A table of the same columns without reflections, likewise.
        checks: By number of the experiment, kind, used and worst of a FactorCheck.
        unmatched: Reflections whose experiment was not given.
    """

    problems: list[str]
    columns: tuple[str, ...] = ()
    tables: dict[int, bytes] = {}
    empty: bytes = b""
    checks: dict[int, tuple[str, str, float]] = {}
    unmatched: int = 0


class OfFile(NamedTuple):
    """
    A task: one file.

    Attributes:
        name: As it was given.
        path: The same for a worker, which may be in another folder.
        given: Experiments by id, pickled; None where these are not known.
        numbers: Their numbers by id.
        named: All ids that the table names an identifier of.
    """

    name: str
    path: str
    given: bytes | None = None
    numbers: dict[int, int] = {}
    named: tuple[int, ...] = ()


def _without_path(task: OfFile, problems: Sequence[str]) -> list[str]:
    """Name the file as it was given."""
    return [problem.replace(task.path, task.name) for problem in problems]


def missing_here(name: str) -> str:
    """Say that this machine does not see a file."""
    where = socket.gethostname()
    return f"{name}: no such file on {where}, where a worker was to read it"


def _read_here(task: OfFile, reader, problems: list[str]):
    """Read a file; where it is gone, say on which machine."""
    if not os.path.exists(task.path):
        problems.append(missing_here(task.path))
        return None
    return read_one(task.path, reader, problems)


def look(asked: Asked, task: OfFile) -> Look:
    """
    Look at a file: a task for another process.

    Args:
        asked: How files are read.
        task: The file; one of reflections where it has named ids.
    """
    problems: list[str] = []
    if task.named:
        some = None if asked.columns is None else {"id"}
        reader = partial(read_table, allow_pickle=asked.allow_pickle, columns=some)
        table = _read_here(task, reader, problems)
        if table is None or "id" not in table:
            return Look(_without_path(task, problems))
        ids = np.unique(table["id"].as_numpy_array())
        names = dict(table.experiment_identifiers())
        return Look([], b"", ids, names)
    experiments = _read_here(task, read_experiments, problems)
    if experiments is not None:
        problems += wrong_experiments(experiments, task.path)
    if problems:
        return Look(_without_path(task, problems))
    return Look([], pickle.dumps([*experiments]))


def read_part(asked: Asked, task: OfFile) -> Part:
    """
    Read a file of reflections, check it and divide it: a task for another process.

    Args:
        asked: How files are read.
        task: The file, with the experiments that its reflections are of.
    """
    problems: list[str] = []
    reader = partial(read_table, allow_pickle=asked.allow_pickle, columns=asked.columns)
    table = _read_here(task, reader, problems)
    if table is None:
        return Part(_without_path(task, problems))
    problems += wrong_table(table, task.path)
    for name in ONLY_CHECKED & {*table.keys()} if asked.columns is not None else ():
        del table[name]
    problems += lacks_intensity(table, task.path, asked.intensity)
    if asked.intensity in ("auto", "scale") and not problems:
        problems += joined_with_unscaled([task.path], [table])
    columns = tuple(table.keys()) if len(table) else ()
    given = None if task.given is None else pickle.loads(task.given)
    if given is None or problems:
        return Part(_without_path(task, problems), columns)
    problems += impossible_geometry(table, task.path, given, [*task.named])
    if problems:
        return Part(_without_path(task, problems), columns)
    empty = table.select(flex.bool(len(table), False)).as_msgpack()
    ids = table["id"].as_numpy_array()
    parts = divided(table, task.numbers, emptied=True)
    unmatched = int(np.count_nonzero(~np.isin(ids, [-1, *parts])))
    try:
        tables, check = reduced([given[i] for i in parts], [*parts.values()], asked)
    except ValueError as error:
        return Part([f"{task.name}: {error}"], columns)
    numbers = [task.numbers[i] for i in parts]
    looked = zip(check.kind, check.used, check.worst)
    return Part(
        problems=[],
        columns=columns,
        tables={n: t.as_msgpack() for n, t in zip(numbers, tables)},
        empty=empty,
        checks=dict(zip(_looked_at(numbers, tables, asked), looked)),
        unmatched=unmatched,
    )


def _looked_at(numbers: Sequence[int], tables: Sequence, asked: Asked) -> list[int]:
    """Numbers of the crystals whose factors were looked at, as `reduced` has them."""
    if not asked.uncorrected:
        return [*numbers]
    return [n for n, done in zip(numbers, corrected_crystals(tables)) if not done]


def sizes_seen(paths: Sequence[str]) -> list[int]:
    """
    Give the sizes of files: for each worker.

    Args:
        paths: Of n files.

    Returns:
        n numbers of bytes; -1 where no file is seen.
    """
    return [os.path.getsize(p) if os.path.exists(p) else -1 for p in paths]


def look_for_files(names: Sequence[str], paths: Sequence[str]) -> list[int]:
    """
    Let every worker in use look for files.

    Args:
        names: As they were given, n of them.
        paths: The same for a worker.

    Returns:
        The n sizes [bytes].

    Raises:
        ValueError: Some of the workers do not see some of the files, one line for each.
    """
    found = cluster.on_each_worker(sizes_seen, [*paths])
    problems = []
    for k, (name, path) in enumerate(zip(names, paths)):
        without = [worker for worker, sizes in found.items() if sizes[k] < 0]
        if without:
            some = f"{len(without)} of {len(found)} workers"
            which = "any worker" if len(without) == len(found) else some
            problems.append(
                f"{name}: no such file on {which} ({without[0]}, as {path}); all have to "
                "see it under that name"
            )
    refuse(problems)
    return next(iter(found.values()))


def read(
    expt: Sequence[str], refl: Sequence[str], asked: Asked
) -> tuple[Input, FactorCheck]:
    """
    Read files on the workers in use, and bring them together.

    Args:
        expt: Names of experiment files.
        refl: Names of reflection files.
        asked: How files are read.

    Returns:
        As input_files.read_files and right_factors.reduced give it here.

    Raises:
        ValueError: All that is wrong, one line each; or as of cluster.map_on_workers.
    """
    of_expt = [OfFile(name, os.path.abspath(name)) for name in expt]
    of_refl = [OfFile(name, os.path.abspath(name), named=(-1,)) for name in refl]
    refuse(problems_of_names(expt, refl))
    seen = look_for_files([*expt, *refl], [t.path for t in of_expt + of_refl])
    looks = cluster.map_on_workers(look, asked, of_expt + of_refl)
    lists = looks[: len(expt)]
    tables = looks[len(expt) :]
    problems = [p for one in lists for p in one.problems]
    problems += refused_once([p for one in tables for p in one.problems])
    takes = int(FILE_IN_MEMORY * max(seen[len(expt) :]))
    readable = [task for task, one in zip(of_refl, tables) if not one.problems]
    if problems:  # what can be read may have faults of its own, which are told as well
        parts = cluster.map_on_workers(read_part, asked, readable, takes)
        refuse(problems + [p for part in parts for p in part.problems])
    experiments = [pickle.loads(one.experiments) for one in lists]
    tasks, numbers = _with_experiments(experiments, tables, of_expt, of_refl)
    parts = cluster.map_on_workers(read_part, asked, tasks, takes)
    problems = [p for part in parts for p in part.problems]
    refuse(problems + mixed_kinds(refl, [part.columns for part in parts]))
    return _together(experiments, parts, numbers, asked, (expt, refl))


def refuse(problems: Sequence[str]) -> None:
    """
    Refuse input with all that is wrong.

    Raises:
        ValueError: There are problems, of which each is named once.
    """
    if problems:
        raise ValueError("\n".join(dict.fromkeys(problems)))


def _with_experiments(
    lists: Sequence[list[Experiment]],
    tables: Sequence[Look],
    of_expt: Sequence[OfFile],
    of_refl: Sequence[OfFile],
) -> tuple[list[OfFile], list[dict[int, int]]]:
    """Give each file of reflections the experiments of it, and their numbers."""
    names = [[task.name for task in tasks] for tasks in (of_expt, of_refl)]
    ids = [_table_of_ids(one) if len(one.ids) else None for one in tables]
    if any(table is None for table in ids):  # told when all columns are read
        return [*of_refl], []
    numbers = match_ids(lists, ids, *names)
    flat = [e for some in lists for e in some]
    tasks = [
        task._replace(
            given=pickle.dumps({i: flat[n] for i, n in own.items()}),
            numbers=own,
            named=tuple(one.names),
        )
        for task, own, one in zip(of_refl, numbers, tables)
    ]
    return tasks, numbers


def _table_of_ids(one: Look) -> flex.reflection_table:
    """A table of which crystals are known, and nothing else."""
    table = flex.reflection_table()
    table["id"] = flex.int(one.ids.astype(np.int32))
    for i, name in one.names.items():
        table.experiment_identifiers()[i] = name
    return table


def _together(
    lists: Sequence[list[Experiment]],
    parts: Sequence[Part],
    numbers: Sequence[dict[int, int]],
    asked: Asked,
    files: Sequence[Sequence[str]],
) -> tuple[Input, FactorCheck]:
    """Put what workers gave in the order of the experiments."""
    experiments = [e for some in lists for e in some]
    tell_shared_identifiers(experiments)
    packed = {n: table for part in parts for n, table in part.tables.items()}
    checks = {n: check for part in parts for n, check in part.checks.items()}
    unpacked = flex.reflection_table.from_msgpack
    tables = []
    for n in range(len(experiments)):
        tables.append(unpacked(packed.pop(n, parts[0].empty)))
        if asked.uncorrected is False:
            checks.setdefault(n, ("empty", "", float("nan")))
    ordered = [checks[n] for n in sorted(checks)]
    expt, refl = files
    data = Input(
        experiments=experiments,
        tables=tables,
        dataset=[k for k, some in enumerate(lists) for _ in some],
        files=[*expt, *refl],
        unmatched={f: p.unmatched for f, p in zip(refl, parts) if p.unmatched},
        allow_pickle=asked.allow_pickle,
        some_columns=asked.columns is not None,
        numbers=tuple(numbers),
    )
    check = FactorCheck(
        kind=tuple(kind for kind, _, _ in ordered),
        used=tuple(used for _, used, _ in ordered),
        worst=tuple(worst for _, _, worst in ordered),
    )
    return data, check
