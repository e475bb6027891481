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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction.apply.corrected_files import join
from dials_spread.correction.apply.one_table import (
    apply_factors,
    undo_factors,
    without_correction,
)
from dials_spread.correction.apply.subject import Beyond
from dials_spread.correction.apply.table_errors import LARGEST_INFLATION
from dials_spread.input_files import Input
from dials_spread.observations import Observations, right_factors, unique_indices
from dials_spread.observations.correction_state import (
    column,
    corrected_crystals,
    correction_state,
    intensity_name,
    mixture_warning,
)
from dials_spread.observations.intensities import COLUMN
from dials_spread.observations.right_factors import AS_READ
from dials_spread.prepare.geometry import factor_from_zeta
from dials_spread.statistics.groups import group_means
from dials_spread.valid_input.columns import READ
from dials_spread.valid_input.reading import read_experiments, read_table
from dials_spread.valid_input.stored_columns import Rewritten

logger = logging.getLogger("dials.spread.columns")

CHANGED = ("id", "flags", "intensity.", "inverse_scale_factor", "lp", "dqe", "qe") + (
    *("partiality", "ml_correction", "miller_index"),
)
"""How columns begin that a correction changes or rests on."""

KEPT = ("id", "lp", AS_READ)
"""Columns that tell rows of crystals, and what became of their factors."""

OF_ONE = 2
"""Files of one data set: experiments and reflections."""


