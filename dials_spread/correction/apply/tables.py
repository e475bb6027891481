"""
Corrections in the reflection tables of all crystals of a run.

dials.scale always starts from the integrated values. A correction made after scaling
is lost when dials.scale is run again; one made before is kept.

The files of one data set stay as they are, row by row, with what belongs to no crystal;
several data sets are joined.

Functions:
    read_uncorrected: files in
    uncorrected_part: the crystals that can be corrected, among others that are already
    corrected_table: all reflections, corrected
    restored_table: all reflections, as they were before
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction.apply.corrected_files import join
from dials_spread.correction.apply.file_by_file import (
    can_be_joined,
    joined_files,
    let_go,
    rows_by_id,
)
from dials_spread.correction.apply.one_table import (
    apply_factors,
    undo_factors,
    without_correction,
)
from dials_spread.correction.apply.row_values import OTHERS, Correction, RowValues
from dials_spread.input_files import Input
from dials_spread.observations import right_factors
from dials_spread.observations.correction_state import (
    column,
    corrected_crystals,
    correction_state,
    mixture_warning,
)
from dials_spread.observations.right_factors import AS_READ
from dials_spread.stages import stage
from dials_spread.valid_input.columns import READ
from dials_spread.valid_input.joined_columns import JoinedColumns
from dials_spread.valid_input.reading import read_experiments, read_table
from dials_spread.valid_input.stored_columns import Rewritten

logger = logging.getLogger("dials.spread.columns")

CHANGED = ("id", "flags", "intensity.", "inverse_scale_factor", "lp", "dqe", "qe") + (
    *("partiality", "ml_correction", "miller_index", "zeta"),
)
"""How columns begin that a correction changes or rests on."""

OF_ONE = 2
"""Files of one data set: experiments and reflections."""


def read_uncorrected(files: Sequence[Sequence[str]], params) -> Input:
    """
    Read files, with the right Lorentz factors where a correction is to be made.

    Args:
        files: Names of experiment files, and of reflection files.
        params: Those of the command.

    Raises:
        ValueError: All that is wrong, one line each.
    """
    lp = "column" if params.undo else params.lp
    tell = params.mode != "apply"  # which has a summary
    expt, refl = files
    # What is restored, or joined and not alike, is written from the tables that are read
    # here; else columns that stay as they are go from file to file.
    some = not params.undo and (len(expt) == len(refl) == 1 or can_be_joined(refl))
    return right_factors.read(
        expt, refl, params.intensity, lp, True, tell, params.allow_pickle,
        READ if some else None,
    )  # fmt: skip


def uncorrected_part(data: Input) -> tuple[Input, list[int], tuple[str, ...]]:
    """
    Leave out the crystals that are corrected already.

    Args:
        data: What was read.

    Returns:
        What can be corrected, the numbers of its crystals, and warnings about the
        others. All of it, with no warning, where all crystals are alike.
    """
    corrected = corrected_crystals(data.tables)
    numbers = [int(k) for k in np.flatnonzero(~corrected)]
    told = mixture_warning(corrected)
    if not told:
        return data, [*range(len(data.tables))], ()
    part = replace(
        data,
        experiments=[data.experiments[k] for k in numbers],
        tables=[data.tables[k] for k in numbers],
        dataset=[data.dataset[k] for k in numbers],
    )
    told += (
        " Those that are stay as they are, and the correction of the others rests on "
        "these alone; undo=True gives the originals back, to correct all together."
    )
    return part, numbers, (told,)


@stage("Corrected table")
def corrected_table(
    data: Input,
    result: Correction,
    crystals: Sequence[int] | None = None,
    emptied: bool = False,
) -> tuple[ExperimentList, flex.reflection_table | Rewritten | JoinedColumns]:
    """
    Apply a correction.

    Args:
        data: What was read; where not all columns were, tables may have been let go of.
        result: The correction, of these data.
        crystals: Numbers of the crystals that it is of; all by default.
        emptied: Empty the tables of data, so that columns are in memory once.

    Returns:
        The experiments, and all their reflections; where not all columns were read, as
        what is to be written.

    Raises:
        ValueError: One of these crystals is corrected already.
        OSError: A file has been changed since it was read.
    """
    numbers = [*range(len(data.tables))] if crystals is None else [*crystals]
    place = {number: k for k, number in enumerate(numbers)}
    values, scaled = RowValues(result, len(numbers)), result.measured.scaled

    def whole(table: flex.reflection_table) -> flex.reflection_table:
        rows = rows_by_id(table)
        own = {name: np.full(len(table), OTHERS[name]) for name in values.names}
        now = np.ones(len(table), dtype=bool)
        for number, part in enumerate(data.tables):
            its = rows[part["id"][0]] if len(part) else np.zeros(0, dtype=int)
            if number not in place:
                now[its] = False
                continue
            some = _selected(table, its)
            for name, found in values.of(place[number], some).items():
                own[name][its] = found
        _take_factors(table, [data.tables[k] for k in numbers])
        return apply_factors(table, scaled=scaled, rows=now, **own)

    def parts() -> list[flex.reflection_table]:
        found = [*data.tables]
        for number, k in place.items():
            table = data.tables[number]
            found[number] = apply_factors(table, scaled=scaled, **values.of(k, table))
            if emptied:
                let_go([table])
        return found

    if emptied and data.some_columns:
        let_go(data.tables)
    if data.some_columns and len(data.files) != OF_ONE:
        return joined_files(data, values, scaled, _wanted())
    return _whole_or_joined(data, whole, parts, emptied)


def _wanted() -> list[str]:
    """Name the columns that a correction changes or rests on."""
    return [name for name in READ if name.startswith(CHANGED)]


def _selected(table: flex.reflection_table, rows: np.ndarray) -> flex.reflection_table:
    """Give what values of rows rest on, of some rows."""
    some = flex.reflection_table()
    for name in table.keys():
        if name in ("id", "miller_index", "zeta") or name.startswith("intensity."):
            some[name] = table[name].select(cctbx_flex.size_t(rows.astype(np.uint64)))
    return some


def _take_factors(
    table: flex.reflection_table, tables: Sequence[flex.reflection_table]
) -> None:
    """Put the right factors of single crystals into the table of a file."""
    if not any(AS_READ in part for part in tables):
        return
    old = column(table, "lp") if "lp" in table else np.full(len(table), np.nan)
    for name, absent in ((AS_READ, old), ("lp", old)):
        values = absent.astype(float).copy()
        for part in tables:
            if len(part) and name in part:
                values[column(table, "id") == part["id"][0]] = column(part, name)
        table[name] = cctbx_flex.double(
            np.nan_to_num(values) if name == "lp" else values
        )


def restored_table(data: Input) -> tuple[ExperimentList, flex.reflection_table]:
    """
    Take a correction back.

    Args:
        data: What was read.

    Returns:
        The experiments, and all their reflections as they were before.

    Raises:
        ValueError: There is nothing to undo.
    """
    _check_files_corrected(data)
    if told := mixture_warning(corrected_crystals(data.tables)):
        logger.info("%s The others stay as they are.", told)
    return _whole_or_joined(data, undo_factors, lambda: _undo_all(data.tables))


def _check_files_corrected(data: Input) -> None:
    """Refuse files in which no crystal is corrected; the user knows files, not tables."""
    of_file = [(k, t) for k, t in zip(data.dataset, data.tables) if len(t)]
    if {k for k, _ in of_file} == {
        k for k, t in of_file if correction_state(t) != "none"
    }:
        return
    files = data.files[max(data.dataset) + 1 :]
    read = {name: read_table(name, data.allow_pickle) for name in files}
    problems = [
        f"{name}: not corrected, there is nothing to undo"
        for name, table in read.items()
        if correction_state(table) == "none"
    ]
    if problems:
        raise ValueError("\n".join(problems))


def _undo_all(
    tables: Sequence[flex.reflection_table],
) -> list[flex.reflection_table]:
    return [
        without_correction(table)
        if correction_state(table) == "none"
        else undo_factors(table)
        for table in tables
    ]


def _whole_or_joined(
    data: Input,
    whole: Callable[[flex.reflection_table], flex.reflection_table],
    parts: Callable[[], list[flex.reflection_table]],
    emptied: bool = False,
) -> tuple[ExperimentList, flex.reflection_table | Rewritten]:
    """Keep the table of a single file as it is; join those of several."""
    if len(data.files) != OF_ONE:
        return join(data.experiments, parts(), emptied)
    expt, refl = data.files
    if not data.some_columns:
        return read_experiments(expt), whole(read_table(refl, data.allow_pickle))
    wanted = _wanted()
    table = read_table(refl, data.allow_pickle, wanted)
    before, done = {*table.keys()}, whole(table)
    if not before <= {*wanted}:  # a format of which all columns are read
        return read_experiments(expt), done
    return read_experiments(expt), Rewritten(refl, done, before - {*done.keys()})
