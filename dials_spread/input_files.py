"""
Files in: experiments and the reflections that belong to them, or all that is wrong.

A list of experiments and a table of reflections are brought together as in DIALS
(valid_input.pairing). What was read stays as it is, ids included.

Functions:
    read_files: from names of files
    problems_of_names: what is wrong before any file is opened
    read_one, wrong_table, wrong_experiments: one file, and all that is wrong with it
    refused_once, tell_shared_identifiers: what is said of all together
    has_no_images: whether an experiment never had raw images
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Callable

from dials.array_family import flex
from dxtbx.model import Experiment, ExperimentList

from dials_spread import stages
from dials_spread.valid_input.columns import (
    ONLY_CHECKED,
    broken_correction,
    missing_columns,
    wrong_columns,
)
from dials_spread.valid_input.given_twice import refuse_given_twice
from dials_spread.valid_input.kinds_of_intensity import (
    joined_with_unscaled,
    lacks_intensity,
    mixed_kinds,
)
from dials_spread.valid_input.models import impossible_models
from dials_spread.valid_input.pairing import match_ids, split_tables
from dials_spread.valid_input.reading import (
    PICKLE_FILE,
    Refused,
    read_experiments,
    read_table,
)
from dials_spread.valid_input.values import impossible_geometry, impossible_values

logger = logging.getLogger("dials.spread.input_files")

NO_IMAGES = "simulated_{:04d}_without_images_#####.cbf"
"""Where raw images of a simulated crystal would be that has none. Every DIALS program
keeps the name, so that nobody need look for images that never were."""

CONVERTED = "{}_{:04d}_converted_without_images_#####.cbf"
"""Likewise where another program's list of reflections was converted."""


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
        notes: Sentences for the user, on what was found in the files.
        lp: What the columns lp are (observations.right_factors); None if not looked at.
        allow_pickle: Whether tables may be pickle files.
        some_columns: Whether tables may lack columns that their files have.
        numbers: Of each reflection file, the number of the experiment of each id.
    """

    experiments: list[Experiment]
    tables: list[flex.reflection_table]
    dataset: list[int]
    files: list[str]
    unmatched: dict[str, int]
    notes: tuple[str, ...] = ()
    lp: dict | None = None
    allow_pickle: bool = False
    some_columns: bool = False
    numbers: tuple[dict[int, int], ...] = ()

    @property
    def names(self) -> list[str]:
        """The experiment file of each experiment."""
        return [self.files[k] for k in self.dataset]

    def refuse_given_twice(self) -> None:
        """Refuse crystals that are others again; ValueError says which."""
        refuse_given_twice(self.tables, self.names)

    def refuse_shared_identifiers(self) -> None:
        """Refuse experiments that could not be told apart where they are joined."""
        shared = _n_shared_identifiers(self.experiments)
        if shared:
            raise ValueError(
                f"{shared} experiments have the identifier of another one, so that they "
                "cannot be written to one file; give each file on its own"
            )


def has_no_images(experiment: Experiment) -> bool:
    """
    Say whether an experiment never had raw images; not whether they are lost.

    Args:
        experiment: Simulated, converted from a list of reflections, or measured.
    """
    template = getattr(experiment.imageset, "get_template", None)
    return template is not None and _is_placeholder(template())


@lru_cache(maxsize=1024)
def _is_placeholder(template: str) -> bool:
    """Whether a template names what is written instead of raw images."""
    numbers, anything = (r"\{:04d\}", r"\d{4,}"), (r"\{\}", ".*")
    forms = [re.escape(p).replace(*numbers) for p in (NO_IMAGES, CONVERTED)]
    return any(re.fullmatch(f.replace(*anything), Path(template).name) for f in forms)


def read_one(filename: str, reader: Callable, problems: list[str]):
    """
    Read one file; what goes wrong becomes a problem, whatever it is.

    Args:
        filename: Its name.
        reader: Called with it, such as valid_input.reading.read_table.
        problems: One line is added where the file cannot be read.

    Returns:
        What the reader gives; None where there is a problem.
    """
    # os.path takes names that no file can have for names of no file.
    if not os.path.isfile(filename):
        what = "a folder" if os.path.isdir(filename) else "a pipe or device"
        told = f"{what}, not a file" if os.path.exists(filename) else "no such file"
        problems.append(f"{filename}: {told}")
        return None
    try:
        with Path(filename).open("rb") as file:
            if not file.read(1):
                problems.append(f"{filename}: cannot be read, the file is empty")
                return None
        return reader(filename)
    except Refused as error:
        problems.append(f"{filename}: {error}")
    except OSError as error:
        problems.append(f"{filename}: {error.strerror or error}")
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # boost and json raise all kinds, even SystemExit
        logger.debug("Reading %s", filename, exc_info=True)
        place = ""
        if isinstance(error, json.JSONDecodeError):
            place = f" (line {error.lineno}, character {error.colno})"
        elif isinstance(error, (RuntimeError, AssertionError)) and str(error).strip():
            # The words of dxtbx, such as what an experiment lacks, without the line of
            # its source; not those of Python and C++.
            first = str(error).strip().splitlines()[0]
            words = re.sub(r"^\w+ Error: \S+\(\d+\): ", "", first)[:80]
            place = "" if re.search(r"\w::|Internal Error", words) else f" ({words})"
        problems.append(
            f"{filename}: cannot be read, damaged or not written by DIALS{place}"
        )
        return None


def read_files(
    expt: Sequence[str],
    refl: Sequence[str],
    intensity: str = "auto",
    allow_pickle: bool = False,
    columns: Collection[str] | None = None,
) -> Input:
    """
    Read experiments and reflections, and bring them together.

    Args:
        expt: Names of experiment files.
        refl: Names of reflection files.
        intensity: "scale", "profile" or "sum" where these must be in every file.
        allow_pickle: Also read tables that are pickle files, which may run any code.
        columns: Those that are read of each table, such as valid_input.columns.READ;
            what is there only to be checked is then dropped. All by default.

    Returns:
        The experiments, and a table for each.

    Raises:
        ValueError: All that is wrong, one line each.
    """
    problems = problems_of_names(expt, refl)
    lists, tables = _read_all(expt, refl, allow_pickle, columns, problems)
    for filename, table in zip(refl, tables):
        if table is not None:
            problems += lacks_intensity(table, filename, intensity)
    problems += mixed_kinds(refl, tables)
    if intensity in ("auto", "scale"):
        problems += joined_with_unscaled(refl, tables)
    if problems:
        raise ValueError("\n".join(problems))
    experiments = [e for some in lists for e in some]
    numbers = match_ids(lists, tables, expt, refl)
    for filename, table, own in zip(refl, tables, numbers):
        given = {i: experiments[n] for i, n in own.items()}
        named = [*table.experiment_identifiers().keys()]
        problems += impossible_geometry(table, filename, given, named)
    if problems:
        raise ValueError("\n".join(problems))
    nothing = tables[0].select(flex.bool(len(tables[0]), False))  # no reflections
    found, unmatched = split_tables(tables, refl, numbers, emptied=True)
    tell_shared_identifiers(experiments)
    return Input(
        experiments=experiments,
        tables=[found.get(n, nothing) for n in range(len(experiments))],
        dataset=[k for k, some in enumerate(lists) for _ in some],
        files=[*expt, *refl],
        unmatched=unmatched,
        allow_pickle=allow_pickle,
        some_columns=columns is not None,
        numbers=tuple(numbers),
    )


def _read_all(
    expt: Sequence[str],
    refl: Sequence[str],
    allow_pickle: bool,
    columns: Collection[str] | None,
    problems: list[str],
) -> tuple[list, list]:
    """Read and check all files, each on its own; None for those that cannot be read."""
    lists = [read_one(f, read_experiments, problems) for f in expt]
    refused: list[str] = []
    read = partial(read_table, allow_pickle=allow_pickle, columns=columns)
    counted = stages.counted(refl, len(refl))
    tables = [read_one(f, read, refused) for f in counted]
    problems += refused_once(refused)
    for filename, table in zip(refl, tables):
        if table is not None:
            problems += wrong_table(table, filename)
            for name in ONLY_CHECKED & {*table.keys()} if columns else ():
                del table[name]
    for filename, experiments in zip(expt, lists):
        if experiments is not None:
            problems += wrong_experiments(experiments, filename)
    return lists, tables


def refused_once(problems: list[str]) -> list[str]:
    """
    Tell of many pickle files once.

    Args:
        problems: Of reading files.

    Returns:
        The same, with one for all pickle files.
    """
    pickles = [p for p in problems if p.endswith(PICKLE_FILE)]
    if len(pickles) <= 1:
        return problems
    name = pickles[0][: -len(PICKLE_FILE) - 2]
    told = f"{name}: {PICKLE_FILE} (so are {len(pickles) - 1} more)"
    return [told, *(p for p in problems if p not in pickles)]


def wrong_table(table: flex.reflection_table, filename: str) -> list[str]:
    """
    Say what is wrong with a table, whatever the experiments.

    Args:
        table: As it was read.
        filename: Of it.
    """
    problems = missing_columns(table, filename) + wrong_columns(table, filename)
    problems += broken_correction(table, filename)
    return problems or impossible_values(table, filename)


def problems_of_names(expt: Sequence[str], refl: Sequence[str]) -> list[str]:
    """
    Say what is wrong with names of files, before any is opened.

    Args:
        expt: Of experiments.
        refl: Of reflections.

    Returns:
        Sentences: a kind lacks, or a file is given twice.
    """
    problems = []
    if not expt:
        problems.append(_one_kind_only("experiments", ".expt", refl))
    if not refl:
        problems.append(_one_kind_only("reflections", ".refl", expt))
    return problems + _given_twice([*expt, *refl])


def _one_kind_only(what: str, ending: str, others: Sequence[str]) -> str:
    """Say that files of a kind lack, and which would go with those that are given."""
    told = f"no {what} given ({ending})"
    if not others:
        return told
    beside = [os.path.splitext(name)[0] + ending for name in others]
    found = [name for name in beside if os.path.isfile(name)]
    if found:
        return f"{told}; beside {', '.join(others)} there is {', '.join(found)}"
    return f"{told} that belong to {', '.join(others)}"


def _given_twice(files: Sequence[str]) -> list[str]:
    """Say which files are given more than once; copies count as other files."""
    paths = [os.path.realpath(f) for f in files]
    first = [k for k, path in enumerate(paths) if paths.index(path) == k]
    return [
        f"{files[k]}: given {paths.count(paths[k])} times"
        for k in first
        if paths.count(paths[k]) > 1
    ]


def _n_shared_identifiers(experiments: Sequence[Experiment]) -> int:
    names = [e.identifier for e in experiments if e.identifier]
    return len(names) - len(set(names))


def tell_shared_identifiers(experiments: Sequence[Experiment]) -> None:
    """
    Log that experiments have one identifier.

    Args:
        experiments: Of all files.
    """
    shared = _n_shared_identifiers(experiments)
    if shared:
        logger.info(
            "%d experiments have the identifier of another one. They are taken for "
            "different crystals; if the same data were given twice, they agree with "
            "themselves.",
            shared,
        )


def wrong_experiments(experiments: ExperimentList, filename: str) -> list[str]:
    """
    Say what is wrong with a list of experiments.

    Args:
        experiments: As they were read.
        filename: Of them.
    """
    return _without_crystal(experiments, filename) or impossible_models(
        experiments, filename
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
