"""
Corrected tables of several files, of which no more than one is in memory.

Columns that a correction leaves as they are go from file to file, and so do the original
intensities, which only change their name. What is new is held until all is written: 84
bytes an observation of unscaled data.

Functions:
    can_be_joined: whether files are alike
    joined_files: the corrected content
    let_go: what is read once more is not held
    rows_by_id: the rows of each crystal in the table of a file
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.correction.apply.corrected_files import named_apart
from dials_spread.correction.apply.one_table import apply_factors
from dials_spread.correction.apply.row_values import RowValues
from dials_spread.freed_memory import give_back
from dials_spread.input_files import Input
from dials_spread.observations.correction_state import (
    INTEGRATED,
    SCALED,
    column,
    correction_columns,
    intensity_name,
    original_name,
)
from dials_spread.observations.right_factors import AS_READ
from dials_spread.valid_input.joined_columns import JoinedColumns, Piece, alike
from dials_spread.valid_input.reading import read_table
from dials_spread.valid_input.stored_columns import changed

logger = logging.getLogger("dials.spread.corrected_files")

KINDS_OF_NUMBERS = {"id": cctbx_flex.int, "flags": cctbx_flex.size_t}
"""Of columns that a correction changes and that are not real numbers."""


def can_be_joined(filenames: Sequence[str]) -> bool:
    """
    Say whether files have the same columns, none of them of a correction.

    Args:
        filenames: Of tables.
    """
    kinds = alike(filenames)
    if kinds is None or "flags" not in kinds:  # which are made up on reading
        return False
    return not correction_columns([*kinds])


def let_go(tables: Sequence[flex.reflection_table]) -> None:
    """
    Free the memory of columns that are read once more, as they stand in the file.

    Args:
        tables: They keep what tells rows of crystals, and what became of their factors.
    """
    for table in tables:
        kept = {"id", "lp", AS_READ} if AS_READ in table else {"id"}
        for name in {*table.keys()} - kept:
            del table[name]
    give_back()


def rows_by_id(table: flex.reflection_table) -> dict[int, np.ndarray]:
    """Give the rows of each id in their order."""
    ids = table["id"].as_numpy_array()
    order = np.argsort(ids, kind="stable")
    present, begins = np.unique(ids[order], return_index=True)
    ends = [*begins[1:], len(ids)]
    return {int(i): order[a:b] for i, a, b in zip(present, begins, ends)}


def joined_files(
    data: Input, values: RowValues, scaled: bool, wanted: Collection[str]
) -> tuple[ExperimentList, JoinedColumns]:
    """
    Correct file after file.

    Args:
        data: What was read of files that can be joined; tables that were let go of serve.
        values: Of all crystals.
        scaled: Correct the scaled intensities; otherwise the integrated ones.
        wanted: Columns that a correction changes or rests on.

    Returns:
        The experiments, and all their reflections as what is to be written.

    Raises:
        OSError: A file has been changed since it was read.
    """
    files = data.files[-len(data.numbers) :]
    kinds = alike(files)
    if kinds is None:
        raise changed(" or ".join(files))
    pairs = [
        (intensity_name(k, what), original_name(k, what))
        for k in (SCALED if scaled else INTEGRATED)
        for what in ("value", "variance")
    ]
    pairs = [(name, original) for name, original in pairs if name in kinds]
    replaced = [AS_READ in table for table in data.tables if len(table)]
    new = {"id", *(name for name, _ in pairs), *(("lp",) if any(replaced) else ())}
    if "taken_in" in values.names:
        new.add("flags")
    dropped = {AS_READ}
    if any(replaced) and not all(replaced) and "lp" not in kinds:
        logger.warning("Columns that are not in all tables are left out: lp.")
        dropped.add("lp")
    copies = {name: name for name in kinds if name not in new}
    copies.update({original: name for name, original in pairs})
    pieces = [
        Piece(name, len(table), rows, columns)
        for name, table, rows, columns in _pieces(
            data, files, values, scaled, wanted, {*copies} | dropped
        )
    ]
    filled = {name for piece in pieces for name in piece.table.keys()}
    for piece in pieces:
        for name in filled - {*piece.table.keys()}:  # no lp was replaced in it
            piece.table[name] = cctbx_flex.double(len(piece.rows), 0.0)
    experiments = named_apart(data.experiments)
    return experiments, JoinedColumns(
        pieces, [e.identifier for e in experiments], copies
    )


def _pieces(
    data: Input,
    files: Sequence[str],
    values: RowValues,
    scaled: bool,
    wanted: Collection[str],
    left: Collection[str],
) -> Iterator[tuple[str, flex.reflection_table, np.ndarray, flex.reflection_table]]:
    """Give name, table, rows and new columns of one file after the other."""
    place = {n: (k, i) for k, own in enumerate(data.numbers) for i, n in own.items()}
    known = [n for n in range(len(data.tables)) if len(data.tables[n])]
    for k, numbers in groupby(known, key=lambda n: place[n][0]):
        table = read_table(files[k], data.allow_pickle, wanted)
        rows = rows_by_id(table)
        all_rows, columns = [], []
        for number in numbers:
            own = rows.get(place[number][1], np.zeros(0, dtype=int))
            if len(own) != len(data.tables[number]):
                raise changed(files[k])
            part = _with_right_factors(table, own, data.tables[number])
            done = apply_factors(part, scaled=scaled, **values.of(number, part))
            done["id"] = cctbx_flex.int(len(own), number)
            all_rows.append(own)
            columns.append(
                {n: column(done, n) for n in {*done.keys()} if n not in left}
            )
        yield files[k], table, np.concatenate(all_rows), _under_one_another(columns)


def _with_right_factors(
    table: flex.reflection_table, rows: np.ndarray, read: flex.reflection_table
) -> flex.reflection_table:
    """Give one crystal's rows, with the factors that were found on reading."""
    part = table.select(cctbx_flex.size_t(rows.astype(np.uint64)))
    for name in (AS_READ, "lp") if AS_READ in read else ():
        part[name] = read[name]
    return part


def _under_one_another(
    columns: Sequence[dict[str, np.ndarray]],
) -> flex.reflection_table:
    """Join columns of crystals; where one was not corrected in lp, 0 is filled in."""
    table = flex.reflection_table()
    for name in sorted({name for own in columns for name in own}):
        filled = [own.get(name, np.zeros(len(own["id"]))) for own in columns]
        make = KINDS_OF_NUMBERS.get(name, cctbx_flex.double)
        table[name] = make(np.concatenate(filled))
    return table