class Correction(Protocol):
    """
    What is to be done to the rows of reflection tables.

    Attributes:
        measured: n observations, made of these tables, with their geometry.
        column: Shape (n,), factors of the intensities in the tables.
        offset: Shape (n,), what is added to the products, as Observations has them.
        uncertainty: Shape (n,), standard deviation of the factors; None where unknown.
        inflation: Shape (n,), of variances beyond the square of the factor; None for 1.
        common: Shape (n,), error shared by a reflection's observations, in units of their
            σ; None where unknown.
        beyond: Observations beyond the resolution limit; None for none.
    """

    @property
    def measured(self) -> Observations: ...  # noqa: D102
    @property
    def column(self) -> np.ndarray: ...  # noqa: D102
    @property
    def offset(self) -> np.ndarray: ...  # noqa: D102
    @property
    def uncertainty(self) -> np.ndarray | None: ...  # noqa: D102
    @property
    def inflation(self) -> np.ndarray | None: ...  # noqa: D102
    @property
    def common(self) -> np.ndarray | None: ...  # noqa: D102
    @property
    def beyond(self) -> Beyond | None: ...  # noqa: D102


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
    # What is joined, or restored, is written from the tables that are read here.
    one = len(expt) == len(refl) == 1 and not params.undo
    return right_factors.read(
        expt, refl, params.intensity, lp, True, tell, params.allow_pickle,
        READ if one else None,
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


def corrected_table(
    data: Input,
    result: Correction,
    crystals: Sequence[int] | None = None,
    emptied: bool = False,
) -> tuple[ExperimentList, flex.reflection_table | Rewritten]:
    """
    Apply a correction.

    Args:
        data: What was read.
        result: The correction, of these data.
        crystals: Numbers of the crystals that it is of; all by default.
        emptied: Empty the tables of data, so that columns are in memory once.

    Returns:
        The experiments, and all their reflections; where not all columns were read, as
        what is to be written.

    Raises:
        ValueError: One of these crystals is corrected already.
    """
    numbers = [*range(len(data.tables))] if crystals is None else [*crystals]
    observations, tables = result.measured, [data.tables[k] for k in numbers]
    lengths = [len(table) for table in tables]
    factors = observations.in_rows(result.column, lengths)
    _add_lorentz(factors, tables, observations)
    others = _rows_of_others(tables, observations, result.beyond)
    if result.beyond is not None:
        far = result.beyond.measured
        for number, own in enumerate(factors):
            mine = far.crystal == number
            own[far.row[mine]] = result.beyond.lorentz[mine]
    columns = _columns(result, factors, others, tables)
    not_now = [t for k, t in enumerate(data.tables) if k not in numbers]

    def whole(table: flex.reflection_table) -> flex.reflection_table:
        own = {k: values_of_file(table, tables, *c) for k, c in columns.items()}
        _take_factors(table, tables)
        left = [part["id"][0] for part in not_now if len(part)]
        rows = ~np.isin(column(table, "id"), left)
        return apply_factors(table, scaled=observations.scaled, rows=rows, **own)

    def parts() -> list[flex.reflection_table]:
        found = [*data.tables]
        for k, number in enumerate(numbers):
            own = {name: values[k] for name, (values, _) in columns.items()}
            found[number] = apply_factors(
                data.tables[number], scaled=observations.scaled, **own
            )
            if emptied:
                _let_go([data.tables[number]])
        return found

    return _whole_or_joined(data, whole, parts, emptied)


def _columns(
    result: Correction,
    factors: list[np.ndarray],
    others: Sequence[np.ndarray],
    tables: Sequence[flex.reflection_table],
) -> dict[str, tuple[list[np.ndarray], float]]:
    """Give what is written of single crystals by name, and its value of other rows."""
    observations, lengths = result.measured, [len(table) for table in tables]
    columns = {"factor": (factors, 1.0)}
    more = {"uncertainty": result.uncertainty, "common": result.common}
    if result.inflation is not None:
        inflation = observations.in_rows(result.inflation, lengths, 1.0)
        _doubt_others(inflation, factors, others, tables, observations)
        columns["inflation"] = (inflation, 1.0)
    more["offset"] = result.offset if np.any(result.offset) else None
    for name, values in more.items():
        if values is not None:
            # Rows that are no observation are as uncertain as they are corrected: not.
            columns[name] = (observations.in_rows(values, lengths, 0.0), 0.0)
    return columns


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


def _add_lorentz(
    factors: Sequence[np.ndarray],
    tables: Sequence[flex.reflection_table],
    measured: Observations,
) -> None:
    """Where the Lorentz factor was missing, rows that are no observation get it, too."""
    if not measured.lorentz_applied_here:
        return
    for number, (factor, table) in enumerate(zip(factors, tables)):
        if "zeta" not in table:
            continue
        left = np.ones(len(table), dtype=bool)
        left[measured.row[measured.crystal == number]] = False
        d_star = np.sqrt(measured.unit_cell.d_star_sq(table["miller_index"]))
        zeta = table["zeta"].as_numpy_array()
        found = factor_from_zeta(zeta, d_star, float(np.median(measured.rate)))
        factor[left] = found[left]


def _rows_of_others(
    tables: Sequence[flex.reflection_table],
    measured: Observations,
    beyond: Beyond | None,
) -> list[np.ndarray]:
    """Say of each table which rows are no observation, within the limit or beyond."""
    found = [np.ones(len(table), dtype=bool) for table in tables]
    known = (measured,) if beyond is None else (measured, beyond.measured)
    for number, left in enumerate(found):
        for some in known:
            left[some.row[some.crystal == number]] = False
    return found


def _doubt_others(
    inflation: Sequence[np.ndarray],
    factors: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    tables: Sequence[flex.reflection_table],
    measured: Observations,
) -> None:
    """
    Give rows that are no observation σ as large as the intensity of their reflection.

    Nothing was found for them: they lie next to the rotation axis, where no Lorentz factor
    holds, or were recorded in part. Multiplied by a small Lorentz factor with nothing but
    their counting errors they would be wrong, and the best of all rows of the table.
    """
    name = COLUMN[measured.choice]
    for number, (own, factor, table) in enumerate(zip(inflation, factors, tables)):
        mine = measured.crystal == number
        row, unique = measured.row[mine], measured.unique[mine]
        left = others[number]
        if not (left.any() and len(row)):
            continue
        value, variance = (
            column(table, intensity_name(name, what)) for what in ("value", "variance")
        )
        corrected = np.abs(value * factor)
        level = np.full(len(table), np.median(corrected[row]))
        mean = group_means(corrected[row], unique, measured.n_unique)
        for k, index in _known_indices(table, left, measured):
            if np.isfinite(mean[index]):
                level[k] = mean[index]
        left = left & (variance > 0)
        counted = variance[left] * factor[left] ** 2
        own[left] = np.clip(1 + level[left] ** 2 / counted, 1.0, LARGEST_INFLATION)


def _known_indices(
    table: flex.reflection_table, rows: np.ndarray, measured: Observations
) -> Iterator[tuple[int, int]]:
    """Give those rows whose unique reflection was observed, with its number."""
    place = np.flatnonzero(rows)
    hkl = np.array(table["miller_index"])[place].reshape(-1, 3)
    both = np.concatenate([measured.unique_index, hkl])
    _, number = unique_indices(both, measured.space_group, measured.friedel)
    number = np.ravel(number)
    known = {n: k for k, n in enumerate(number[: measured.n_unique])}
    for k, n in zip(place, number[measured.n_unique :]):
        if n in known:
            yield int(k), known[n]


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
    wanted = [name for name in READ if name.startswith(CHANGED)]
    if emptied:
        _let_go(data.tables)
    table = read_table(refl, data.allow_pickle, wanted)
    before, done = {*table.keys()}, whole(table)
    if not before <= {*wanted}:  # a format of which all columns are read
        return read_experiments(expt), done
    return read_experiments(expt), Rewritten(refl, done, before - {*done.keys()})


def _let_go(tables: Sequence[flex.reflection_table]) -> None:
    """Free the memory of columns that are read once more, as they stand in the file."""
    for table in tables:
        for name in {*table.keys()} - {*KEPT}:
            del table[name]


def values_of_file(
    table: flex.reflection_table,
    tables: Sequence[flex.reflection_table],
    values: Sequence[np.ndarray],
    other: float = 1.0,
) -> np.ndarray:
    """
    Put the values of single crystals where their rows are in the table of a file.

    Args:
        table: The whole table of a file.
        tables: The reflections of each crystal, selected from it by id.
        values: As `Observations.in_rows` gives them.
        other: Value of reflections of no crystal.

    Returns:
        One for each row of the file.
    """
    ids = table["id"].as_numpy_array()
    order = np.argsort(ids, kind="stable")
    ids, result = ids[order], np.full(len(table), float(other))
    for part, own in zip(tables, values):
        if len(part):
            first = np.searchsorted(ids, part["id"][0])
            result[order[first : first + len(part)]] = own
    return result
