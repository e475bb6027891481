"""
Files in: experiments and the reflections that belong to them, or all that is wrong.

A list of experiments and a table of reflections are brought together by the experiment
identifiers where the table has them, else by the names of the files (a.refl belongs to
a.expt), else by their order, as in DIALS. Nothing is written into what was read: tables
keep their ids.

Functions:
    read_files: from names of files
    read_reflections: one table
    pair_up: one table for each experiment
    has_no_images: whether an experiment never had raw images
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory

logger = logging.getLogger("dials.spread.input_files")

NO_IMAGES = "simulated_{:04d}_without_images_#####.cbf"
"""Where raw images of a simulated crystal would be that has none. Every DIALS program
keeps the name, so that nobody need look for images that never were."""

OF_XDS = ("intensity.cor.value", "intensity.prf.value")
"""Columns of what dials.import_xds makes of INTEGRATE.HKL."""

CONVERTED = "{}_{:04d}_converted_without_images_#####.cbf"
"""Where those of a crystal would be that another program's list of reflections was
converted to."""

SCALED = ("intensity.scale.value", "inverse_scale_factor")
"""Columns of dials.scale."""

POSITIONS = ("xyzcal.px", "xyzcal.mm", "xyzobs.px.value")
"""One of these columns tells which image a reflection is on."""


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
    """

    experiments: list[Experiment]
    tables: list[flex.reflection_table]
    dataset: list[int]
    files: list[str]
    unmatched: dict[str, int]
    notes: tuple[str, ...] = ()
    lp: dict | None = None

    @property
    def names(self) -> list[str]:
        """The experiment file of each experiment."""
        return [self.files[k] for k in self.dataset]


def has_no_images(experiment: Experiment) -> bool:
    """
    Say whether an experiment never had raw images; not whether they are lost.

    Args:
        experiment: Simulated, converted from a list of reflections, or measured.
    """
    imageset = experiment.imageset
    if imageset is None or not hasattr(imageset, "get_template"):
        return False
    name = Path(imageset.get_template()).name
    return any(
        re.fullmatch(
            re.escape(p).replace(r"\{:04d\}", r"\d{4,}").replace(r"\{\}", ".*"), name
        )
        for p in (NO_IMAGES, CONVERTED)
    )


def _read(filename: str, reader, problems: list[str]):
    """Read one file; what goes wrong becomes a problem, whatever it is."""
    path = Path(filename)
    if not path.is_file():
        found = path.is_dir()
        problems.append(
            f"{filename}: {'a folder, not a file' if found else 'no such file'}"
        )
        return None
    try:
        with path.open("rb") as file:
            if not file.read(1):
                problems.append(f"{filename}: cannot be read, the file is empty")
                return None
        return reader(filename)
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
            # The words of dxtbx, such as what an experiment lacks; not those of Python.
            place = f" ({str(error).strip().splitlines()[0][:80]})"
        problems.append(
            f"{filename}: cannot be read, damaged or not written by DIALS{place}"
        )
        return None


def _read_experiments(filename: str) -> ExperimentList:
    return ExperimentListFactory.from_json_file(filename, check_format=False)


def read_reflections(filename: str) -> flex.reflection_table:
    """
    Read a file of reflections.

    dials.import_xds of DIALS 3.12 writes no flags: all that XDS integrated counts as
    profile-fitted then.

    Args:
        filename: A .refl file.

    Raises:
        TypeError: It holds something else.
    """
    table = flex.reflection_table.from_file(filename)
    if not isinstance(table, flex.reflection_table):
        raise TypeError("no reflection table")
    if "flags" not in table and all(name in table for name in OF_XDS):
        fitted = table.flags.integrated_prf | table.flags.predicted
        table["flags"] = flex.size_t(len(table), fitted)
    return table


def _lacks(table: flex.reflection_table, filename: str) -> list[str]:
    """Say what a table lacks to be of use."""
    if not len(table):
        return [f"{filename}: no reflections"]
    problems = []
    if "miller_index" not in table or (table["miller_index"] == (0, 0, 0)).all_eq(True):
        problems.append(f"{filename}: no Miller indices; index and integrate first")
    if "id" not in table or flex.max(table["id"]) < 0:
        problems.append(f"{filename}: no reflection belongs to an experiment")
    kinds = [k for k in ("prf", "sum", "scale") if f"intensity.{k}.value" in table]
    if not kinds:
        problems.append(f"{filename}: no integrated intensities")
    for kind in kinds:
        if f"intensity.{kind}.variance" not in table:
            problems.append(f"{filename}: no intensity.{kind}.variance")
    if not any(name in table for name in POSITIONS):
        problems.append(f"{filename}: no positions ({', '.join(POSITIONS)})")
    if "flags" not in table:
        problems.append(f"{filename}: no flags")
    return problems


def _lacks_intensity(
    table: flex.reflection_table, filename: str, intensity: str
) -> list[str]:
    """Say where the intensities that were asked for are not in a table."""
    kinds = {"scale": "scale", "profile": "prf", "sum": "sum"}
    own = [name for name in kinds if f"intensity.{kinds[name]}.value" in table]
    if intensity not in kinds or intensity in own or not own:
        return []
    return [
        f"{filename}: no intensities for intensity={intensity}; it has {', '.join(own)}"
    ]


def read_files(
    expt: Sequence[str], refl: Sequence[str], intensity: str = "auto"
) -> Input:
    """
    Read experiments and reflections, and bring them together.

    Args:
        expt: Names of experiment files.
        refl: Names of reflection files.
        intensity: "scale", "profile" or "sum" where these must be in every file.

    Returns:
        The experiments, and a table for each.

    Raises:
        ValueError: All that is wrong, one line each.
    """
    problems: list[str] = []
    if not expt:
        problems.append(_one_kind_only("experiments", ".expt", refl))
    if not refl:
        problems.append(_one_kind_only("reflections", ".refl", expt))
    problems += _given_twice([*expt, *refl])
    lists = [_read(f, _read_experiments, problems) for f in expt]
    tables = [_read(f, read_reflections, problems) for f in refl]
    for filename, table in zip(refl, tables):
        if table is not None:
            problems += _lacks(table, filename)
            problems += _lacks_intensity(table, filename, intensity)
    for filename, experiments in zip(expt, lists):
        if experiments is not None:
            problems += _without_crystal(experiments, filename)
    problems += _mixed(refl, tables)
    if intensity in ("auto", "scale"):
        problems += _joined_with_unscaled(refl, tables)
    if problems:
        raise ValueError("\n".join(problems))
    found, unmatched = pair_up(lists, tables, expt, refl)
    experiments = [e for some in lists for e in some]
    _tell_shared_identifiers(experiments)
    # An experiment without reflections keeps its number, with an empty table.
    nothing = tables[0].select(flex.bool(len(tables[0]), False))
    return Input(
        experiments=experiments,
        tables=[found.get(n, nothing) for n in range(len(experiments))],
        dataset=[k for k, some in enumerate(lists) for _ in some],
        files=[*expt, *refl],
        unmatched=unmatched,
    )


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


def _joined_with_unscaled(refl: Sequence[str], tables: Sequence) -> list[str]:
    """
    Say which files hold scaled crystals joined with unscaled ones.

    Programs that join tables fill columns that one of them lacks with nought.
    """
    problems = []
    for filename, table in zip(refl, tables):
        if table is None or not all(name in table for name in SCALED):
            continue
        ids = table["id"].as_numpy_array()
        filled = np.ones(len(table), dtype=bool)
        for name in SCALED:
            filled &= table[name].as_numpy_array() == 0
        crystals = np.unique(ids[ids >= 0])
        unscaled = [int(k) for k in crystals if filled[ids == k].all()]
        if 0 < len(unscaled) < len(crystals):
            names = ", ".join(map(str, unscaled[:8]))
            names += ", …" if len(unscaled) > 8 else ""
            which = "crystal" if len(unscaled) == 1 else "crystals"
            problems.append(
                f"{filename}: scaled and unscaled crystals are joined, {len(unscaled)} of "
                f"{len(crystals)} are not scaled ({which} {names}). Scale them together, "
                "or give intensity=profile or sum, which takes all as they were before"
            )
    return problems


def _mixed(refl: Sequence[str], tables: Sequence) -> list[str]:
    """Say which files are scaled and which are not, where there are both."""
    parts: dict[bool, list[str]] = {True: [], False: []}
    for filename, table in zip(refl, tables):
        if table is not None and len(table):
            parts[all(name in table for name in SCALED)].append(filename)
    scaled, unscaled = parts[True], parts[False]
    if not (scaled and unscaled):
        return []
    return [
        f"Scaled and unscaled reflections are mixed: {_first(scaled)} scaled, "
        f"{_first(unscaled)} not. Scale them together, or give the integrated files of "
        "all of them"
    ]


def _first(names: Sequence[str]) -> str:
    """Name the first of some files, and count the others."""
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{names[0]} and {len(names) - 1} more are"


def _given_twice(files: Sequence[str]) -> list[str]:
    """Say which files are given more than once; copies count as other files."""
    paths = [os.path.realpath(f) for f in files]
    first = [k for k, path in enumerate(paths) if paths.index(path) == k]
    return [
        f"{files[k]}: given {paths.count(paths[k])} times"
        for k in first
        if paths.count(paths[k]) > 1
    ]


def _tell_shared_identifiers(experiments: Sequence[Experiment]) -> None:
    names = [e.identifier for e in experiments if e.identifier]
    shared = len(names) - len(set(names))
    if shared:
        logger.info(
            "%d experiments have the identifier of another one. They are taken for "
            "different crystals; if the same data were given twice, they agree with "
            "themselves.",
            shared,
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
            whose, or the names of the files do, else in the order of the lists.
        expt: File names.
        refl: File names.

    Returns:
        Tables by the number of the experiment, counted through all lists; and how many
        reflections of each file have no experiment.

    Raises:
        ValueError: A table has no experiment, or a list has no reflections.
    """
    identifiers = [e.identifier for some in lists for e in some]
    first = np.cumsum([0] + [len(some) for some in lists])
    found: dict[int, flex.reflection_table] = {}
    unmatched: dict[str, int] = {}
    problems, used = [], 0
    list_of = _by_name(expt, refl)
    for k, (table, name) in enumerate(zip(tables, refl)):
        ids = sorted(set(table["id"]) - {-1})
        names = dict(table.experiment_identifiers())
        # Alone with its list, a table belongs to it; else it goes on counting.
        bounds = (used, len(identifiers))
        if len(tables) == len(lists):
            bounds = (first[list_of[k]], first[list_of[k] + 1])
        used += len(ids)
        numbers = _experiments_of(ids, names, identifiers, bounds)
        if not numbers and len(set(identifiers)) < len(identifiers):
            problems.append(
                f"{name}: several of the experiments have the same identifiers; give "
                "them once, or one .refl file for each .expt file in the same order"
            )
        elif not numbers:
            problems.append(f"{name}: the experiments of these reflections are missing")
        again = sum(n in found for n in numbers.values())
        if again:
            problems.append(f"{name}: a second table for {again} of the experiments")
        for i in ids:
            part = table.select(table["id"] == i)
            if i not in numbers:
                unmatched[name] = unmatched.get(name, 0) + len(part)
            else:
                found[numbers[i]] = part
    for k, name in enumerate(expt):
        if not problems and not any(first[k] <= n < first[k + 1] for n in found):
            problems.append(f"{name}: the reflections of these experiments are missing")
    if problems:
        raise ValueError("\n".join(problems))
    return found, unmatched


def _by_name(expt: Sequence[str], refl: Sequence[str]) -> list[int]:
    """Find the list of each table: by the names without ending, else by the order."""
    names = [os.path.splitext(f)[0] for f in expt]
    wanted = [os.path.splitext(f)[0] for f in refl]
    if len(set(names)) == len(names) and sorted(names) == sorted(wanted):
        return [names.index(name) for name in wanted]
    return [*range(len(refl))]


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
